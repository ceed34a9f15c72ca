//! Replicate: the prediction object, posted as it stands
//! (<https://replicate.com/docs/reference/webhooks>).
//!
//! `starting` and `processing` are progress; `succeeded`, `failed`, `canceled` (by its owner, or a
//! deadline after it began) and `aborted` (a deadline before) are ends. `output` is a link, a list
//! of links, or an object with links in it.

use serde_json::Value;

use super::super::{Draft, End, Mapped, Sent, blame};

/// The last lines of the log that a failure's mail has beside its error.
const LOG_LINES: usize = 5;

/// Reads a prediction.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let end = match sent.word(&["/status"]).as_deref() {
        Some("succeeded") => End::Succeeded,
        Some("failed") => End::Failed,
        Some("canceled" | "cancelled" | "aborted") => End::Canceled,
        Some(word @ ("starting" | "processing")) => {
            return Mapped::Ignored(format!("the prediction is {word}"));
        }
        Some(word) => return Mapped::Unknown(format!("the status {word:?} is not known")),
        None => return Mapped::stateless("/status"),
    };
    let mut draft = Draft::of(sent)
        .text("prompt", &["/input/prompt"])
        .text("negative_prompt", &["/input/negative_prompt"])
        .text("format", &["/input/output_format"])
        .size(&["/input/width"], &["/input/height"])
        .seed(&["/input/seed"])
        .steps(&["/input/num_inference_steps", "/input/steps"])
        .page(&["/urls/web"])
        .times(&["/started_at"], &["/completed_at"])
        .notes(&[
            ("predict_time", "/metrics/predict_time"),
            ("aspect_ratio", "/input/aspect_ratio"),
        ])
        .pictures(&["/output"]);
    if let Some(model) = model(sent) {
        draft.put("model", &model);
    }
    let aborted = sent
        .word(&["/status"])
        .is_some_and(|word| word == "aborted");
    let code = aborted.then(|| "aborted".to_owned());
    let (inner, message) = sent
        .payload
        .pointer("/error")
        .and_then(blame::read)
        .unwrap_or_default();
    draft.fault(
        code.or(inner),
        message.map(|error| with_log(error, sent.payload.pointer("/logs"))),
    );
    let job = sent.text(&["/id"]);
    if aborted {
        draft.end_as(job, end, "aborted")
    } else {
        draft.end(job, end)
    }
}

/// The model with the first eight characters of its version, which is all that tells one version
/// from another at a glance. Official models have no version to show: theirs is the word `hidden`.
fn model(sent: &Sent<'_>) -> Option<String> {
    let is_digest =
        |version: &String| version.len() >= 8 && version.bytes().all(|b| b.is_ascii_hexdigit());
    let version = sent
        .text(&["/version"])
        .filter(is_digest)
        .map(|version| version.chars().take(8).collect::<String>());
    match (sent.text(&["/model"]), version) {
        (Some(model), Some(version)) => Some(format!("{model}:{version}")),
        (model, version) => model.or(version),
    }
}

fn with_log(error: String, logs: Option<&Value>) -> String {
    let lines: Vec<&str> = logs
        .and_then(Value::as_str)
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = lines.len().saturating_sub(LOG_LINES);
    let tail = lines.get(last..).unwrap_or_default().join("\n");
    if tail.is_empty() {
        error
    } else {
        format!("{error}\n\n{tail}")
    }
}
