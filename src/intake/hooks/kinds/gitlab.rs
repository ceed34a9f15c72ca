//! GitLab CI: pipelines and their jobs
//! (<https://docs.gitlab.com/user/project/integrations/webhook_events/#pipeline-events>).
//!
//! A pipeline that runs again keeps its number, so its end time is part of the event id. Skipped,
//! manual and scheduled pipelines neither succeed nor fail. A failure names the failed jobs, except
//! those that are allowed to fail.

use serde_json::Value;

use super::super::{EventBuilder, JobEnd, MapResult, Payload};
use super::run;

/// Maximum number of failed jobs that are named.
const MAX_NAMED: usize = 5;

/// Maps an event.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let (status, is_job) = match payload.text(&["/object_kind"]).as_deref() {
        Some("pipeline") => (payload.word(&["/object_attributes/status"]), false),
        Some("build") => (payload.word(&["/build_status"]), true),
        Some(kind) => return MapResult::Ignored(format!("{kind} is not a pipeline")),
        None => return MapResult::without_state("/object_kind"),
    };
    let end = match status.as_deref() {
        Some("success") => JobEnd::Succeeded,
        Some("failed") => JobEnd::Failed,
        Some("canceled" | "cancelled") => JobEnd::Canceled,
        Some(
            word @ ("created"
            | "waiting_for_resource"
            | "waiting_for_callback"
            | "preparing"
            | "pending"
            | "running"
            | "canceling"
            | "manual"
            | "scheduled"
            | "skipped"),
        ) => {
            return MapResult::Ignored(format!(
                "the pipeline is {word}, which is neither a success nor a failure"
            ));
        }
        Some(word) => return MapResult::Unknown(format!("unknown status {word:?}")),
        None => {
            return MapResult::without_state(if is_job {
                "/build_status"
            } else {
                "/object_attributes/status"
            });
        }
    };
    let mut builder = if is_job {
        job(payload)
    } else {
        pipeline(payload)
    };
    builder.error(status, None);
    let ended = payload
        .text(&["/object_attributes/finished_at", "/build_finished_at"])
        .unwrap_or_default();
    let digits: String = ended.chars().filter(char::is_ascii_digit).collect();
    let name = if digits.is_empty() {
        end.as_str().to_owned()
    } else {
        format!("{}-{digits}", end.as_str())
    };
    builder.finish_as(
        payload.text(&["/object_attributes/id", "/build_id"]),
        end,
        &name,
    )
}

const PROJECT: &[&str] = &[
    "/project/path_with_namespace",
    "/project_name",
    "/project/name",
];

fn pipeline<'a>(payload: &Payload<'a>) -> EventBuilder<'a> {
    let mut builder = EventBuilder::of(payload)
        .times_at(
            &["/object_attributes/created_at"],
            &["/object_attributes/finished_at"],
        )
        .page_at(&["/object_attributes/url"])
        .metadata_at(&[
            ("url", "/object_attributes/url"),
            ("project", "/project/path_with_namespace"),
            ("branch", "/object_attributes/ref"),
            ("commit", "/object_attributes/sha"),
            ("duration", "/object_attributes/duration"),
            ("source", "/object_attributes/source"),
        ]);
    if let (None, Some(project), Some(id)) = (
        payload.text(&["/object_attributes/url"]),
        payload.text(&["/project/web_url"]),
        payload.text(&["/object_attributes/id"]),
    ) {
        builder.page(&format!("{project}/-/pipelines/{id}"));
    }
    let number = || {
        payload
            .text(&["/object_attributes/iid", "/object_attributes/id"])
            .map(|number| format!("#{number}"))
    };
    let about = payload.text(&["/commit/title", "/merge_request/title"]);
    let name = payload.text(&["/object_attributes/name"]).or_else(number);
    builder.text(
        "title",
        &run::title(
            payload.text(PROJECT),
            name,
            about,
            payload.text(&["/object_attributes/ref"]),
        ),
    );
    let failed: Vec<&Value> = payload
        .first(&["/builds"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|build| is_to_blame(build))
        .collect();
    let reason = failed
        .iter()
        .find_map(|build| known_reason(build.get("failure_reason")?));
    builder.error(reason, named(&failed));
    builder
}

/// Whether a job made its pipeline fail.
fn is_to_blame(build: &Value) -> bool {
    let is = |name: &str, value: Value| build.get(name) == Some(&value);
    is("status", "failed".into()) && !is("allow_failure", true.into())
}

/// Names the failed jobs: `The job render (stage: test) failed`.
fn named(failed: &[&Value]) -> Option<String> {
    let name = |build: &&Value| {
        let name = build.get("name")?.as_str()?;
        Some(build.get("stage").and_then(Value::as_str).map_or_else(
            || name.to_owned(),
            |stage| format!("{name} (stage {stage})"),
        ))
    };
    let names: Vec<String> = failed.iter().filter_map(name).collect();
    let (shown, rest) = names.split_at(names.len().min(MAX_NAMED));
    match (shown, rest.len()) {
        ([], _) => None,
        ([one], _) => Some(format!("Failed job: {one}")),
        (many, 0) => Some(format!("Failed jobs: {}", many.join(", "))),
        (many, more) => Some(format!("Failed jobs: {} and {more} more", many.join(", "))),
    }
}

/// The failure reason. GitLab sets the field for every job, even if there is none.
fn known_reason(reason: &Value) -> Option<String> {
    reason
        .as_str()
        .filter(|reason| !reason.is_empty() && *reason != "unknown_failure")
        .map(str::to_owned)
}

fn job<'a>(payload: &Payload<'a>) -> EventBuilder<'a> {
    let mut builder = EventBuilder::of(payload)
        .times_at(
            &["/build_started_at", "/build_created_at"],
            &["/build_finished_at"],
        )
        .metadata_at(&[
            ("project", "/project/path_with_namespace"),
            ("branch", "/ref"),
            ("commit", "/sha"),
            ("stage", "/build_stage"),
            ("duration", "/build_duration"),
            ("allow_failure", "/build_allow_failure"),
        ]);
    if let (Some(project), Some(id)) = (
        payload.text(&["/project/web_url", "/repository/homepage"]),
        payload.text(&["/build_id"]),
    ) {
        builder.page(&format!("{project}/-/jobs/{id}"));
    }
    let about = payload
        .text(&["/commit/title", "/commit/message"])
        .and_then(|message| message.lines().next().map(str::to_owned));
    builder.text(
        "title",
        &run::title(
            payload.text(PROJECT),
            payload.text(&["/build_name"]),
            about,
            payload.text(&["/ref"]),
        ),
    );
    let name = payload.text(&["/build_name"]).map(|name| {
        payload
            .text(&["/build_stage"])
            .map_or(name.clone(), |stage| format!("{name} (stage {stage})"))
    });
    let allowed = payload.first(&["/build_allow_failure"]) == Some(&Value::Bool(true));
    let message = name.map(|name| {
        if allowed {
            format!("Failed job: {name}, which is allowed to fail")
        } else {
            format!("Failed job: {name}")
        }
    });
    builder.error(
        payload
            .first(&["/build_failure_reason"])
            .and_then(known_reason),
        message,
    );
    builder
}
