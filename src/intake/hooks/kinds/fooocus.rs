//! Fooocus-API: `{job_id, job_result}` (<https://github.com/mrhan1993/Fooocus-API/issues/253>).
//!
//! Requests are not signed. A result without a URL is an image that failed, so a job without any
//! URL has failed; the reason is not sent. A job without results is a failure only with
//! `unconfirmed = true`.

use serde_json::Value;

use super::super::{EventBuilder, JobEnd, MapResult, Payload};

/// Maps a job.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let Some(Value::Array(results)) = payload.first(&["/job_result"]) else {
        return MapResult::invalid("/job_result", "is missing: expected a list of results");
    };
    let made = results.iter().filter(|result| is_made(result)).count();
    let end = match (results.is_empty(), made, payload.unconfirmed) {
        (false, 1.., _) => JobEnd::Succeeded,
        (false, 0, _) | (true, _, true) => JobEnd::Failed,
        (true, _, false) => return MapResult::Unknown("the job has no result".to_owned()),
    };
    let mut builder = EventBuilder::of(payload)
        .seed_at(&["/job_result/0/seed"])
        .images_at(&["/job_result"]);
    if end == JobEnd::Succeeded && made < results.len() {
        builder.caveat(
            None,
            Some(format!(
                "{} of {} pictures were not made",
                results.len() - made,
                results.len()
            )),
        );
    }
    builder.error(
        None,
        payload
            .text(&["/job_result/0/finish_reason", "/job_result/0/error"])
            .or_else(|| Some("no picture was made".to_owned())),
    );
    builder.finish(payload.text(&["/job_id"]), end)
}

/// Whether a result has an image, as a URL or embedded.
fn is_made(result: &Value) -> bool {
    let says = |value: &Value| value.as_str().is_some_and(|text| !text.trim().is_empty());
    says(result)
        || ["url", "base64"]
            .iter()
            .filter_map(|name| result.get(name))
            .any(says)
}
