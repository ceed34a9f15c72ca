//! Kling (可灵): the callback protocol (<https://cloud.baidu.com/doc/qianfan-api/s/imbuloss6>).
//!
//! Success is spelled `succeed`. Times are in milliseconds; files expire after thirty days.

use super::super::states::States;
use super::super::{EventBuilder, MapResult, Payload};

const STATES: States = States {
    at: &["/task_status"],
    job: "task",
    succeeded: &["succeed", "succeeded"],
    failed: &["failed"],
    canceled: &[],
    ignored: &["submitted", "processing"],
};

/// Maps a task.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let end = match STATES.end(payload) {
        Ok(end) => end,
        Err(result) => return result,
    };
    EventBuilder::of(payload)
        .times_at(&["/created_at"], &["/updated_at"])
        .images_at(&["/task_result"])
        .error_at(&[], &["/task_status_msg"])
        .metadata_at(&[("external_task_id", "/task_info/external_task_id")])
        .finish(payload.text(&["/task_id"]), end)
}
