//! What a payload comes to, in few words.

use serde_json::Value;

use crate::domain::{FieldError, Parsed};

/// What a payload came to.
#[derive(Debug, Clone, PartialEq)]
pub enum MapResult {
    /// The ends of jobs, at least one.
    Events(Vec<Parsed>),
    /// Ends of jobs, and in the same batch a state that this version does not know: taken, and kept
    /// for the operator as well.
    Partly(Vec<Parsed>, String),
    /// Nothing that ends a job: progress, or another kind of message. Answered 204 and forgotten;
    /// the words go to the log.
    Ignored(String),
    /// A question whether somebody reads what comes here. Answered with this object.
    Challenge(Value),
    /// A state that this version does not know. Answered 204 and kept for the operator: nobody
    /// guesses what it means.
    Unknown(String),
    /// It cannot be read as what it should be. Answered 422 and kept for the operator.
    Unmappable(Vec<FieldError>),
}

impl MapResult {
    /// A payload in which one thing is wrong; `place` is a JSON pointer into it.
    pub fn wrong(place: &str, detail: impl Into<String>) -> Self {
        Self::Unmappable(vec![FieldError {
            pointer: format!("#{place}"),
            detail: detail.into(),
        }])
    }

    /// A payload without the state that it should have.
    pub fn stateless(place: &str) -> Self {
        Self::wrong(place, "is missing: nothing says how the job ended")
    }
}

/// How a job ended, in the words of the services. Our events know two ends: what was canceled is a
/// failure with the code `canceled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// Well.
    Succeeded,
    /// Not well.
    Failed,
    /// By somebody's wish.
    Canceled,
}

impl JobEnd {
    /// Its name in ids.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}
