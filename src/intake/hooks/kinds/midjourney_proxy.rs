//! midjourney-proxy: the task object, posted at every change
//! (<https://github.com/novicezk/midjourney-proxy/blob/main/docs/api.md>).
//!
//! Only `SUCCESS` and `FAILURE` (and `CANCEL`, of a fork) end a task; before that, `imageUrl` has
//! unfinished images. The result of `DESCRIBE` is the text `properties.finalPrompt`. Times are in
//! milliseconds.

use serde_json::Value;

use super::super::states::States;
use super::super::{EventBuilder, JobEnd, MapResult, Payload};

const STATES: States = States {
    at: &["/status"],
    job: "task",
    succeeded: &["success"],
    failed: &["failure"],
    canceled: &["cancel", "canceled", "cancelled"],
    ignored: &["not_start", "submitted", "in_progress", "modal"],
};

/// Maps a task.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let end = match STATES.end(payload) {
        Ok(end) => end,
        Err(result) => return result,
    };
    let mut builder = EventBuilder::of(payload)
        .text_at("prompt", &["/prompt"])
        .text_at("prompt_translated", &["/promptEn"])
        .times_at(&["/startTime", "/submitTime"], &["/finishTime"])
        .error_at(&[], &["/failReason"])
        .metadata_at(&[("action", "/action"), ("state", "/state")]);
    let full = payload
        .text(&["/properties/finalPrompt", "/promptEn", "/prompt"])
        .unwrap_or_default();
    builder.text("model", &model(&full));
    if let Some(ratio) = option(&full, "--ar").or_else(|| option(&full, "--aspect")) {
        builder.metadata("aspect_ratio", ratio.into());
    }
    if end == JobEnd::Succeeded {
        builder = builder.images_at(&["/imageUrl"]);
    }
    if let (Some("DESCRIBE"), Some(Value::String(text))) = (
        payload.text(&["/action"]).as_deref(),
        payload.first(&["/properties/finalPrompt"]),
    ) {
        builder.text("prompt", text);
    }
    builder.finish(payload.text(&["/id"]), end)
}

/// `midjourney`, with the version that the prompt asks for.
fn model(prompt: &str) -> String {
    let version = option(prompt, "--v")
        .or_else(|| option(prompt, "--version"))
        .map(|version| format!("midjourney v{version}"));
    version
        .or_else(|| option(prompt, "--niji").map(|version| format!("niji {version}")))
        .unwrap_or_else(|| "midjourney".to_owned())
}

/// The word after an option of the prompt.
fn option<'a>(prompt: &'a str, name: &str) -> Option<&'a str> {
    let mut words = prompt.split_whitespace();
    words.find(|word| *word == name)?;
    words.next().filter(|word| !word.starts_with("--"))
}
