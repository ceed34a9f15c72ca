//! Payloads that were once mapped incorrectly, and the documented states of each service, with
//! their sources.

use serde_json::{Value, json};

use super::samples::{FOX, Row, check, holds};
use super::{SENT, answer, server};

/// Where each sample's shape is documented:
/// - github: <https://docs.github.com/webhooks/webhook-events-and-payloads#workflow_run>
/// - gitlab: <https://docs.gitlab.com/user/project/integrations/webhook_events/>; `failure_reason`
///   and `allow_failure` of `builds[]`: its merge requests 90727 and 20978
/// - runpod: <https://github.com/runpod/runpod-python/issues/409> (`input`, `webhook`) and
///   `serverless/modules/rp_job.py` of that repository (`error`)
/// - krea: <https://docs.krea.ai/developers/job-lifecycle>
/// - dashscope: <https://help.aliyun.com/zh/model-studio/async-task-api>
/// - fooocus: <https://github.com/mrhan1993/Fooocus-API>, `worker.py`
/// - ai-horde: <https://github.com/Haidra-Org/AI-Horde/blob/main/README_integration.md#webhooks>
/// - replicate: <https://replicate.com/docs/reference/webhooks>
/// - fal: <https://docs.fal.ai/model-endpoints/webhooks>
#[tokio::test]
async fn reported_payloads_are_mapped_correctly() {
    let trace = "Traceback (most recent call last):\n  File \"/src/handler.py\", line 12, in handler\n    image = pipe(prompt)\n\
                 torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.20 GiB";
    let rows: Vec<Row> = vec![
        ("github-workflow-run-skipped.json", "github", 204, vec![]),
        (
            "gitlab-pipeline-failure-allowed.json",
            "gitlab",
            202,
            vec![
                (
                    "/title",
                    json!("acme/studio · #4: Lighten the shadows (release/2.0)"),
                ),
                (
                    "/error",
                    json!({"code": "script_failure", "message": "Failed job: render-4k (stage render)"}),
                ),
                (
                    "/url",
                    json!("https://gitlab.example.com/acme/studio/-/pipelines/32"),
                ),
            ],
        ),
        (
            "gitlab-job-failure.json",
            "gitlab",
            202,
            vec![
                ("/title", json!("acme/studio · train: Train longer (main)")),
                (
                    "/error",
                    json!({"code": "job_execution_timeout", "message": "Failed job: train (stage gpu)"}),
                ),
                (
                    "/url",
                    json!("https://gitlab.example.com/acme/studio/-/jobs/1977"),
                ),
            ],
        ),
        (
            "runpod-failure-exception.json",
            "runpod",
            200,
            vec![
                ("/prompt", json!(FOX)),
                ("/negative_prompt", json!("blurry")),
                ("/size", json!("1024x768")),
                ("/seed", json!(42)),
                ("/steps", json!(30)),
                (
                    "/error",
                    json!({"code": "torch.OutOfMemoryError", "message": format!("CUDA out of memory. Tried to allocate 2.20 GiB\n\n{trace}")}),
                ),
            ],
        ),
        (
            "krea-failure.json",
            "krea",
            202,
            vec![
                ("/error/message", json!("flagged by content moderation")),
                ("/images", Value::Null),
            ],
        ),
        ("krea-intermediate-ignored.json", "krea", 204, vec![]),
        (
            "dashscope-event-failure-reason.json",
            "dashscope",
            202,
            vec![(
                "/error",
                json!({"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}),
            )],
        ),
        (
            "dashscope-task-partial.json",
            "dashscope",
            202,
            vec![
                ("/status", json!("succeeded")),
                (
                    "/error/message",
                    json!(
                        "1 of 2 parts failed: An internal timeout error has occurred during execution."
                    ),
                ),
            ],
        ),
        (
            "fooocus-api-failure.json",
            "fooocus",
            202,
            vec![
                ("/status", json!("failed")),
                ("/error/message", json!("no picture was made")),
            ],
        ),
        (
            "ai-horde-text.json",
            "ai-horde",
            202,
            vec![
                ("/status", json!("succeeded")),
                ("/model", json!("koboldcpp/example-7b")),
                (
                    "/metadata/text",
                    json!("Once upon a time there was a fox who read by lamplight."),
                ),
            ],
        ),
        (
            "ai-horde-alchemy.json",
            "ai-horde",
            202,
            vec![
                ("/title", json!("caption")),
                (
                    "/metadata/caption",
                    json!("a fox reading a book under a lamp"),
                ),
            ],
        ),
        (
            "ai-horde-alchemy-upscaled.json",
            "ai-horde",
            202,
            vec![(
                "/images/0/url",
                json!("https://images.example.com/out/horde-x4.webp?X-Amz-Expires=1800"),
            )],
        ),
        (
            "replicate-success-hidden-version.json",
            "replicate",
            202,
            vec![
                ("/model", json!("black-forest-labs/flux-kontext-pro")),
                (
                    "/url",
                    json!("https://replicate.com/p/vcscvthbaxrm80cq9xqtcbaw4m"),
                ),
            ],
        ),
        (
            "fal-success-payload-error.json",
            "fal",
            202,
            vec![
                ("/status", json!("succeeded")),
                ("/error/code", json!("payload_error")),
                ("/images", Value::Null),
            ],
        ),
    ];
    check(rows).await;
}

/// A payload in this state.
fn in_state(kind: &str, state: &str) -> Value {
    match kind {
        "github" => {
            json!({"action": "completed", "workflow_run": {"id": 1, "name": "CI", "conclusion": state}, "repository": {"full_name": "a/b"}})
        }
        "gitlab" => {
            json!({"object_kind": "pipeline", "object_attributes": {"id": 1, "status": state}})
        }
        "krea" => json!({"job_id": "1", "status": state}),
        "dashscope" => json!({"output": {"task_id": "1", "task_status": state}}),
        "ai-horde" => json!({"request": "1", "id": "2", "form": "caption", "state": state}),
        "fal" => json!({"request_id": "1", "status": state}),
        "kling" => json!({"task_id": "1", "task_status": state}),
        "openai" => {
            json!({"id": "evt_1", "type": state, "created_at": 1_772_612_136, "data": {"id": "x_1"}})
        }
        _ => json!({"id": "1", "status": state}),
    }
}

/// A kind with its states for success, failure, cancellation and progress.
type States = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

#[tokio::test]
async fn conclusion_of_a_github_run_is_its_error_code_in_lower_case() {
    let server = server("[hooks.h]\nkind = \"github\"\nunverified = true\n", SENT);
    let post = server
        .post("/v1/hooks/h")
        .json(&in_state("github", "Timed_Out"));
    let (status, said) = answer(post).await;
    assert_eq!(status, 202, "{said}");
    let code = [("/error/code", json!("timed_out"))];
    holds(&server, "github", said["id"].as_str().unwrap(), &code).await;
}

#[tokio::test]
async fn documented_states_map_to_the_right_result() {
    let table: &[States] = &[
        (
            "github",
            &["success"],
            &["failure", "timed_out", "startup_failure"],
            &["cancelled"],
            &["skipped", "neutral", "stale", "action_required"],
        ),
        (
            "gitlab",
            &["success"],
            &["failed"],
            &["canceled"],
            &[
                "created",
                "waiting_for_resource",
                "waiting_for_callback",
                "preparing",
                "pending",
                "running",
                "canceling",
                "manual",
                "scheduled",
                "skipped",
            ],
        ),
        (
            "runpod",
            &["COMPLETED"],
            &["FAILED", "TIMED_OUT"],
            &["CANCELLED"],
            &["IN_QUEUE", "IN_PROGRESS", "RUNNING"],
        ),
        (
            "krea",
            &["completed"],
            &["failed"],
            &["cancelled"],
            &[
                "backlogged",
                "queued",
                "scheduled",
                "processing",
                "sampling",
                "intermediate-complete",
            ],
        ),
        (
            "dashscope",
            &["SUCCEEDED"],
            &["FAILED"],
            &["CANCELED"],
            &["PENDING", "RUNNING"],
        ),
        (
            "ai-horde",
            &["done"],
            &["faulted"],
            &["cancelled"],
            &["waiting", "processing", "partial"],
        ),
        (
            "fal",
            &["OK"],
            &["ERROR"],
            &[],
            &["IN_QUEUE", "IN_PROGRESS"],
        ),
        (
            "kling",
            &["succeed"],
            &["failed"],
            &[],
            &["submitted", "processing"],
        ),
        (
            "replicate",
            &["succeeded"],
            &["failed"],
            &["canceled", "aborted"],
            &["starting", "processing"],
        ),
        (
            "volcengine-ark",
            &["succeeded"],
            &["failed", "expired"],
            &["cancelled"],
            &["queued", "running"],
        ),
        (
            "midjourney-proxy",
            &["SUCCESS"],
            &["FAILURE"],
            &["CANCEL"],
            &["NOT_START", "SUBMITTED", "IN_PROGRESS", "MODAL"],
        ),
        (
            "bfl",
            &["Ready"],
            &[
                "Error",
                "Request Moderated",
                "Content Moderated",
                "Task not found",
            ],
            &[],
            &["Pending"],
        ),
        (
            "openai",
            &[
                "response.completed",
                "batch.completed",
                "fine_tuning.job.succeeded",
                "eval.run.succeeded",
                "video.completed",
            ],
            &[
                "response.failed",
                "response.incomplete",
                "batch.failed",
                "batch.expired",
                "fine_tuning.job.failed",
                "eval.run.failed",
                "video.failed",
            ],
            &[
                "response.cancelled",
                "batch.cancelled",
                "fine_tuning.job.cancelled",
                "eval.run.canceled",
            ],
            &["realtime.call.incoming"],
        ),
        (
            "standard-webhooks",
            &["succeeded", "Completed", "success", "done", "ok"],
            &["failed", "error", "timed-out", "expired"],
            &["canceled", "cancelled"],
            &[
                "queued",
                "in progress",
                "skipped",
                "neutral",
                "action_required",
            ],
        ),
        (
            "generic",
            &["finished", "true"],
            &["failure", "timeout"],
            &["aborted"],
            &["RUNNING", "manual", "scheduled", "stale"],
        ),
    ];
    for (kind, succeeded, failed, canceled, none) in table {
        let ends = [
            (*succeeded, "succeeded", false),
            (*failed, "failed", false),
            (*canceled, "failed", true),
        ];
        for (states, status, is_canceled) in ends {
            for state in states {
                let server = server(
                    &format!("[hooks.h]\nkind = \"{kind}\"\nunverified = true\n"),
                    SENT,
                );
                let (code, said) =
                    answer(server.post("/v1/hooks/h").json(&in_state(kind, state))).await;
                assert_eq!(
                    code,
                    if *kind == "runpod" { 200 } else { 202 },
                    "{kind} {state}: {said}"
                );
                holds(
                    &server,
                    state,
                    said["id"].as_str().unwrap(),
                    &[("/status", json!(status))],
                )
                .await;
                let (_, record) =
                    answer(server.get(&format!("/v1/events/{}", said["id"].as_str().unwrap())))
                        .await;
                let code = record["event"]["error"]["code"]
                    .as_str()
                    .unwrap_or_default();
                assert_eq!(
                    ["canceled", "cancelled", "aborted"].contains(&code),
                    is_canceled,
                    "{kind} {state}: {record}"
                );
            }
        }
        let server = server(
            &format!("[hooks.h]\nkind = \"{kind}\"\nunverified = true\n"),
            SENT,
        );
        let quiet = if *kind == "runpod" { 200 } else { 204 };
        for state in *none {
            let (code, said) =
                answer(server.post("/v1/hooks/h").json(&in_state(kind, state))).await;
            assert_eq!(code, quiet, "{kind} {state}: {said}");
        }
        let (_, kept) = answer(server.get("/v1/hook-failures")).await;
        assert_eq!(
            (
                server.accepted().await,
                kept["failures"].as_array().map(Vec::len)
            ),
            (0, Some(0)),
            "{kind}: {kept}"
        );
        let (code, said) = answer(
            server
                .post("/v1/hooks/h")
                .json(&in_state(kind, "never.heard_of_it")),
        )
        .await;
        let (_, kept) = answer(server.get("/v1/hook-failures")).await;
        assert_eq!(
            (code, kept["failures"].as_array().map(Vec::len)),
            (quiet, Some(1)),
            "an unknown state of {kind} is kept: {said} {kept}"
        );
    }
}
