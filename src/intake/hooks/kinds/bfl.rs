//! Black Forest Labs: `{id, status, result}` as its API answers (<https://docs.bfl.ai>). Links live
//! ten minutes.
//!
//! What the webhook itself looks like is not in the reference of the API. Read without a switch:
//! `id`, `status` and `result.sample`, which the API has in common with it. Only with `unconfirmed
//! = true`: `result.prompt`, `result.seed`, `error`, `message`, `details`, and the times.

use serde_json::Value;

use super::super::{EventBuilder, JobEnd, MapResult, Payload};

/// Reads a result.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let (end, code) = match payload.word(&["/status"]).as_deref() {
        Some("ready") => (JobEnd::Succeeded, None),
        Some("error" | "failed") => (JobEnd::Failed, None),
        Some("request moderated" | "content moderated") => (JobEnd::Failed, Some("moderated")),
        Some("task not found") => (JobEnd::Failed, Some("not_found")),
        Some(
            word @ ("pending" | "queued" | "processing" | "reasoning" | "researching"
            | "generating"),
        ) => {
            return MapResult::Ignored(format!("the task is {word}"));
        }
        Some(word) => return MapResult::Unknown(format!("the status {word:?} is not known")),
        None => return MapResult::stateless("/status"),
    };
    let mut builder = EventBuilder::of(payload).images_at(&["/result/sample"]);
    builder.error(code.map(str::to_owned), None);
    if payload.unconfirmed {
        builder = builder
            .text_at("prompt", &["/result/prompt"])
            .seed_at(&["/result/seed"])
            .times_at(&["/result/start_time"], &["/result/end_time", "/timestamp"])
            .error_at(&["/error"], &["/message"]);
        if let Some(Value::Object(details)) = payload.first(&["/details"]) {
            let reasons: Vec<_> = details
                .values()
                .filter_map(Value::as_array)
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            builder.error(None, Some(reasons.join(", ")));
        }
    }
    builder.finish(payload.text(&["/id"]), end)
}
