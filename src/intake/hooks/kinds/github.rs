//! GitHub Actions: `workflow_run` when it is completed
//! (<https://docs.github.com/webhooks/webhook-events-and-payloads#workflow_run>).
//!
//! Each attempt of a run is a job of its own. A run that was skipped, is neutral or stale, or waits
//! for somebody's approval neither succeeded nor failed, so nobody gets a mail. Other events,
//! `ping` first of all, are of no interest. The payload does not name the jobs of a run.

use super::super::{EventBuilder, JobEnd, MapResult, Payload};
use super::run;

/// Reads an event.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let kind = payload.header("x-github-event");
    if kind.is_some_and(|kind| kind != "workflow_run") {
        return MapResult::Ignored(format!("{} is no workflow_run", kind.unwrap_or_default()));
    }
    match payload.text(&["/action"]).as_deref() {
        Some("completed") => {}
        Some(action) => return MapResult::Ignored(format!("the run is {action}")),
        None => return MapResult::stateless("/action"),
    }
    let conclusion = payload.word(&["/workflow_run/conclusion"]);
    let end = match conclusion.as_deref() {
        Some("success") => JobEnd::Succeeded,
        Some("failure" | "timed_out" | "startup_failure") => JobEnd::Failed,
        Some("cancelled" | "canceled") => JobEnd::Canceled,
        Some(word @ ("skipped" | "neutral" | "stale" | "action_required")) => {
            return MapResult::Ignored(format!(
                "the run is {word}, which is neither a success nor a failure"
            ));
        }
        Some(word) => return MapResult::Unknown(format!("the conclusion {word:?} is not known")),
        None => return MapResult::stateless("/workflow_run/conclusion"),
    };
    let mut builder = EventBuilder::of(payload)
        .times_at(
            &["/workflow_run/run_started_at", "/workflow_run/created_at"],
            &["/workflow_run/updated_at"],
        )
        .page_at(&["/workflow_run/html_url"])
        .metadata_at(&[
            ("url", "/workflow_run/html_url"),
            ("repository", "/repository/full_name"),
            ("branch", "/workflow_run/head_branch"),
            ("commit", "/workflow_run/head_sha"),
            ("run_number", "/workflow_run/run_number"),
            ("event", "/workflow_run/event"),
            ("actor", "/workflow_run/triggering_actor/login"),
        ]);
    builder.text(
        "title",
        &run::title(
            payload.text(&[
                "/repository/full_name",
                "/workflow_run/repository/full_name",
                "/repository/name",
            ]),
            payload.text(&["/workflow_run/name", "/workflow/name"]),
            payload.text(&["/workflow_run/display_title"]),
            payload.text(&["/workflow_run/head_branch"]),
        ),
    );
    builder.error(conclusion, None);
    let attempt = payload
        .whole(&["/workflow_run/run_attempt"])
        .filter(|attempt| *attempt > 1)
        .map(|attempt| format!("-attempt-{attempt}"));
    builder.finish(
        payload
            .text(&["/workflow_run/id"])
            .map(|id| id + attempt.as_deref().unwrap_or_default()),
        end,
    )
}
