//! Compares every message with its golden files (see `render`), and checks their common rules:
//! inert input, codes that can be copied, both parts.

use std::fmt::Write;
use std::path::PathBuf;

use jobbell::domain::{DeliveryId, Email, Event, MessageRequest, Recipient, Timestamp};
use jobbell::render::{MailContext, Renderer};
use serde_json::{Value, json};

use crate::render::{hostile, renderer};

fn now() -> Timestamp {
    "2026-01-01T00:00:10Z".parse().unwrap()
}

/// The message posted with this template and these parameters.
fn message(template: &str, locale: &str, params: &Value) -> MessageRequest {
    let value = json!({"id": "msg-20260101-0001", "to": "user@example.com", "template": template, "locale": locale, "params": params});
    MessageRequest::parse(&value, now())
        .unwrap_or_else(|errors| panic!("{errors:?}"))
        .event
}

fn expiring(template: &str, locale: &str, expires_in: &str, params: &Value) -> MessageRequest {
    MessageRequest {
        expires_in: Some(expires_in.to_owned().try_into().unwrap()),
        ..message(template, locale, params)
    }
}

fn render_with(renderer: &Renderer, message: MessageRequest) -> Email {
    let recipient = Recipient::parse("user@example.com").unwrap();
    let context = MailContext {
        delivery: "019b76da-a800-7000-8000-000000000002"
            .parse::<DeliveryId>()
            .unwrap(),
        message_id: "019b76daa80070008000000000000002@example.com",
        recipient: &recipient,
        kind: message.content.kind(),
        created_at: now(),
        pictures: None,
    };
    renderer.render(&Event::from(message), &context).unwrap()
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
        (
            "code-bare",
            message(
                "verification_code",
                locale,
                &json!({"code": "G-83JX-77QA-P0Z4"}),
            ),
        ),
        (
            "reset-link",
            expiring(
                "password_reset",
                locale,
                "1h",
                &json!({"url": reset, "app": say("绘影", "Studio")}),
            ),
        ),
        (
            "reset-both",
            message(
                "password_reset",
                locale,
                &json!({"code": "483921", "url": reset}),
            ),
        ),
        (
            "verify",
            expiring(
                "verify_link",
                locale,
                "2d",
                &json!({"url": "https://app.example.com/verify/abc", "user": say("小王", "Ann")}),
            ),
        ),
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
        (
            "plain-html",
            message(
                "plain",
                locale,
                &json!({"subject": say("用量报告", "Usage report"), "html": html}),
            ),
        ),
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

pub(crate) fn all() -> Vec<(String, Email)> {
    let of = |locale: &'static str| {
        cases(locale).into_iter().map(move |(name, message)| {
            (format!("message-{name}.{}", &locale[..2]), render(message))
        })
    };
    of("zh-CN").chain(of("en")).collect()
}

#[test]
fn every_message_matches_its_golden_files() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let update = std::env::var_os("JOBBELL_UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (name, email) in all() {
        crate::render::keep_eml(&name, &email);
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
    assert!(
        wrong.is_empty(),
        "changed; JOBBELL_UPDATE_GOLDEN=1 writes them anew: {wrong:#?}"
    );
}

#[test]
fn code_can_be_copied_whole_and_starts_the_subject() {
    for code in ["483921", "G-83JX-77QA-P0Z4", &"x9".repeat(32), "<b>&amp;"] {
        for locale in ["zh-CN", "en"] {
            let email = render(message(
                "verification_code",
                locale,
                &json!({ "code": code }),
            ));
            assert!(
                email.subject.starts_with(&format!("{code} ")),
                "{}",
                email.subject
            );
            assert!(
                email.text.lines().any(|line| line.trim() == code),
                "{}",
                email.text
            );
            let escaped = code
                .replace('&', "&#38;")
                .replace('<', "&#60;")
                .replace('>', "&#62;");
            let place = email
                .html
                .lines()
                .find(|line| line.contains("user-select:all"))
                .unwrap();
            // The groups in which digits are displayed do not affect copying.
            let shown = place
                .replace("</span>", "")
                .replace("<span style=\"padding-left:12px\">", "");
            assert!(shown.contains(&format!(">{escaped}</td>")), "{place}");
        }
    }
}

#[test]
fn validity_is_shown_only_if_the_producer_sent_it() {
    let limited = expiring("verification_code", "en", "10m", &json!({"code": "1"}));
    let silent = message("verification_code", "en", &json!({"code": "1"}));
    let (limited, silent) = (render(limited), render(silent));
    for part in [&limited.text, &limited.html] {
        assert!(part.contains("Expires in 10 minutes (08:10)"), "{part}");
    }
    assert!(!silent.text.contains("Expires") && !silent.html.contains("Expires"));
    let days = render(expiring(
        "verify_link",
        "zh-CN",
        "2d",
        &json!({"url": "https://x.org"}),
    ));
    assert!(
        days.text.contains("2 天内有效（至 2026年1月3日 08:00）"),
        "{}",
        days.text
    );
}

#[test]
fn link_is_on_its_button_and_in_the_text() {
    let link = "https://app.example.com/reset?token=2b7f0c5e9a&user=42";
    for (template, params) in [
        ("password_reset", json!({ "url": link })),
        ("verify_link", json!({ "url": link })),
        (
            "system_notice",
            json!({"title": "t", "message": "m", "url": link}),
        ),
    ] {
        let email = render(message(template, "en", &params));
        assert!(
            email.text.lines().any(|line| line == link),
            "{}",
            email.text
        );
        assert_eq!(
            email
                .html
                .matches("href=\"https://app.example.com/reset?token=2b7f0c5e9a&#38;user=42\"")
                .count(),
            2,
            "{}",
            email.html
        );
    }
}

