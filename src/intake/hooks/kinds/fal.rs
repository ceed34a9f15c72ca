//! fal.ai: the answer of a queue request (<https://docs.fal.ai/model-endpoints/webhooks>).
//!
//! `status` is `OK` or `ERROR`. `payload` is the model's own answer: `images[]` or `image` with
//! sizes, sometimes the prompt. On an error, `payload.detail` is a text or a list of `{loc, msg,
//! type}`, and `error` ends with the HTTP status. The model's name is not there: put it into the
//! address as `?model=…`. There are no times, so the end is when it was sent. Where the answer
//! cannot be written as JSON, `payload` is null and `payload_error` says so: the request succeeded
//! all the same, and its mail tells it.

use serde_json::{Value, json};

use super::super::{Draft, End, Mapped, Sent, blame};

/// Reads a request's answer.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let end = match sent.word(&["/status"]).as_deref() {
        Some("ok" | "completed") => End::Succeeded,
        Some("error") => End::Failed,
        Some("in_queue" | "in_progress") => {
            return Mapped::Ignored("the request waits or runs".to_owned());
        }
        Some(word) => return Mapped::Unknown(format!("the status {word:?} is not known")),
        None => return Mapped::stateless("/status"),
    };
    let mut draft = Draft::of(sent)
        .text("prompt", &["/payload/prompt"])
        .seed(&["/payload/seed"])
        .size(
            &["/payload/images/0/width", "/payload/image/width"],
            &["/payload/images/0/height", "/payload/image/height"],
        )
        .notes(&[("timings", "/payload/timings")]);
    if end == End::Succeeded {
        draft = draft.pictures(&["/payload/images", "/payload/image", "/payload"]);
        let format = sent.text(&[
            "/payload/images/0/content_type",
            "/payload/image/content_type",
        ]);
        if let Some(format) = format
            .as_deref()
            .and_then(|kind| kind.strip_prefix("image/"))
        {
            draft.put("format", format);
        }
    }
    let flags = sent
        .first(&["/payload/has_nsfw_concepts"])
        .and_then(Value::as_array);
    draft.sensitive(flags.is_some_and(|flags| flags.contains(&json!(true))));
    let unsent = sent
        .first(&["/payload_error"])
        .and_then(blame::read)
        .and_then(|(_, message)| message);
    if end == End::Failed {
        let (inner, error) = sent
            .first(&["/error"])
            .and_then(blame::read)
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
        draft.fault(
            code.or(inner).or_else(|| sent.text(&["/error_type"])),
            details(sent).or(error).or(unsent),
        );
    } else if unsent.is_some() {
        draft.caution(Some("payload_error".to_owned()), unsent);
    }
    draft.moments(
        None,
        sent.header("x-fal-webhook-timestamp")
            .and_then(|seconds| super::super::sent::time(&json!(seconds.parse::<u64>().ok()?))),
    );
    draft.end(sent.text(&["/request_id"]), end)
}

/// `payload.detail` as one text, each place with what is wrong there.
fn details(sent: &Sent<'_>) -> Option<String> {
    let detail = sent.first(&["/payload/detail"])?;
    let Value::Array(items) = detail else {
        return blame::read(detail).and_then(|(_, message)| message);
    };
    let said = items.iter().filter_map(|item| {
        let message = item.get("msg")?.as_str()?;
        let place: Vec<_> = item
            .get("loc")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(super::super::sent::text)
            .collect();
        Some(if place.is_empty() {
            message.to_owned()
        } else {
            format!("{}: {message}", place.join("."))
        })
    });
    Some(said.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
}
