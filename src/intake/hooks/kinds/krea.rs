//! Krea: a job with its links (<https://docs.krea.ai/developers/webhooks>), its states and error
//! fields (<https://docs.krea.ai/developers/job-lifecycle>). Requests are not signed.

use super::super::{JobEnd, Kind, MapResult, Payload};
use super::mapped;

/// Maps a job. Only the images of a success are results.
pub fn map(payload: &Payload<'_>) -> MapResult {
    mapped::map(Kind::Krea, payload, |mut job| {
        if job.end == JobEnd::Succeeded {
            job.builder = job.builder.images_at(&["/result"]);
        }
        job
    })
}