#[test]
fn plain_mail_has_both_parts_and_keeps_whole_documents() {
    let plain = |params: Value| render(message("plain", "en", &params));
    let document =
        "<!DOCTYPE html><html><body style=\"color:red\"><p>Hi &amp; bye</p></body></html>";
    let whole = plain(json!({"subject": "s", "html": document}));
    assert_eq!(whole.html, document);
    assert_eq!(whole.text, "Hi & bye\n");
    let piece = plain(json!({"subject": "s", "html": "<p>Hi <b>you</b></p>"}));
    assert!(
        piece.html.contains("<p>Hi <b>you</b></p>") && piece.html.trim_end().ends_with("</html>")
    );
    let text = plain(json!({"subject": "s", "text": "a <b>\n{{ x }}"}));
    assert!(
        text.html.contains("a &lt;b&gt;\n{{ x }}") && text.text.contains("a <b>\n{{ x }}"),
        "{}",
        text.html
    );
    let both = plain(json!({"subject": "s", "text": "the text", "html": "<p>the html</p>"}));
    assert!(
        both.text.contains("the text")
            && !both.text.contains("the html")
            && !both.html.contains("<p class=\"ink\">the text")
    );
}

#[test]
fn hostile_parameters_stay_inert_in_every_message() {
    let text = hostile()["prompt"].as_str().unwrap().to_owned();
    let name: String = text.chars().take(100).collect();
    let emoji = "👩\u{200D}🚀".repeat(10_000);
    let emoji: String = emoji.chars().take(4_000).collect();
    for (template, params) in [
        (
            "verification_code",
            json!({"code": "<i>&\"'", "purpose": name, "app": name, "user": name}),
        ),
        (
            "password_reset",
            json!({"url": "https://x.org/%22%3E?a='b'&c=<d>", "app": name, "user": name}),
        ),
        (
            "verify_link",
            json!({"url": "https://x.org/\"><script>", "app": name, "user": name}),
        ),
        (
            "system_notice",
            json!({"title": name, "message": text, "app": name, "user": name}),
        ),
        (
            "system_notice",
            json!({"title": emoji.chars().take(200).collect::<String>(), "message": emoji}),
        ),
        (
            "plain",
            json!({"subject": text.chars().take(500).collect::<String>(), "text": text, "app": name}),
        ),
    ] {
        let email = render(message(template, "en", &params));
        let whole = [&email.subject, &email.text, &email.html]
            .map(String::as_str)
            .concat();
        assert!(
            !whole.contains(['\0', '\u{7}', '\r', '\u{202E}', '\u{2066}'])
                && email.subject.lines().count() == 1,
            "{template}"
        );
        assert!(
            !email.html.contains("<script")
                && !email.html.contains("<img")
                && !email.html.contains("<i>"),
            "{}",
            email.html
        );
        let from = jobbell::domain::Mailbox::parse("me@example.com").unwrap();
        let wire = jobbell::transport::compose::message(
            &email,
            jobbell::transport::compose::SenderIdentity {
                from: &from,
                reply_to: &[],
            },
        )
        .unwrap();
        let parsed = mail_parser::MessageParser::default().parse(&wire).unwrap();
        let count = |name: &str| {
            parsed
                .headers()
                .iter()
                .filter(|header| header.name().eq_ignore_ascii_case(name))
                .count()
        };
        assert_eq!(
            (
                count("Subject"),
                count("Bcc"),
                count("To"),
                parsed.subject()
            ),
            (1, 0, 1, Some(email.subject.as_str())),
            "{template}"
        );
        assert_eq!(
            parsed.body_text(0).unwrap().replace("\r\n", "\n"),
            email.text
        );
    }
}

#[test]
fn codes_are_grouped_without_ids_and_name_their_purpose() {
    let mail = |locale, params: &Value| render(message("verification_code", locale, params));
    let code = mail(
        "en",
        &json!({"code": "483921", "purpose": "sign in", "app": "Studio"}),
    );
    assert!(
        code.html
            .contains(">483<span style=\"padding-left:12px\">921</span></td>"),
        "{}",
        code.html
    );
    assert!(
        code.text.starts_with("Your sign-in code\n")
            && code.html.contains(">Your sign-in code</h1>"),
        "{}",
        code.text
    );
    for part in [&code.text, &code.html] {
        assert!(
            !part.contains("msg-20260101-0001") && !part.contains("For: "),
            "{part}"
        );
    }
    let chinese = mail(
        "zh-CN",
        &json!({"code": "4839", "purpose": "登录", "app": "绘影"}),
    );
    assert_eq!(chinese.subject, "4839 是您的绘影验证码");
    assert!(
        chinese.text.contains("您的登录验证码")
            && chinese.text.contains("请在绘影中输入")
            && chinese.html.contains(">4839</td>"),
        "{}",
        chinese.text
    );
}

#[test]
fn notice_set_in_columns_keeps_its_spaces() {
    let table = "queue      waiting\nurgent           0\nnormal          12";
    let email = render(message(
        "system_notice",
        "en",
        &json!({"title": "Nightly", "message": table}),
    ));
    assert!(email.text.contains(table), "{}", email.text);
    assert!(
        email.html.contains(&format!(
            "white-space:pre-wrap;font:13px/20px Menlo,Consolas,monospace\">{table}</pre>"
        )),
        "{}",
        email.html
    );
}
