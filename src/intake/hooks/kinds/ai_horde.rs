//! AI Horde: one message for each finished generation
//! (<https://github.com/Haidra-Org/AI-Horde/blob/main/README_integration.md#webhooks>): a picture
//! (`img`), a text (`text`), or a form of alchemy (`form`, `state`, `result`: a caption, tags, an
//! image made larger).
//!
//! It comes for what is finished, so a picture or a text is always a success; a request that failed
//! has to be polled. The name of the job is the request and the generation together. What was
//! censored carries a note and is not shown at a glance.

use serde_json::{Value, json};

use super::super::{EventBuilder, JobEnd, MapResult, Payload, payload as values};

/// The most characters of a text that is kept as a note.
const MAX_TEXT: usize = 1_000;

/// Reads a generation.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let (Some(request), Some(generation)) = (payload.text(&["/request"]), payload.text(&["/id"]))
    else {
        return MapResult::wrong(
            "/request",
            "or /id is missing: it should be a finished generation",
        );
    };
    let job = Some(format!("{request}-{generation}"));
    let mut builder = EventBuilder::of(payload)
        .text_at("model", &["/model"])
        .seed_at(&["/seed"])
        .metadata_at(&[
            ("request", "/request"),
            ("worker", "/worker_name"),
            ("kudos", "/kudos"),
        ]);
    if let Some(form) = payload.text(&["/form"]) {
        return alchemy(payload, builder, &form, job);
    }
    if payload.first(&["/img"]).is_some() {
        builder = builder.images_at(&["/img"]);
    } else if let Some(text) = payload.text(&["/text", "/gen"]) {
        builder.metadata("text", Value::String(text.chars().take(MAX_TEXT).collect()));
    } else {
        return MapResult::wrong(
            "/img",
            "is missing: it should be the picture; a text has /text, alchemy /form",
        );
    }
    let notes = payload.first(&["/gen_metadata"]).and_then(Value::as_array);
    let censored = notes
        .into_iter()
        .flatten()
        .filter_map(|note| note.get("type"))
        .any(|kind| *kind == json!("censorship"));
    if censored || payload.first(&["/censored"]) == Some(&Value::Bool(true)) {
        builder.sensitive(true);
        builder.metadata("censored", true.into());
        builder.warn("the result was censored".to_owned());
    }
    builder.finish(job, JobEnd::Succeeded)
}

/// Reads a form of alchemy; what it made is a link, what it found out is a note.
fn alchemy(
    payload: &Payload<'_>,
    mut builder: EventBuilder<'_>,
    form: &str,
    job: Option<String>,
) -> MapResult {
    let end = match payload.word(&["/state"]).as_deref() {
        Some("done") | None => JobEnd::Succeeded,
        Some("faulted") => JobEnd::Failed,
        Some("cancelled" | "canceled") => JobEnd::Canceled,
        Some(word @ ("waiting" | "processing" | "partial")) => {
            return MapResult::Ignored(format!("the form is {word}"));
        }
        Some(word) => return MapResult::Unknown(format!("the state {word:?} is not known")),
    };
    builder.text("title", form);
    for (name, value) in payload
        .first(&["/result"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let found = builder.image_count();
        builder.collect_images(value, 0);
        if builder.image_count() == found {
            let text = values::text(value).map(|text| text.chars().take(MAX_TEXT).collect());
            builder.metadata(name, text.map_or_else(|| value.clone(), Value::String));
        }
    }
    builder.finish(job, end)
}
