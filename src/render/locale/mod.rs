//! The words of the mails, one table per language; a word missing from one of them does not
//! compile.

mod en;
mod filling;
mod zh_cn;

use serde::Serialize;

pub(super) use filling::around;
pub use filling::{fill, number};

use crate::domain::Locale;

/// Every word and phrase of a mail. A phrase contains `{}` at most once; [`fill`] replaces it.
#[derive(Debug, Serialize)]
pub struct Words {
    /// The BCP 47 tag for the `lang` attribute.
    pub lang: &'static str,
    /// Headline: one image was generated.
    pub image_ready: &'static str,
    /// Headline: several images were generated.
    pub images_ready: &'static str,
    /// Headline: a job without images succeeded.
    pub job_done: &'static str,
    /// Headline: image generation failed.
    pub generation_failed: &'static str,
    /// Headline: a job without images failed.
    pub job_failed: &'static str,
    /// Headline: the job was canceled.
    pub job_canceled: &'static str,
    /// Between a headline or label and its value.
    pub colon: &'static str,
    /// End of a subject: number of images.
    pub subject_images: &'static str,
    /// End of a subject: a fact.
    pub subject_fact: &'static str,
    /// End of a subject: a fact and the number of images.
    pub subject_fact_images: [&'static str; 3],
    /// Number of images, two or more.
    pub images: &'static str,
    /// An image about which nothing else is known.
    pub image: &'static str,
    /// The n-th image.
    pub image_number: &'static str,
    /// Button for one image.
    pub open_image: &'static str,
    /// Button for several images.
    pub open_first: &'static str,
    /// Link below a thumbnail that shows only the beginning of an image.
    pub whole_picture: &'static str,
    /// Secondary link beside the button for one image.
    pub download: &'static str,
    /// Below several images, each of which is a link.
    pub open_any: &'static str,
    /// Button for a file that mail clients cannot show.
    pub open_file: &'static str,
    /// Button for the job's own page.
    pub open_run: &'static str,
    /// Host that the button leads to.
    pub opens: &'static str,
    /// When the links expire.
    pub expires: &'static str,
    /// Number of images not shown.
    pub more_images: &'static str,
    /// Above the list of links in the text part.
    pub links: &'static str,
    /// Number of links not listed.
    pub more_links: &'static str,
    /// Above paths without a link.
    pub saved_at: &'static str,
    /// Label of the prompt.
    pub prompt: &'static str,
    /// Label of the translated prompt.
    pub prompt_translated: &'static str,
    /// Label of the negative prompt.
    pub negative_prompt: &'static str,
    /// Replaces the prompts of an event marked as sensitive.
    pub sensitive: &'static str,
    /// How much of a folded text the HTML part omits.
    pub folded: &'static str,
    /// How much of a folded text the text part omits.
    pub cut: &'static str,
    /// How many earlier lines of a program's output are omitted.
    pub cut_lines: &'static str,
    /// Replaces a missing error message.
    pub no_reason: &'static str,
    /// Above the advice after a failure.
    pub what_to_do: &'static str,
    /// Advice: unknown cause.
    pub advice: &'static str,
    /// Advice: out of memory.
    pub advice_memory: &'static str,
    /// Advice: time limit exceeded.
    pub advice_timeout: &'static str,
    /// Advice: login refused.
    pub advice_login: &'static str,
    /// Advice: content refused.
    pub advice_content: &'static str,
    /// Advice: limit reached.
    pub advice_quota: &'static str,
    /// Advice: invalid request.
    pub advice_request: &'static str,
    /// Advice: fault of the service.
    pub advice_service: &'static str,
    /// Advice: the command failed.
    pub advice_command: &'static str,
    /// Advice: command not found.
    pub advice_not_found: &'static str,
    /// Advice: file not executable.
    pub advice_not_executable: &'static str,
    /// Advice: command killed.
    pub advice_killed: &'static str,
    /// Advice: command crashed.
    pub advice_crashed: &'static str,
    /// Advice: command stopped.
    pub advice_stopped: &'static str,
    /// Above the table of facts.
    pub details: &'static str,
    /// Fact: the command.
    pub command: &'static str,
    /// Fact: the machine.
    pub host: &'static str,
    /// Fact: model.
    pub model: &'static str,
    /// Fact: format and size in bytes.
    pub file: &'static str,
    /// Fact: steps and seed.
    pub settings: &'static str,
    /// Number of steps.
    pub steps: &'static str,
    /// The seed.
    pub seed: &'static str,
    /// Fact: the producer's job ID.
    pub job_id: &'static str,
    /// Fact: start and end time.
    pub time: &'static str,
    /// Fact: start time.
    pub started_at: &'static str,
    /// Fact: end time.
    pub finished_at: &'static str,
    /// Fact: time of the report, if the end is unknown.
    pub reported_at: &'static str,
    /// Total over several files.
    pub total: &'static str,
    /// Units of time: day, hour, minute, second, as written after a number.
    pub units: [&'static str; 4],
    /// Footer: sender and reason, around the two names.
    pub sent_to: [&'static str; 3],
    /// Footer: label of the event ID, in the text part.
    pub event_id: &'static str,
}

/// The words of a language.
pub fn words(locale: Locale) -> &'static Words {
    match locale {
        Locale::ZhCn => &zh_cn::WORDS,
        Locale::En => &en::WORDS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_have_the_same_placeholders() {
        let holes = |locale| {
            let serde_json::Value::Object(table) = serde_json::to_value(words(locale)).unwrap()
            else {
                panic!("a table")
            };
            table
                .into_iter()
                .map(|(name, phrase)| {
                    (
                        name,
                        phrase.as_str().unwrap_or_default().matches("{}").count(),
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(holes(Locale::ZhCn), holes(Locale::En));
        assert!(holes(Locale::En).iter().all(|(_, count)| *count <= 1));
    }

    #[test]
    fn no_word_is_empty() {
        for locale in [Locale::ZhCn, Locale::En] {
            let table = serde_json::to_value(words(locale)).unwrap();
            for (name, phrase) in table.as_object().unwrap() {
                let filled = phrase.as_str().map_or_else(
                    || phrase.as_array().unwrap().iter().all(|p| p != ""),
                    |p| !p.trim().is_empty(),
                );
                assert!(filled, "{locale} {name}");
            }
        }
    }
}
