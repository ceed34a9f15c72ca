//! fal.ai: the response of a queue request (<https://docs.fal.ai/model-endpoints/webhooks>).
//!
//! `status` is `OK` or `ERROR`. `payload` is the model's response: `images[]` or `image` with
//! sizes, sometimes the prompt. On an error, `payload.detail` is a text or a list of `{loc, msg,
//! type}`, and `error` ends with the HTTP status. The model's name is missing: add `?model=…` to
//! the URL. There are no times, so the arrival counts as the end. If the response is not valid
//! JSON, `payload` is null and `payload_error` explains it: the request succeeded anyway, and the
//! email shows the explanation.

use serde_json::{Value, json};

use super::super::{EventBuilder, JobEnd, Kind, MapResult, Payload, error_info};
use super::mapped;

/// Maps the response of a request.
pub fn map(payload: &Payload<'_>) -> MapResult {
    mapped::map(Kind::Fal, payload, |mut request| {
        let mut builder = request.builder;
        if request.end == JobEnd::Succeeded {
            builder = builder.images_at(&["/payload/images", "/payload/image", "/payload"]);
            let format = payload.text(&[
                "/payload/images/0/content_type",
                "/payload/image/content_type",
            ]);
            if let Some(format) = format
                .as_deref()
                .and_then(|kind| kind.strip_prefix("image/"))
            {
                builder.text("format", format);
            }
        }
        let flags = payload
            .first(&["/payload/has_nsfw_concepts"])
            .and_then(Value::as_array);
        builder.sensitive(flags.is_some_and(|flags| flags.contains(&json!(true))));
        add_error(&mut builder, payload, request.end);
        let sent = payload
            .header("x-fal-webhook-timestamp")
            .and_then(|seconds| super::super::payload::time(&json!(seconds.parse::<u64>().ok()?)));
        builder.times(None, sent);
        request.builder = builder;
        request
    })
}

/// Sets the error of a failure, or of a success whose response could not be sent.
fn add_error(builder: &mut EventBuilder<'_>, payload: &Payload<'_>, end: JobEnd) {
    let unsent = payload
        .first(&["/payload_error"])
        .and_then(error_info::read)
        .and_then(|(_, message)| message);
    if end == JobEnd::Failed {
        let (inner, error) = payload
            .first(&["/error"])
            .and_then(error_info::read)
            .unwrap_or_default();
        let code = error
            .as_deref()
            .map(|error| {
                error
                    .chars()
                    .filter(char::is_ascii_digit)
                    .collect::<String>()
            })
            .filter(|digits| digits.len() == 3);
        builder.error(
            code.or(inner).or_else(|| payload.text(&["/error_type"])),
            details(payload).or(error).or(unsent),
        );
    } else if unsent.is_some() {
        builder.caveat(Some("payload_error".to_owned()), unsent);
    }
}

/// `payload.detail` as text: each location with its error.
fn details(payload: &Payload<'_>) -> Option<String> {
    let detail = payload.first(&["/payload/detail"])?;
    let Value::Array(items) = detail else {
        return error_info::read(detail).and_then(|(_, message)| message);
    };
    let said = items.iter().filter_map(|item| {
        let message = item.get("msg")?.as_str()?;
        let place: Vec<_> = item
            .get("loc")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(super::super::payload::text)
            .collect();
        Some(if place.is_empty() {
            message.to_owned()
        } else {
            format!("{}: {message}", place.join("."))
        })
    });
    Some(said.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
}
