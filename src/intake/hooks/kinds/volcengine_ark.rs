//! Volcengine Ark (火山方舟): a video task at each change of state
//! (<https://www.volcengine.com/docs/82379/1521309>).
//!
//! Requests are not signed and must be answered within five seconds. The result is a video, which
//! the email links.

use super::super::states::States;
use super::super::{EventBuilder, MapResult, Payload};

const STATES: States = States {
    at: &["/status"],
    job: "task",
    succeeded: &["succeeded"],
    failed: &["failed", "expired"],
    canceled: &["cancelled", "canceled"],
    ignored: &["queued", "running"],
};

/// Maps a task.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let end = match STATES.end(payload) {
        Ok(end) => end,
        Err(result) => return result,
    };
    let mut builder = EventBuilder::of(payload)
        .text_at("model", &["/model"])
        .seed_at(&["/seed"])
        .times_at(&["/created_at"], &["/updated_at"])
        .images_at(&[
            "/content/video_url",
            "/content/image_url",
            "/content/file_url",
        ])
        .error_at(&["/error/code"], &["/error/message"])
        .metadata_at(&[
            ("resolution", "/resolution"),
            ("ratio", "/ratio"),
            ("duration", "/duration"),
            ("last_frame_url", "/content/last_frame_url"),
        ]);
    let expired = payload.word(STATES.at).filter(|word| word == "expired");
    builder.error(expired, None);
    builder.finish(payload.text(&["/id"]), end)
}
