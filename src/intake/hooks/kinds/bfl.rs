//! Black Forest Labs: `{id, status, result}` as its API answers (<https://docs.bfl.ai>). Links live
//! ten minutes.
//!
//! What the webhook itself looks like is not in the reference of the API. Read without a switch:
//! `id`, `status` and `result.sample`, which the API has in common with it. Only with `unconfirmed
//! = true`: `result.prompt`, `result.seed`, `error`, `message`, `details`, and the times.

use serde_json::Value;

use super::super::{Draft, End, Mapped, Sent};

/// Reads a result.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let (end, code) = match sent.word(&["/status"]).as_deref() {
        Some("ready") => (End::Succeeded, None),
        Some("error" | "failed") => (End::Failed, None),
        Some("request moderated" | "content moderated") => (End::Failed, Some("moderated")),
        Some("task not found") => (End::Failed, Some("not_found")),
        Some(
            word @ ("pending" | "queued" | "processing" | "reasoning" | "researching"
            | "generating"),
        ) => {
            return Mapped::Ignored(format!("the task is {word}"));
        }
        Some(word) => return Mapped::Unknown(format!("the status {word:?} is not known")),
        None => return Mapped::stateless("/status"),
    };
    let mut draft = Draft::of(sent).pictures(&["/result/sample"]);
    draft.fault(code.map(str::to_owned), None);
    if sent.unconfirmed {
        draft = draft
            .text("prompt", &["/result/prompt"])
            .seed(&["/result/seed"])
            .times(&["/result/start_time"], &["/result/end_time", "/timestamp"])
            .error(&["/error"], &["/message"]);
        if let Some(Value::Object(details)) = sent.first(&["/details"]) {
            let reasons: Vec<_> = details
                .values()
                .filter_map(Value::as_array)
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            draft.fault(None, Some(reasons.join(", ")));
        }
    }
    draft.end(sent.text(&["/id"]), end)
}
