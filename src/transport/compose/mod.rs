//! From an [`Email`] to the bytes that go over the wire. Pure: the same mail through the same
//! server gives the same bytes.
//!
//! lettre builds the MIME tree and lays out the headers. Two things are encoded here and handed to
//! it ready-made:
//!
//! * header values (`header.rs`), because lettre lets an ASCII word of any length through (RFC 5322
//!   §2.1.1 ends a line at 998) and passes a literal `=?…?=` on, which readers would decode;
//! * texts (`encoding.rs`), because its quoted-printable encoder took most of the time of composing
//!   a mail.
//!
//! Boundaries come from the delivery's id, so every attempt is byte-equal.

mod encoding;
mod header;

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{
    ContentDisposition, ContentId, ContentType, Date, HeaderName, HeaderValue, Headers,
    MIME_VERSION_1_0,
};
use lettre::message::{Body, MultiPart, SinglePart};

use crate::domain::{Email, Failure, FailureKind, InlinePart, Mailbox, Recipient, Stage};

/// What ends the payload of DATA (RFC 5321 §4.1.1.4), after the last line's own end.
const END: &[u8] = b".\r\n";

/// A mail in its wire form: envelope, and the payload of DATA up to and with the final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireMessage<'a> {
    /// The envelope's sender, so that bounces come back to it.
    pub sender: &'a Recipient,
    /// The envelope's one recipient.
    pub recipient: &'a Recipient,
    /// Octets of the message as SIZE counts them: without stuffed dots and the final one (RFC 1870
    /// §3).
    pub size: usize,
    /// Whether an address in envelope or headers needs SMTPUTF8 (RFC 6531).
    pub needs_smtputf8: bool,
    /// The message with CRLF line ends, dots stuffed (RFC 5321 §4.5.2), ended by `CRLF . CRLF`: one
    /// buffer, one write.
    pub payload: Vec<u8>,
}

impl WireMessage<'_> {
    /// The message as BDAT takes it, if it is in here: without a final dot, and no line of it
    /// needed one stuffed.
    pub fn unstuffed(&self) -> Option<&[u8]> {
        self.payload
            .strip_suffix(END)
            .filter(|message| message.len() == self.size)
    }
}

/// Whom a mail comes from on the server that it goes through.
#[derive(Debug, Clone, Copy)]
pub struct SenderIdentity<'a> {
    /// The server's own `from`; its address wins over the mail's, its name where it has one.
    pub from: &'a Mailbox,
    /// The server's own `reply_to`; wins over the mail's when it is not empty.
    pub reply_to: &'a [Mailbox],
}

/// Composes a mail for a server that sends as `identity`.
///
/// # Errors
/// [`FailureKind::Rejected`] at [`Stage::Compose`] when a part's media type is none.
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

/// The message itself (RFC 5322), as an `.eml` file holds it: CRLF line ends, no stuffed dots, no
/// final dot.
///
/// # Errors
/// As [`compose`].
pub fn message(email: &Email, identity: SenderIdentity<'_>) -> Result<Vec<u8>, Failure> {
    let (head, body) = (headers(email, identity).to_string(), body(email)?);
    // Room for the end, so that adding it does not move the whole.
    let mut message = Vec::with_capacity(head.len() + body.len() + END.len());
    message.extend_from_slice(head.as_bytes());
    message.extend_from_slice(&body);
    Ok(message)
}

/// Date, From, Reply-To, To, Message-ID, Subject, the mail's own ones, MIME-Version; Content-Type
/// follows with the body.
fn headers(email: &Email, identity: SenderIdentity<'_>) -> Headers {
    let mut headers = Headers::with_capacity(8 + email.headers.len());
    headers.set(Date::new(
        UNIX_EPOCH + Duration::from_millis(u64::try_from(email.date.as_millis()).unwrap_or(0)),
    ));
    let name = identity.from.name.as_deref().or(email.from.name.as_deref());
    put(
        &mut headers,
        "From",
        header::mailbox(name, identity.from.address.as_str(), "From: ".len()),
    );
    let reply_to = reply_to(email, identity);
    if !reply_to.is_empty() {
        put(
            &mut headers,
            "Reply-To",
            header::mailboxes(reply_to, "Reply-To: ".len()),
        );
    }
    put(&mut headers, "To", email.to.as_str().to_owned());
    put(
        &mut headers,
        "Message-ID",
        format!("<{}>", header::identifier(&email.message_id)),
    );
    put(
        &mut headers,
        "Subject",
        header::unstructured(&email.subject, "Subject: ".len()),
    );
    for (name, value) in &email.headers {
        put(
            &mut headers,
            name,
            header::unstructured(value, name.len() + 2),
        );
    }
    headers.set(MIME_VERSION_1_0);
    headers
}

/// Where answers to a mail go.
fn reply_to<'a>(email: &'a Email, identity: SenderIdentity<'a>) -> &'a [Mailbox] {
    if identity.reply_to.is_empty() {
        &email.reply_to
    } else {
        identity.reply_to
    }
}

fn put(headers: &mut Headers, name: &'static str, encoded: String) {
    headers.insert_raw(HeaderValue::dangerous_new_pre_encoded(
        HeaderName::new_from_ascii_str(name),
        String::new(),
        encoded,
    ));
}

/// Text, then HTML where there is any; the HTML inside `multipart/related` when it names pictures
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
        related = related.singlepart(picture(part)?);
    }
    Ok(alternative.multipart(related).formatted())
}

/// `=_` cannot stand in quoted-printable or base64 (RFC 2045 §6.7 (1)), and no line of 7bit has
/// `--=_`.
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
        detail: "a part of the mail has a media type that is none".to_owned(),
        explanation: None,
    })
}

fn text_part(content_type: ContentType, text: &str) -> SinglePart {
    let (bytes, encoding) = encoding::text(text);
    SinglePart::builder()
        .content_type(content_type)
        .body(Body::dangerous_pre_encoded(bytes, encoding))
}

fn picture(part: &InlinePart) -> Result<SinglePart, Failure> {
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

/// Stuffs dots and adds the final one. The message ends with CRLF already, and mostly no line of it
/// starts with a dot; a header never does.
fn stuffed(mut message: Vec<u8>) -> Vec<u8> {
    // As text, since the search in text looks at many octets at once; what is no text is looked at
    // line by line.
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
