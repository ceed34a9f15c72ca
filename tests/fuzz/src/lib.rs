//! Fuzz targets as functions: each parses untrusted bytes, must not panic, and checks the
//! invariants of the result.
//!
//! The fuzz binaries and `tests/it/fuzz_corpus.rs` call the same functions.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use jobbell::config::{self, Sources};
use jobbell::domain::{Event, JobEvent, Mailbox, MessageRequest, Recipient, Timestamp};
use jobbell::intake::hooks::{Kind, MapResult, Settings};
use jobbell::render::{MailContext, Renderer, lint};
use jobbell::transport::smtp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Replies of a mail server.
pub fn smtp_replies(bytes: &[u8]) {
    for reply in smtp::replies(bytes) {
        assert!((200..600).contains(&reply.code), "{reply:?}");
        assert!(
            reply.text.chars().count() <= 1_000
                && !reply.text.chars().any(|c| c.is_control() && c != '\n'),
            "{reply:?}"
        );
        if let Some(enhanced) = reply.enhanced {
            assert_eq!(
                enhanced.split('.').next(),
                reply.code.to_string().get(..1),
                "{enhanced}"
            );
        }
    }
}

/// An event of a producer: an accepted event survives a round trip through the store.
pub fn event_json(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice(bytes) else {
        return;
    };
    match JobEvent::parse(&value, NOW) {
        Ok(parsed) => {
            let event = Event::Job(Box::new(parsed.event));
            let stored = serde_json::to_vec(&event).expect("an event can be written");
            let read: Event = serde_json::from_slice(&stored).expect("an event can be read back");
            assert_eq!(read, event);
        }
        Err(errors) => assert!(!errors.is_empty(), "refused without a reason"),
    }
}

/// Separates file and environment in an input. Not NUL, so that the corpus stays text.
const ENVIRONMENT: &[u8] = b"\n%%\n";

/// A configuration file, a line `%%`, and the environment with one variable per line.
pub fn configuration(bytes: &[u8]) {
    let (file, environment) = bytes.split_at(
        bytes
            .windows(ENVIRONMENT.len())
            .position(|window| window == ENVIRONMENT)
            .unwrap_or(bytes.len()),
    );
    let path = std::env::temp_dir().join(format!(
        "jobbell-fuzz-{}-{:?}.toml",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, file).expect("the file can be written");
    let variable = |line: &[u8]| {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b'=')?);
        Some((
            OsString::from_vec(name.to_vec()),
            OsString::from_vec(value.get(1..)?.to_vec()),
        ))
    };
    let env = environment
        .get(ENVIRONMENT.len()..)
        .unwrap_or_default()
        .split(|byte| *byte == b'\n')
        .filter_map(variable);
    // Files named by the input are not read.
    let env = env
        .filter(|(name, _)| !name.to_string_lossy().ends_with("_FILE") && name != "JOBBELL_CONFIG")
        .collect();
    let sources = Sources {
        path: Some(path.clone()),
        env,
        ..Sources::default()
    };
    if let Err(report) = config::load(&sources) {
        assert!(!report.problems.is_empty(), "refused without a reason");
    }
    std::fs::remove_file(path).expect("the file can be removed");
}

/// Lists of addresses, and addresses with a name.
pub fn addresses(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Recipient::parse_list(&text) {
        Ok(recipients) => {
            for recipient in recipients {
                assert_eq!(
                    Recipient::parse(recipient.as_str()).as_ref(),
                    Ok(&recipient),
                    "parsing an accepted address returns it"
                );
                assert!(
                    !recipient.as_str().chars().any(char::is_control),
                    "{recipient:?}"
                );
                assert!(recipient.masked().contains("***@"), "{recipient:?}");
            }
        }
        Err(errors) => assert!(!errors.is_empty(), "refused without a reason"),
    }
    if let Ok(mailbox) = Mailbox::parse(&text) {
        assert!(
            mailbox
                .name
                .iter()
                .all(|name| !name.chars().any(char::is_control)),
            "{mailbox:?}"
        );
    }
}

/// A webhook: the kind in the first line, then headers, an empty line and the payload.
pub fn hook_payload(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (head, payload) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let Some(kind) = lines.next().and_then(Kind::from_name) else {
        return;
    };
    let Ok(payload) = serde_json::from_str(payload) else {
        return;
    };
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((
            HeaderName::try_from(name.trim()).ok()?,
            HeaderValue::try_from(value.trim()).ok()?,
        ))
    };
    let headers: HeaderMap = lines.filter_map(header).collect();
    let hook = Settings {
        name: "hook".to_owned(),
        kind,
        unconfirmed: true,
        ..Settings::huiying()
    };
    match hook.map(&payload, &headers, true, NOW) {
        MapResult::Events(events) | MapResult::Partly(events, _) => {
            for parsed in events {
                let stored = serde_json::to_vec(&parsed.event).expect("an event can be written");
                let read: JobEvent =
                    serde_json::from_slice(&stored).expect("an event can be read back");
                assert_eq!(read, parsed.event);
            }
        }
        MapResult::Unmappable(errors) => assert!(!errors.is_empty(), "refused without a reason"),
        MapResult::Challenge(answer) => assert!(answer.is_object(), "the answer is not an object"),
        MapResult::Ignored(why) | MapResult::Unknown(why) => {
            assert!(!why.is_empty(), "ignored without a reason");
        }
    }
}

/// The HTML of a `plain` message: accepted HTML has no open tag, and is rendered and linted.
pub fn html_filter(bytes: &[u8]) {
    let html = String::from_utf8_lossy(bytes);
    let message = json!({"id": "fuzz", "to": "a@example.com", "template": "plain", "params": {"subject": "s", "html": html}});
    match MessageRequest::parse(&message, NOW) {
        Ok(parsed) => {
            let last = html.rfind('<').map_or("", |start| &html[start + 1..]);
            let opens = last.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c));
            assert!(
                !opens || last.contains('>'),
                "an open tag was accepted: {last:?}"
            );
            let event = Event::Message(Box::new(parsed.event));
            let email = rendered(&event);
            drop(lint::lint(&email));
        }
        Err(errors) => assert!(!errors.is_empty(), "refused without a reason"),
    }
}

/// Renders the mail to the event's only recipient with the default settings.
fn rendered(event: &Event) -> jobbell::domain::Email {
    thread_local! {
        static CONFIG: config::Config = {
            let env = vec![("SMTP_ENABLE".into(), "false".into())];
            config::load(&Sources { env, ..Sources::default() }).expect("the defaults are valid").config
        };
    }
    CONFIG.with(|config| {
        let delivery = config
            .routes
            .plan(event, NOW)
            .expect("the event has a recipient")
            .remove(0);
        let addressed = MailContext {
            delivery: delivery.id,
            message_id: &delivery.message_id,
            recipient: &delivery.recipient,
            kind: delivery.kind,
            created_at: delivery.created_at,
            pictures: None,
        };
        Renderer::new(config.render.clone())
            .render(event, &addressed)
            .expect("the mail renders")
    })
}
