//! Replicate: the prediction object (<https://replicate.com/docs/reference/webhooks>).
//!
//! `starting` and `processing` are progress; `succeeded`, `failed`, `canceled` (by its owner, or by
//! a deadline after the start) and `aborted` (by a deadline before the start) are results. `output`
//! is a link, a list of links, or an object that contains links.

use serde_json::Value;

use super::super::{Kind, MapResult, Payload, error_info};
use super::mapped;

/// Number of log lines that a failure email shows after the error.
const LOG_LINES: usize = 5;

/// Maps a prediction.
pub fn map(payload: &Payload<'_>) -> MapResult {
    mapped::map(Kind::Replicate, payload, |mut prediction| {
        if let Some(model) = model(payload) {
            prediction.builder.text("model", &model);
        }
        if payload.word(&["/status"]).as_deref() == Some("aborted") {
            prediction.result_name = Some("aborted");
        }
        let (inner, message) = payload
            .json
            .pointer("/error")
            .and_then(error_info::read)
            .unwrap_or_default();
        prediction.builder.error(
            prediction.result_name.map(str::to_owned).or(inner),
            message.map(|error| with_log(error, payload.json.pointer("/logs"))),
        );
        prediction
    })
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
