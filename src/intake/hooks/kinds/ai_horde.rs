//! AI Horde: one message for each finished picture (<https://github.com/Haidra-Org/AI-Horde/blob/main/README_integration.md>).
//!
//! It comes for pictures only, so it is always a success; a request that failed has to be polled. The name of the job is the request and the
//! generation together. What was censored carries a note and is not shown at a glance.

use serde_json::{Value, json};

use super::super::{Draft, End, Mapped, Sent};

/// Reads a generation.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let (Some(request), Some(generation)) = (sent.text(&["/request"]), sent.text(&["/id"])) else {
        return Mapped::wrong("/request", "or /id is missing: it should be a finished generation");
    };
    if sent.first(&["/img"]).is_none() {
        return Mapped::wrong("/img", "is missing: it should be the picture");
    }
    let mut draft = Draft::of(sent).text("model", &["/model"]).seed(&["/seed"]).pictures(&["/img"]).notes(&[
        ("request", "/request"),
        ("worker", "/worker_name"),
        ("kudos", "/kudos"),
    ]);
    let notes = sent.first(&["/gen_metadata"]).and_then(Value::as_array).into_iter().flatten();
    if notes.filter_map(|note| note.get("type")).any(|kind| *kind == json!("censorship")) {
        draft.sensitive(true);
        draft.note("censored", true.into());
        draft.odd("the picture was censored".to_owned());
    }
    draft.end(Some(format!("{request}-{generation}")), End::Succeeded)
}
