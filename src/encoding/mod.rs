//! Decodes files, command output and bodies: UTF-8 with or without a byte order mark, UTF-16, and
//! legacy encodings.

pub mod hex;

use std::borrow::Cow;

use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};

/// Decodes a file that must be UTF-8, such as a configuration or a secret. A byte order mark is
/// removed; one of UTF-16 is respected.
///
/// # Errors
/// If the bytes are neither. The message completes a sentence that starts with the file's name.
pub fn utf8_file(bytes: Vec<u8>) -> Result<String, &'static str> {
    match Encoding::for_bom(&bytes) {
        Some((encoding, length)) => {
            let body = bytes.get(length..).unwrap_or_default();
            encoding
                .decode_without_bom_handling_and_without_replacement(body)
                .map(Cow::into_owned)
                .ok_or("is damaged text")
        }
        None => String::from_utf8(bytes).map_err(|_| "is not UTF-8 text"),
    }
}

/// Decodes bytes of unknown encoding: by byte order mark, then as UTF-8, then as GB18030 if it
/// looks like it. Invalid bytes become U+FFFD. `declared` is tried before the guess, for example a
/// locale's encoding.
pub fn decode(bytes: &[u8], declared: Option<&'static Encoding>) -> String {
    if let Some((encoding, length)) = Encoding::for_bom(bytes) {
        return encoding
            .decode_without_bom_handling(bytes.get(length..).unwrap_or_default())
            .0
            .into_owned();
    }
    if let Some(encoding) = utf16_without_mark(bytes) {
        return encoding.decode_without_bom_handling(bytes).0.into_owned();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => decode_other(bytes, declared),
    }
}

fn decode_other(bytes: &[u8], declared: Option<&'static Encoding>) -> String {
    let lossy = String::from_utf8_lossy(bytes);
    let broken = lossy.matches(char::REPLACEMENT_CHARACTER).count();
    let whole = lossy.chars().filter(|c| !c.is_ascii()).count() - broken;
    if whole >= broken {
        // UTF-8 with errors, or cut within a character.
        return lossy.into_owned();
    }
    match declared.filter(|encoding| *encoding != UTF_8) {
        Some(encoding) => encoding.decode_without_bom_handling(bytes).0.into_owned(),
        None if looks_like_gbk(bytes) => GB18030.decode_without_bom_handling(bytes).0.into_owned(),
        None => lossy.into_owned(),
    }
}

/// Decodes bytes in a declared encoding; `None` if the name is unknown or the bytes are invalid.
pub fn decode_declared<'a>(bytes: &'a [u8], label: &str) -> Option<Cow<'a, str>> {
    let encoding = Encoding::for_label(label.trim().trim_matches('"').as_bytes())?;
    let bytes = match Encoding::for_bom(bytes) {
        // The mark takes precedence over the name only within the same family (WHATWG Encoding §4).
        Some((found, length)) if found == encoding || encoding == UTF_16LE => {
            return found.decode_without_bom_handling_and_without_replacement(bytes.get(length..)?);
        }
        _ => bytes,
    };
    encoding.decode_without_bom_handling_and_without_replacement(bytes)
}

/// Whether the encoding is known.
pub fn is_known(label: &str) -> bool {
    Encoding::for_label(label.trim().as_bytes()).is_some()
}

/// Converts bytes to UTF-8 by [`decode`], unless they are UTF-8 already.
pub fn to_utf8(bytes: Vec<u8>, declared: Option<&'static Encoding>) -> Vec<u8> {
    if std::str::from_utf8(&bytes).is_ok_and(|text| !text.contains('\0')) {
        bytes
    } else {
        decode(&bytes, declared).into_bytes()
    }
}

