//! The outcome of mapping a payload.

use serde_json::Value;

use crate::domain::{FieldError, Parsed};

/// The outcome of mapping a payload.
#[derive(Debug, Clone, PartialEq)]
pub enum MapResult {
    /// Results of jobs, at least one.
    Events(Vec<Parsed>),
    /// Results of jobs, and an unknown state in the same batch. The results are stored, and the
    /// payload is kept for the operator.
    Partly(Vec<Parsed>, String),
    /// Progress, or another kind of message. Answered with 204 and discarded; the text is logged.
    Ignored(String),
    /// A request that verifies the address. Answered with this object.
    Challenge(Value),
    /// An unknown state, which is not guessed. Answered with 204 and kept for the operator.
    Unknown(String),
    /// An invalid payload. Answered with 422 and kept for the operator.
    Unmappable(Vec<FieldError>),
}

impl MapResult {
    /// A payload with one error at `place`, a JSON pointer.
    pub fn invalid(place: &str, detail: impl Into<String>) -> Self {
        Self::Unmappable(vec![FieldError {
            pointer: format!("#{place}"),
            detail: detail.into(),
        }])
    }

    /// A payload without a state.
    pub fn without_state(place: &str) -> Self {
        Self::invalid(place, "is missing: the payload has no state")
    }
}

/// How a job ended. A cancelled job becomes a failure with the code `canceled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It was cancelled.
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
