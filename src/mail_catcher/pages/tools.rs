//! What the pages offer beside reading; whoever embeds the mailbox provides it.

use std::fmt;
use std::sync::Arc;

use axum::http::request::Parts;

use crate::mail_catcher::Mail;

/// Says whether a request that changes something may do so: no page of another origin may send it.
pub type Guard = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;
/// Checks a mail: its parts, and the message as it was sent.
pub type Linter = fn(&Mail, &[u8]) -> Vec<Finding>;

/// The tools of the pages; by default there are none.
#[derive(Clone, Default)]
pub struct Tools {
    /// Asked before mails are cleared; without it they cannot be.
    pub guard: Option<Guard>,
    /// Checks a mail for its tab.
    pub linter: Option<Linter>,
    /// Samples that can be sent.
    pub samples: &'static [Sample],
    /// Where events are posted, as `http://127.0.0.1:8000`; empty where that is not shown.
    pub api: String,
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tools")
            .field("samples", &self.samples.len())
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

/// A button that has a sample sent.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Where its form is posted to.
    pub path: &'static str,
    /// What it says, in English and in Chinese.
    pub label: (&'static str, &'static str),
}

/// Something that the linter found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether some reader suffers from it.
    pub is_error: bool,
    /// What was found.
    pub text: String,
}
