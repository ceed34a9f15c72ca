//! `RunPod` serverless: the same object as `GET /status/{id}`
//! (<https://docs.runpod.io/serverless/endpoints/send-requests>), and the input of the job with it
//! (<https://github.com/runpod/runpod-python/issues/409>).
//!
//! Nothing is signed and 200 alone is success to it. `output` is whatever the worker returns; links
//! anywhere in it are pictures, files inside it are left out. A `COMPLETED` job whose output is
//! `{"error": …}` has failed. An exception of the worker is JSON within a text
//! (<https://github.com/runpod/runpod-python/blob/main/runpod/serverless/modules/rp_job.py>). The
//! payload has no times: it came in when the job ended.

use serde_json::Value;

use super::super::{EventBuilder, JobEnd, MapResult, Payload};
use super::comfyui_api;
use std::time::Duration;

/// Reads a job.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let (end, code) = match payload.word(&["/status"]).as_deref() {
        Some("completed") if payload.first(&["/output/error"]).is_some() => (JobEnd::Failed, None),
        Some("completed") => (JobEnd::Succeeded, None),
        Some("failed") => (JobEnd::Failed, None),
        Some("timed_out") => (JobEnd::Failed, Some("timed_out".to_owned())),
        Some("cancelled" | "canceled") => (JobEnd::Canceled, None),
        Some(word @ ("in_queue" | "in_progress" | "running")) => {
            return MapResult::Ignored(format!("the job is {word}"));
        }
        Some(word) => return MapResult::Unknown(format!("the status {word:?} is not known")),
        None => return MapResult::stateless("/status"),
    };
    let mut builder = EventBuilder::of(payload)
        .text_at("prompt", &["/input/prompt"])
        .text_at("negative_prompt", &["/input/negative_prompt"])
        .text_at("format", &["/input/output_format"])
        .size_at(&["/input/width"], &["/input/height"])
        .seed_at(&["/output/seed", "/output/0/seed", "/input/seed"])
        .steps_at(&["/input/num_inference_steps", "/input/steps"])
        .metadata_at(&[
            ("delay_ms", "/delayTime"),
            ("execution_ms", "/executionTime"),
        ])
        .images_at(&["/output"]);
    if let Some(Value::Object(graph)) = payload.first(&["/input/workflow"]) {
        comfyui_api::read_graph(&mut builder, graph);
    }
    builder.error(code, None);
    builder = builder.error_at(&[], &["/error", "/output/error"]);
    if builder.image_count() == 0
        && let Some(Value::String(message)) = payload.first(&["/output/message", "/output"])
    {
        builder.metadata(
            "output",
            Value::String(message.chars().take(1_000).collect()),
        );
    }
    let took = payload
        .whole(&["/executionTime"])
        .and_then(|millis| u64::try_from(millis).ok());
    builder.times(
        took.map(|millis| payload.now.before(Duration::from_millis(millis))),
        Some(payload.now),
    );
    builder.finish(payload.text(&["/id"]), end)
}
