//! GitHub Actions: completed `workflow_run` events
//! (<https://docs.github.com/webhooks/webhook-events-and-payloads#workflow_run>).
//!
//! Each attempt of a run is a separate job. Runs that are skipped, neutral, stale or waiting for
//! approval neither succeed nor fail, so they send no email. Other events, such as `ping`, are
//! ignored. The payload does not name the jobs of a run.

use super::super::{Kind, MapResult, Payload};
use super::{mapped, run};

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
    mapped::map(Kind::GitHub, payload, |mut run| {
        run.builder = run.builder.metadata_at(&[
            ("url", "/workflow_run/html_url"),
            ("repository", "/repository/full_name"),
            ("branch", "/workflow_run/head_branch"),
            ("commit", "/workflow_run/head_sha"),
            ("run_number", "/workflow_run/run_number"),
            ("event", "/workflow_run/event"),
            ("actor", "/workflow_run/triggering_actor/login"),
        ]);
        run.builder.text("title", &title(payload));
        run.builder
            .error(payload.word(&["/workflow_run/conclusion"]), None);
        let attempt = payload
            .whole(&["/workflow_run/run_attempt"])
            .filter(|attempt| *attempt > 1);
        if let Some(attempt) = attempt {
            run.id = run.id.map(|id| format!("{id}-attempt-{attempt}"));
        }
        run
    })
}

fn title(payload: &Payload<'_>) -> String {
    run::title(
        payload.text(&[
            "/repository/full_name",
            "/workflow_run/repository/full_name",
            "/repository/name",
        ]),
        payload.text(&["/workflow_run/name", "/workflow/name"]),
        payload.text(&["/workflow_run/display_title"]),
        payload.text(&["/workflow_run/head_branch"]),
    )
}
