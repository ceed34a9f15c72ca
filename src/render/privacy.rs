//! How much of a job's prompts the mail shows: mails are read in public, forwarded and archived.

use std::borrow::Cow;

use super::text::first_chars;
use crate::domain::JobEvent;

/// Characters of a prompt shown by [`Prompts::Short`].
const SHORT: usize = 80;

/// How much of the prompts is shown, by configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prompts {
    /// As much as fits.
    #[default]
    Full,
    /// The first 80 characters of each.
    Short,
    /// Nothing.
    Hidden,
}

/// Privacy settings of mails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Privacy {
    /// How much of the prompts is shown.
    pub prompts: Prompts,
    /// Whether the subject of a job without a title shows the prompt; subjects appear on lock
    /// screens and in logs.
    pub in_subject: bool,
}

/// How much of one job's prompts is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PromptVisibility {
    /// Everything.
    Full,
    /// The beginning.
    Short,
    /// Only a note that there is one: the event is marked as sensitive. Few mail clients support
    /// folding.
    Folded,
    /// Nothing.
    Hidden,
}

impl Privacy {
    /// The stricter of the configured and the event's setting.
    pub(super) fn of(self, job: &JobEvent) -> PromptVisibility {
        match (self.prompts, job.sensitive) {
            (Prompts::Hidden, _) => PromptVisibility::Hidden,
            (_, true) => PromptVisibility::Folded,
            (Prompts::Short, false) => PromptVisibility::Short,
            (Prompts::Full, false) => PromptVisibility::Full,
        }
    }
}

impl PromptVisibility {
    /// The part of a prompt that may appear inside other text.
    pub(super) fn part(self, prompt: &str) -> Option<Cow<'_, str>> {
        match self {
            Self::Full => Some(Cow::Borrowed(prompt)),
            Self::Short => Some(short(prompt.trim())),
            Self::Folded | Self::Hidden => None,
        }
    }
}

fn short(prompt: &str) -> Cow<'_, str> {
    match first_chars(prompt, SHORT) {
        (whole, false) => Cow::Borrowed(whole),
        (head, true) => Cow::Owned([head.trim_end(), "…"].concat()),
    }
}
