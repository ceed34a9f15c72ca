//! Rules for every mail: size, contrast, alternative texts, inert hostile input, plain headers.

use std::collections::BTreeMap;

use jobbell::domain::{DeliveryId, Email, JobEvent, Link, Locale, MailKind, Timestamp};
use jobbell::render::colour::Colour;
use jobbell::render::lint::{Finding, Level, lint};
use jobbell::render::privacy::{Privacy, Prompts};
use jobbell::render::text::columns;
use jobbell::render::user_templates::samples;
use jobbell::render::{Brand, MailContext, Renderer, view::View};
use serde_json::{Value, json};

use crate::render::{cases, hostile, job, render, render_with, renderer, settings};

/// Every start tag with its attributes, parsed as strictly as our templates write it: attributes in
/// double quotes, comments closed.
fn every_tag(html: &str) -> Vec<(&str, BTreeMap<&str, &str>)> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        if rest.starts_with("<!--") {
            rest = &rest[rest.find("-->").expect("a closed comment") + 3..];
            continue;
        }
        let end = rest.find('>').expect("a closed tag");
        let inside = &rest[1..end];
        rest = &rest[end + 1..];
        let name = inside.split(' ').next().unwrap();
        if !name.starts_with('/') {
            let parts: Vec<&str> = inside[name.len()..].split('"').collect();
            let attributes = parts.chunks(2).filter(|pair| pair.len() == 2);
            tags.push((
                name,
                attributes
                    .map(|pair| (pair[0].trim().trim_end_matches('='), pair[1]))
                    .collect(),
            ));
        }
    }
    tags
}

pub(crate) fn tags<'a>(html: &'a str, name: &str) -> Vec<BTreeMap<&'a str, &'a str>> {
    every_tag(html)
        .into_iter()
        .filter(|(tag, _)| *tag == name)
        .map(|(_, attributes)| attributes)
        .collect()
}

/// The largest events that intake accepts: every text long and full of characters that grow when
/// escaped.
fn heavy() -> Vec<Value> {
    let long = "<\"&'\n".repeat(20_000);
    let emoji = "👩\u{200D}🚀".repeat(10_000);
    let links = |length: usize| -> Value {
        (0..100).map(|n| json!({"url": format!("https://img.example.com/{n}?{}", "a&".repeat(length / 2))})).collect()
    };
    let paths: Value = (0..100)
        .map(|n| json!({"local_path": format!("/<{}/{n}", "'".repeat(1_000))}))
        .collect();
    let event = |text: &str, images: Value, status: &str| {
        json!({"id": "\"".repeat(200), "status": status, "title": text, "prompt": text, "prompt_translated": text, "negative_prompt": text, "model": text, "format": text,
            "job_id": text, "size": "1000000x1000000", "images": images, "error": {"code": text, "message": text}})
    };
    vec![
        event(&long, links(60), "succeeded"),
        event(&long, links(700), "failed"),
        event(&long, links(4_000), "failed"),
        event(&emoji, links(400), "failed"),
        event(&long, paths, "failed"),
    ]
}

fn all() -> Vec<(String, Email)> {
    let golden = cases()
        .into_iter()
        .map(|case| (format!("{} {}", case.name, case.locale), render(case.event)));
    let heavy = heavy()
        .into_iter()
        .enumerate()
        .map(|(n, event)| (format!("heavy {n}"), render(job(&event))));
    golden
        .chain(heavy)
        .chain(crate::render::messages::all())
        .collect()
}

#[test]
fn html_of_every_mail_is_below_60_kilobytes() {
    for (name, email) in all() {
        assert!(email.html.len() < 60_000, "{name}: {}", email.html.len());
        assert!(
            email.html.trim_end().ends_with("</body>\n</html>"),
            "{name}"
        );
        assert!(email.text.len() < 200_000, "{name}: {}", email.text.len());
    }
}

#[test]
fn images_have_alt_text_and_size_and_links_are_http() {
    for (name, email) in all() {
        for image in tags(&email.html, "img") {
            let pixels = |key| {
                image
                    .get(key)
                    .and_then(|value| value.parse::<u32>().ok())
                    .unwrap_or(0)
            };
            assert!(
                !image["alt"].is_empty() && pixels("width") > 0 && pixels("height") > 0,
                "{name}: {image:?}"
            );
            assert!(pixels("width") <= 534, "{name}");
            assert!(
                image["alt"].replace("&#38;", "&").chars().count() <= 125 * 5,
                "{name}"
            );
        }
        assert!(tags(&email.html, "img").len() <= 8, "{name}");
        for link in tags(&email.html, "a")
            .iter()
            .map(|a| a["href"])
            .chain(tags(&email.html, "img").iter().map(|img| img["src"]))
        {
            assert!(
                link.starts_with("https://") || link.starts_with("http://"),
                "{name}: {link}"
            );
        }
        assert!(
            !email.html.contains("data:") && !email.html.contains("<script"),
            "{name}"
        );
    }
}

