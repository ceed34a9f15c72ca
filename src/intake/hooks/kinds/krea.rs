//! Krea: a job with its links (<https://docs.krea.ai/developers/webhooks>), its states and where a
//! failure says why (<https://docs.krea.ai/developers/job-lifecycle>). Nothing is signed.

use super::super::{EventBuilder, JobEnd, MapResult, Payload};

/// Reads a job.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let end = match payload.word(&["/status"]).as_deref() {
        Some("completed") => JobEnd::Succeeded,
        Some("failed") => JobEnd::Failed,
        Some("cancelled" | "canceled") => JobEnd::Canceled,
        Some(
            word @ ("backlogged"
            | "queued"
            | "pending"
            | "scheduled"
            | "processing"
            | "sampling"
            | "intermediate-complete"),
        ) => {
            return MapResult::Ignored(format!("the job is {word}"));
        }
        Some(word) => return MapResult::Unknown(format!("the status {word:?} is not known")),
        None => return MapResult::stateless("/status"),
    };
    let mut builder = EventBuilder::of(payload)
        .times_at(&["/created_at"], &["/completed_at"])
        .error_at(&[], &["/result/error", "/error"])
        .metadata_at(&[("style_id", "/result/style_id")]);
    if end == JobEnd::Succeeded {
        builder = builder.images_at(&["/result"]);
    }
    builder.finish(payload.text(&["/job_id"]), end)
}
