//! GitHub Actions: `workflow_run` when it is completed
//! (<https://docs.github.com/webhooks/webhook-events-and-payloads#workflow_run>).
//!
//! Each attempt of a run is a job of its own. A run that was skipped, is neutral or stale, or waits
//! for somebody's approval neither succeeded nor failed, so nobody gets a mail. Other events,
//! `ping` first of all, are of no interest. The payload does not name the jobs of a run.

use super::super::{Draft, End, Mapped, Sent};
use super::run;

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
        Some("failure" | "timed_out" | "startup_failure") => End::Failed,
        Some("cancelled" | "canceled") => End::Canceled,
        Some(word @ ("skipped" | "neutral" | "stale" | "action_required")) => {
            return Mapped::Ignored(format!(
                "the run is {word}, which is neither a success nor a failure"
            ));
        }
        Some(word) => return Mapped::Unknown(format!("the conclusion {word:?} is not known")),
        None => return Mapped::stateless("/workflow_run/conclusion"),
    };
    let mut draft = Draft::of(sent)
        .times(
            &["/workflow_run/run_started_at", "/workflow_run/created_at"],
            &["/workflow_run/updated_at"],
        )
        .page(&["/workflow_run/html_url"])
        .notes(&[
            ("url", "/workflow_run/html_url"),
            ("repository", "/repository/full_name"),
            ("branch", "/workflow_run/head_branch"),
            ("commit", "/workflow_run/head_sha"),
            ("run_number", "/workflow_run/run_number"),
            ("event", "/workflow_run/event"),
            ("actor", "/workflow_run/triggering_actor/login"),
        ]);
    draft.put(
        "title",
        &run::title(
            sent.text(&[
                "/repository/full_name",
                "/workflow_run/repository/full_name",
                "/repository/name",
            ]),
            sent.text(&["/workflow_run/name", "/workflow/name"]),
            sent.text(&["/workflow_run/display_title"]),
            sent.text(&["/workflow_run/head_branch"]),
        ),
    );
    draft.fault(conclusion, None);
    let attempt = sent
        .whole(&["/workflow_run/run_attempt"])
        .filter(|attempt| *attempt > 1)
        .map(|attempt| format!("-attempt-{attempt}"));
    draft.end(
        sent.text(&["/workflow_run/id"])
            .map(|id| id + attempt.as_deref().unwrap_or_default()),
        end,
    )
}
