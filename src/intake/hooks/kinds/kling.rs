//! Kling (可灵): the callback protocol (<https://cloud.baidu.com/doc/qianfan-api/s/imbuloss6>).
//!
//! The word of success is `succeed`. Times are milliseconds; the files are removed after thirty
//! days.

use super::super::{EventBuilder, JobEnd, MapResult, Payload};

/// Reads a task.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let end = match payload.word(&["/task_status"]).as_deref() {
        Some("succeed" | "succeeded") => JobEnd::Succeeded,
        Some("failed") => JobEnd::Failed,
        Some(word @ ("submitted" | "processing")) => {
            return MapResult::Ignored(format!("the task is {word}"));
        }
        Some(word) => return MapResult::Unknown(format!("the status {word:?} is not known")),
        None => return MapResult::stateless("/task_status"),
    };
    EventBuilder::of(payload)
        .times_at(&["/created_at"], &["/updated_at"])
        .images_at(&["/task_result"])
        .error_at(&[], &["/task_status_msg"])
        .metadata_at(&[("external_task_id", "/task_info/external_task_id")])
        .finish(payload.text(&["/task_id"]), end)
}
