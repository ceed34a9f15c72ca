//! Aliyun `DashScope` (万相): a task's end as a `CloudEvents` message of `EventBridge`
//! (<https://help.aliyun.com/zh/model-studio/async-task-api>), or the answer of the task query, which a bridge of one's own may send on.
//!
//! The event names the task and its model, seldom the result: pictures have to be fetched with a key of their owner. Times have no zone and are
//! China's. A task that succeeded in part is a success; its notes say how many parts failed.

use serde_json::Value;

use super::super::sent::china_time;
use super::super::{Draft, End, Mapped, Sent};

/// Where the task stands: in the event, or in the answer of the query.
const STATUS: &[&str] = &["/data/task_status", "/output/task_status"];

/// Where the parts of the result stand.
const RESULTS: &[&str] = &["/data/output_result/output/results", "/output/results"];

/// Reads an event or a query's answer.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let end = match sent.word(STATUS).as_deref() {
        Some("succeeded") => End::Succeeded,
        Some("failed") => End::Failed,
        Some("canceled") => End::Canceled,
        Some(word @ ("pending" | "running" | "suspended")) => return Mapped::Ignored(format!("the task is {word}")),
        Some(word) => return Mapped::Unknown(format!("the status {word:?} is not known")),
        None if sent.text(&["/type"]).is_some_and(|kind| !kind.ends_with(":AsyncTaskFinish")) => {
            return Mapped::Ignored("an event of another type".to_owned());
        }
        None => return Mapped::stateless("/data/task_status"),
    };
    let mut draft = Draft::of(sent)
        .text("prompt", &["/output/results/0/orig_prompt", "/data/output_result/output/results/0/orig_prompt"])
        .text("prompt_translated", &["/output/results/0/actual_prompt", "/data/output_result/output/results/0/actual_prompt"])
        .notes(&[("request_id", "/data/request_id"), ("region", "/data/region")])
        .error(&["/output/code", "/output/results/0/code"], &["/output/message", "/output/results/0/message"]);
    for result in sent.first(RESULTS).and_then(Value::as_array).into_iter().flatten() {
        if let Some(url) = result.get("url") {
            draft.search(url, 0);
        }
    }
    if let Some(model) = sent.text(&["/data/user_api_unique_key"]).as_deref().and_then(|key| key.rsplit(':').next()) {
        draft.put("model", model);
    }
    if let Some(failed) = sent.whole(&["/output/task_metrics/FAILED", "/data/output_result/output/task_metrics/FAILED"]).filter(|failed| *failed > 0) {
        draft.note("failed_parts", failed.into());
    }
    let time = |places: &[&str]| sent.first(places).and_then(china_time);
    draft.moments(time(&["/data/start_time", "/output/scheduled_time"]), time(&["/data/end_time", "/output/end_time"]).or_else(|| sent.time(&["/time"])));
    draft.end(sent.text(&["/data/task_id", "/output/task_id"]), end)
}
