//! midjourney-proxy: its task object, posted at every change
//! (<https://github.com/novicezk/midjourney-proxy/blob/main/docs/api.md>).
//!
//! Only `SUCCESS` and `FAILURE` end a task (and `CANCEL`, of a fork); `imageUrl` is filled before,
//! too, with unfinished pictures. The result of `DESCRIBE` is the text `properties.finalPrompt`.
//! Times are milliseconds.

use serde_json::Value;

use super::super::{Draft, End, Mapped, Sent};

/// Reads a task.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let end = match sent.word(&["/status"]).as_deref() {
        Some("success") => End::Succeeded,
        Some("failure") => End::Failed,
        Some("cancel" | "canceled" | "cancelled") => End::Canceled,
        Some(word @ ("not_start" | "submitted" | "in_progress" | "modal")) => {
            return Mapped::Ignored(format!("the task is {word}"));
        }
        Some(word) => return Mapped::Unknown(format!("the status {word:?} is not known")),
        None => return Mapped::stateless("/status"),
    };
    let mut draft = Draft::of(sent)
        .text("prompt", &["/prompt"])
        .text("prompt_translated", &["/promptEn"])
        .times(&["/startTime", "/submitTime"], &["/finishTime"])
        .error(&[], &["/failReason"])
        .notes(&[("action", "/action"), ("state", "/state")]);
    let full = sent
        .text(&["/properties/finalPrompt", "/promptEn", "/prompt"])
        .unwrap_or_default();
    draft.put("model", &model(&full));
    if let Some(ratio) = option(&full, "--ar").or_else(|| option(&full, "--aspect")) {
        draft.note("aspect_ratio", ratio.into());
    }
    if end == End::Succeeded {
        draft = draft.pictures(&["/imageUrl"]);
    }
    if let (Some("DESCRIBE"), Some(Value::String(text))) = (
        sent.text(&["/action"]).as_deref(),
        sent.first(&["/properties/finalPrompt"]),
    ) {
        draft.put("prompt", text);
    }
    draft.end(sent.text(&["/id"]), end)
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