#[test]
fn linter_finds_nothing_in_any_mail() {
    for (name, email) in all() {
        let findings: Vec<_> = lint(&email)
            .into_iter()
            .filter(|finding| finding.rule != "insecure-link")
            .collect();
        assert!(findings.is_empty(), "{name}: {findings:#?}");
    }
    for sample in samples() {
        let email = renderer().render(&sample.event, &sample.context()).unwrap();
        assert_eq!(
            lint(&email),
            [],
            "{} {} {}",
            sample.mail,
            sample.name,
            sample.locale
        );
    }
}

#[test]
fn text_is_readable_without_style_sheets() {
    // A plain mail is written by its producer and has no style sheet.
    for (name, mut email) in all()
        .into_iter()
        .filter(|(name, _)| !name.contains("plain"))
    {
        let (before, rest) = email.html.split_once("<style>\n").expect("a style sheet");
        let (sheet, after) = rest.split_once("</style>").expect("an end of it");
        assert!(sheet.contains("prefers-color-scheme:dark"));
        email.html = [before, "<style>", "</style>", after].concat();
        assert_eq!(
            lint(&email)
                .iter()
                .filter(|finding| finding.level == Level::Error)
                .collect::<Vec<_>>(),
            Vec::<&Finding>::new(),
            "{name}"
        );
    }
}

#[test]
fn any_brand_renders_without_findings() {
    for accent in [
        "#ffcc00", "#1a1a2e", "#767676", "#ffffff", "#000000", "#e60012",
    ] {
        let mut settings = settings();
        settings.brand = Brand {
            name: Some("A <b> \"Studio\"".to_owned()),
            logo: Some(Link::parse("https://img.example.com/logo.png?a=1&b=2").unwrap()),
            accent: Some(Colour::parse(accent).unwrap()),
            footer: Some("Line one <script>\nLine two".to_owned()),
        };
        let renderer = Renderer::new(settings);
        for case in cases() {
            let email = render_with(&renderer, case.event);
            assert_eq!(lint(&email), [], "{accent} {}", case.name);
            assert!(
                email.html.contains("A &#60;b&#62; &#34;Studio&#34;")
                    && email.html.contains("Line one &lt;script&gt;<br>Line two")
            );
            assert!(
                email
                    .html
                    .contains("src=\"https://img.example.com/logo.png?a=1&#38;b=2\"")
                    && email.text.contains("Line one <script>\nLine two\n")
            );
        }
    }
}

