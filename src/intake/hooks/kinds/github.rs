//! GitHub Actions: `workflow_run` when it is completed (<https://docs.github.com/webhooks/webhook-events-and-payloads#workflow_run>).
//!
//! Each attempt of a run is a job of its own. Other events, `ping` first of all, are of no interest.

use super::super::{Draft, End, Mapped, Sent};

/// Reads an event.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let kind = sent.header("x-github-event");
    if kind.is_some_and(|kind| kind != "workflow_run") {
        return Mapped::Ignored(format!("{} is no workflow_run", kind.unwrap_or_default()));
    }
    match sent.text(&["/action"]).as_deref() {
        Some("completed") => {}
        Some(action) => return Mapped::Ignored(format!("the run is {action}")),
        None => return Mapped::stateless("/action"),
    }
    let conclusion = sent.word(&["/workflow_run/conclusion"]);
    let end = match conclusion.as_deref() {
        Some("success") => End::Succeeded,
        Some("failure" | "timed_out" | "startup_failure" | "action_required") => End::Failed,
        Some("cancelled" | "skipped" | "stale" | "neutral") => End::Canceled,
        Some(word) => return Mapped::Unknown(format!("the conclusion {word:?} is not known")),
        None => return Mapped::stateless("/workflow_run/conclusion"),
    };
    let mut draft = Draft::of(sent).times(&["/workflow_run/run_started_at", "/workflow_run/created_at"], &["/workflow_run/updated_at"]).notes(&[
        ("url", "/workflow_run/html_url"),
        ("repository", "/repository/full_name"),
        ("branch", "/workflow_run/head_branch"),
        ("commit", "/workflow_run/head_sha"),
        ("run_number", "/workflow_run/run_number"),
    ]);
    let words: Vec<_> = ["/workflow_run/name", "/workflow_run/display_title"].iter().filter_map(|place| sent.text(&[place])).collect();
    draft.put("title", &words.join(": "));
    let link = sent.text(&["/workflow_run/html_url"]).unwrap_or_default();
    draft.fault(conclusion, Some(link));
    let attempt = sent.whole(&["/workflow_run/run_attempt"]).filter(|attempt| *attempt > 1).map(|attempt| format!("-attempt-{attempt}"));
    draft.end(sent.text(&["/workflow_run/id"]).map(|id| id + attempt.as_deref().unwrap_or_default()), end)
}
