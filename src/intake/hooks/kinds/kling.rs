//! Kling (可灵): the callback protocol (<https://cloud.baidu.com/doc/qianfan-api/s/imbuloss6>).
//!
//! The word of success is `succeed`. Times are milliseconds; the files are removed after thirty
//! days.

use super::super::{Draft, End, Mapped, Sent};

/// Reads a task.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let end = match sent.word(&["/task_status"]).as_deref() {
        Some("succeed" | "succeeded") => End::Succeeded,
        Some("failed") => End::Failed,
        Some(word @ ("submitted" | "processing")) => {
            return Mapped::Ignored(format!("the task is {word}"));
        }
        Some(word) => return Mapped::Unknown(format!("the status {word:?} is not known")),
        None => return Mapped::stateless("/task_status"),
    };
    Draft::of(sent)
        .times(&["/created_at"], &["/updated_at"])
        .pictures(&["/task_result"])
        .error(&[], &["/task_status_msg"])
        .notes(&[("external_task_id", "/task_info/external_task_id")])
        .end(sent.text(&["/task_id"]), end)
}
