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

use super::super::{Draft, End, Mapped, Sent};
use super::comfyui_api;
use std::time::Duration;

/// Reads a job.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let (end, code) = match sent.word(&["/status"]).as_deref() {
        Some("completed") if sent.first(&["/output/error"]).is_some() => (End::Failed, None),
        Some("completed") => (End::Succeeded, None),
        Some("failed") => (End::Failed, None),
        Some("timed_out") => (End::Failed, Some("timed_out".to_owned())),
        Some("cancelled" | "canceled") => (End::Canceled, None),
        Some(word @ ("in_queue" | "in_progress" | "running")) => {
            return Mapped::Ignored(format!("the job is {word}"));
        }
        Some(word) => return Mapped::Unknown(format!("the status {word:?} is not known")),
        None => return Mapped::stateless("/status"),
    };
    let mut draft = Draft::of(sent)
        .text("prompt", &["/input/prompt"])
        .text("negative_prompt", &["/input/negative_prompt"])
        .text("format", &["/input/output_format"])
        .size(&["/input/width"], &["/input/height"])
        .seed(&["/output/seed", "/output/0/seed", "/input/seed"])
        .steps(&["/input/num_inference_steps", "/input/steps"])
        .notes(&[
            ("delay_ms", "/delayTime"),
            ("execution_ms", "/executionTime"),
        ])
        .pictures(&["/output"]);
    if let Some(Value::Object(graph)) = sent.first(&["/input/workflow"]) {
        comfyui_api::read_graph(&mut draft, graph);
    }
    draft.fault(code, None);
    draft = draft.error(&[], &["/error", "/output/error"]);
    if draft.found() == 0
        && let Some(Value::String(message)) = sent.first(&["/output/message", "/output"])
    {
        draft.note(
            "output",
            Value::String(message.chars().take(1_000).collect()),
        );
    }
    let took = sent
        .whole(&["/executionTime"])
        .and_then(|millis| u64::try_from(millis).ok());
    draft.moments(
        took.map(|millis| sent.now.before(Duration::from_millis(millis))),
        Some(sent.now),
    );
    draft.end(sent.text(&["/id"]), end)
}
