//! GitHub Actions: completed `workflow_run` events
//! (<https://docs.github.com/webhooks/webhook-events-and-payloads#workflow_run>).
//!
//! Each attempt of a run is a separate job. Runs that are skipped, neutral, stale or waiting for
//! approval neither succeed nor fail, so they send no email. Other events, such as `ping`, are
//! ignored. The payload does not name the jobs of a run.

use super::super::states::States;
use super::super::{EventBuilder, MapResult, Payload};
use super::run;

const STATES: States = States {
    at: &["/workflow_run/conclusion"],
    job: "run",
    succeeded: &["success"],
    failed: &["failure", "timed_out", "startup_failure"],
    canceled: &["cancelled", "canceled"],
    ignored: &["skipped", "neutral", "stale", "action_required"],
};

/// Maps an event.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let kind = payload.header("x-github-event");
    if kind.is_some_and(|kind| kind != "workflow_run") {
        return MapResult::Ignored(format!(
            "{} is not a workflow_run",
            kind.unwrap_or_default()
        ));
    }
    match payload.text(&["/action"]).as_deref() {
        Some("completed") => {}
        Some(action) => return MapResult::Ignored(format!("the run is {action}")),
        None => return MapResult::without_state("/action"),
    }
    let end = match STATES.end(payload) {
        Ok(end) => end,
        Err(result) => return result,
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
    builder.error(payload.word(STATES.at), None);
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
