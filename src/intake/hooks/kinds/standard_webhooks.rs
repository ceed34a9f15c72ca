//! Any payload that is signed as Standard Webhooks says: `{type, timestamp, data}` with our event,
//! or one like it, as `data`; or that event bare.
//!
//! The end is `data.status`, else the last part of `type`. Fields of our event are read as `POST
//! /v1/events` reads them; `job.prompt` and `size` as an object, which other senders have, are
//! understood beside them.

use super::super::mapping::Verdict;
use super::super::{EventBuilder, JobEnd, MapResult, Payload};

/// Reads an envelope, or an event without one.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let data = payload.json.get("data").filter(|data| data.is_object());
    event(
        &payload.with(data.unwrap_or(payload.json)),
        payload.word(&["/type"]).as_deref(),
        &["/timestamp", "/time"],
        payload,
    )
}

/// Reads an event whose envelope says `kind` and has its time at one of `times`.
pub(super) fn event(
    data: &Payload<'_>,
    kind: Option<&str>,
    times: &[&str],
    envelope: &Payload<'_>,
) -> MapResult {
    let last = |kind: &str| {
        kind.rsplit(['.', ':', '/'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let word = data.word(&["/status"]).or_else(|| kind.map(last));
    let Some(word) = word else {
        return MapResult::stateless("/status");
    };
    let end = match Verdict::of_word(&word) {
        Some(Verdict::Succeeded) => JobEnd::Succeeded,
        Some(Verdict::Failed) => JobEnd::Failed,
        Some(Verdict::Canceled) => JobEnd::Canceled,
        Some(Verdict::Ignored) => return MapResult::Ignored(format!("the job is {word}")),
        None => return MapResult::Unknown(format!("the state {word:?} is not known")),
    };
    let mut builder = EventBuilder::of(data)
        .text_at("title", &["/title"])
        .text_at("prompt", &["/prompt", "/job/prompt", "/input/prompt"])
        .text_at("prompt_translated", &["/prompt_translated"])
        .text_at("negative_prompt", &["/negative_prompt"])
        .text_at("model", &["/model", "/model/name"])
        .text_at("format", &["/format"])
        .size_at(&["/size/width", "/width"], &["/size/height", "/height"])
        .seed_at(&["/seed"])
        .times_at(
            &["/started_at", "/created_at"],
            &["/finished_at", "/completed_at"],
        )
        .images_at(&["/images", "/image_url", "/image", "/output", "/result"])
        .error_at(
            &["/error/code", "/error_code"],
            &["/error", "/error_message"],
        )
        .page_at(&["/url"])
        .copy(&["to", "locale", "steps", "sensitive"]);
    if let Some(text) = data.text(&["/size"]) {
        builder.text("size", &text);
    }
    if data.time(&["/finished_at", "/completed_at"]).is_none() {
        builder.times(None, envelope.time(times));
    }
    for (name, value) in data
        .first(&["/metadata"])
        .and_then(serde_json::Value::as_object)
        .into_iter()
        .flatten()
    {
        builder.metadata(name, value.clone());
    }
    // A CloudEvent is known by its source and its id together; its subject may be that of many.
    let own = || {
        envelope.text(&["/id"]).map(|id| {
            envelope
                .text(&["/source"])
                .map_or(id.clone(), |source| format!("{source}/{id}"))
        })
    };
    let job = data.text(&["/id", "/job_id"]).or_else(own);
    let delivery = || {
        ["webhook-id", "svix-id"]
            .iter()
            .find_map(|name| envelope.header(name))
            .map(str::to_owned)
    };
    builder.finish(job.or_else(delivery), end)
}
