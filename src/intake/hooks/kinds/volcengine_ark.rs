//! Volcengine Ark (火山方舟): a video task at each change of its state
//! (<https://www.volcengine.com/docs/82379/1521309>).
//!
//! Nothing is signed; it must be answered within five seconds. The result is a video, and the mail
//! links it.

use super::super::{Draft, End, Mapped, Sent};

/// Reads a task.
pub fn map(sent: &Sent<'_>) -> Mapped {
    let (end, code) = match sent.word(&["/status"]).as_deref() {
        Some("succeeded") => (End::Succeeded, None),
        Some("failed") => (End::Failed, None),
        Some("expired") => (End::Failed, Some("expired")),
        Some("cancelled" | "canceled") => (End::Canceled, None),
        Some(word @ ("queued" | "running")) => {
            return Mapped::Ignored(format!("the task is {word}"));
        }
        Some(word) => return Mapped::Unknown(format!("the status {word:?} is not known")),
        None => return Mapped::stateless("/status"),
    };
    let mut draft = Draft::of(sent)
        .text("model", &["/model"])
        .seed(&["/seed"])
        .times(&["/created_at"], &["/updated_at"])
        .pictures(&[
            "/content/video_url",
            "/content/image_url",
            "/content/file_url",
        ])
        .error(&["/error/code"], &["/error/message"])
        .notes(&[
            ("resolution", "/resolution"),
            ("ratio", "/ratio"),
            ("duration", "/duration"),
            ("last_frame_url", "/content/last_frame_url"),
        ]);
    draft.fault(code.map(str::to_owned), None);
    draft.end(sent.text(&["/id"]), end)
}
