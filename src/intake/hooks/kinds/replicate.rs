//! Replicate: the prediction object (<https://replicate.com/docs/reference/webhooks>).
//!
//! `starting` and `processing` are progress; `succeeded`, `failed`, `canceled` (by its owner, or by
//! a deadline after the start) and `aborted` (by a deadline before the start) are results. `output`
//! is a link, a list of links, or an object that contains links.

use serde_json::Value;

use super::super::states::States;
use super::super::{EventBuilder, MapResult, Payload, error_info};

/// Number of log lines that a failure email shows after the error.
const LOG_LINES: usize = 5;

const STATES: States = States {
    at: &["/status"],
    job: "prediction",
    succeeded: &["succeeded"],
    failed: &["failed"],
    canceled: &["canceled", "cancelled", "aborted"],
    ignored: &["starting", "processing"],
};

/// Maps a prediction.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let end = match STATES.end(payload) {
        Ok(end) => end,
        Err(result) => return result,
    };
    let mut builder = EventBuilder::of(payload)
        .text_at("prompt", &["/input/prompt"])
        .text_at("negative_prompt", &["/input/negative_prompt"])
        .text_at("format", &["/input/output_format"])
        .size_at(&["/input/width"], &["/input/height"])
        .seed_at(&["/input/seed"])
        .steps_at(&["/input/num_inference_steps", "/input/steps"])
        .page_at(&["/urls/web"])
        .times_at(&["/started_at"], &["/completed_at"])
        .metadata_at(&[
            ("predict_time", "/metrics/predict_time"),
            ("aspect_ratio", "/input/aspect_ratio"),
        ])
        .images_at(&["/output"]);
    if let Some(model) = model(payload) {
        builder.text("model", &model);
    }
    let aborted = payload
        .word(&["/status"])
        .is_some_and(|word| word == "aborted");
    let code = aborted.then(|| "aborted".to_owned());
    let (inner, message) = payload
        .json
        .pointer("/error")
        .and_then(error_info::read)
        .unwrap_or_default();
    builder.error(
        code.or(inner),
        message.map(|error| with_log(error, payload.json.pointer("/logs"))),
    );
    let job = payload.text(&["/id"]);
    if aborted {
        builder.finish_as(job, end, "aborted")
    } else {
        builder.finish(job, end)
    }
}

/// The model with the first eight characters of its version, enough to tell versions apart.
/// Official models have the version `hidden`.
fn model(payload: &Payload<'_>) -> Option<String> {
    let is_digest =
        |version: &String| version.len() >= 8 && version.bytes().all(|b| b.is_ascii_hexdigit());
    let version = payload
        .text(&["/version"])
        .filter(is_digest)
        .map(|version| version.chars().take(8).collect::<String>());
    match (payload.text(&["/model"]), version) {
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
