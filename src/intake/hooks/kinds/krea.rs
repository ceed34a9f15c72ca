//! Krea: a job with its links (<https://docs.krea.ai/developers/webhooks>). Nothing is signed; no reason of a failure is documented.

use super::super::{Draft, End, Mapped, Sent};

/// Reads a job.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let end = match sent.word(&["/status"]).as_deref() {
        Some("completed") => End::Succeeded,
        Some("failed") => End::Failed,
        Some("cancelled") => End::Canceled,
        Some(word @ ("queued" | "pending" | "scheduled" | "processing" | "sampling")) => return Mapped::Ignored(format!("the job is {word}")),
        Some(word) => return Mapped::Unknown(format!("the status {word:?} is not known")),
        None => return Mapped::stateless("/status"),
    };
    Draft::of(sent).times(&["/created_at"], &["/completed_at"]).pictures(&["/result"]).end(sent.text(&["/job_id"]), end)
}
