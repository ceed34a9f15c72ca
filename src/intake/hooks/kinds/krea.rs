//! Krea: a job with its links (<https://docs.krea.ai/developers/webhooks>), its states and where a
//! failure says why (<https://docs.krea.ai/developers/job-lifecycle>). Nothing is signed.

use super::super::{Draft, End, Mapped, Sent};

/// Reads a job.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let end = match sent.word(&["/status"]).as_deref() {
        Some("completed") => End::Succeeded,
        Some("failed") => End::Failed,
        Some("cancelled" | "canceled") => End::Canceled,
        Some(
            word @ ("backlogged"
            | "queued"
            | "pending"
            | "scheduled"
            | "processing"
            | "sampling"
            | "intermediate-complete"),
        ) => {
            return Mapped::Ignored(format!("the job is {word}"));
        }
        Some(word) => return Mapped::Unknown(format!("the status {word:?} is not known")),
        None => return Mapped::stateless("/status"),
    };
    let mut draft = Draft::of(sent)
        .times(&["/created_at"], &["/completed_at"])
        .error(&[], &["/result/error", "/error"])
        .notes(&[("style_id", "/result/style_id")]);
    if end == End::Succeeded {
        draft = draft.pictures(&["/result"]);
    }
    draft.end(sent.text(&["/job_id"]), end)
}
