//! Composes an [`Email`] into the bytes that are sent. Pure: the same mail through the same server
//! gives the same bytes.
//!
//! lettre builds the MIME tree and the header section. Two things are encoded here instead:
//!
//! * header values (`header.rs`), because lettre accepts an ASCII word of any length (RFC 5322
//!   §2.1.1 limits a line to 998) and copies a literal `=?…?=`, which mail clients would decode;
//! * texts (`encoding.rs`), because its quoted-printable encoder took most of the time of composing
//!   a mail.
//!
//! Boundaries are derived from the delivery's id, so all attempts are identical.

mod encoding;
mod header;

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{
    ContentDisposition, ContentId, ContentType, Date, HeaderName, HeaderValue, Headers,
    MIME_VERSION_1_0,
};
use lettre::message::{Body, MultiPart, SinglePart};

use crate::domain::{Email, Failure, FailureKind, InlinePart, Mailbox, Recipient, Stage};

/// The end of the payload of DATA (RFC 5321 §4.1.1.4), after the end of the last line.
const END: &[u8] = b".\r\n";

/// A mail in the form that is sent: the envelope, and the payload of DATA including the final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireMessage<'a> {
    /// The envelope sender, which receives bounces.
    pub sender: &'a Recipient,
    /// The envelope recipient.
    pub recipient: &'a Recipient,
    /// Size of the message in octets, without dot stuffing and the final dot (RFC 1870 §3).
    pub size: usize,
    /// Whether an address in envelope or headers needs SMTPUTF8 (RFC 6531).
    pub needs_smtputf8: bool,
    /// The message with CRLF line ends and dot stuffing (RFC 5321 §4.5.2), ended by `CRLF . CRLF`.
    pub payload: Vec<u8>,
}

impl WireMessage<'_> {
    /// The message without the final dot, as BDAT requires it; `None` if dots were stuffed.
    pub fn unstuffed(&self) -> Option<&[u8]> {
        self.payload
            .strip_suffix(END)
            .filter(|message| message.len() == self.size)
    }
}

/// The sender of the mails of a server.
#[derive(Debug, Clone, Copy)]
pub struct SenderIdentity<'a> {
    /// The server's `from`. Its address replaces the mail's, and so does its name, if it has one.
    pub from: &'a Mailbox,
    /// The server's `reply_to`. Replaces the mail's, unless it is empty.
    pub reply_to: &'a [Mailbox],
}

/// Composes a mail for a server that sends as `identity`.
///
/// # Errors
/// [`FailureKind::Rejected`] at [`Stage::Compose`] if the media type of a part is invalid.
pub fn compose<'a>(
    email: &'a Email,
    identity: SenderIdentity<'a>,
) -> Result<WireMessage<'a>, Failure> {
    let message = message(email, identity)?;
    let addresses = [&identity.from.address, &email.to].into_iter().chain(
        reply_to(email, identity)
            .iter()
            .map(|mailbox| &mailbox.address),
    );
    Ok(WireMessage {
        sender: &identity.from.address,
        recipient: &email.to,
        size: message.len(),
        needs_smtputf8: { addresses }.any(Recipient::needs_smtputf8),
        payload: stuffed(message),
    })
}

/// The message (RFC 5322) as in an `.eml` file: CRLF line ends, no dot stuffing, no final dot.
///
/// # Errors
/// As [`compose`].
pub fn message(email: &Email, identity: SenderIdentity<'_>) -> Result<Vec<u8>, Failure> {
    let (head, body) = (headers(email, identity).to_string(), body(email)?);
    // With space for the final dot, so that appending it does not reallocate.
    let mut message = Vec::with_capacity(head.len() + body.len() + END.len());
    message.extend_from_slice(head.as_bytes());
    message.extend_from_slice(&body);
    Ok(message)
}

