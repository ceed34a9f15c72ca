//! The prompts of a job, as far as the mail shows them.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::locale::{Words, fill, number};
use super::privacy::PromptVisibility;
use super::text::{block, first_chars};
use crate::domain::JobEvent;

/// Number of characters of a prompt shown in the HTML part, and a tolerance so that short
/// remainders are not folded.
const FOLD: (usize, usize) = (600, 60);
/// Maximum characters of a prompt in the text part.
const MAX_PASSAGE: usize = 10_000;

/// A longer text under a label. Serialised with the additional field `short`, the part shown in
/// HTML.
#[derive(Debug)]
pub struct Passage<'a> {
    /// The label.
    pub label: &'static str,
    /// The text for the text part.
    pub text: Cow<'a, str>,
    /// How much the text part omits, in words; empty if nothing.
    pub cut: String,
    /// Length in bytes of the part of `text` shown in HTML.
    fold: usize,
    /// How much the HTML part omits, in words; empty if nothing.
    pub folded: String,
}

impl<'a> Passage<'a> {
    /// A text that both parts show in full.
    fn whole(label: &'static str, text: Cow<'a, str>) -> Self {
        Self {
            label,
            cut: String::new(),
            fold: text.len(),
            folded: String::new(),
            text,
        }
    }

    /// The part shown in HTML.
    pub fn short(&self) -> &str {
        self.text.get(..self.fold).unwrap_or(&self.text)
    }
}

impl Serialize for Passage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Passage", 5)?;
        fields.serialize_field("label", self.label)?;
        fields.serialize_field("text", &self.text)?;
        fields.serialize_field("cut", &self.cut)?;
        fields.serialize_field("short", self.short())?;
        fields.serialize_field("folded", &self.folded)?;
        fields.end()
    }
}

/// The prompts that may be shown.
pub(super) fn passages<'a>(
    job: &'a JobEvent,
    shown: PromptVisibility,
    words: &'static Words,
) -> Vec<Passage<'a>> {
    let given = [
        (words.prompt, &job.prompt),
        (words.prompt_translated, &job.prompt_translated),
        (words.negative_prompt, &job.negative_prompt),
    ];
    let given = given
        .into_iter()
        .filter_map(|(label, text)| Some((label, text.as_deref()?)));
    match shown {
        PromptVisibility::Full => given
            .filter_map(|(label, text)| passage(label, text, words))
            .collect(),
        PromptVisibility::Short | PromptVisibility::Hidden => given
            .filter_map(|(label, text)| {
                Some(Passage::whole(
                    label,
                    block(&shown.part(text)?, MAX_PASSAGE)?
                        .0
                        .into_owned()
                        .into(),
                ))
            })
            .collect(),
        PromptVisibility::Folded => given
            .take(1)
            .map(|(label, _)| Passage::whole(label, Cow::Borrowed(words.sensitive)))
            .collect(),
    }
}

fn passage<'a>(label: &'static str, text: &'a str, words: &Words) -> Option<Passage<'a>> {
    let (text, left_out) = block(text, MAX_PASSAGE)?;
    let cut = if left_out == 0 {
        String::new()
    } else {
        fill(words.cut, &number(left_out))
    };
    let (keep, spare) = FOLD;
    let (fold, folded) = if first_chars(&text, keep + spare).1 {
        let fold = first_chars(&text, keep).0.len();
        let hidden = text.get(fold..).unwrap_or_default().chars().count() + left_out;
        (fold, fill(words.folded, &number(hidden)))
    } else {
        (text.len(), String::new())
    };
    Some(Passage {
        label,
        text,
        cut,
        fold,
        folded,
    })
}
