//! Keeps payloads that are not understood for the operator, and logs them.

use serde_json::Value;
use tracing::{info, warn};

use super::body_json::Unreadable;
use super::handler::HookRequest;
use super::secret_mask::SecretMask;
use super::{redact, verify};
use crate::domain::FieldError;
use crate::http::Problem;
use crate::intake::response;
use crate::telemetry::log_limit::Verdict;

/// Maximum length of a sender's text in a log line, in bytes.
const MAX_LOGGED: usize = 500;

impl HookRequest {
    /// Number of payloads that a log line stands for; `None` to skip the line. Unverified hooks log
    /// one line per minute, because they can be flooded.
    pub(super) fn log_count(&self) -> Option<u64> {
        if !verify::is_unauthenticated(&self.settings().verifier, &self.headers) {
            return Some(1);
        }
        match self.hook.unauthenticated.count() {
            Verdict::Log(times) => Some(times),
            Verdict::FlushIn(_) | Verdict::Skip => None,
        }
    }

    /// Logs a payload that is kept.
    pub(super) fn log_kept(&self, event: &str, why: &str) {
        if let Some(times) = self.log_count() {
            let hook = &self.settings().name;
            warn!(
                hook,
                times,
                "{event}; kept for `hooks failed`: {}",
                brief(why)
            );
        }
    }

    /// Logs a payload that needs no mail.
    pub(super) fn log_ignored(&self, why: &str) {
        if let Some(times) = self.log_count() {
            let hook = &self.settings().name;
            info!(hook, times, "webhook ignored: {}", brief(why));
        }
    }

    /// Stores a payload for the operator.
    pub(super) async fn keep(&self, payload: &Value, why: String) {
        self.state
            .intake
            .keep_unmapped(&self.settings().name, why, redact::text(payload))
            .await;
    }

    /// Stores a body that is not JSON for the operator.
    pub(super) async fn unreadable(
        &self,
        bytes: &[u8],
        Unreadable { problem, why }: Unreadable,
    ) -> Problem {
        self.count("invalid");
        let why = format!("the body {why}");
        self.log_kept("webhook body unreadable", &why);
        let text = redact::raw(bytes);
        let text = SecretMask::of(&self.settings().verifier)
            .masked(&text)
            .unwrap_or(text);
        self.state
            .intake
            .keep_unmapped(&self.settings().name, why, text)
            .await;
        problem
    }

    /// Rejects an invalid payload and stores it for the operator.
    pub(super) async fn invalid(&self, payload: &Value, errors: Vec<FieldError>) -> Problem {
        self.count("invalid");
        let why: Vec<String> = errors
            .iter()
            .map(|error| format!("{} {}", error.pointer, error.detail))
            .collect();
        let why = why.join("; ");
        self.log_kept("webhook payload invalid", &why);
        self.keep(payload, why).await;
        response::invalid(errors)
    }
}

/// Truncates a text for the log: senders control its length.
fn brief(why: &str) -> &str {
    why.get(..why.floor_char_boundary(MAX_LOGGED))
        .unwrap_or_default()
}
