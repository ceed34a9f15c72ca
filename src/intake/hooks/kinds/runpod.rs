//! `RunPod` serverless: the object of `GET /status/{id}`
//! (<https://docs.runpod.io/serverless/endpoints/send-requests>) with the input of the job
//! (<https://github.com/runpod/runpod-python/issues/409>).
//!
//! Requests are not signed, and any status but 200 counts as a failure. `output` is the worker's
//! result; links anywhere in it are images, embedded files are left out. A `COMPLETED` job with the
//! output `{"error": …}` has failed. Exceptions of the worker are JSON inside a text
//! (<https://github.com/runpod/runpod-python/blob/main/runpod/serverless/modules/rp_job.py>). There
//! are no times, so the arrival counts as the end.

use serde_json::Value;

use super::super::states::States;
use super::super::{EventBuilder, JobEnd, MapResult, Payload};
use super::comfyui_api;
use std::time::Duration;

const STATES: States = States {
    at: &["/status"],
    job: "job",
    succeeded: &["completed"],
    failed: &["failed", "timed_out"],
    canceled: &["cancelled", "canceled"],
    ignored: &["in_queue", "in_progress", "running"],
};

/// Maps a job.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let mut end = match STATES.end(payload) {
        Ok(end) => end,
        Err(result) => return result,
    };
    if end == JobEnd::Succeeded && payload.first(&["/output/error"]).is_some() {
        end = JobEnd::Failed;
    }
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
    let timed_out = payload.word(STATES.at).filter(|word| word == "timed_out");
    builder.error(timed_out, None);
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
