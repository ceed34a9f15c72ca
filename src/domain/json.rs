//! Parses JSON from producers, including texts with characters that cannot be decoded.

use std::borrow::Cow;

use serde_json::Value;

/// Parses JSON, nested at most 127 levels deep. Invalid UTF-8 and unpaired surrogates (`\ud83d`)
/// become U+FFFD: a mail with one wrong character is better than none. A byte order mark is ignored
/// (RFC 8259 §8.1).
///
/// # Errors
/// If it is not JSON even after these replacements.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    // Nearly all texts are valid and are read only once.
    serde_json::from_slice(bytes).or_else(|error| {
        let text = String::from_utf8_lossy(bytes);
        let mended = mend_surrogates(&text);
        let is_mended = matches!(text, Cow::Owned(_)) || matches!(mended, Cow::Owned(_));
        if is_mended {
            serde_json::from_str(&mended)
        } else {
            Err(error)
        }
    })
}

/// Replaces surrogate escapes that are not part of a pair with `\ufffd`.
fn mend_surrogates(text: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let (mut copied, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while let Some(found) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'\\'))
    {
        at += found;
        match (surrogate(bytes, at), surrogate(bytes, at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => at += 12,
            (Some(_), _) => {
                mended.push_str(text.get(copied..at).unwrap_or_default());
                mended.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            // Any other escape, including `\\`, has at least two characters.
            (None, _) => at += 2,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    mended.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(mended)
}

/// The surrogate escape (`\u` and four hex digits) at `at`.
fn surrogate(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    let digits = std::str::from_utf8(escape.strip_prefix(b"\\u")?)
        .ok()
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16)
        .ok()
        .filter(|unit| (0xD800..=0xDFFF).contains(unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_undecodable_characters_are_replaced() {
        for (text, wanted) in [
            (&br#""a cat \ud83d""#[..], json!("a cat \u{FFFD}")),
            (
                br#""\udc31 \ud83d\ud83d\udc31 \ud83dx \uD83D\u0041""#,
                json!("\u{FFFD} \u{FFFD}🐱 \u{FFFD}x \u{FFFD}A"),
            ),
            (br#""\\ud83d \ud83d""#, json!("\\ud83d \u{FFFD}")),
            (br#""\ud83d\udc31""#, json!("🐱")),
            (b"\"caf\xe9 \xf0\x9f\"", json!("caf\u{FFFD} \u{FFFD}")),
            (
                b"\xEF\xBB\xBF{\"k\xe9\\ud83d\":1}",
                json!({"k\u{FFFD}\u{FFFD}": 1}),
            ),
        ] {
            assert_eq!(
                read(text).unwrap(),
                wanted,
                "{}",
                String::from_utf8_lossy(text)
            );
        }
        for text in [
            &b"{"[..],
            b"\"\\u12\"",
            b"\"\\ud83d",
            b"\"\\ud8\"",
            b"\xff\xfe",
            b"\\ud83d",
            b"\"\\",
        ] {
            assert!(read(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }
}
