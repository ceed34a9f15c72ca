//! Compares every mail with its golden files: `golden/<case>.<locale>.html` (open it in a browser)
//! and `.txt` (subject, headers, text part).
//!
//! After an intended change: `JOBBELL_UPDATE_GOLDEN=1 cargo test --test it render`, then review the
//! diff and run `tests/screenshots.py`.

pub(crate) mod messages;
pub(crate) mod rules;
mod templates;
mod thumbnails;

use std::fmt::Write;
use std::path::PathBuf;

use jobbell::domain::{
    DeliveryId, Email, Event, JobEvent, JobStatus, Link, Locale, MailKind, Mailbox, Recipient,
    ThumbnailResult, Timestamp,
};
use jobbell::render::{MailContext, Renderer, Settings};
use serde_json::{Value, json};

/// An event with its language.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) locale: Locale,
    pub(crate) event: JobEvent,
}

pub(crate) fn renderer() -> Renderer {
    Renderer::new(settings())
}

pub(crate) fn settings() -> Settings {
    Settings {
        locale: Locale::ZhCn,
        timezone: jiff::tz::TimeZone::get("Asia/Shanghai").unwrap(),
        public_url: Some(Link::parse("https://img.example.com").unwrap()),
        subject_prefix: String::new(),
        brand: jobbell::render::Brand::default(),
        privacy: jobbell::render::privacy::Privacy::default(),
        user_templates: None,
        from: Mailbox::parse("绘影 <notify@example.com>").unwrap(),
        reply_to: Vec::new(),
    }
}

pub(crate) fn job(event: &Value) -> JobEvent {
    serde_json::from_value(event.clone()).unwrap()
}

/// Renders the mail of one event, as a delivery with fixed IDs.
pub(crate) fn render_with(renderer: &Renderer, job: JobEvent) -> Email {
    render_captured(renderer, job, None)
}

/// The same with the thumbnails of the event's images.
pub(crate) fn render_captured(
    renderer: &Renderer,
    job: JobEvent,
    pictures: Option<&[ThumbnailResult]>,
) -> Email {
    let kind = match job.status {
        JobStatus::Succeeded => MailKind::Success,
        JobStatus::Failed => MailKind::Failure,
    };
    let recipient = Recipient::parse("user@example.com").unwrap();
    let context = MailContext {
        delivery: "019b76da-a800-7000-8000-000000000001"
            .parse::<DeliveryId>()
            .unwrap(),
        message_id: "019b76daa80070008000000000000001@example.com",
        recipient: &recipient,
        kind,
        created_at: "2026-01-01T00:00:10Z".parse::<Timestamp>().unwrap(),
        pictures,
    };
    renderer
        .render(&Event::Job(Box::new(job)), &context)
        .unwrap()
}

pub(crate) fn render(job: JobEvent) -> Email {
    render_with(&renderer(), job)
}

fn images(count: usize) -> Value {
    let image = |n: usize| json!({"url": format!("https://img.example.com/out/night-{n}.png"), "width": 1024, "height": 768, "file_size": 245_760 + n * 10_000});
    (1..=count).map(image).collect()
}

