//! Hexadecimal text.

use std::fmt::Write as _;

/// Encodes bytes in lower case.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

/// Decodes digits of either case. `None` for any other character and for half a byte.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? * 16 + digit(*low)?);
    if rest.is_empty() {
        pairs.iter().map(byte).collect()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_a_round_trip_and_other_text_is_rejected() {
        assert_eq!(encode([0x00, 0xAB, 0xFF]), "00abff");
        assert_eq!(decode("00aBFf"), Some(vec![0x00, 0xAB, 0xFF]));
        for text in ["0", "0g", "+1", "üü", " 00"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
