//! Content-Transfer-Encoding (RFC 2045 §6): 7bit for short plain lines, else the shorter of
//! quoted-printable and base64.
//!
//! Never 8bit, because the bytes of a mail must not depend on whether the server supports 8BITMIME.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::ContentTransferEncoding;

/// The longest line of quoted-printable and base64 (RFC 2045 §6.7 (5), §6.8).
const LINE: usize = 76;
/// The longest line in 7bit (RFC 5322 §2.1.1, recommended limit).
const PLAIN_LINE: usize = 78;

/// Encodes a text; line breaks of any kind become CRLF.
pub(super) fn text(text: &str) -> (Vec<u8>, ContentTransferEncoding) {
    let text = unix_lines(text);
    if text.is_ascii() && text.split('\n').all(is_plain) {
        return (
            text.replace('\n', "\r\n").into_bytes(),
            ContentTransferEncoding::SevenBit,
        );
    }
    // Quoted-printable turns an escaped octet into three, base64 any three into four. Counting
    // characters is fast; most characters outside ASCII have three octets.
    let outside_ascii = (text.len() - text.chars().count()) * 3 / 2;
    if text.len() + 2 * outside_ascii <= text.len() / 3 * 4 {
        (
            quoted_printable(&text),
            ContentTransferEncoding::QuotedPrintable,
        )
    } else {
        binary(text.replace('\n', "\r\n").as_bytes())
    }
}

/// Encodes bytes in base64, in lines of 76 characters separated by CRLF.
pub(super) fn binary(bytes: &[u8]) -> (Vec<u8>, ContentTransferEncoding) {
    let encoded = STANDARD.encode(bytes).into_bytes();
    let mut out = Vec::with_capacity(encoded.len() + encoded.len() / LINE * 2 + 2);
    for (index, line) in encoded.chunks(LINE).enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(line);
    }
    (out, ContentTransferEncoding::Base64)
}

fn unix_lines(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether a line can be sent as 7bit: short, without control characters, and without anything that
/// a mail server may strip or escape, or that looks like a boundary.
fn is_plain(line: &str) -> bool {
    line.len() <= PLAIN_LINE
        && line
            .bytes()
            .all(|byte| byte == b'\t' || (0x20..0x7F).contains(&byte))
        && !line.ends_with([' ', '\t'])
        && !line.starts_with("From ")
        && !line.contains("--=_")
}

/// Encodes in one pass: escapes single octets, and copies the runs between them as a whole.
fn quoted_printable(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 3);
    let mut rest = text.as_bytes();
    let mut column = 0;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'\n' {
            out.extend_from_slice(b"\r\n");
            (rest, column) = (tail, 0);
            continue;
        }
        // A dot at the start would be stuffed, a space at the end stripped, so both are escaped.
        let escape =
            !is_literal(byte) || (byte == b'.' && column == 0) || (byte == b' ' && ends_line(tail));
        let available = LINE - 1 - column;
        if available < if escape { 3 } else { 1 } {
            out.extend_from_slice(b"=\r\n");
            column = 0;
            continue;
        }
        if escape {
            out.extend_from_slice(&[b'=', hex(byte >> 4), hex(byte & 15)]);
            (rest, column) = (tail, column + 3);
            continue;
        }
        let run = plain_prefix(rest.get(..available).unwrap_or(rest));
        let before_space = rest.get(..run).is_some_and(|plain| plain.ends_with(b" "))
            && rest.get(run..).is_some_and(ends_line);
        let (plain, tail) = rest.split_at(if before_space { run - 1 } else { run });
        out.extend_from_slice(plain);
        (rest, column) = (tail, column + plain.len());
    }
    out
}

fn ends_line(rest: &[u8]) -> bool {
    rest.first().is_none_or(|byte| *byte == b'\n')
}

/// The number of octets at the start that need no escape. Checks eight at a time.
fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let special = specials(u64::from_le_bytes(*word));
        if special != 0 {
            return index * 8 + usize::from((special.trailing_zeros() / 8).to_le_bytes()[0]);
        }
    }
    words.len() * 8 + rest.iter().take_while(|byte| is_literal(**byte)).count()
}

/// Sets the high bit of each octet that needs an escape: above 0x7E, below 0x20, or `=`. Exact up
/// to the lowest set bit.
const fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let (delete, equals) = (word ^ (ONES * 0x7F), word ^ (ONES * b'=' as u64));
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let is_delete = delete.wrapping_sub(ONES) & !delete;
    let is_equals = equals.wrapping_sub(ONES) & !equals;
    (word | below_space | is_delete | is_equals) & HIGH
}

const fn is_literal(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'='
}

const fn hex(digit: u8) -> u8 {
    if digit < 10 {
        b'0' + digit
    } else {
        b'A' + digit - 10
    }
}
