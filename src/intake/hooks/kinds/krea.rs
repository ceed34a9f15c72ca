//! Krea: a job with its links (<https://docs.krea.ai/developers/webhooks>), its states and error
//! fields (<https://docs.krea.ai/developers/job-lifecycle>). Requests are not signed.

use super::super::states::States;
use super::super::{EventBuilder, JobEnd, MapResult, Payload};

const STATES: States = States {
    at: &["/status"],
    job: "job",
    succeeded: &["completed"],
    failed: &["failed"],
    canceled: &["cancelled", "canceled"],
    ignored: &[
        "backlogged",
        "queued",
        "pending",
        "scheduled",
        "processing",
        "sampling",
        "intermediate-complete",
    ],
};

/// Maps a job.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let end = match STATES.end(payload) {
        Ok(end) => end,
        Err(result) => return result,
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
