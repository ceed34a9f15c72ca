//! Masks our own secrets in payloads: services send back the URL they were given, secret included,
//! and it would end up in errors and logs.

use std::ops::Range;

use serde_json::Value;

use super::verify::Verifier;

/// Replaces a secret.
const MASK: &str = "***";
/// Shorter secrets are not searched for, because they may occur in any word. In one of our URLs
/// they are masked anyway.
const SHORTEST: usize = 8;
/// Our webhook URLs have the secret after this prefix and a name.
const HOOKS: &[u8] = b"/v1/hooks/";
/// Maximum levels of percent-encoding.
const MAX_ROUNDS: usize = 3;
/// Longer texts are files, or will be truncated: only unencoded secrets are masked in them.
const MAX_DECODED: usize = 256 * 1_024;

/// The secrets of a hook.
#[derive(Debug)]
pub(super) struct SecretMask<'a>(Vec<&'a str>);

impl<'a> SecretMask<'a> {
    /// The secrets that this hook's sender authenticates with.
    pub(super) fn of(verifier: &'a Verifier) -> Self {
        let secrets = match verifier {
            Verifier::Path(secrets)
            | Verifier::Bearer(secrets)
            | Verifier::Header { secrets, .. }
            | Verifier::Hmac { secrets, .. } => secrets.as_slice(),
            Verifier::ServerTokens
            | Verifier::Nothing
            | Verifier::StandardWebhooks(_)
            | Verifier::Fal(_) => &[],
        };
        Self(
            secrets
                .iter()
                .map(crate::secret::Secret::expose)
                .filter(|secret| secret.len() >= SHORTEST)
                .collect(),
        )
    }

