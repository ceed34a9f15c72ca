//! Aliyun `DashScope` (万相): the result of a task as a `CloudEvents` message of `EventBridge`
//! (<https://help.aliyun.com/zh/model-studio/async-task-api>), or the response of a task query,
//! which a custom bridge may forward.
//!
//! The event names the task and its model, but rarely has the result (`data.output_result`); images
//! have to be fetched with their owner's key. Times have no zone and are China Standard Time. A
//! partial success is a success whose email says how many parts failed and why.

use serde_json::Value;

use super::super::payload::china_time;
use super::super::{EventBuilder, JobEnd, Kind, MapResult, Payload};
use super::mapped;

/// Pointers to the result.
const OUTPUT: &[&str] = &[
    "/data/output_result/output",
    "/data/output_result",
    "/data/output",
    "/output",
];
/// Names of a part's URL.
const MADE: [&str; 6] = [
    "url",
    "video_url",
    "image_url",
    "image",
    "output_image_url",
    "transcription_url",
];

/// Maps an event or the response of a query.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let is_other = |kind: String| !kind.ends_with(":AsyncTaskFinish");
    let state = payload.text(&["/data/task_status", "/output/task_status"]);
    if state.is_none() && payload.text(&["/type"]).is_some_and(is_other) {
        return MapResult::Ignored("an event of another type".to_owned());
    }
    mapped::map(Kind::DashScope, payload, |mut task| {
        task.builder = add_output(payload, task.builder, task.end);
        if let Some(model) = payload
            .text(&["/data/user_api_unique_key"])
            .as_deref()
            .and_then(|key| key.rsplit(':').next())
        {
            task.builder.text("model", model);
        }
        let time = |places: &[&str]| payload.first(places).and_then(china_time);
        task.builder.times(
            time(&["/data/start_time", "/output/scheduled_time"]),
            time(&["/data/end_time", "/output/end_time"]).or_else(|| payload.time(&["/time"])),
        );
        task
    })
}

/// Adds what the result says: prompts, links, and what failed.
fn add_output<'a>(
    payload: &Payload<'a>,
    mut builder: EventBuilder<'a>,
    end: JobEnd,
) -> EventBuilder<'a> {
    let output = output(payload);
    let result = payload.with(&output);
    for (field, places) in [
        ("prompt", ["/results/0/orig_prompt", "/orig_prompt"]),
        (
            "prompt_translated",
            ["/results/0/actual_prompt", "/actual_prompt"],
        ),
    ] {
        if let Some(text) = result.text(&places) {
            builder.text(field, &text);
        }
    }
    links(&mut builder, &result);
    let part = results(&result).find(|result| result.get("code").is_some());
    let text = |name: &str| {
        part.and_then(|part| part.get(name)?.as_str())
            .map(str::to_owned)
    };
    if end == JobEnd::Succeeded {
        partly(&mut builder, &result, text("code"), text("message"));
        builder
    } else {
        builder.error(
            result.text(&["/code"]).or_else(|| text("code")),
            result.text(&["/message"]).or_else(|| text("message")),
        );
        builder.error_at(&["/data/code", "/code"], &["/data/message", "/message"])
    }
}

/// The result, which may be JSON within a text.
fn output(payload: &Payload<'_>) -> Value {
    let parsed = |value: &Value| match value {
        Value::String(text) => serde_json::from_str::<Value>(text).ok(),
        other => Some(other.clone()),
    };
    let found = payload.first(OUTPUT).and_then(parsed).unwrap_or_default();
    found
        .get("output")
        .filter(|inner| inner.is_object())
        .cloned()
        .unwrap_or(found)
}

/// The parts of the result: an array, or a single one.
fn results<'a>(result: &Payload<'a>) -> impl Iterator<Item = &'a Value> {
    let list = result.first(&["/results"]);
    let alone = list.filter(|results| results.is_object());
    list.and_then(Value::as_array)
        .into_iter()
        .flatten()
        .chain(alone)
}

fn links(builder: &mut EventBuilder<'_>, result: &Payload<'_>) {
    for made in results(result)
        .chain([result.json])
        .flat_map(|part| MADE.iter().filter_map(|name| part.get(name)))
    {
        builder.collect_images(made, 0);
    }
    if let Some(choices) = result.first(&["/choices"]) {
        builder.collect_images(choices, 0);
    }
}

/// Warns about failed parts of a success.
fn partly(
    builder: &mut EventBuilder<'_>,
    result: &Payload<'_>,
    code: Option<String>,
    message: Option<String>,
) {
    let Some(failed) = result
        .whole(&["/task_metrics/FAILED"])
        .filter(|failed| *failed > 0)
    else {
        return;
    };
    builder.metadata("failed_parts", failed.into());
    let of = result
        .whole(&["/task_metrics/TOTAL"])
        .map(|total| format!(" of {total}"))
        .unwrap_or_default();
    let why = message
        .map(|message| format!(": {message}"))
        .unwrap_or_default();
    builder.caveat(code, Some(format!("{failed}{of} parts failed{why}")));
}
