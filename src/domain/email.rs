//! Rendered mails, before a transport encodes them.

use super::{DeliveryId, Mailbox, Recipient, Timestamp};

/// A rendered mail, independent of the transport. Rendering a delivery again yields the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The delivery. MIME boundaries are derived from its ID.
    pub delivery: DeliveryId,
    /// Message-ID without angle brackets, the same on every attempt (RFC 5322 §3.6.4).
    pub message_id: String,
    /// The Date header: when the event was accepted, not when the mail is sent.
    pub date: Timestamp,
    /// The sender. A server with its own `from` replaces it.
    pub from: Mailbox,
    /// Addresses for replies, if they differ from `from`.
    pub reply_to: Vec<Mailbox>,
    /// The recipient, in the envelope and in the To header.
    pub to: Recipient,
    /// The subject, one line of plain text without control characters.
    pub subject: String,
    /// The plain-text part; lines end with `\n`.
    pub text: String,
    /// The HTML part; empty for a text-only mail.
    pub html: String,
    /// Images that the HTML references by `cid:`.
    pub inline: Vec<InlinePart>,
    /// Further headers by name: `X-Jobbell-Event`, `Auto-Submitted`, … Values are ASCII 0x20 to
    /// 0x7E.
    pub headers: Vec<(&'static str, String)>,
}

/// An embedded image, referenced by the HTML as `cid:<content_id>` (RFC 2392).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlinePart {
    /// Content-ID without angle brackets.
    pub content_id: String,
    /// File name, ASCII only.
    pub file_name: String,
    /// Media type, such as `image/jpeg`.
    pub media_type: &'static str,
    /// The bytes.
    pub bytes: Vec<u8>,
}
