//! `RunPod` serverless: the object of `GET /status/{id}`
//! (<https://docs.runpod.io/serverless/endpoints/send-requests>) with the input of the job
//! (<https://github.com/runpod/runpod-python/issues/409>).
//!
//! Requests are not signed, and any status but 200 counts as a failure. `output` is the worker's
//! result; links anywhere in it are images, embedded files are left out. A `COMPLETED` job with the
//! output `{"error": …}` has failed. Exceptions of the worker are JSON inside a text
//! (<https://github.com/runpod/runpod-python/blob/main/runpod/serverless/modules/rp_job.py>). There
//! are no times, so the arrival counts as the end.

use std::time::Duration;

use serde_json::Value;

use super::super::{JobEnd, Kind, MapResult, Payload};
use super::{comfyui_api, mapped};

/// Maps a job.
pub fn map(payload: &Payload<'_>) -> MapResult {
    mapped::map(Kind::RunPod, payload, |mut job| {
        if job.end == JobEnd::Succeeded && payload.first(&["/output/error"]).is_some() {
            job.end = JobEnd::Failed;
        }
        let mut builder = job.builder.metadata_at(&[
            ("delay_ms", "/delayTime"),
            ("execution_ms", "/executionTime"),
        ]);
        if let Some(Value::Object(graph)) = payload.first(&["/input/workflow"]) {
            comfyui_api::read_graph(&mut builder, graph);
        }
        let timed_out = payload
            .word(&["/status"])
            .filter(|word| word == "timed_out");
        builder.error(timed_out, None);
        builder = builder.error_at(&[], &["/error", "/output/error"]);
        if builder.image_count() == 0
            && let Some(Value::String(message)) = payload.first(&["/output/message", "/output"])
        {
            let text = message.chars().take(1_000).collect();
            builder.metadata("output", Value::String(text));
        }
        let took = payload
            .whole(&["/executionTime"])
            .and_then(|millis| u64::try_from(millis).ok());
        builder.times(
            took.map(|millis| payload.now.before(Duration::from_millis(millis))),
            Some(payload.now),
        );
        job.builder = builder;
        job
    })
}