fn full(extra: &Value) -> Value {
    let mut event = json!({
        "id": "gen-20260101-0001", "status": "succeeded", "job_id": "42",
        "prompt": "一只可爱的小猫坐在窗台上，窗外是雨后的城市，柔和的晨光，胶片质感",
        "prompt_translated": "A cute little kitten on a window sill, the city after rain outside, soft morning light, film grain",
        "negative_prompt": "模糊, 低质量, 多余的手指",
        "model": "google/gemini-2.5-flash-image-preview:free", "size": "1024x1024", "format": "png", "seed": 7, "steps": 30,
        "images": [{"url": "https://img.example.com/out/kitten.png?sig=a&exp=1", "width": 1024, "height": 1024, "file_size": 245_760}],
        "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:08.400Z"
    });
    for (name, value) in extra.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn failed(extra: &Value) -> Value {
    let mut event = full(&json!({"id": "gen-20260101-0002", "status": "failed", "images": []}));
    for (name, value) in extra.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// Attempts to break out: markup, template tags, header lines, bidirectional controls, NUL, an
/// endless word.
pub(crate) fn hostile() -> Value {
    let text = "a\r\nBcc: x@example.com\r\n\r\n</td></table><script>alert(1)</script>{{ 7*7 }}{% include \"/etc/passwd\" %} \u{202E}gnp.exe\u{2066}\u{0}\u{7} \
                \" onload='x' <img src=x onerror=alert(1)> javascript:alert(1) &lt;b&gt;";
    json!({
        "id": "evt-\"<b>&'--><!--", "job_id": format!("<i>{}", "x".repeat(300)), "title": text, "prompt": format!("{text} {}", "W".repeat(200)),
        "prompt_translated": text, "negative_prompt": text, "model": text, "format": text, "error": {"code": text, "message": text},
        "images": [{"url": "https://img.example.com/%22%3E%3Cscript%3E?a='b'&c=d"}, {"local_path": "/a\"><script>/../x.png"}]
    })
}

/// Program output, in which white space matters.
const TRACEBACK: &str = "epoch 3/5\tloss 0.1234\nTraceback (most recent call last):\n  File \"train.py\", line 42, in <module>\n    \
    main(parse_args())\n  File \"train.py\", line 17, in main\n    loss = model(batch)\n           ^^^^^^^^^^^^\n\
    RuntimeError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 23.64 GiB of which 1.05 GiB is free.\n";
const TABLE: &str = "check          state    detail\n-------------  -------  --------------------\ndisk /         ok       41 % used\n\
    disk /data     failed   98 % used\nreplication    late     312 s behind the primary\n";

/// The same event as an English speaker would have posted it.
fn translate(event: &mut JobEvent) {
    let title = |title: &str| match title {
        "窗台上的小猫" => "Kitten on the window sill".to_owned(),
        "夜间批量" => "Night batch".to_owned(),
        "海报" => "Poster".to_owned(),
        other => other.to_owned(),
    };
    event.title = event.title.as_deref().map(title);
    let times = match &event.prompt {
        Some(prompt) if prompt.starts_with("霓虹") => 1_000,
        Some(prompt) if prompt.starts_with("一只") => 1,
        _ => 0,
    };
    if times > 0 {
        event.prompt = Some("A cute little kitten on a window sill, the city after rain outside, soft morning light, film grain. ".repeat(times));
        event.prompt_translated = None;
        event.negative_prompt = Some("blurry, low quality, extra fingers".to_owned());
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let long = "霓虹灯下的雨夜街道，一位撑着透明雨伞的女孩回头微笑，背景是模糊的车灯与水面倒影。"
        .repeat(850);
    let hostile_failure = {
        let mut event = failed(&hostile());
        event["images"] = json!([]);
        event
    };
    let events: Vec<(&'static str, Value)> = vec![
        ("success-one", full(&json!({"title": "窗台上的小猫"}))),
        (
            "success-untitled",
            full(&json!({"prompt_translated": null, "negative_prompt": null})),
        ),
        (
            "success-three",
            full(&json!({"title": "夜间批量", "images": images(3), "size": "1024x768"})),
        ),
        (
            "success-many",
            full(
                &json!({"title": "夜间批量", "images": images(12), "size": "1024x768", "finished_at": "2026-01-01T00:03:05Z"}),
            ),
        ),
        (
            "success-no-image",
            full(&json!({"title": "只有文件", "images": [], "seed": null})),
        ),
        (
            "success-local-path",
            full(&json!({"images": [{"local_path": "/static/images/小猫 1.png"}], "size": null})),
        ),
        (
            "success-portrait",
            full(
                &json!({"title": "海报", "size": "832x1216", "images": [{"url": "https://img.example.com/out/poster-portrait.png", "width": 832, "height": 1216}]}),
            ),
        ),
        ("success-long-prompt", full(&json!({"prompt": long}))),
        ("success-hostile", full(&hostile())),
        (
            "success-broken",
            full(
                &json!({"title": "海报", "images": [{"url": "https://img.example.com/out/broken.png", "width": 1024, "height": 768}]}),
            ),
        ),
        (
            "success-sensitive",
            full(&json!({"title": "海报", "sensitive": true})),
        ),
        (
            "success-rtl",
            full(
                &json!({"title": "قطة صغيرة على النافذة", "prompt": "قطة صغيرة لطيفة تجلس على حافة النافذة، والمدينة بعد المطر في الخارج، ضوء الصباح الناعم", "prompt_translated": null, "negative_prompt": null}),
            ),
        ),
        (
            "success-minimal",
            json!({"id": "019b76da-a800-7abc-8def-0123456789ab", "id_generated": true, "status": "succeeded"}),
        ),
        (
            "failure-full",
            failed(
                &json!({"title": "窗台上的小猫", "error": {"code": "NSFW", "message": "The output was flagged by the safety filter and was not returned."}}),
            ),
        ),
        (
            "failure-message-only",
            failed(
                &json!({"error": {"message": "上游服务超时：等待 120 秒后没有结果。\n请求编号 req_8f3a91c2"}, "prompt_translated": null}),
            ),
        ),
        (
            "failure-run",
            json!({"id": "019b76da-a800-7abc-8def-0123456789ad", "id_generated": true, "status": "failed", "title": "python3 train.py",
                "command": "python3 train.py --epochs …", "host": "gpu-07", "error": {"code": "exit 1", "message": TRACEBACK},
                "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T01:12:05Z"}),
        ),
        (
            "failure-table",
            json!({"id": "019b76da-a800-7abc-8def-0123456789ae", "id_generated": true, "status": "failed", "error": {"message": TABLE}}),
        ),
        ("failure-hostile", hostile_failure),
        (
            "failure-minimal",
            json!({"id": "019b76da-a800-7abc-8def-0123456789ac", "id_generated": true, "status": "failed"}),
        ),
    ];
    let in_each = |locale| {
        events.iter().map(move |(name, event)| {
            let mut event = job(event);
            event.locale = Some(locale);
            if locale == Locale::En {
                translate(&mut event);
            }
            Case {
                name,
                locale,
                event,
            }
        })
    };
    in_each(Locale::ZhCn).chain(in_each(Locale::En)).collect()
}

/// Writes the mail as sent, for `SpamAssassin` and caniemail in `tests/run.sh`.
pub(crate) fn keep_eml(name: &str, email: &Email) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mails");
    let origin = jobbell::transport::compose::SenderIdentity {
        from: &email.from,
        reply_to: &[],
    };
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join(format!("{name}.eml")),
        jobbell::transport::compose::message(email, origin).unwrap(),
    )
    .unwrap();
}

#[test]
fn every_mail_matches_its_golden_files() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let update = std::env::var_os("JOBBELL_UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for case in cases() {
        let email = render(case.event);
        keep_eml(&format!("{}.{}", case.name, case.locale), &email);
        let mut text = format!("Subject: {}\n", email.subject);
        for (name, value) in &email.headers {
            writeln!(text, "{name}: {value}").unwrap();
        }
        text.push('\n');
        text.push_str(&email.text);
        for (kind, found) in [("html", &email.html), ("txt", &text)] {
            let file = folder.join(format!(
                "{}.{}.{kind}",
                case.name,
                if case.locale == Locale::En {
                    "en"
                } else {
                    "zh"
                }
            ));
            if update {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&file, found).unwrap();
            } else if std::fs::read_to_string(&file).unwrap_or_default() != *found {
                wrong.push(file);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "differ from what was rendered (JOBBELL_UPDATE_GOLDEN=1 rewrites them): {wrong:#?}"
    );
}
