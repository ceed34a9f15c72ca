//! Any payload that is signed as Standard Webhooks says: `{type, timestamp, data}` with our event,
//! or one like it, as `data`; or that event bare.
//!
//! The end is `data.status`, else the last part of `type`. Fields of our event are read as `POST
//! /v1/events` reads them; `job.prompt` and `size` as an object, which other senders have, are
//! understood beside them.

use super::super::mapping::Verdict;
use super::super::{Draft, End, Mapped, Sent};

/// Reads an envelope, or an event without one.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let data = sent.payload.get("data").filter(|data| data.is_object());
    event(
        &sent.with(data.unwrap_or(sent.payload)),
        sent.word(&["/type"]).as_deref(),
        &["/timestamp", "/time"],
        sent,
    )
}

/// Reads an event whose envelope says `kind` and has its time at one of `times`.
pub(super) fn event(
    data: &Sent<'_>,
    kind: Option<&str>,
    times: &[&str],
    envelope: &Sent<'_>,
) -> Mapped {
    let last = |kind: &str| {
        kind.rsplit(['.', ':', '/'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let word = data.word(&["/status"]).or_else(|| kind.map(last));
    let Some(word) = word else {
        return Mapped::stateless("/status");
    };
    let end = match Verdict::of_word(&word) {
        Some(Verdict::Succeeded) => End::Succeeded,
        Some(Verdict::Failed) => End::Failed,
        Some(Verdict::Canceled) => End::Canceled,
        Some(Verdict::Ignored) => return Mapped::Ignored(format!("the job is {word}")),
        None => return Mapped::Unknown(format!("the state {word:?} is not known")),
    };
    let mut draft = Draft::of(data)
        .text("title", &["/title"])
        .text("prompt", &["/prompt", "/job/prompt", "/input/prompt"])
        .text("prompt_translated", &["/prompt_translated"])
        .text("negative_prompt", &["/negative_prompt"])
        .text("model", &["/model", "/model/name"])
        .text("format", &["/format"])
        .size(&["/size/width", "/width"], &["/size/height", "/height"])
        .seed(&["/seed"])
        .times(
            &["/started_at", "/created_at"],
            &["/finished_at", "/completed_at"],
        )
        .pictures(&["/images", "/image_url", "/image", "/output", "/result"])
        .error(
            &["/error/code", "/error_code"],
            &["/error", "/error_message"],
        )
        .page(&["/url"])
        .own(&["to", "locale", "steps", "sensitive"]);
    if let Some(text) = data.text(&["/size"]) {
        draft.put("size", &text);
    }
    if data.time(&["/finished_at", "/completed_at"]).is_none() {
        draft.moments(None, envelope.time(times));
    }
    for (name, value) in data
        .first(&["/metadata"])
        .and_then(serde_json::Value::as_object)
        .into_iter()
        .flatten()
    {
        draft.note(name, value.clone());
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
    draft.end(job.or_else(delivery), end)
}
