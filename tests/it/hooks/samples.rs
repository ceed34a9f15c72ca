//! Every sample maps as the service's documentation says.

use serde_json::{Value, json};

use super::{SENT, answer, sample, server};

/// File, kind, status of the response, and parts of the stored event by JSON pointer.
pub(super) type Row = (&'static str, &'static str, u16, Vec<(&'static str, Value)>);

pub(super) const FOX: &str = "A red fox reading a book under a lamp, watercolor";

/// Checks an event's record: its id, values by pointer, and its images.
pub(super) async fn holds(
    server: &crate::http::test_server::TestServer,
    file: &str,
    id: &str,
    wanted: &[(&str, Value)],
) {
    let (status, record) = answer(server.get(&format!("/v1/events/{id}"))).await;
    assert_eq!(status, 200, "{file}: {record}");
    for (place, value) in wanted {
        let found = record["event"].pointer(place).unwrap_or(&Value::Null);
        assert_eq!(found, value, "{file} at {place}: {record:#}");
    }
}

pub(super) async fn check(rows: Vec<Row>) {
    for (file, kind, wanted, places) in rows {
        let server = server(
            &format!("[hooks.h]\nkind = \"{kind}\"\nunverified = true\nunconfirmed = true\n"),
            SENT,
        );
        let post = || {
            server
                .post("/v1/hooks/h?job=4711")
                .header("content-type", "application/json")
                .body(sample(file))
        };
        let (status, said) = answer(post()).await;
        assert_eq!(status, wanted, "{file}: {said}");
        let events = u64::from(status == 202 || (status == 200 && said["id"].is_string()));
        assert_eq!(server.accepted().await, events, "{file}");
        if events == 0 {
            continue;
        }
        let id = said["id"].as_str().unwrap();
        holds(&server, file, id, &places).await;
        holds(&server, file, id, &[("/metadata/job", json!("4711"))]).await;
        let again = answer(post()).await;
        assert_eq!(
            (again.0, &again.1["duplicate"], server.accepted().await),
            (200, &json!(true), events),
            "{file}: {}",
            again.1
        );
    }
}

#[tokio::test]
async fn replicate() {
    let picture = "https://images.example.com/out/fox-0.webp";
    check(vec![
        (
            "replicate-success.json",
            "replicate",
            202,
            vec![
                ("/id", json!("hook:h:succeeded:rq7t4x8y9zabcdefghjkmnpqrs")),
                ("/status", json!("succeeded")),
                ("/job_id", json!("rq7t4x8y9zabcdefghjkmnpqrs")),
                ("/prompt", json!(FOX)),
                ("/model", json!("black-forest-labs/flux-schnell:5599ed30")),
                ("/size", json!("1024x768")),
                ("/format", json!("webp")),
                ("/images/0/url", json!(picture)),
                ("/images/1/url", json!("https://images.example.com/out/fox-1.webp")),
                ("/started_at", json!("2026-03-04T08:15:31.22Z")),
                ("/finished_at", json!("2026-03-04T08:15:35.941Z")),
                ("/metadata/predict_time", json!(4.72)),
            ],
        ),
        ("replicate-success-single-string.json", "replicate", 202, vec![("/images/0/url", json!("https://images.example.com/out/fox.webp"))]),
        (
            "replicate-failure.json",
            "replicate",
            202,
            vec![
                ("/id", json!("hook:h:failed:rq7t4x8y9zabcdefghjkmnpqrs")),
                ("/status", json!("failed")),
                ("/images", Value::Null),
                (
                    "/error/message",
                    json!("NSFW content detected. Try running it again, or try a different prompt.\n\nTraceback (most recent call last):\n  ..."),
                ),
            ],
        ),
        ("replicate-canceled.json", "replicate", 202, vec![("/status", json!("failed")), ("/error/code", json!("canceled"))]),
        ("replicate-aborted.json", "replicate", 202, vec![("/status", json!("failed")), ("/error/code", json!("aborted"))]),
        ("replicate-processing-ignored.json", "replicate", 204, vec![]),
    ])
    .await;
}

#[tokio::test]
async fn runpod() {
    check(vec![
        (
            "runpod-success.json",
            "runpod",
            200,
            vec![
                ("/status", json!("succeeded")),
                (
                    "/images/0/url",
                    json!("https://images.example.com/out/runpod-0.png"),
                ),
                ("/started_at", json!("2026-03-04T08:15:33.609Z")),
                ("/finished_at", json!("2026-03-04T08:15:37Z")),
            ],
        ),
        (
            "runpod-success-message-base64.json",
            "runpod",
            200,
            vec![("/status", json!("succeeded")), ("/images", Value::Null)],
        ),
        (
            "runpod-failure.json",
            "runpod",
            200,
            vec![
                ("/status", json!("failed")),
                (
                    "/error/message",
                    json!("CUDA out of memory. Tried to allocate 2.20 GiB"),
                ),
            ],
        ),
        (
            "runpod-canceled.json",
            "runpod",
            200,
            vec![("/error/code", json!("canceled"))],
        ),
        (
            "runpod-timed-out.json",
            "runpod",
            200,
            vec![
                ("/error/code", json!("timed_out")),
                ("/error/message", json!("job timed out after 1 retries")),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn time_of_arrival_is_wall_time_after_a_clock_step() {
    let server = server("[hooks.runpod]\nunverified = true\n", SENT);
    server.clock.set(86_400_000);
    let post = server
        .post("/v1/hooks/runpod")
        .header("content-type", "application/json")
        .body(sample("runpod-success.json"));
    let said = answer(post).await.1;
    let times = [
        ("/started_at", json!("2026-03-05T08:15:33.609Z")),
        ("/finished_at", json!("2026-03-05T08:15:37Z")),
    ];
    holds(&server, "runpod", said["id"].as_str().unwrap(), &times).await;
}

#[tokio::test]
async fn standard_webhooks() {
    check(vec![
        (
            "standard-webhooks-success.json",
            "standard-webhooks",
            202,
            vec![
                ("/id", json!("hook:h:succeeded:job-4711")),
                ("/prompt", json!("生成一张雨夜霓虹街道的插画")),
                ("/size", json!("1024x768")),
                (
                    "/images/0/url",
                    json!("https://images.example.com/out/4711-0.png"),
                ),
                ("/metadata/project", json!("海报")),
            ],
        ),
        (
            "standard-webhooks-failure.json",
            "standard-webhooks",
            202,
            vec![
                ("/status", json!("failed")),
                ("/error/code", json!("oom")),
                ("/error/message", json!("显存不足")),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn fal() {
    check(vec![
        (
            "fal-success.json",
            "fal",
            202,
            vec![
                ("/id", json!("hook:h:succeeded:3b0b9c1e-8a53-4f0e-9b0f-2d0c6f5a7e11")),
                ("/prompt", json!(FOX)),
                ("/size", json!("1024x768")),
                ("/format", json!("jpeg")),
                ("/seed", json!(918_273_645)),
                ("/images", json!([{ "url": "https://images.example.com/out/fal-0.jpeg", "width": 1024, "height": 768, "file_size": 348_120 }])),
            ],
        ),
        ("fal-failure.json", "fal", 202, vec![("/status", json!("failed")), ("/error", json!({ "code": "422", "message": "body.prompt: field required" }))]),
        ("fal-failure-detail-string.json", "fal", 202, vec![("/error", json!({ "code": "422", "message": "Prompt must be non-empty" }))]),
    ])
    .await;
}

#[tokio::test]
async fn openai() {
    let failed = |code: &str| {
        vec![
            ("/status", json!("failed")),
            ("/error/code", json!(code)),
            ("/finished_at", json!("2026-03-04T08:15:35Z")),
        ]
    };
    check(vec![
        (
            "openai-success-response.json",
            "openai",
            202,
            vec![
                ("/id", json!("hook:h:succeeded:resp_0001example")),
                ("/title", json!("Response resp_0001example")),
                ("/finished_at", json!("2026-03-04T08:15:35Z")),
            ],
        ),
        (
            "openai-success-batch.json",
            "openai",
            202,
            vec![
                ("/job_id", json!("batch_0004example")),
                ("/status", json!("succeeded")),
            ],
        ),
        (
            "openai-failure-response.json",
            "openai",
            202,
            failed("failed"),
        ),
        ("openai-failure-batch.json", "openai", 202, failed("failed")),
        (
            "openai-canceled-response.json",
            "openai",
            202,
            failed("canceled"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn comfyui_api() {
    let run = |id: &str| {
        vec![
            ("/job_id", json!(id)),
            ("/prompt", json!(FOX)),
            ("/size", json!("1024x768")),
            ("/seed", json!(42)),
        ]
    };
    let and = |mut run: Vec<(&'static str, Value)>, more: Vec<(&'static str, Value)>| {
        run.extend(more);
        run
    };
    let file = json!("8a1f_ComfyUI_0.png");
    check(vec![
        (
            "comfyui-api-success.json",
            "comfyui-api",
            202,
            and(
                run("8a1f0c52-2222-4333-8444-555566667777"),
                vec![
                    ("/images", json!([{ "url": "https://images.example.com/out/8a1f_ComfyUI_0.png" }])),
                    ("/started_at", json!("2026-03-04T08:15:31Z")),
                    ("/finished_at", json!("2026-03-04T08:15:36Z")),
                ],
            ),
        ),
        (
            "comfyui-api-success-base64.json",
            "comfyui-api",
            202,
            and(run("8a1f0c52-2222-4333-8444-555566667778"), vec![("/images", Value::Null), ("/metadata/files", json!([file]))]),
        ),
        (
            "comfyui-api-failure.json",
            "comfyui-api",
            202,
            and(
                run("8a1f0c52-2222-4333-8444-555566667779"),
                vec![("/status", json!("failed")), ("/error/message", json!("KSampler: CUDA out of memory. Tried to allocate 2.20 GiB"))],
            ),
        ),
        (
            "comfyui-api-legacy-success.json",
            "comfyui-api",
            202,
            and(run("8a1f0c52-2222-4333-8444-555566667780"), vec![("/status", json!("succeeded")), ("/metadata/file", file)]),
        ),
        (
            "comfyui-api-legacy-failure.json",
            "comfyui-api",
            202,
            and(run("8a1f0c52-2222-4333-8444-555566667781"), vec![("/error/message", json!("error-message"))]),
        ),
        ("comfyui-api-system-success.json", "comfyui-api", 202, vec![("/finished_at", json!("2026-03-04T08:15:36Z")), ("/metadata/purpose", json!("testing"))]),
        (
            "comfyui-api-system-failure.json",
            "comfyui-api",
            202,
            vec![("/error", json!({ "code": "RuntimeError", "message": "CUDA out of memory. Tried to allocate 2.20 GiB" }))],
        ),
    ])
    .await;
}

#[tokio::test]
async fn midjourney_proxy() {
    let task = [
        ("/prompt", json!("生成一张雨夜霓虹街道的插画")),
        (
            "/prompt_translated",
            json!("An illustration of a neon street on a rainy night --ar 4:3 --v 6"),
        ),
        ("/model", json!("midjourney v6")),
        ("/metadata/aspect_ratio", json!("4:3")),
        ("/started_at", json!("2026-03-04T08:15:32.001Z")),
    ];
    let and =
        |more: Vec<(&'static str, Value)>| task.iter().cloned().chain(more).collect::<Vec<_>>();
    check(vec![
        (
            "midjourney-proxy-success.json",
            "midjourney-proxy",
            202,
            and(vec![
                (
                    "/images/0/url",
                    json!("https://images.example.com/out/mj-grid.png"),
                ),
                ("/finished_at", json!("2026-03-04T08:16:29.312Z")),
            ]),
        ),
        (
            "midjourney-proxy-failure.json",
            "midjourney-proxy",
            202,
            and(vec![
                (
                    "/error/message",
                    json!("[Invalid parameter] Invalid value provided for argument --ar"),
                ),
                ("/images", Value::Null),
            ]),
        ),
        (
            "midjourney-proxy-progress-ignored.json",
            "midjourney-proxy",
            204,
            vec![],
        ),
    ])
    .await;
}

#[tokio::test]
async fn leonardo_payload_is_kept_without_its_api_key() {
    let generation = [
        ("/prompt", json!(FOX)),
        ("/model", json!("Leonardo Creative")),
        ("/size", json!("1024x768")),
        ("/seed", json!(905_778_432)),
        ("/steps", json!(30)),
        ("/started_at", json!("2026-03-04T08:15:30.104Z")),
    ];
    let and = |more: Vec<(&'static str, Value)>| {
        generation.iter().cloned().chain(more).collect::<Vec<_>>()
    };
    check(vec![
        (
            "leonardo-success.json",
            "leonardo",
            202,
            and(vec![(
                "/images/0/url",
                json!("https://images.example.com/out/leonardo-0.jpg"),
            )]),
        ),
        (
            "leonardo-failure-assumed.json",
            "leonardo",
            202,
            and(vec![("/status", json!("failed"))]),
        ),
    ])
    .await;
    let server = server("[hooks.h]\nkind = \"leonardo\"\nunverified = true\n", SENT);
    let post = |file| {
        server
            .post("/v1/hooks/h")
            .header("content-type", "application/json")
            .body(sample(file))
    };
    let (_, said) = answer(post("leonardo-success.json")).await;
    let (_, record) =
        answer(server.get(&format!("/v1/events/{}", said["id"].as_str().unwrap()))).await;
    assert!(!record.to_string().contains("REDACT-ME"), "{record}");
}

#[tokio::test]
async fn bfl() {
    check(vec![
        (
            "bfl-success.json",
            "bfl",
            202,
            vec![
                ("/prompt", json!(FOX)),
                ("/seed", json!(42)),
                ("/images/0/url", json!("https://delivery.bfl.example/results/1f2e/sample.jpeg?sig=abc&se=2026-03-04T08%3A25%3A35Z")),
                ("/finished_at", json!("2026-03-04T08:15:35.9Z")),
            ],
        ),
        ("bfl-failure.json", "bfl", 202, vec![("/error", json!({ "code": "content_policy_violation", "message": "The prompt violated the content policy" }))]),
        ("bfl-failure-moderated.json", "bfl", 202, vec![("/error", json!({ "code": "moderated", "message": "Derivative Works Filter" }))]),
    ])
    .await;
}

#[tokio::test]
async fn undocumented_fields_require_unconfirmed() {
    for (kind, file, wanted) in [
        ("leonardo", "leonardo-failure-assumed.json", 204),
        ("fooocus", "fooocus-api-failure-assumed.json", 204),
        ("bfl", "bfl-failure.json", 202),
    ] {
        let server = server(
            &format!("[hooks.h]\nkind = \"{kind}\"\nunverified = true\n"),
            SENT,
        );
        let (status, said) = answer(
            server
                .post("/v1/hooks/h")
                .header("content-type", "application/json")
                .body(sample(file)),
        )
        .await;
        assert_eq!(status, wanted, "{file}: {said}");
        if status == 202 {
            holds(
                &server,
                file,
                said["id"].as_str().unwrap(),
                &[("/status", json!("failed")), ("/error", Value::Null)],
            )
            .await;
        }
    }
}

#[tokio::test]
async fn services_without_signatures() {
    check(vec![
        (
            "kling-success.json",
            "kling",
            202,
            vec![
                (
                    "/images/1/url",
                    json!("https://images.example.com/out/kling-1.png"),
                ),
                ("/started_at", json!("2026-03-04T08:15:30.104Z")),
                ("/metadata/external_task_id", json!("job-4711")),
            ],
        ),
        (
            "kling-failure.json",
            "kling",
            202,
            vec![
                ("/status", json!("failed")),
                ("/error/message", json!("触发平台的内容风控")),
            ],
        ),
        (
            "krea-success.json",
            "krea",
            202,
            vec![(
                "/images/0/url",
                json!("https://images.example.com/out/krea-0.png"),
            )],
        ),
        (
            "krea-failure-assumed.json",
            "krea",
            202,
            vec![
                ("/status", json!("failed")),
                ("/finished_at", json!("2026-03-04T08:15:35Z")),
            ],
        ),
        (
            "ai-horde-success.json",
            "ai-horde",
            202,
            vec![
                (
                    "/job_id",
                    json!(
                        "9f8e7d6c-0000-4000-8000-000000000005-0a0b0c0d-0000-4000-8000-000000000004"
                    ),
                ),
                ("/model", json!("stable_diffusion")),
                (
                    "/images/0/url",
                    json!("https://images.example.com/out/horde.webp"),
                ),
                ("/sensitive", Value::Null),
            ],
        ),
        (
            "ai-horde-success-censored.json",
            "ai-horde",
            202,
            vec![
                ("/sensitive", json!(true)),
                ("/metadata/censored", json!(true)),
            ],
        ),
        (
            "volcengine-ark-success.json",
            "volcengine-ark",
            202,
            vec![
                (
                    "/images/0/url",
                    json!("https://ark-content.example.com/cgt-1.mp4?X-Tos-Expires=86400"),
                ),
                ("/model", json!("doubao-seedance-1-0-pro-250528")),
                ("/metadata/duration", json!(5)),
            ],
        ),
        (
            "volcengine-ark-failure.json",
            "volcengine-ark",
            202,
            vec![("/error/code", json!("OutputVideoSensitiveContentDetected"))],
        ),
        (
            "volcengine-ark-expired.json",
            "volcengine-ark",
            202,
            vec![
                ("/status", json!("failed")),
                ("/error/code", json!("expired")),
            ],
        ),
        (
            "fooocus-api-success.json",
            "fooocus",
            202,
            vec![
                ("/seed", json!(6_289_709_461_860_950_326_u64)),
                (
                    "/images/0/url",
                    json!("http://127.0.0.1:8888/files/2026-03-04/out.png"),
                ),
            ],
        ),
        (
            "fooocus-api-failure-assumed.json",
            "fooocus",
            202,
            vec![("/status", json!("failed"))],
        ),
    ])
    .await;
}

#[tokio::test]
async fn dashscope() {
    let task = [
        ("/model", json!("wanx2.1-t2i-turbo")),
        ("/started_at", json!("2026-03-04T08:15:30Z")),
        ("/finished_at", json!("2026-03-04T08:15:36Z")),
    ];
    let and =
        |more: Vec<(&'static str, Value)>| task.iter().cloned().chain(more).collect::<Vec<_>>();
    check(vec![
        (
            "dashscope-event-success.json",
            "dashscope",
            202,
            and(vec![("/job_id", json!("a154c328-0000-4000-8000-e52a9a7e9a35")), ("/status", json!("succeeded"))]),
        ),
        ("dashscope-event-failure.json", "dashscope", 202, and(vec![("/status", json!("failed"))])),
        (
            "dashscope-task-success.json",
            "dashscope",
            202,
            vec![
                ("/prompt", json!("生成一张雨夜霓虹街道的插画")),
                ("/prompt_translated", json!("生成一张雨夜霓虹街道的插画，高细节")),
                ("/images/0/url", json!("https://dashscope-result.example.com/1d/wx.png?Expires=1772698536&Signature=abc")),
                ("/finished_at", json!("2026-03-04T08:15:36.204Z")),
            ],
        ),
        (
            "dashscope-task-partial.json",
            "dashscope",
            202,
            vec![("/status", json!("succeeded")), ("/images/0/url", json!("https://images.example.com/out/wx-0.png")), ("/metadata/failed_parts", json!(1))],
        ),
        ("dashscope-task-failure.json", "dashscope", 202, vec![("/error/code", json!("DataInspectionFailed"))]),
    ])
    .await;
}

#[tokio::test]
async fn github_and_gitlab() {
    let run = |file, status, code| -> Row {
        (
            file,
            "github",
            202,
            vec![
                (
                    "/title",
                    json!("acme/studio · render-images: Nightly renders (main)"),
                ),
                ("/status", json!(status)),
                ("/error/code", code),
                ("/started_at", json!("2026-03-04T08:00:02Z")),
                ("/finished_at", json!("2026-03-04T08:15:36Z")),
                (
                    "/url",
                    json!("https://github.example.com/acme/studio/actions/runs/30433642"),
                ),
                ("/metadata/branch", json!("main")),
            ],
        )
    };
    let pipeline = |file, status, code| -> Row {
        (
            file,
            "gitlab",
            202,
            vec![
                (
                    "/title",
                    json!("acme/studio · Renders: Nightly renders (main)"),
                ),
                ("/status", json!(status)),
                ("/error/code", code),
                (
                    "/url",
                    json!("https://gitlab.example.com/acme/studio/-/pipelines/31"),
                ),
                ("/started_at", json!("2026-03-04T08:00:00Z")),
                ("/finished_at", json!("2026-03-04T08:15:36Z")),
            ],
        )
    };
    check(vec![
        run("github-workflow-run-success.json", "succeeded", Value::Null),
        run(
            "github-workflow-run-failure.json",
            "failed",
            json!("failure"),
        ),
        run(
            "github-workflow-run-canceled.json",
            "failed",
            json!("cancelled"),
        ),
        pipeline("gitlab-pipeline-success.json", "succeeded", Value::Null),
        pipeline(
            "gitlab-pipeline-failure.json",
            "failed",
            json!("script_failure"),
        ),
        pipeline("gitlab-pipeline-canceled.json", "failed", json!("canceled")),
    ])
    .await;
}

#[tokio::test]
async fn cloudevents_structured_binary_and_batched() {
    let server = server(
        "[hooks.h]\nkind = \"cloudevents\"\nunverified = true\n",
        SENT,
    );
    let post = |kind: &str, body: Vec<u8>| {
        server
            .post("/v1/hooks/h")
            .header("content-type", kind)
            .body(body)
    };
    let (status, said) = answer(post(
        "application/cloudevents+json; charset=utf-8",
        sample("cloudevents-structured-success.json"),
    ))
    .await;
    assert_eq!(
        (status, &said["id"]),
        (202, &json!("hook:h:succeeded:job-4711")),
        "{said}"
    );
    holds(
        &server,
        "structured",
        "hook:h:succeeded:job-4711",
        &[
            ("/size", json!("1024x768")),
            ("/prompt", json!("生成一张雨夜霓虹街道的插画")),
        ],
    )
    .await;
    for file in [
        "cloudevents-binary-success.json",
        "cloudevents-binary-failure.json",
    ] {
        let sample: Value = serde_json::from_slice(&sample(file)).unwrap();
        let mut request = server.post("/v1/hooks/h").body(sample["body"].to_string());
        for (name, value) in sample["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let (status, said) = answer(request).await;
        // The same event as in the other mode.
        assert_eq!(
            status,
            if file.contains("success") { 200 } else { 202 },
            "{file}: {said}"
        );
    }
    let batch = |body: Vec<u8>| answer(post("application/cloudevents-batch+json", body));
    let (status, said) = batch(sample("cloudevents-batch.json")).await;
    assert_eq!(
        (status, said.as_array().map(Vec::len)),
        (200, Some(2)),
        "{said}"
    );
    let mut mixed: Value = serde_json::from_slice(&sample("cloudevents-batch.json")).unwrap();
    mixed.as_array_mut().unwrap().push(json!({"specversion": "1.0", "id": "9", "source": "/farm", "type": "org.example.job.weird", "data": {}}));
    assert_eq!(batch(mixed.to_string().into_bytes()).await.0, 200);
    let (_, kept) = answer(server.get("/v1/hook-failures")).await;
    assert!(
        kept.to_string().contains("weird"),
        "unknown parts of a stored batch are kept: {kept}"
    );
    assert_eq!(batch(b"[]".to_vec()).await.0, 204);
    let (status, said) = batch(b"[{}]".to_vec()).await;
    assert_eq!(
        (status, &said["errors"][0]["pointer"]),
        (422, &json!("#/0/specversion"))
    );
    assert_eq!(
        answer(post("application/cloudevents+avro", b"{}".to_vec()))
            .await
            .0,
        415
    );
    assert_eq!(
        answer(post("application/json", b"{}".to_vec())).await.0,
        422,
        "no ce- headers"
    );
    let bare = |source: &str| json!({"specversion": "1.0", "id": "1", "source": source, "subject": "nightly", "type": "org.example.job.succeeded", "data": {"title": source}});
    for source in ["/a", "/b"] {
        let (status, said) = answer(post(
            "application/json",
            bare(source).to_string().into_bytes(),
        ))
        .await;
        assert_eq!(status, 202, "source and id together name an event: {said}");
    }
    assert_eq!(server.accepted().await, 4);
}
