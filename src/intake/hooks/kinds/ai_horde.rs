//! AI Horde: one message per finished generation
//! (<https://github.com/Haidra-Org/AI-Horde/blob/main/README_integration.md#webhooks>): an image
//! (`img`), a text (`text`), or a form of alchemy (`form`, `state`, `result`: a caption, tags, an
//! upscaled image).
//!
//! Only finished generations are sent, so an image or a text is always a success; failed requests
//! have to be polled. Request and generation together name the job. Censored results are marked and
//! hidden.

use serde_json::{Value, json};

use super::super::{EventBuilder, JobEnd, MapResult, Payload, payload as values};

/// Maximum length of a text in the metadata, in characters.
const MAX_TEXT: usize = 1_000;

/// Maps a generation.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let (Some(request), Some(generation)) = (payload.text(&["/request"]), payload.text(&["/id"]))
    else {
        return MapResult::invalid(
            "/request",
            "or /id is missing: expected a finished generation",
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
        return MapResult::invalid(
            "/img",
            "is missing: expected an image here, a text at /text, or alchemy at /form",
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

/// Maps a form of alchemy: links become images, everything else becomes metadata.
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
        Some(word) => return MapResult::Unknown(format!("unknown state {word:?}")),
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