/// Date, From, Reply-To, To, Message-ID, Subject, the mail's additional headers, MIME-Version. The
/// body begins with Content-Type.
fn headers(email: &Email, identity: SenderIdentity<'_>) -> Headers {
    let mut headers = Headers::with_capacity(8 + email.headers.len());
    headers.set(Date::new(
        UNIX_EPOCH + Duration::from_millis(u64::try_from(email.date.as_millis()).unwrap_or(0)),
    ));
    let name = identity.from.name.as_deref().or(email.from.name.as_deref());
    insert(
        &mut headers,
        "From",
        header::mailbox(name, identity.from.address.as_str(), "From: ".len()),
    );
    let reply_to = reply_to(email, identity);
    if !reply_to.is_empty() {
        insert(
            &mut headers,
            "Reply-To",
            header::mailboxes(reply_to, "Reply-To: ".len()),
        );
    }
    insert(&mut headers, "To", email.to.as_str().to_owned());
    insert(
        &mut headers,
        "Message-ID",
        format!("<{}>", header::identifier(&email.message_id)),
    );
    insert(
        &mut headers,
        "Subject",
        header::unstructured(&email.subject, "Subject: ".len()),
    );
    for (name, value) in &email.headers {
        insert(
            &mut headers,
            name,
            header::unstructured(value, name.len() + 2),
        );
    }
    headers.set(MIME_VERSION_1_0);
    headers
}

/// The Reply-To addresses of a mail.
fn reply_to<'a>(email: &'a Email, identity: SenderIdentity<'a>) -> &'a [Mailbox] {
    if identity.reply_to.is_empty() {
        &email.reply_to
    } else {
        identity.reply_to
    }
}

fn insert(headers: &mut Headers, name: &'static str, encoded: String) {
    headers.insert_raw(HeaderValue::dangerous_new_pre_encoded(
        HeaderName::new_from_ascii_str(name),
        String::new(),
        encoded,
    ));
}

/// The text, and the HTML if there is any, within `multipart/related` if there are inline images
/// (RFC 2046 §5.1.4, RFC 2387).
fn body(email: &Email) -> Result<Vec<u8>, Failure> {
    if email.html.is_empty() {
        return Ok(text_part(ContentType::TEXT_PLAIN, &email.text).formatted());
    }
    let alternative = MultiPart::builder()
        .header(multipart("alternative", "alt", email)?)
        .singlepart(text_part(ContentType::TEXT_PLAIN, &email.text));
    let html = text_part(ContentType::TEXT_HTML, &email.html);
    if email.inline.is_empty() {
        return Ok(alternative.singlepart(html).formatted());
    }
    let mut related = MultiPart::builder()
        .header(multipart("related; type=\"text/html\"", "rel", email)?)
        .singlepart(html);
    for part in &email.inline {
        related = related.singlepart(image_part(part)?);
    }
    Ok(alternative.multipart(related).formatted())
}

/// The boundary begins with `=_`, which cannot occur in quoted-printable or base64 (RFC 2045 §6.7
/// (1)); a text with `--=_` is never sent as 7bit.
fn multipart(kind: &str, level: &str, email: &Email) -> Result<ContentType, Failure> {
    media_type(&format!(
        "multipart/{kind}; boundary=\"=_{level}_{}\"",
        email.delivery.0.simple()
    ))
}

fn media_type(text: &str) -> Result<ContentType, Failure> {
    ContentType::parse(text).map_err(|_| Failure {
        kind: FailureKind::Rejected,
        stage: Stage::Compose,
        reply: None,
        detail: "a part of the mail has an invalid media type".to_owned(),
        explanation: None,
    })
}

fn text_part(content_type: ContentType, text: &str) -> SinglePart {
    let (bytes, encoding) = encoding::text(text);
    SinglePart::builder()
        .content_type(content_type)
        .body(Body::dangerous_pre_encoded(bytes, encoding))
}

fn image_part(part: &InlinePart) -> Result<SinglePart, Failure> {
    let (bytes, encoding) = encoding::binary(&part.bytes);
    Ok(SinglePart::builder()
        .content_type(media_type(part.media_type)?)
        .header(ContentDisposition::inline_with_name(&header::file_name(
            &part.file_name,
        )))
        .header(ContentId::from(format!(
            "<{}>",
            header::identifier(&part.content_id)
        )))
        .body(Body::dangerous_pre_encoded(bytes, encoding)))
}

/// Stuffs dots and appends the final one. The message already ends with CRLF.
fn stuffed(mut message: Vec<u8>) -> Vec<u8> {
    // Usually no line begins with a dot. The search in `str` is faster than in bytes.
    if std::str::from_utf8(&message).map_or(true, |text| text.contains("\n.")) {
        let mut copy = Vec::with_capacity(message.len() + 64);
        for line in message.split_inclusive(|byte| *byte == b'\n') {
            if line.starts_with(b".") {
                copy.push(b'.');
            }
            copy.extend_from_slice(line);
        }
        message = copy;
    }
    message.extend_from_slice(END);
    message
}

#[cfg(test)]
mod tests;
