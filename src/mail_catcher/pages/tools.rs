//! Optional features of the pages, provided by the embedder.

use std::fmt;
use std::sync::Arc;

use axum::http::request::Parts;

use crate::mail_catcher::Mail;

/// Decides whether a request may change something: pages of other origins must not send it.
pub type Guard = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;
/// Lints a mail: its parts and its source.
pub type Linter = fn(&Mail, &[u8]) -> Vec<Finding>;

/// The features; none by default.
#[derive(Clone, Default)]
pub struct Tools {
    /// Checked before mails are cleared; if absent, they cannot be cleared.
    pub guard: Option<Guard>,
    /// Lints a mail for its tab.
    pub linter: Option<Linter>,
    /// The sample buttons.
    pub samples: &'static [Sample],
    /// Base URL for events, such as `http://127.0.0.1:8000`; empty to hide it.
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

/// A button that sends a sample.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The form's action.
    pub path: &'static str,
    /// The label in English and Chinese.
    pub label: (&'static str, &'static str),
}

/// A problem found by the linter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it affects some readers.
    pub is_error: bool,
    /// The message.
    pub text: String,
}
