//! The `OpenAI` platform: thin events that name an object without its content
//! (<https://developers.openai.com/api/docs/api-reference/webhook-events>).
//!
//! `response.*`, `batch.*`, `fine_tuning.job.*`, `eval.run.*` and `video.*` end a job; images have
//! no events. Both spellings of canceled occur. Results have to be fetched with their owner's key,
//! so the email only says that they exist.

use super::super::{EventBuilder, JobEnd, MapResult, Payload};

/// Object names with the title of the email.
const JOBS: [(&str, &str); 5] = [
    ("response", "Response"),
    ("batch", "Batch"),
    ("fine_tuning.job", "Fine-tuning job"),
    ("eval.run", "Eval run"),
    ("video", "Video"),
];
/// Prefixes of events that do not concern jobs.
const OTHERS: [&str; 4] = [
    "realtime.",
    "live_call.",
    "safety_identifier.",
    "conversation.",
];

/// Maps an event.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let Some(kind) = payload.text(&["/type"]) else {
        return MapResult::without_state("/type");
    };
    let job = kind.rsplit_once('.').and_then(|(of, word)| {
        JOBS.iter()
            .find(|(name, _)| *name == of)
            .map(|(_, title)| (*title, word))
    });
    let end = match job {
        Some((_, "completed" | "succeeded")) => JobEnd::Succeeded,
        Some((_, "failed" | "incomplete" | "expired")) => JobEnd::Failed,
        Some((_, "cancelled" | "canceled")) => JobEnd::Canceled,
        Some((
            _,
            "created" | "queued" | "validating" | "in_progress" | "running" | "finalizing"
            | "cancelling",
        )) => {
            return MapResult::Ignored(format!("{kind} does not end a job"));
        }
        None if OTHERS.iter().any(|other| kind.starts_with(other)) => {
            return MapResult::Ignored(format!("events of the type {kind:?} do not end a job"));
        }
        _ => return MapResult::Unknown(format!("unknown event type {kind:?}")),
    };
    let (title, word) = job.unwrap_or_default();
    let mut builder = EventBuilder::of(payload)
        .times_at(&[], &["/created_at"])
        .metadata_at(&[("event", "/id"), ("type", "/type")])
        .error_at(&[], &["/data/error"]);
    let id = payload.text(&["/data/id"]);
    builder.text(
        "title",
        &format!("{title} {}", id.as_deref().unwrap_or_default()),
    );
    if end == JobEnd::Failed {
        builder.error(Some(word.to_owned()), None);
    }
    builder.finish(id, end)
}
