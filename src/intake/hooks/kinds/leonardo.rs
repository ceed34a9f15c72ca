//! Leonardo.ai: `image_generation.complete` with the generation inside
//! (<https://docs.leonardo.ai/docs/guide-to-the-webhook-callback-feature>).
//!
//! It sends the key of the webhook as `Authorization: Bearer`. The payload holds the record of the
//! API key itself, which nothing here reads. How a failure looks is not documented: `status:
//! "FAILED"` is one only with `unconfirmed = true`.

use serde_json::Value;

use super::super::{Draft, End, Mapped, Sent};

/// Reads a generation.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let Some(generation) = sent.first(&["/data/object"]) else {
        return Mapped::wrong("/data/object", "is missing: it should be the generation");
    };
    let sent = sent.with(generation);
    let end = match sent.word(&["/status"]).as_deref() {
        Some("complete") => End::Succeeded,
        Some("failed") if sent.unconfirmed => End::Failed,
        Some("pending") => return Mapped::Ignored("the generation is pending".to_owned()),
        Some(word) => return Mapped::Unknown(format!("the status {word:?} is not known")),
        None => return Mapped::stateless("/data/object/status"),
    };
    let mut draft = Draft::of(&sent)
        .text("prompt", &["/prompt"])
        .text("negative_prompt", &["/negativePrompt"])
        .text("model", &["/model/name", "/modelId"])
        .size(&["/imageWidth"], &["/imageHeight"])
        .seed(&["/seed"])
        .times(&["/createdAt"], &["/updatedAt"])
        .pictures(&["/images"])
        .own_as("steps", "inferenceSteps");
    let pictures = sent
        .first(&["/images"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    draft.sensitive(
        sent.first(&["/nsfw"]) == Some(&Value::Bool(true))
            || pictures
                .filter_map(|picture| picture.get("nsfw"))
                .any(|nsfw| *nsfw == Value::Bool(true)),
    );
    draft.end(sent.text(&["/id"]), end)
}
