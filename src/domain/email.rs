//! A rendered mail, before any transport has given it a wire form.

use super::{DeliveryId, Mailbox, Recipient, Timestamp};

/// A rendered, transport-neutral mail. Rendering the same delivery again gives the same value, byte
/// for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The delivery that this mail fulfils; MIME boundaries are derived from it.
    pub delivery: DeliveryId,
    /// Message-ID without angle brackets, the same on every attempt (RFC 5322 §3.6.4).
    pub message_id: String,
    /// The Date header: when the event was accepted, not when it is tried.
    pub date: Timestamp,
    /// Whom it comes from; a server with a `from` of its own puts that in its place.
    pub from: Mailbox,
    /// Where answers go, when not to `from`.
    pub reply_to: Vec<Mailbox>,
    /// The one recipient; envelope and To header.
    pub to: Recipient,
    /// The subject, one line of plain text without control characters.
    pub subject: String,
    /// The plain-text part, lines ended by `\n`.
    pub text: String,
    /// The HTML part; empty in a mail that is text alone.
    pub html: String,
    /// Pictures that the HTML names by `cid:`.
    pub inline: Vec<InlinePart>,
    /// Further headers by name: `X-Jobbell-Event`, `Auto-Submitted`, … Values are ASCII 0x20 to
    /// 0x7E.
    pub headers: Vec<(&'static str, String)>,
}

/// A picture inside the mail, named from the HTML as `cid:<content_id>` (RFC 2392).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlinePart {
    /// Content-ID without angle brackets.
    pub content_id: String,
    /// File name, ASCII only.
    pub file_name: String,
    /// Media type, as `image/jpeg`.
    pub media_type: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
}
