//! Volcengine Ark (火山方舟): a video task at each change of its state
//! (<https://www.volcengine.com/docs/82379/1521309>).
//!
//! Nothing is signed; it must be answered within five seconds. The result is a video, and the mail
//! links it.

use super::super::{EventBuilder, JobEnd, MapResult, Payload};

/// Reads a task.
pub fn map(payload: &Payload<'_>) -> MapResult {
    let (end, code) = match payload.word(&["/status"]).as_deref() {
        Some("succeeded") => (JobEnd::Succeeded, None),
        Some("failed") => (JobEnd::Failed, None),
        Some("expired") => (JobEnd::Failed, Some("expired")),
        Some("cancelled" | "canceled") => (JobEnd::Canceled, None),
        Some(word @ ("queued" | "running")) => {
            return MapResult::Ignored(format!("the task is {word}"));
        }
        Some(word) => return MapResult::Unknown(format!("the status {word:?} is not known")),
        None => return MapResult::stateless("/status"),
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
    builder.error(code.map(str::to_owned), None);
    builder.finish(payload.text(&["/id"]), end)
}
