//! Black Forest Labs: `{id, status, result}` as in the API's responses (<https://docs.bfl.ai>).
//! Links expire after ten minutes.
//!
//! The format of the webhook itself is undocumented. `id`, `status` and `result.sample`, which the
//! API documents, are always read; `result.prompt`, `result.seed`, `error`, `message`, `details`
//! and the times only with `unconfirmed = true`.

use serde_json::Value;

use super::super::{EventBuilder, Kind, MapResult, Payload};
use super::mapped;

/// Maps a result.
pub fn map(payload: &Payload<'_>) -> MapResult {
    mapped::map(Kind::Bfl, payload, |mut task| {
        let code = match payload.word(&["/status"]).as_deref() {
            Some("request moderated" | "content moderated") => Some("moderated".to_owned()),
            Some("task not found") => Some("not_found".to_owned()),
            _ => None,
        };
        task.builder.error(code, None);
        if payload.unconfirmed {
            task.builder = unconfirmed(payload, task.builder);
        }
        task
    })
}

/// Adds undocumented fields.
fn unconfirmed<'a>(payload: &Payload<'a>, builder: EventBuilder<'a>) -> EventBuilder<'a> {
    let mut builder = builder
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
    builder
}
