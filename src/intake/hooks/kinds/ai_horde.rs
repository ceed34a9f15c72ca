//! AI Horde: one message for each finished generation
//! (<https://github.com/Haidra-Org/AI-Horde/blob/main/README_integration.md#webhooks>): a picture
//! (`img`), a text (`text`), or a form of alchemy (`form`, `state`, `result`: a caption, tags, an
//! image made larger).
//!
//! It comes for what is finished, so a picture or a text is always a success; a request that failed
//! has to be polled. The name of the job is the request and the generation together. What was
//! censored carries a note and is not shown at a glance.

use serde_json::{Value, json};

use super::super::{Draft, End, Mapped, Sent, sent as values};

/// The most characters of a text that is kept as a note.
const MAX_TEXT: usize = 1_000;

/// Reads a generation.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let (Some(request), Some(generation)) = (sent.text(&["/request"]), sent.text(&["/id"])) else {
        return Mapped::wrong(
            "/request",
            "or /id is missing: it should be a finished generation",
        );
    };
    let job = Some(format!("{request}-{generation}"));
    let mut draft = Draft::of(sent)
        .text("model", &["/model"])
        .seed(&["/seed"])
        .notes(&[
            ("request", "/request"),
            ("worker", "/worker_name"),
            ("kudos", "/kudos"),
        ]);
    if let Some(form) = sent.text(&["/form"]) {
        return alchemy(sent, draft, &form, job);
    }
    if sent.first(&["/img"]).is_some() {
        draft = draft.pictures(&["/img"]);
    } else if let Some(text) = sent.text(&["/text", "/gen"]) {
        draft.note("text", Value::String(text.chars().take(MAX_TEXT).collect()));
    } else {
        return Mapped::wrong(
            "/img",
            "is missing: it should be the picture; a text has /text, alchemy /form",
        );
    }
    let notes = sent.first(&["/gen_metadata"]).and_then(Value::as_array);
    let censored = notes
        .into_iter()
        .flatten()
        .filter_map(|note| note.get("type"))
        .any(|kind| *kind == json!("censorship"));
    if censored || sent.first(&["/censored"]) == Some(&Value::Bool(true)) {
        draft.sensitive(true);
        draft.note("censored", true.into());
        draft.odd("the result was censored".to_owned());
    }
    draft.end(job, End::Succeeded)
}

/// Reads a form of alchemy; what it made is a link, what it found out is a note.
fn alchemy(sent: &Sent<'_>, mut draft: Draft<'_>, form: &str, job: Option<String>) -> Mapped {
    let end = match sent.word(&["/state"]).as_deref() {
        Some("done") | None => End::Succeeded,
        Some("faulted") => End::Failed,
        Some("cancelled" | "canceled") => End::Canceled,
        Some(word @ ("waiting" | "processing" | "partial")) => {
            return Mapped::Ignored(format!("the form is {word}"));
        }
        Some(word) => return Mapped::Unknown(format!("the state {word:?} is not known")),
    };
    draft.put("title", form);
    for (name, value) in sent
        .first(&["/result"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let found = draft.found();
        draft.search(value, 0);
        if draft.found() == found {
            let text = values::text(value).map(|text| text.chars().take(MAX_TEXT).collect());
            draft.note(name, text.map_or_else(|| value.clone(), Value::String));
        }
    }
    draft.end(job, end)
}
