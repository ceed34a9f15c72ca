//! Volcengine Ark (火山方舟): a video task at each change of state
//! (<https://www.volcengine.com/docs/82379/1521309>).
//!
//! Requests are not signed and must be answered within five seconds. The result is a video, which
//! the email links.

use super::super::{Kind, MapResult, Payload};
use super::mapped;

/// Maps a task. One that expired has no error, so the state is its code.
pub fn map(payload: &Payload<'_>) -> MapResult {
    mapped::map(Kind::VolcengineArk, payload, |mut task| {
        let expired = payload.word(&["/status"]).filter(|word| word == "expired");
        task.builder.error(expired, None);
        task
    })
}