/// The encoding of a locale, such as `zh_CN.GBK` in `LANG`.
pub fn of_locale(name: &str) -> Option<&'static Encoding> {
    let (_, charset) = name.split_once('.')?;
    let charset = charset.split('@').next().unwrap_or_default();
    Encoding::for_label(charset.as_bytes()).or_else(|| {
        match charset.to_ascii_lowercase().as_str() {
            "eucjp" => Some(encoding_rs::EUC_JP),
            "euckr" => Some(encoding_rs::EUC_KR),
            "euccn" => Some(GB18030),
            _ => None,
        }
    })
}

/// Detects UTF-16 without a byte order mark: ASCII in UTF-16 has a zero in every other byte.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let of = |at: usize| pairs.iter().filter(|pair| pair.get(at) == Some(&0)).count();
    let (high, low) = (of(0), of(1));
    match pairs.len() / 2 {
        half if low > half && high == 0 => Some(UTF_16LE),
        half if high > half && low == 0 => Some(UTF_16BE),
        _ => None,
    }
}

/// Whether the bytes are GB18030 and most characters are common ones (GB 2312), whose two bytes
/// both have the high bit. Accents in Western encodings are single bytes between letters, so they
/// are not mistaken for Chinese.
fn looks_like_gbk(bytes: &[u8]) -> bool {
    let (mut everyday, mut others, mut at) = (0_usize, 0_usize, 0);
    while let Some(lead) = bytes.get(at) {
        if lead.is_ascii() {
            at += 1;
            continue;
        }
        match bytes.get(at + 1) {
            Some(trail) if *lead >= 0xA1 && *trail >= 0xA1 => everyday += 1,
            _ => others += 1,
        }
        at += 2;
    }
    everyday > others
        && GB18030
            .decode_without_bom_handling_and_without_replacement(bytes)
            .is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_encodings_are_decoded() {
        let gbk = GB18030.encode("错误：内存不足 (exit 3)").0;
        assert_eq!(decode(&gbk, None), "错误：内存不足 (exit 3)");
        assert_eq!(decode(b"caf\xE9 \xFF!", None), "caf\u{FFFD} \u{FFFD}!");
        assert_eq!(
            decode(b"\xE9t\xE9 d\xE9j\xE0", None),
            "\u{FFFD}t\u{FFFD} d\u{FFFD}j\u{FFFD}"
        );
        assert_eq!(decode(b"caf\xE9", of_locale("fr_FR.ISO-8859-1")), "café");
        assert_eq!(
            decode(&gbk, of_locale("zh_CN.GBK")),
            "错误：内存不足 (exit 3)"
        );
        assert_eq!(
            decode("猫a\u{FFFD}".as_bytes().get(..5).unwrap(), None),
            "猫a\u{FFFD}"
        );
    }

    #[test]
    fn utf16_is_decoded_with_and_without_a_mark() {
        let wide = |text: &str| {
            text.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>()
        };
        let marked = [b"\xFF\xFE".to_vec(), wide("{\"a\":\"猫\"}")].concat();
        assert_eq!(decode(&marked, None), "{\"a\":\"猫\"}");
        assert_eq!(
            decode(&wide("{\"status\": \"succeeded\"}"), None),
            "{\"status\": \"succeeded\"}"
        );
        assert_eq!(utf8_file(marked).unwrap(), "{\"a\":\"猫\"}");
    }

    #[test]
    fn byte_order_mark_is_removed() {
        assert_eq!(utf8_file(b"\xEF\xBB\xBFabc".to_vec()), Ok("abc".to_owned()));
        assert_eq!(decode(b"\xEF\xBB\xBFabc", None), "abc");
        assert_eq!(decode_declared(b"\xEF\xBB\xBFabc", "utf-8").unwrap(), "abc");
        assert!(utf8_file(b"\xFF".to_vec()).is_err());
    }

    #[test]
    fn declared_encoding_is_used() {
        let gbk = GB18030.encode("{\"error\":\"内存不足\"}").0;
        for label in ["GBK", "gb2312", "\"gb18030\""] {
            assert_eq!(
                decode_declared(&gbk, label).unwrap(),
                "{\"error\":\"内存不足\"}"
            );
        }
        assert!(decode_declared(b"x", "klingon").is_none());
    }
}
