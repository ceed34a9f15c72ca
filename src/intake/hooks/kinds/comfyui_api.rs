//! comfyui-api of `SaladTechnologies`: `prompt.complete` and `prompt.failed`
//! (<https://github.com/SaladTechnologies/comfyui-api>).
//!
//! `prompt` is the workflow's graph: the prompt is the text of the sampler's positive
//! `CLIPTextEncode`, or else the longest text. `images` are links after an upload, or else embedded
//! files, of which only the names are kept. The legacy format sends one message per image, each of
//! which makes an event; its system events repeat the same runs. `WEBHOOK_SECRET` must be set there
//! without `whsec_`, because comfyui-api decodes the prefix as part of the secret.

use serde_json::{Map, Value};

use super::super::{EventBuilder, JobEnd, MapResult, Payload};

/// Maps a message in either format.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let kind = payload.text(&["/type", "/event"]);
    match kind.as_deref() {
        Some("prompt.complete") => {
            workflow(payload).finish(payload.text(&["/id"]), JobEnd::Succeeded)
        }
        Some("output.complete") => {
            let file = payload.text(&["/filename"]);
            let name = file.map_or_else(|| "succeeded".to_owned(), |file| plain(&file));
            workflow(payload).images_at(&["/image"]).finish_as(
                payload.text(&["/id"]),
                JobEnd::Succeeded,
                &name,
            )
        }
        Some("prompt.failed") => workflow(payload)
            .error_at(&[], &["/error"])
            .finish(payload.text(&["/id"]), JobEnd::Failed),
        Some(kind) => match kind.strip_prefix("comfy.") {
            Some(kind) => system(payload, kind),
            None => MapResult::Unknown(format!("unknown message type {kind:?}")),
        },
        None => MapResult::without_state("/type"),
    }
}

/// Maps a system event.
fn system(payload: &Payload<'_>, kind: &str) -> MapResult {
    let end = match kind {
        "execution_success" => JobEnd::Succeeded,
        "execution_error" => JobEnd::Failed,
        "execution_interrupted" => JobEnd::Canceled,
        _ => return MapResult::Ignored(format!("{kind} does not end a run")),
    };
    let mut builder = EventBuilder::of(payload)
        .times_at(&[], &["/data/data/timestamp"])
        .error_at(
            &["/data/data/exception_type"],
            &["/data/data/exception_message"],
        );
    for (name, value) in payload
        .first(&["/metadata"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        builder.metadata(name, value.clone());
    }
    builder.finish(payload.text(&["/data/data/prompt_id"]), end)
}

fn workflow<'a>(payload: &Payload<'a>) -> EventBuilder<'a> {
    let mut builder = EventBuilder::of(payload)
        .times_at(
            &["/stats/comfy_execution/total/start"],
            &["/stats/comfy_execution/total/end", "/timestamp"],
        )
        .images_at(&["/images"])
        .metadata_at(&[("files", "/filenames"), ("file", "/filename")]);
    if let Some(Value::Object(graph)) = payload.json.get("prompt") {
        read_graph(&mut builder, graph);
    }
    builder
}

/// Reads prompt, size and seed from a workflow's graph.
pub(super) fn read_graph(builder: &mut EventBuilder<'_>, graph: &Map<String, Value>) {
    if let Some(text) = prompt(graph) {
        builder.text("prompt", text);
    }
    let inputs = |wanted: &[&str]| {
        graph
            .values()
            .find(|node| class(node).is_some_and(|class| wanted.contains(&class)))
            .and_then(|node| node.get("inputs"))
    };
    if let Some(latent) = inputs(&["EmptyLatentImage", "EmptySD3LatentImage"]) {
        builder.size(latent.get("width"), latent.get("height"));
    }
    if let Some(sampler) = inputs(&["KSampler", "KSamplerAdvanced"]) {
        builder.seed(sampler.get("seed").or_else(|| sampler.get("noise_seed")));
    }
}

fn class(node: &Value) -> Option<&str> {
    node.get("class_type")?.as_str()
}

/// The text at the sampler's positive input, or else the longest text.
fn prompt(graph: &Map<String, Value>) -> Option<&str> {
    let text =
        |node: &'_ Value| -> Option<()> { node.get("inputs")?.get("text")?.as_str().map(|_| ()) };
    let of = |id: &str| {
        graph
            .get(id)
            .filter(|node| text(node).is_some())
            .and_then(|node| node.get("inputs")?.get("text")?.as_str())
    };
    let positive = graph
        .values()
        .find_map(|node| of(node.get("inputs")?.get("positive")?.get(0)?.as_str()?));
    let all = graph
        .values()
        .filter(|node| class(node) == Some("CLIPTextEncode"))
        .filter_map(|node| node.get("inputs")?.get("text")?.as_str());
    positive.or_else(|| all.max_by_key(|text| text.len()))
}

/// A file name as part of an event id.
fn plain(file: &str) -> String {
    file.chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '_' })
        .take(40)
        .collect()
}
