//! Sample events and messages for testing and previewing templates.

use serde_json::{Value, json};

use crate::domain::{
    DeliveryId, Event, JobEvent, Locale, MailKind, MessageRequest, Recipient, Timestamp,
};
use crate::render::MailContext;

/// Time of the samples: 1 January 2026, 00:00:10 UTC.
const AT: Timestamp = Timestamp::from_millis(1_767_225_610_000);

/// One sample event.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The kind of mail, such as `success`.
    pub mail: &'static str,
    /// What distinguishes it, in a word.
    pub name: &'static str,
    /// The language.
    pub locale: Locale,
    /// The event.
    pub event: Event,
    recipient: Recipient,
    kind: MailKind,
}

impl Sample {
    /// A context with a sample recipient.
    pub fn context(&self) -> MailContext<'_> {
        let message_id = "019b76daa80070008000000000000001@example.com";
        MailContext {
            delivery: DeliveryId::new(AT),
            message_id,
            recipient: &self.recipient,
            kind: self.kind,
            created_at: AT,
            pictures: None,
        }
    }
}

/// Job events with all parts of a mail, and with hardly any.
const JOBS: [(&str, &str, &str); 6] = [
    (
        "success",
        "full",
        r#"{"id": "sample-1", "status": "succeeded", "job_id": "42", "title": "Kitten on the window sill", "prompt": "一只可爱的小猫坐在窗台上，窗外是雨后的城市",
            "prompt_translated": "A cute little kitten on a window sill, the city after rain outside", "negative_prompt": "blurry", "size": "1024x1024",
            "model": "google/gemini-2.5-flash-image-preview:free", "format": "png", "seed": 7, "steps": 30, "started_at": "2026-01-01T00:00:00Z",
            "finished_at": "2026-01-01T00:00:09Z", "images": [{"url": "https://img.example.com/kitten.png?Expires=1767225600", "file_size": 245760}]}"#,
    ),
    (
        "success",
        "minimal",
        r#"{"id": "sample-2", "status": "succeeded"}"#,
    ),
    (
        "success",
        "sensitive",
        r#"{"id": "sample-3", "status": "succeeded", "sensitive": true, "prompt": "a secret", "images": [{"local_path": "/a/b.png"}]}"#,
    ),
    (
        "failure",
        "full",
        r#"{"id": "sample-4", "status": "failed", "prompt": "A cute little kitten", "model": "flux-1", "error": {"code": "NSFW", "message": "flagged\nby the filter"}}"#,
    ),
    (
        "failure",
        "message",
        r#"{"id": "sample-5", "status": "failed", "job_id": "42", "error": "out of memory"}"#,
    ),
    (
        "failure",
        "minimal",
        r#"{"id": "sample-6", "status": "failed"}"#,
    ),
];

/// Messages with all parameters, and with only the required ones.
const MESSAGES: [(&str, &str); 9] = [
    (
        "full",
        r#"{"template": "verification_code", "expires_in": "10m", "params": {"code": "483921", "purpose": "sign in", "app": "Studio", "user": "Ann"}}"#,
    ),
    (
        "minimal",
        r#"{"template": "verification_code", "params": {"code": "G-83JX-77QA-P0Z4"}}"#,
    ),
    (
        "full",
        r#"{"template": "password_reset", "expires_in": "1h", "params": {"code": "483921", "url": "https://app.example.com/reset?a=1&b=2", "user": "Ann"}}"#,
    ),
    (
        "minimal",
        r#"{"template": "password_reset", "params": {"code": "483921"}}"#,
    ),
    (
        "full",
        r#"{"template": "verify_link", "expires_in": "2d", "params": {"url": "https://app.example.com/verify/abc", "app": "Studio", "user": "Ann"}}"#,
    ),
    (
        "full",
        r#"{"template": "system_notice", "params": {"title": "Maintenance", "message": "One & two.\nThree <four>.", "url": "https://status.example.com/42"}}"#,
    ),
    (
        "minimal",
        r#"{"template": "system_notice", "params": {"title": "Maintenance", "message": "The service stops on Saturday."}}"#,
    ),
    (
        "text",
        r#"{"template": "plain", "params": {"subject": "Usage report", "text": "Hello,\n\nyou made 1,024 images this month."}}"#,
    ),
    (
        "html",
        r#"{"template": "plain", "params": {"subject": "Usage report", "html": "<p>You made <b>1,024</b> images this month.</p>"}}"#,
    ),
];

/// Image counts of the gallery samples: each is laid out differently.
const GALLERIES: [(usize, &str); 4] = [
    (2, "two pictures"),
    (3, "three pictures"),
    (8, "eight pictures"),
    (100, "a hundred pictures"),
];

/// Every sample, in both languages.
pub fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for locale in [Locale::En, Locale::ZhCn] {
        for (mail, name, text) in JOBS {
            samples.extend(
                serde_json::from_str(text)
                    .ok()
                    .and_then(|event| sample(mail, name, locale, &event)),
            );
        }
        for (name, text) in MESSAGES {
            samples.extend(
                serde_json::from_str(text)
                    .ok()
                    .and_then(|message| message_sample(name, locale, message)),
            );
        }
        for (count, name) in GALLERIES {
            let images: Vec<_> = (1..=count)
                .map(|n| json!({"url": format!("https://img.example.com/{n}.png?a=1&b=2")}))
                .collect();
            let prompt = "A <b>long</b> prompt & \"more\". ".repeat(600);
            let event = json!({"id": "sample-7", "status": "succeeded", "prompt": prompt, "images": images});
            samples.extend(sample("success", name, locale, &event));
        }
    }
    samples
}

/// Parsed like a posted event, so that samples are valid.
fn sample(mail: &'static str, name: &'static str, locale: Locale, event: &Value) -> Option<Sample> {
    let parsed = JobEvent::parse(event, AT).ok()?;
    let kind = if mail == "success" {
        MailKind::Success
    } else {
        MailKind::Failure
    };
    let event = JobEvent {
        locale: Some(locale),
        ..parsed.event
    };
    Some(Sample {
        mail,
        name,
        locale,
        event: Event::Job(Box::new(event)),
        recipient: Recipient::parse("user@example.com").ok()?,
        kind,
    })
}

/// Parsed like a posted message.
fn message_sample(name: &'static str, locale: Locale, mut message: Value) -> Option<Sample> {
    let recipient = Recipient::parse("user@example.com").ok()?;
    let fields = message.as_object_mut()?;
    fields.insert("id".to_owned(), "sample-8".into());
    fields.insert("to".to_owned(), recipient.as_str().into());
    let message = MessageRequest {
        locale: Some(locale),
        ..MessageRequest::parse(&message, AT).ok()?.event
    };
    let kind = message.content.kind();
    Some(Sample {
        mail: kind.as_str(),
        name,
        locale,
        event: Event::from(message),
        recipient,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_a_valid_event() {
        assert_eq!(
            samples().len(),
            2 * (JOBS.len() + MESSAGES.len() + GALLERIES.len())
        );
    }
}
