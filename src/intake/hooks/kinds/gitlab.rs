//! GitLab CI: pipelines and their jobs (<https://docs.gitlab.com/user/project/integrations/webhook_events/#pipeline-events>).
//!
//! A pipeline that is run again keeps its number, so the time of its end belongs to the job's name in the event's id.

use serde_json::Value;

use super::super::{Draft, End, Mapped, Sent};

/// Reads an event.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let status = match sent.text(&["/object_kind"]).as_deref() {
        Some("pipeline") => sent.word(&["/object_attributes/status"]),
        Some("build") => sent.word(&["/build_status"]),
        Some(kind) => return Mapped::Ignored(format!("{kind} is no pipeline")),
        None => return Mapped::stateless("/object_kind"),
    };
    let end = match status.as_deref() {
        Some("success") => End::Succeeded,
        Some("failed") => End::Failed,
        Some("canceled" | "skipped") => End::Canceled,
        Some(word) => return Mapped::Ignored(format!("the pipeline is {word}")),
        None => return Mapped::stateless("/object_attributes/status"),
    };
    let mut draft =
        Draft::of(sent).times(&["/object_attributes/created_at", "/build_started_at"], &["/object_attributes/finished_at", "/build_finished_at"]).notes(&[
            ("url", "/object_attributes/url"),
            ("project", "/project/path_with_namespace"),
            ("branch", "/object_attributes/ref"),
            ("commit", "/object_attributes/sha"),
            ("duration", "/object_attributes/duration"),
        ]);
    let words: Vec<_> = [&["/object_attributes/name", "/build_name"][..], &["/commit/title"]].iter().filter_map(|places| sent.text(places)).collect();
    draft.put("title", &words.join(": "));
    let mut builds = sent.first(&["/builds"]).and_then(Value::as_array).into_iter().flatten();
    let reason = builds.find_map(|build| build.get("failure_reason")?.as_str()).map(str::to_owned);
    let code = reason.or_else(|| sent.text(&["/build_failure_reason"])).filter(|reason| reason != "unknown_failure").or(status);
    draft.fault(code, sent.text(&["/object_attributes/url"]));
    let ended = sent.text(&["/object_attributes/finished_at", "/build_finished_at"]).unwrap_or_default();
    let digits: String = ended.chars().filter(char::is_ascii_digit).collect();
    let name = if digits.is_empty() { end.as_str().to_owned() } else { format!("{}-{digits}", end.as_str()) };
    draft.end_as(sent.text(&["/object_attributes/id", "/build_id"]), end, &name)
}
