//! Payloads signed by Standard Webhooks: `{type, timestamp, data}` with our event, or a similar
//! one, as `data`; or that event alone.
//!
//! The state is `data.status`, or else the last part of `type`. Fields are read as by `POST
//! /v1/events`; `job.prompt` and `size` as an object, which other senders use, are accepted too.

use super::super::mapping::StatusMeaning;
use super::super::{EventBuilder, JobEnd, MapResult, Payload};

/// Maps an envelope, or a bare event.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let data = payload.json.get("data").filter(|data| data.is_object());
    event(
        &payload.with(data.unwrap_or(payload.json)),
        payload.word(&["/type"]).as_deref(),
        &["/timestamp", "/time"],
        payload,
    )
}

/// Maps an event whose envelope has the type `kind` and its time at one of `times`.
pub(super) fn event(
    data: &Payload<'_>,
    kind: Option<&str>,
    times: &[&str],
    envelope: &Payload<'_>,
) -> MapResult {
    let end = match end(data, kind) {
        Ok(end) => end,
        Err(result) => return result,
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
    builder.finish(job(data, envelope), end)
}

/// The name of the job: in the event, or else the id of the envelope or of the delivery.
fn job(data: &Payload<'_>, envelope: &Payload<'_>) -> Option<String> {
    // Source and id together identify a CloudEvent; its subject may be shared.
    let own = || {
        envelope.text(&["/id"]).map(|id| {
            envelope
                .text(&["/source"])
                .map_or(id.clone(), |source| format!("{source}/{id}"))
        })
    };
    let delivery = || {
        ["webhook-id", "svix-id"]
            .iter()
            .find_map(|name| envelope.header(name))
            .map(str::to_owned)
    };
    data.text(&["/id", "/job_id"])
        .or_else(own)
        .or_else(delivery)
}

/// How the job ended: by `status`, or else by the last part of the envelope's type.
fn end(data: &Payload<'_>, kind: Option<&str>) -> Result<JobEnd, MapResult> {
    let last = |kind: &str| kind.rsplit(['.', ':', '/']).next().map(str::to_owned);
    let word = data.word(&["/status"]).or_else(|| kind.and_then(last));
    let Some(word) = word else {
        return Err(MapResult::without_state("/status"));
    };
    match StatusMeaning::of_word(&word) {
        Some(StatusMeaning::Succeeded) => Ok(JobEnd::Succeeded),
        Some(StatusMeaning::Failed) => Ok(JobEnd::Failed),
        Some(StatusMeaning::Canceled) => Ok(JobEnd::Canceled),
        Some(StatusMeaning::Ignored) => Err(MapResult::Ignored(format!("the job is {word}"))),
        None => Err(MapResult::Unknown(format!("unknown state {word:?}"))),
    }
}
