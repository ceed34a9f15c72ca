//! A `plain` message is sent as its producer wrote it; `system_notice` has the layout.

use jobbell::domain::{DeliveryId, Email, Event, MessageRequest, Recipient, Timestamp};
use jobbell::render::MailContext;
use serde_json::{Value, json};

fn mail(params: &Value) -> Email {
    let message = json!({"id": "m", "to": "user@example.com", "template": "plain", "locale": "en", "params": params});
    let message = MessageRequest::parse(&message, Timestamp::from_millis(0))
        .unwrap()
        .event;
    let recipient = Recipient::parse("user@example.com").unwrap();
    let addressed = MailContext {
        delivery: "019b76da-a800-7000-8000-000000000002"
            .parse::<DeliveryId>()
            .unwrap(),
        message_id: "m@example.com",
        recipient: &recipient,
        kind: message.content.kind(),
        created_at: Timestamp::from_millis(0),
        pictures: None,
    };
    crate::render::renderer()
        .render(&Event::from(message), &addressed)
        .unwrap()
}

#[test]
fn plain_text_is_sent_unchanged() {
    let text = "T\n\n\n  indented   twice\n-- \nregards\n";
    let mail = mail(&json!({"subject": "Hi", "text": text}));
    assert_eq!((mail.subject.as_str(), mail.text.as_str()), ("Hi", text));
    assert!(
        mail.html.contains(text) && mail.html.contains("white-space:pre-wrap"),
        "{}",
        mail.html
    );
    assert!(
        !mail.html.contains("Hi") && !mail.html.contains("user@example.com"),
        "no repeated subject, no footer: {}",
        mail.html
    );
    let escaped = self::mail(&json!({"subject": "Hi", "text": "<b> & </b>"}));
    assert!(
        escaped.html.contains("&lt;b&gt; &amp; &lt;/b&gt;"),
        "{}",
        escaped.html
    );
}

#[test]
fn html_is_sent_unchanged_and_fragments_are_wrapped() {
    let document = "<!DOCTYPE html>\n<html><body bgcolor=white><p>One</p></body></html>";
    let mail = mail(&json!({"subject": "Hi", "html": document, "text": "own words"}));
    assert_eq!(
        (mail.html.as_str(), mail.text.as_str()),
        (document, "own words")
    );
    let fragment = "<p>One &amp; <b>two</b></p>";
    let mail = self::mail(&json!({"subject": "Hi", "html": fragment}));
    assert_eq!(
        mail.html,
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"></head><body>\n{fragment}\n</body>\n</html>\n"
        )
    );
    assert_eq!(mail.text, "One & two\n");
}
