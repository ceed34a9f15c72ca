//! Bytes as hexadecimal text and back.

use std::fmt::Write as _;

/// Small letters.
pub(in crate::intake::hooks) fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            write!(text, "{byte:02x}").unwrap_or_default();
            text
        })
}

/// Letters of either case; nothing else, and whole bytes only.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    text.as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(pair.first()?)? * 16 + digit(pair.get(1)?)?))
        .collect()
}