#[test]
fn a_usual_mail_is_small() {
    for case in cases()
        .into_iter()
        .filter(|case| case.name == "success-one" || case.name == "failure-full")
    {
        let email = render(case.event);
        assert!(
            email.html.len() < 6_500,
            "{}: {}",
            case.name,
            email.html.len()
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
        assert!(
            wire.len()
                < if case.locale == Locale::En {
                    9_000
                } else {
                    11_000
                },
            "{} {}: {}",
            case.name,
            case.locale,
            wire.len()
        );
    }
}

#[test]
fn prompts_are_shown_as_configured_and_as_the_event_allows() {
    let event = json!({"id": "e", "status": "succeeded", "locale": "en", "prompt": format!("begin {} end", "word ".repeat(30)), "negative_prompt": "secret too",
        "images": [{"url": "https://x.org/1.png"}], "model": "m"});
    let mail = |prompts, in_subject, sensitive: bool| {
        let mut settings = settings();
        settings.privacy = Privacy {
            prompts,
            in_subject,
        };
        let mut event = event.clone();
        event["sensitive"] = sensitive.into();
        let email = render_with(&Renderer::new(settings), job(&event));
        assert_eq!(lint(&email), []);
        email
    };
    let says = |email: &Email, text: &str| {
        [&email.subject, &email.text, &email.html].map(|part| part.contains(text))
    };
    let full = mail(Prompts::Full, false, false);
    assert_eq!(
        (
            says(&full, "begin"),
            says(&full, "end"),
            says(&full, "secret too")
        ),
        (
            [false, true, true],
            [false, true, true],
            [false, true, true]
        )
    );
    let short = mail(Prompts::Short, true, false);
    assert_eq!(
        (says(&short, "begin"), says(&short, " end")),
        ([true; 3], [false; 3])
    );
    assert!(
        short.text.contains("word…")
            && short.html.contains("word…")
            && short.html.contains("alt=\"begin"),
        "{}",
        short.text
    );
    let hidden = mail(Prompts::Hidden, true, false);
    let sensitive = mail(Prompts::Full, true, true);
    for email in [&hidden, &sensitive] {
        assert_eq!(
            (says(email, "begin"), says(email, "secret")),
            ([false; 3], [false; 3]),
            "{}",
            email.text
        );
        assert_eq!(email.subject, "Image ready: m");
    }
    assert!(hidden.html.contains("alt=\"Image\""));
    assert_eq!(
        (
            says(&sensitive, "Marked as sensitive"),
            says(&hidden, "Prompt")
        ),
        ([false, true, true], [false; 3])
    );
    assert!(
        !mail(Prompts::Hidden, false, true)
            .text
            .contains("sensitive"),
        "a hidden prompt is not even mentioned"
    );
    let refused = json!({"id": "e", "status": "failed", "locale": "en", "prompt": "SECRET", "negative_prompt": " SECRET too ",
        "error": {"code": "NSFW", "message": "blocked: SECRET, without SECRET too"}});
    for (prompts, sensitive, is_shown) in [
        (Prompts::Full, false, true),
        (Prompts::Short, false, true),
        (Prompts::Hidden, false, false),
        (Prompts::Full, true, false),
    ] {
        let mut settings = settings();
        settings.privacy = Privacy {
            prompts,
            in_subject: false,
        };
        let mut event = refused.clone();
        event["sensitive"] = sensitive.into();
        let email = render_with(&Renderer::new(settings), job(&event));
        assert_eq!(
            (
                says(&email, "SECRET"),
                says(&email, "blocked: …, without …")
            ),
            ([false, is_shown, is_shown], [true, !is_shown, !is_shown]),
            "{}",
            email.text
        );
    }
    // In any other place and spelling in which a service repeats it.
    let prompt = "A portrait of\nJane Doe, oil";
    for (title, code, message) in [
        (prompt, "bad prompt: a portrait of Jane Doe, oil", "refused"),
        (
            "Portrait 7",
            "NSFW",
            "{\"prompt\":\"A portrait of\\nJane Doe, oil\"}",
        ),
        ("Done: A PORTRAIT OF  JANE DOE, OIL", "NSFW", "no"),
    ] {
        for status in ["failed", "succeeded"] {
            let mut settings = settings();
            settings.privacy = Privacy {
                prompts: Prompts::Hidden,
                in_subject: false,
            };
            let event = json!({"id": "e", "status": status, "locale": "en", "prompt": prompt, "title": title, "images": [{"url": "https://x.org/1.png"}],
                "error": {"code": code, "message": message}});
            let email = render_with(&Renderer::new(settings), job(&event));
            for part in [&email.subject, &email.text, &email.html] {
                assert!(
                    !part.to_lowercase().contains("jane"),
                    "{status} {title}: {part}"
                );
            }
        }
    }
}

#[test]
fn text_part_is_complete_and_fits_its_line_width() {
    for (name, email) in all() {
        assert!(
            email.text.ends_with('\n') && !email.text.contains("\n\n\n"),
            "{name}: {:?}",
            email.text
        );
        assert!(
            !email.text.chars().any(|c| c.is_control() && c != '\n'),
            "{name}"
        );
        for line in email.text.lines() {
            assert!(
                columns(line) <= 76 || line.contains("://") || email.html.contains("<pre"),
                "{name}: {line}"
            );
        }
    }
    let failure = cases()
        .into_iter()
        .find(|case| case.name == "failure-full" && case.locale == Locale::En)
        .unwrap();
    let text = render(failure.event).text;
    for part in [
        "Generation failed",
        "NSFW",
        "flagged by the safety filter",
        "kitten",
        "gemini",
        "1024×1024",
        "30",
        "8.4 s",
        "gen-20260101-0002",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn hostile_input_stays_inert() {
    let mut event = hostile();
    for status in ["succeeded", "failed"] {
        event["status"] = status.into();
        let email = render(job(&event));
        assert!(!email.subject.contains(['\r', '\n', '\0']) && email.subject.lines().count() == 1);
        let whole = [&email.subject, &email.text, &email.html]
            .map(String::as_str)
            .concat();
        assert!(!whole.contains(['\0', '\u{7}', '\r', '\u{202E}', '\u{2066}']));
        assert!(
            whole.contains("{{ 7*7 }}"),
            "template marks are text like any other"
        );
        let known = [
            "html", "head", "meta", "title", "style", "body", "div", "table", "tr", "th", "td",
            "h1", "h2", "p", "a", "b", "img", "pre", "span", "br", "wbr", "!DOCTYPE",
        ];
        for (name, attributes) in every_tag(&email.html) {
            assert!(known.contains(&name), "{name}");
            assert!(
                !attributes.keys().any(|key| key.starts_with("on")),
                "{attributes:?}"
            );
        }
        assert!(
            email
                .headers
                .iter()
                .all(|(_, value)| value.bytes().all(|b| (0x20..0x7F).contains(&b)))
        );
        assert!(
            !email.headers.iter().any(|(name, _)| *name == "X-Job-Id"),
            "an id that is too long for a header is left out of it"
        );
    }
}

#[test]
fn subject_names_the_job_but_never_the_prompt() {
    let subject = |event: Value| render(job(&event)).subject;
    let zh = json!({"id": "e1", "status": "succeeded", "title": "夜间批量", "prompt": "秘密",
        "images": [{"url": "https://x.org/1"}, {"url": "https://x.org/2"}, {"url": "https://x.org/3"}]});
    assert_eq!(subject(zh), "图片已生成：夜间批量（3 张）");
    assert_eq!(
        subject(
            json!({"id": "e1", "status": "succeeded", "locale": "en", "model": "m/x", "size": "8x9", "prompt": "secret"})
        ),
        "Image ready: m/x (8×9)"
    );
    assert_eq!(
        subject(json!({"id": "e1", "status": "failed", "size": "8x9", "prompt": "秘密"})),
        "生成失败：8×9"
    );
    assert_eq!(
        subject(json!({"id": "e1", "status": "failed", "locale": "en", "job_id": "42"})),
        "Job failed: Job 42"
    );
    assert_eq!(
        subject(json!({"id": "nightly-7", "status": "succeeded", "locale": "en"})),
        "Job done: nightly-7"
    );
    for (name, email) in all() {
        assert!(columns(&email.subject) <= 78, "{name}: {}", email.subject);
    }
}

#[test]
fn canceled_job_is_labelled_and_a_success_shows_its_message() {
    let mail = |event: Value| render(job(&event));
    for code in ["canceled", "Cancelled", "aborted"] {
        let canceled = mail(
            json!({"id": "e", "status": "failed", "locale": "en", "title": "T", "error": {"code": code}}),
        );
        assert!(
            canceled.subject.starts_with("Job canceled: T")
                && canceled.html.contains("Job canceled"),
            "{}",
            canceled.subject
        );
    }
    assert!(
        mail(
            json!({"id": "e", "status": "failed", "locale": "zh-CN", "error": {"code": "canceled"}})
        )
        .subject
        .starts_with("任务已取消")
    );
    let rendered = mail(
        json!({"id": "e", "status": "succeeded", "locale": "en", "error": {"message": "two of four parts failed"}}),
    );
    assert!(
        rendered.subject.starts_with("Job done")
            && rendered.html.contains("two of four parts failed")
            && rendered.text.contains("\ntwo of four parts failed\n")
    );
    let untitled = mail(
        json!({"id": "e", "id_generated": true, "status": "failed", "locale": "en", "error": {"code": "canceled"}}),
    );
    assert_eq!(untitled.subject, "Job canceled");
}

#[test]
fn subjects_have_no_generated_ids_and_name_the_reason() {
    let subject = |locale: &str, event: Value| {
        let mut parsed = JobEvent::parse(&event, Timestamp::from_millis(0))
            .unwrap()
            .event;
        parsed.locale = locale.parse().ok();
        let email = render(parsed.clone());
        assert!(
            !email.subject.contains(parsed.id.as_str()),
            "{}",
            email.subject
        );
        email.subject
    };
    let done = json!({"status": "succeeded", "prompt": "a cat", "images": [{"url": "https://x.org/1.png"}]});
    assert_eq!(
        [subject("en", done.clone()), subject("zh-CN", done)],
        ["Image ready", "图片已生成"]
    );
    assert_eq!(
        [
            subject("en", json!({"status": "succeeded"})),
            subject("zh-CN", json!({"status": "failed"}))
        ],
        ["Job done", "任务失败"]
    );
    let failed = json!({"status": "failed", "error": "out of memory\nat step 3"});
    assert_eq!(
        [subject("en", failed.clone()), subject("zh-CN", failed)],
        ["Job failed: out of memory", "任务失败：out of memory"]
    );
    assert_eq!(
        subject("en", json!({"status": "failed", "error": {"code": "OOM"}})),
        "Job failed: OOM"
    );
    assert_eq!(
        subject(
            "en",
            json!({"status": "failed", "error": "Traceback:\n  File \"a.py\"\nValueError: bad shape\n"})
        ),
        "Job failed: ValueError: bad shape"
    );
    let repeated =
        json!({"status": "failed", "prompt": "a secret wish", "error": "refused: a secret wish"});
    assert_eq!(subject("en", repeated), "Generation failed: refused: …");
    let two = json!({"status": "succeeded", "images": [{"url": "https://x.org/1.png"}, {"url": "https://x.org/2.png"}]});
    assert_eq!(subject("en", two), "Images ready (2 images)");
    let long = json!({"status": "failed", "error": "x".repeat(500)});
    assert!(columns(&subject("zh-CN", long)) <= 78);
}

#[test]
fn program_output_keeps_spaces_and_last_lines() {
    let lines: Vec<String> = (1..=100)
        .map(|number| format!("  step {number:>5}   ok"))
        .collect();
    let output = format!(
        "{}\n\tat Main.run(<Main>:3)\nValueError: bad shape",
        lines.join("\n")
    );
    for event in [
        json!({"error": {"code": "exit 3", "message": output}}),
        json!({"command": "make all", "error": output}),
    ] {
        let mut event = event;
        (event["id"], event["status"], event["locale"]) =
            (json!("e"), json!("failed"), json!("en"));
        event["error"] = if event["error"].is_string() {
            json!({"message": event["error"]})
        } else {
            event["error"].clone()
        };
        let email = render(job(&event));
        let kept = "  step   100   ok\n        at Main.run(";
        assert!(
            email.text.contains(kept) && email.html.contains(kept),
            "{}",
            email.text
        );
        assert!(
            email.text.contains("… 62 earlier lines not shown")
                && !email.text.contains("step    62 "),
            "{}",
            email.text
        );
        assert!(
            email.html.contains("white-space:pre-wrap")
                && email
                    .html
                    .contains("font-weight:600\">ValueError: bad shape</p>"),
            "{}",
            email.html
        );
        assert!(
            !email.text.to_lowercase().contains("prompt"),
            "{}",
            email.text
        );
        assert!(email.html.find("ValueError").unwrap() < email.html.find("<pre").unwrap());
    }
}

#[test]
fn configured_values_are_defaults_for_the_event() {
    let mut settings = jobbell::render::Settings {
        locale: Locale::En,
        timezone: jiff::tz::TimeZone::UTC,
        public_url: None,
        subject_prefix: "[\u{202E}test]\r\n".to_owned(),
        brand: jobbell::render::Brand::default(),
        privacy: jobbell::render::privacy::Privacy::default(),
        user_templates: None,
        from: jobbell::domain::Mailbox::parse("me@example.com").unwrap(),
        reply_to: vec![jobbell::domain::Mailbox::parse("you@example.com").unwrap()],
    };
    let event = json!({"id": "e", "status": "succeeded", "title": "t", "images": [{"local_path": "/static/a.png"}], "finished_at": "2026-01-01T00:00:09Z"});
    let email = render_with(
        &jobbell::render::Renderer::new(settings.clone()),
        job(&event),
    );
    assert_eq!(email.subject, "[test] Image ready: t");
    assert_eq!(email.reply_to, settings.reply_to);
    assert!(
        email.text.contains("1 Jan 2026, 00:00:09 (UTC)")
            && email.text.contains("\n/static/a.png\n")
            && email.text.contains("from Jobbell because")
    );
    assert!(tags(&email.html, "img").is_empty());
    settings.public_url =
        Some(jobbell::domain::Link::parse("https://img.example.com/base").unwrap());
    let email = render_with(&jobbell::render::Renderer::new(settings), job(&event));
    assert_eq!(
        tags(&email.html, "img")[0]["src"],
        "https://img.example.com/base/static/a.png"
    );
}

#[test]
fn rendering_a_delivery_is_deterministic() {
    for case in cases() {
        assert_eq!(
            render(case.event.clone()),
            render_with(&renderer(), case.event)
        );
    }
}

#[test]
fn every_mail_is_marked_as_automatic() {
    let email = render(job(
        &json!({"id": "evt-1", "status": "succeeded", "job_id": "42"}),
    ));
    let root = header(&email, "References").unwrap();
    let expected = [
        ("X-Jobbell-Event", "evt-1"),
        ("Auto-Submitted", "auto-generated"),
        ("X-Auto-Response-Suppress", "All"),
        ("X-Jobbell-Kind", "success"),
        ("X-Jobbell-Reason", "default-recipient"),
        ("List-Id", "<jobs.example.com>"),
        ("X-Job-Id", "42"),
        ("In-Reply-To", root),
        ("References", root),
    ];
    assert_eq!(
        email
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect::<Vec<_>>(),
        expected
    );
    let named = render(job(
        &json!({"id": "evt-1", "status": "succeeded", "to": ["user@example.com"]}),
    ));
    assert_eq!(header(&named, "X-Jobbell-Reason"), Some("named-recipient"));
}

fn header<'a>(email: &'a Email, name: &str) -> Option<&'a str> {
    email
        .headers
        .iter()
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn mails_of_one_job_share_a_thread() {
    let root = |event: Value| header(&render(job(&event)), "References").map(str::to_owned);
    let failed = root(json!({"id": "e1", "status": "failed", "job_id": "42"}));
    assert!(
        failed
            .as_ref()
            .is_some_and(|root| root.starts_with("<job-") && root.ends_with("@example.com>"))
    );
    assert_eq!(
        root(json!({"id": "e2", "status": "succeeded", "job_id": "42", "title": "t"})),
        failed
    );
    assert_ne!(
        root(json!({"id": "e3", "status": "succeeded", "job_id": "43"})),
        failed
    );
    assert_eq!(root(json!({"id": "e4", "status": "succeeded"})), None);
    // Any job ID makes a root that fits into a header.
    let odd =
        root(json!({"id": "e5", "status": "failed", "job_id": "夜间批量 <x@y>\r\n".repeat(20)}))
            .unwrap();
    assert!(
        odd.len() < 70 && odd.is_ascii() && !odd.contains(char::is_whitespace),
        "{odd}"
    );
}

#[test]
fn template_data_can_be_serialised_for_user_templates() {
    let job = job(
        &json!({"id": "e", "status": "failed", "title": "t", "prompt": "字".repeat(1_000), "error": {"code": "NSFW"}, "images": [{"url": "https://x.org/1"}]}),
    );
    let recipient = jobbell::domain::Recipient::parse("user@example.com").unwrap();
    let context = MailContext {
        delivery: DeliveryId::new(Timestamp::from_millis(0)),
        message_id: "m@x.org",
        recipient: &recipient,
        kind: MailKind::Failure,
        created_at: Timestamp::from_millis(0),
        pictures: None,
    };
    let renderer = renderer();
    let mail = serde_json::to_value(View::of_job(&renderer, &job, &context)).unwrap();
    assert_eq!(
        (
            &mail["title"],
            &mail["trouble"]["code"],
            &mail["words"]["lang"]
        ),
        (&json!("t"), &json!("NSFW"), &json!("zh-CN"))
    );
    assert_eq!(mail["gallery"]["hero"]["href"], "https://x.org/1");
    assert_eq!(
        mail["passages"][0]["short"]
            .as_str()
            .unwrap()
            .chars()
            .count(),
        600
    );
    assert_eq!(
        mail["passages"][0]["text"]
            .as_str()
            .unwrap()
            .chars()
            .count(),
        1_000
    );
}

#[test]
fn gallery_shows_up_to_eight_images_without_gaps() {
    for count in 1..=20 {
        let images: Value = (0..count)
            .map(|n| json!({"url": format!("https://x.org/{n}.png")}))
            .collect();
        let email = render(job(
            &json!({"id": "e", "status": "succeeded", "locale": "en", "images": images}),
        ));
        let shown = tags(&email.html, "img").len();
        assert_eq!(shown, count.min(8));
        assert_eq!(
            email
                .html
                .contains(&format!("and {} more", count.saturating_sub(8))),
            count > 8
        );
        let links = email
            .text
            .lines()
            .filter(|line| line.starts_with("https://x.org/"))
            .count();
        assert_eq!(links, count, "the text part lists every link");
    }
    let film = render(job(
        &json!({"id": "e", "status": "succeeded", "locale": "en", "images": [{"url": "https://x.org/a.mp4?x=1"}]}),
    ));
    assert!(tags(&film.html, "img").is_empty() && film.html.contains("Open file"));
}
