//! Leonardo.ai: `image_generation.complete` with the generation inside
//! (<https://docs.leonardo.ai/docs/guide-to-the-webhook-callback-feature>).
//!
//! The webhook's key is sent as `Authorization: Bearer`. The payload contains the record of the API
//! key, which is never read. Failures are undocumented: `status: "FAILED"` is read only with
//! `unconfirmed = true`.

use serde_json::Value;

use super::super::{EventBuilder, JobEnd, MapResult, Payload};

/// Maps a generation.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let Some(generation) = payload.first(&["/data/object"]) else {
        return MapResult::invalid("/data/object", "is missing: expected the generation");
    };
    let payload = payload.with(generation);
    let end = match payload.word(&["/status"]).as_deref() {
        Some("complete") => JobEnd::Succeeded,
        Some("failed") if payload.unconfirmed => JobEnd::Failed,
        Some("pending") => return MapResult::Ignored("the generation is pending".to_owned()),
        Some(word) => return MapResult::Unknown(format!("unknown status {word:?}")),
        None => return MapResult::without_state("/data/object/status"),
    };
    let mut builder = EventBuilder::of(&payload)
        .text_at("prompt", &["/prompt"])
        .text_at("negative_prompt", &["/negativePrompt"])
        .text_at("model", &["/model/name", "/modelId"])
        .size_at(&["/imageWidth"], &["/imageHeight"])
        .seed_at(&["/seed"])
        .times_at(&["/createdAt"], &["/updatedAt"])
        .images_at(&["/images"])
        .copy_as("steps", "inferenceSteps");
    let pictures = payload
        .first(&["/images"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    builder.sensitive(
        payload.first(&["/nsfw"]) == Some(&Value::Bool(true))
            || pictures
                .filter_map(|picture| picture.get("nsfw"))
                .any(|nsfw| *nsfw == Value::Bool(true)),
    );
    builder.finish(payload.text(&["/id"]), end)
}
