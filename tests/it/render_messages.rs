//! Every message against its golden files (see `render`), and what holds for all of them: inert input, codes that can be copied, both parts.

use std::fmt::Write;
use std::path::PathBuf;

use jobbell::domain::{DeliveryId, Email, Event, MessageRequest, Recipient, Timestamp};
use jobbell::render::{Addressed, Renderer};
use serde_json::{Value, json};

use crate::render::{hostile, renderer};

fn now() -> Timestamp {
    "2026-01-01T00:00:10Z".parse().unwrap()
}

/// The message that a producer posts with this template and these parameters.
fn message(template: &str, locale: &str, params: &Value) -> MessageRequest {
    let value = json!({"id": "msg-20260101-0001", "to": "user@example.com", "template": template, "locale": locale, "params": params});
    MessageRequest::parse(&value, now()).unwrap_or_else(|errors| panic!("{errors:?}")).event
}

fn expiring(template: &str, locale: &str, expires_in: &str, params: &Value) -> MessageRequest {
    MessageRequest { expires_in: Some(expires_in.to_owned().try_into().unwrap()), ..message(template, locale, params) }
}

fn render_with(renderer: &Renderer, message: MessageRequest) -> Email {
    let recipient = Recipient::parse("user@example.com").unwrap();
    let addressed = Addressed {
        delivery: "019b76da-a800-7000-8000-000000000002".parse::<DeliveryId>().unwrap(),
        message_id: "019b76daa80070008000000000000002@example.com",
        recipient: &recipient,
        kind: message.letter.kind(),
        created_at: now(),
        pictures: None,
    };
    renderer.render(&Event::from(message), &addressed).unwrap()
}

fn render(message: MessageRequest) -> Email {
    render_with(&renderer(), message)
}

fn cases(locale: &str) -> Vec<(&'static str, MessageRequest)> {
    let zh = locale == "zh-CN";
    let say = |chinese: &'static str, english: &'static str| if zh { chinese } else { english };
    let html = say(
        "<p>您好，</p><p>本月用量 <b>1,024</b> 张，<a href=\"https://app.example.com/usage\">查看明细</a>。</p>",
        "<p>Hello,</p><p>you made <b>1,024</b> images this month, <a href=\"https://app.example.com/usage\">see them all</a>.</p>",
    );
    let reset = "https://app.example.com/reset?token=2b7f0c5e9a&user=42";
    vec![
        (
            "code",
            expiring(
                "verification_code",
                locale,
                "10m",
                &json!({"code": "483921", "purpose": say("登录", "sign in"), "app": say("绘影", "Studio"), "user": say("小王", "Ann")}),
            ),
        ),
        ("code-bare", message("verification_code", locale, &json!({"code": "G-83JX-77QA-P0Z4"}))),
        ("reset-link", expiring("password_reset", locale, "1h", &json!({"url": reset, "app": say("绘影", "Studio")}))),
        ("reset-both", message("password_reset", locale, &json!({"code": "483921", "url": reset}))),
        ("verify", expiring("verify_link", locale, "2d", &json!({"url": "https://app.example.com/verify/abc", "user": say("小王", "Ann")}))),
        (
            "notice",
            message(
                "system_notice",
                locale,
                &json!({"title": say("周六凌晨维护", "Maintenance on Saturday"), "message": say("周六 02:00 至 04:00 停机维护。\n排队中的任务会在之后继续。", "The service stops on Saturday from 02:00 to 04:00.\nQueued jobs go on afterwards."), "url": "https://status.example.com/42"}),
            ),
        ),
        (
            "plain-text",
            message(
                "plain",
                locale,
                &json!({"subject": say("用量报告", "Usage report"), "text": say("您好，\n\n本月共生成 1,024 张图片。\n", "Hello,\n\nyou made 1,024 images this month.\n")}),
            ),
        ),
        ("plain-html", message("plain", locale, &json!({"subject": say("用量报告", "Usage report"), "html": html}))),
        (
            "hostile",
            message(
                "system_notice",
                locale,
                &json!({"title": hostile()["title"], "message": hostile()["prompt"], "app": hostile()["title"].as_str().unwrap().chars().take(100).collect::<String>(), "user": "\u{202E}<b>{{ x }}\r\nBcc: x@example.com"}),
            ),
        ),
    ]
}

fn all() -> Vec<(String, Email)> {
    let of = |locale: &'static str| cases(locale).into_iter().map(move |(name, message)| (format!("message-{name}.{}", &locale[..2]), render(message)));
    of("zh-CN").chain(of("en")).collect()
}

#[test]
fn every_message_is_as_its_golden_files_show_it() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let update = std::env::var_os("JOBBELL_UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (name, email) in all() {
        let mut text = format!("Subject: {}\n", email.subject);
        for (name, value) in &email.headers {
            writeln!(text, "{name}: {value}").unwrap();
        }
        text.push('\n');
        text.push_str(&email.text);
        for (kind, found) in [("html", &email.html), ("txt", &text)] {
            let file = folder.join(format!("{name}.{kind}"));
            if update {
                std::fs::write(&file, found).unwrap();
            } else if std::fs::read_to_string(&file).ok().as_ref() != Some(found) {
                wrong.push(file);
            }
        }
    }
    assert!(wrong.is_empty(), "changed; JOBBELL_UPDATE_GOLDEN=1 writes them anew: {wrong:#?}");
}