    /// Masks the secrets in all texts and field names of a payload.
    pub(super) fn clean(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(masked) = self.masked(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.clean(item)),
            Value::Object(fields) => {
                let told: Vec<(String, String)> = fields
                    .keys()
                    .filter_map(|name| Some((name.clone(), self.masked(name)?)))
                    .collect();
                for (name, masked) in told {
                    if let Some(value) = fields.remove(&name) {
                        fields.insert(masked, value);
                    }
                }
                fields.values_mut().for_each(|value| self.clean(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Masks the secrets in a text, plain or percent-encoded. `None` if there are none.
    pub(super) fn masked(&self, text: &str) -> Option<String> {
        let plainly = self.0.iter().any(|secret| text.contains(secret));
        if text.len() > MAX_DECODED {
            return plainly.then(|| {
                self.0
                    .iter()
                    .fold(text.to_owned(), |text, secret| text.replace(secret, MASK))
            });
        }
        if !plainly && !text.contains('%') && !text.contains("hooks") {
            return None;
        }
        let decoded = decoded(text);
        let bytes: Vec<u8> = decoded.iter().map(|(byte, _)| *byte).collect();
        let mut found: Vec<Range<usize>> = self
            .0
            .iter()
            .flat_map(|secret| places(&bytes, secret.as_bytes()))
            .chain(in_addresses(&bytes))
            .collect();
        found.sort_by_key(|place| place.start);
        let mut out = String::with_capacity(text.len());
        let mut written = 0;
        for place in &found {
            let (Some((_, first)), Some((_, last))) =
                (decoded.get(place.start), decoded.get(place.end - 1))
            else {
                continue;
            };
            if first.start >= written {
                out.push_str(text.get(written..first.start)?);
                out.push_str(MASK);
            }
            written = written.max(last.end);
        }
        out.push_str(text.get(written..)?);
        (!found.is_empty()).then_some(out)
    }
}

/// Percent-decodes a text and removes the backslash that JSON may put before `/`. Each byte comes
/// with its range in the original.
fn decoded(text: &str) -> Vec<(u8, Range<usize>)> {
    let bytes = text.as_bytes();
    let plain = bytes
        .iter()
        .enumerate()
        .filter(|(at, byte)| !(**byte == b'\\' && bytes.get(at + 1) == Some(&b'/')));
    let mut now: Vec<(u8, Range<usize>)> = plain.map(|(at, byte)| (*byte, at..at + 1)).collect();
    for _ in 0..MAX_ROUNDS {
        let next = unescaped(&now);
        if next.len() == now.len() {
            break;
        }
        now = next;
    }
    now
}

fn unescaped(bytes: &[(u8, Range<usize>)]) -> Vec<(u8, Range<usize>)> {
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|(byte, _)| char::from(*byte).to_digit(16))
    };
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some((byte, place)) = bytes.get(at) {
        if let (b'%', Some(high), Some(low), Some((_, last))) =
            (byte, digit(at + 1), digit(at + 2), bytes.get(at + 2))
        {
            out.push((
                u8::try_from(high * 16 + low).unwrap_or_default(),
                place.start..last.end,
            ));
            at += 3;
        } else {
            out.push((*byte, place.clone()));
            at += 1;
        }
    }
    out
}

/// The ranges of a secret.
fn places<'a>(bytes: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
    bytes
        .windows(wanted.len())
        .enumerate()
        .filter(move |(_, window)| *window == wanted)
        .map(move |(at, _)| at..at + wanted.len())
}

/// Where addresses of hooks have their secret, whichever it is: it may be one of another hook, or
/// an earlier one.
fn in_addresses(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    places(bytes, HOOKS).filter_map(move |Range { end: name, .. }| {
        let ends = |byte: &u8| !(byte.is_ascii_alphanumeric() || b"-._~%".contains(byte));
        let start = name + bytes.get(name..)?.iter().position(ends)? + 1;
        if bytes.get(start - 1) != Some(&b'/') {
            return None;
        }
        let rest = bytes.get(start..)?;
        let end = start + rest.iter().position(ends).unwrap_or(rest.len());
        (end > start).then_some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use serde_json::json;

    fn masks() -> Verifier {
        Verifier::Path(vec![Secret::new("0123456789abcdef".to_owned())])
    }

    #[test]
    fn secrets_are_masked_in_any_position_and_encoding() {
        let verifier = masks();
        let masked = |text: &str| SecretMask::of(&verifier).masked(text);
        for (text, wanted) in [
            (
                "https://h/v1/hooks/gpu/0123456789abcdef",
                "https://h/v1/hooks/gpu/***",
            ),
            (
                "https://h/v1/hooks/gpu/0123456789abcdef?job=1",
                "https://h/v1/hooks/gpu/***?job=1",
            ),
            (
                "https://proxy/x/0123456789abcdef/y",
                "https://proxy/x/***/y",
            ),
            (
                "cannot POST to https:\\/\\/h\\/v1\\/hooks\\/gpu\\/0123456789abcdef: 502",
                "cannot POST to https:\\/\\/h\\/v1\\/hooks\\/gpu\\/***: 502",
            ),
            (
                "cb=https%3A%2F%2Fh%2Fv1%2Fhooks%2Fgpu%2F0123456789abcdef&x",
                "cb=https%3A%2F%2Fh%2Fv1%2Fhooks%2Fgpu%2F***&x",
            ),
            ("%30123456789abcde%66 and 0123456789abcdef", "*** and ***"),
            (
                "cb=https%253A%252F%252Fh%252Fv1%252Fhooks%252Fgpu%252F%2530123456789abcdef",
                "cb=https%253A%252F%252Fh%252Fv1%252Fhooks%252Fgpu%252F***",
            ),
            (
                "https://h/v1/hooks/other/earlier-secret",
                "https://h/v1/hooks/other/***",
            ),
            ("火 /v1/hooks/a/b 火", "火 /v1/hooks/a/*** 火"),
        ] {
            assert_eq!(masked(text).as_deref(), Some(wanted));
        }
        for text in [
            "https://h/v1/hooks/gpu",
            "https://h/v1/hooks/",
            "hooks and 50% more",
            "0123456789abcde",
            "%zz 火 %",
        ] {
            assert_eq!(masked(text), None, "{text}");
        }
    }

    #[test]
    fn secrets_are_masked_in_texts_and_field_names() {
        let verifier = masks();
        let mut payload =
            json!({"a": ["x 0123456789abcdef"], "0123456789abcdef": 1, "n": 7, "b": {"c": "y"}});
        SecretMask::of(&verifier).clean(&mut payload);
        assert_eq!(
            payload,
            json!({"a": ["x ***"], "***": 1, "n": 7, "b": {"c": "y"}})
        );
    }
}
