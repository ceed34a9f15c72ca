//! Records for tokens that may only read: masked addresses, no contents.
//!
//! Shown fields are listed one by one, so that new fields are not exposed by accident. Server
//! replies are left out, because many repeat the address.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::Recipient;
use crate::queue::{DeliveryRecord, Page};

/// Fields of an event without contents or addresses.
const SHOWN: [&str; 12] = [
    "type",
    "id",
    "status",
    "job_id",
    "model",
    "size",
    "format",
    "steps",
    "started_at",
    "finished_at",
    "locale",
    "template",
];

/// An event's record.
pub(super) fn event(record: &impl Serialize) -> Value {
    let mut record = json(record);
    if let Some(Value::Object(event)) = record.get_mut("event") {
        *event = shown(event);
    }
    if let Some(Value::Array(deliveries)) = record.get_mut("deliveries") {
        deliveries.iter_mut().for_each(shorten);
    }
    record
}

/// A page of deliveries.
pub(super) fn page(page: &Page) -> Value {
    let mut page = json(page);
    if let Some(Value::Array(deliveries)) = page.get_mut("deliveries") {
        deliveries.iter_mut().for_each(shorten);
    }
    page
}

/// A delivery.
pub(super) fn delivery(delivery: &DeliveryRecord) -> Value {
    let mut delivery = json(delivery);
    shorten(&mut delivery);
    delivery
}

/// Records always serialize.
fn json(record: &impl Serialize) -> Value {
    serde_json::to_value(record).unwrap_or_default()
}

fn shown(event: &Map<String, Value>) -> Map<String, Value> {
    let mut shown: Map<_, _> = event
        .iter()
        .filter(|(name, _)| SHOWN.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(Value::Array(to)) = event.get("to") {
        shown.insert("to".to_owned(), to.iter().map(masked).collect());
    }
    if let Some(code) = event.get("error").and_then(|error| error.get("code")) {
        shown.insert(
            "error".to_owned(),
            [("code".to_owned(), code.clone())]
                .into_iter()
                .collect::<Map<_, _>>()
                .into(),
        );
    }
    shown
}

fn shorten(delivery: &mut Value) {
    if let Some(to) = delivery.get_mut("to") {
        *to = masked(to);
    }
    for attempt in delivery
        .get_mut("attempts")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(attempt) = attempt.as_object_mut() {
            attempt.remove("detail");
        }
        if let Some(reply) = attempt.get_mut("reply").and_then(Value::as_object_mut) {
            reply.remove("text");
        }
    }
}

fn masked(address: &Value) -> Value {
    address
        .as_str()
        .and_then(|text| Recipient::parse(text).ok())
        .map_or("***".into(), |recipient| recipient.masked().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn contents_addresses_and_replies_are_left_out() {
        let text = "secret words of alice@example.org";
        let record = json!({
            "id": "e", "source": "http", "token": "ci",
            "event": {
                "type": "job", "id": "e", "status": "failed", "prompt": text, "prompt_translated": text, "negative_prompt": text, "title": text,
                "to": ["alice@example.org"], "metadata": {"user": text}, "images": [{"url": text}], "error": {"code": "NSFW", "message": text},
                "params": {"text": text}, "of_tomorrow": text, "model": "m"
            },
            "deliveries": [{"id": "d", "to": "alice@example.org", "attempts": [{"number": 1, "reply": {"code": 550, "text": text}, "detail": text}]}]
        });
        let short = event(&record);
        assert!(
            !short.to_string().contains("secret") && !short.to_string().contains("alice"),
            "{short}"
        );
        assert_eq!(short["event"]["to"], json!(["a***@example.org"]));
        assert_eq!(
            (
                &short["event"]["error"],
                &short["event"]["model"],
                &short["token"]
            ),
            (&json!({"code": "NSFW"}), &json!("m"), &json!("ci"))
        );
        assert_eq!(short["deliveries"][0]["to"], "a***@example.org");
        assert_eq!(
            short["deliveries"][0]["attempts"][0]["reply"],
            json!({"code": 550})
        );
    }
}
