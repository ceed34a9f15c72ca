//! `CloudEvents` 1.0 over HTTP: structured, binary and batched
//! (<https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md>).
//!
//! `data` is our event or a similar one, as for `standard-webhooks`. Without a `status`, the last
//! part of `type` gives the state. A batch is stored as a whole or not at all, except for events
//! that do not end a job.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::super::{MapResult, Payload};
use super::standard_webhooks;
use crate::domain::FieldError;

/// Required attributes.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// Maximum number of events in a batch.
const MAX_EVENTS: usize = 1_000;

/// Maps a request in any of the modes.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let kind = payload
        .header("content-type")
        .unwrap_or_default()
        .to_ascii_lowercase();
    match payload.json {
        Value::Array(events) if kind.starts_with("application/cloudevents-batch") => {
            batch(payload, events)
        }
        event if kind.starts_with("application/cloudevents") => one(payload, event),
        // Structured mode with the type of plain JSON: the attributes give it away.
        event
            if payload.header("ce-specversion").is_none() && event.get("specversion").is_some() =>
        {
            one(payload, event)
        }
        data => match binary(payload, data) {
            Ok(event) => one(payload, &event),
            Err(error) => MapResult::Unmappable(vec![error]),
        },
    }
}

fn batch(payload: &Payload<'_>, events: &[Value]) -> MapResult {
    if events.len() > MAX_EVENTS {
        return MapResult::invalid(
            "",
            format!("has more than {MAX_EVENTS} events; send them in several requests"),
        );
    }
    let (mut ends, mut errors, mut unknown) = (Vec::new(), Vec::new(), None);
    for (index, event) in events.iter().enumerate() {
        match one(payload, event) {
            MapResult::Events(mut parsed) | MapResult::Partly(mut parsed, _) => {
                ends.append(&mut parsed);
            }
            MapResult::Ignored(_) | MapResult::Challenge(_) => {}
            MapResult::Unknown(why) => unknown = Some(why),
            MapResult::Unmappable(wrong) => {
                let place = |error: &FieldError| {
                    format!("#/{index}{}", error.pointer.trim_start_matches('#'))
                };
                errors.extend(wrong.into_iter().map(|error| FieldError {
                    pointer: place(&error),
                    ..error
                }));
            }
        }
    }
    match (errors.is_empty(), ends.is_empty(), unknown) {
        (false, _, _) => MapResult::Unmappable(errors),
        (true, false, Some(why)) => MapResult::Partly(ends, why),
        (true, false, None) => MapResult::Events(ends),
        (true, true, Some(why)) => MapResult::Unknown(why),
        (true, true, None) => MapResult::Ignored("no event of the batch ends a job".to_owned()),
    }
}

/// Maps one event in JSON format.
fn one(payload: &Payload<'_>, event: &Value) -> MapResult {
    let missing = REQUIRED.iter().find(|name| {
        event
            .get(name)
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
    });
    if let Some(name) = missing {
        return MapResult::invalid(
            &format!("/{name}"),
            "is missing: a CloudEvent has specversion, id, source and type",
        );
    }
    let envelope = payload.with(event);
    if envelope.text(&["/specversion"]).as_deref() != Some("1.0") {
        return MapResult::invalid("/specversion", "is not 1.0");
    }
    let nothing = Value::Null;
    let decoded = decoded(event);
    let data = envelope.with(
        decoded
            .as_ref()
            .or_else(|| event.get("data"))
            .unwrap_or(&nothing),
    );
    standard_webhooks::event(
        &data,
        envelope.word(&["/type"]).as_deref(),
        &["/time"],
        &envelope,
    )
}

/// `data_base64`, when it holds JSON.
fn decoded(event: &Value) -> Option<Value> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(event.get("data_base64")?.as_str()?)
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Converts binary mode to JSON format: attributes from headers, data from the body.
fn binary(payload: &Payload<'_>, data: &Value) -> Result<Value, FieldError> {
    let mut event = Map::new();
    for (name, value) in payload.headers {
        let Some(name) = name.as_str().strip_prefix("ce-") else {
            continue;
        };
        let text = value.to_str().ok().and_then(attribute);
        let text = text.ok_or_else(|| FieldError {
            pointer: format!("ce-{name}"),
            detail: "is not percent-encoded UTF-8".to_owned(),
        })?;
        event.insert(name.to_owned(), Value::String(text.into_owned()));
    }
    event.insert("data".to_owned(), data.clone());
    Ok(Value::Object(event))
}

/// Decodes an attribute header: unquotes, then percent-decodes once.
fn attribute(text: &str) -> Option<Cow<'_, str>> {
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let Some(quoted) = quoted else {
        return percent_decoded(text);
    };
    let mut plain = String::with_capacity(quoted.len());
    let mut escaped = false;
    for c in quoted.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    percent_decoded(&plain).map(|text| Cow::Owned(text.into_owned()))
}

/// `None` if a `%` is not followed by two hexadecimal digits, or if the result is not UTF-8.
fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    let is_escape = |rest: &str| {
        rest.as_bytes()
            .first_chunk::<2>()
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if text.split('%').skip(1).all(is_escape) {
        percent_decode_str(text).decode_utf8().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_in_headers_are_decoded_once() {
        assert_eq!(
            attribute("%E9%9B%A8%E5%A4%9C%20neon").as_deref(),
            Some("雨夜 neon")
        );
        assert_eq!(attribute("\"a \\\"b\\\" c\"").as_deref(), Some("a \"b\" c"));
        assert_eq!(attribute("%2541").as_deref(), Some("%41"));
        for bad in ["%", "%4", "%zz", "%FF"] {
            assert_eq!(attribute(bad), None, "{bad}");
        }
    }
}
