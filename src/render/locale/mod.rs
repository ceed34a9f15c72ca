//! The words of the mails, one table per language; a word that is missing in one of them does not
//! compile.

mod en;
mod filling;
mod zh_cn;

use serde::Serialize;

pub(super) use filling::around;
pub use filling::{fill, number};

use crate::domain::Locale;

/// Every word and phrase that a mail is made of. A phrase with `{}` has it exactly once; [`fill`]
/// puts a value there.
#[derive(Debug, Serialize)]
pub struct Words {
    /// The BCP 47 tag for the `lang` attribute.
    pub lang: &'static str,
    /// Headline: one picture was made.
    pub image_ready: &'static str,
    /// Headline: several pictures were made.
    pub images_ready: &'static str,
    /// Headline: a job that makes no pictures ended well.
    pub job_done: &'static str,
    /// Headline: a picture could not be made.
    pub generation_failed: &'static str,
    /// Headline: a job that makes no pictures failed.
    pub job_failed: &'static str,
    /// Headline: somebody stopped the job.
    pub job_canceled: &'static str,
    /// Between a headline or label and what it is about.
    pub colon: &'static str,
    /// The end of a subject: how many pictures.
    pub subject_images: &'static str,
    /// The end of a subject: some fact.
    pub subject_fact: &'static str,
    /// The end of a subject: a fact and how many pictures, in this order.
    pub subject_fact_images: [&'static str; 3],
    /// How many pictures, two or more.
    pub images: &'static str,
    /// A picture of which nothing more is known.
    pub image: &'static str,
    /// The n-th picture.
    pub image_number: &'static str,
    /// The button over one picture.
    pub open_image: &'static str,
    /// The button over several pictures.
    pub open_first: &'static str,
    /// The link below a small copy that shows only the beginning of a picture.
    pub whole_picture: &'static str,
    /// The quiet link beside the button over one picture.
    pub download: &'static str,
    /// Under several pictures, each of which is a link.
    pub open_any: &'static str,
    /// The button over a file that mail programs cannot show.
    pub open_file: &'static str,
    /// The button that leads to the job's own page.
    pub open_run: &'static str,
    /// Where the button leads: a host.
    pub opens: &'static str,
    /// Until when the links work: a moment.
    pub expires: &'static str,
    /// How many pictures are not shown.
    pub more_images: &'static str,
    /// Over the list of links in the text part.
    pub links: &'static str,
    /// How many links are not listed.
    pub more_links: &'static str,
    /// Over paths that have no link.
    pub saved_at: &'static str,
    /// Label of the prompt.
    pub prompt: &'static str,
    /// Label of the translated prompt.
    pub prompt_translated: &'static str,
    /// Label of the negative prompt.
    pub negative_prompt: &'static str,
    /// In place of the prompts of an event that is marked as sensitive.
    pub sensitive: &'static str,
    /// How much of a folded text the HTML part leaves out.
    pub folded: &'static str,
    /// How much of a folded text the text part leaves out.
    pub cut: &'static str,
    /// How many lines of a program's output are left out before those that are shown.
    pub cut_lines: &'static str,
    /// In place of an error that was not given.
    pub no_reason: &'static str,
    /// Over the advice after a failure.
    pub what_to_do: &'static str,
    /// The advice after a failure of which nothing is known.
    pub advice: &'static str,
    /// The advice where memory ran out.
    pub advice_memory: &'static str,
    /// The advice where time ran out.
    pub advice_timeout: &'static str,
    /// The advice where a login was refused.
    pub advice_login: &'static str,
    /// The advice where the content was refused.
    pub advice_content: &'static str,
    /// The advice where a limit was reached.
    pub advice_quota: &'static str,
    /// The advice where the request was wrong.
    pub advice_request: &'static str,
    /// The advice where the service is at fault.
    pub advice_service: &'static str,
    /// The advice where a command failed for reasons of its own.
    pub advice_command: &'static str,
    /// The advice where a command does not exist.
    pub advice_not_found: &'static str,
    /// The advice where a file cannot be executed.
    pub advice_not_executable: &'static str,
    /// The advice where a command was killed.
    pub advice_killed: &'static str,
    /// The advice where a command crashed.
    pub advice_crashed: &'static str,
    /// The advice where a command was stopped.
    pub advice_stopped: &'static str,
    /// Over the table of facts.
    pub details: &'static str,
    /// Fact: the command that was run.
    pub command: &'static str,
    /// Fact: the machine.
    pub host: &'static str,
    /// Fact: model.
    pub model: &'static str,
    /// Fact: format and bytes.
    pub file: &'static str,
    /// Fact: steps and seed.
    pub settings: &'static str,
    /// The number of steps.
    pub steps: &'static str,
    /// The seed.
    pub seed: &'static str,
    /// Fact: the producer's name for the job.
    pub job_id: &'static str,
    /// Fact: from when to when.
    pub time: &'static str,
    /// Fact: when it began.
    pub started_at: &'static str,
    /// Fact: when it ended.
    pub finished_at: &'static str,
    /// Fact: when it was reported, where its end is not known.
    pub reported_at: &'static str,
    /// A total over several files.
    pub total: &'static str,
    /// Units of time: day, hour, minute, second, each as it follows its number.
    pub units: [&'static str; 4],
    /// Footer: who sent this and why to this address, around the two names.
    pub sent_to: [&'static str; 3],
    /// Footer: label of the event's id, in the text part.
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
    fn both_languages_fill_the_same_phrases() {
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
