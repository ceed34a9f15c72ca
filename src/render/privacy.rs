//! How much of a job's prompts its mail shows: a mail is read on trains, forwarded, and kept by
//! others.

use std::borrow::Cow;

use super::text::first_chars;
use crate::domain::JobEvent;

/// The characters of a prompt that [`Prompts::Short`] shows.
const SHORT: usize = 80;

/// How much of the prompts is shown, by configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Prompts {
    /// As much as fits.
    #[default]
    Full,
    /// The first 80 characters of each.
    Short,
    /// Nothing, nowhere.
    Hidden,
}

/// What is kept from readers over the shoulder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Privacy {
    /// How much of the prompts is shown.
    pub prompts: Prompts,
    /// Whether the prompt names a job without a title in the subject, which locked screens and logs
    /// show.
    pub in_subject: bool,
}

/// How much is shown of one job's prompts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PromptVisibility {
    /// All.
    Full,
    /// The beginning.
    Short,
    /// Only that there is one: the event is marked as sensitive. Folding it away would not do, as
    /// few mail programs fold anything.
    Folded,
    /// Nothing.
    Hidden,
}

impl Privacy {
    /// The stricter one of what is configured and what the event asks for.
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
    /// As much of a prompt as may be shown where it is one text among others.
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
