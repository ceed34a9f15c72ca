//! midjourney-proxy: the task object, posted at every change
//! (<https://github.com/novicezk/midjourney-proxy/blob/main/docs/api.md>).
//!
//! Only `SUCCESS` and `FAILURE` (and `CANCEL`, of a fork) end a task; before that, `imageUrl` has
//! unfinished images. The result of `DESCRIBE` is the text `properties.finalPrompt`. Times are in
//! milliseconds.

use serde_json::Value;

use super::super::{JobEnd, Kind, MapResult, Payload};
use super::mapped;

/// Maps a task.
pub fn map(payload: &Payload<'_>) -> MapResult {
    mapped::map(Kind::MidjourneyProxy, payload, |mut task| {
        let full = payload
            .text(&["/properties/finalPrompt", "/promptEn", "/prompt"])
            .unwrap_or_default();
        task.builder.text("model", &model(&full));
        if let Some(ratio) = option(&full, "--ar").or_else(|| option(&full, "--aspect")) {
            task.builder.metadata("aspect_ratio", ratio.into());
        }
        if task.end == JobEnd::Succeeded {
            task.builder = task.builder.images_at(&["/imageUrl"]);
        }
        if let (Some("DESCRIBE"), Some(Value::String(text))) = (
            payload.text(&["/action"]).as_deref(),
            payload.first(&["/properties/finalPrompt"]),
        ) {
            task.builder.text("prompt", text);
        }
        task
    })
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
