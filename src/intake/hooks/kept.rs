//! A payload as it is kept for the operator: without secrets, without files.

use serde_json::{Map, Value};

use super::pictures::is_file;

/// How the names of fields end whose values nobody should keep, in the singular, in small letters without `_` and `-`. Leonardo sends its API key record along.
const SECRET: [&str; 11] = ["key", "token", "secret", "password", "passwd", "pwd", "passphrase", "cookie", "credential", "authorization", "signature"];
/// From so many bytes on a text is cut.
const MAX_TEXT: usize = 2_000;

/// The payload as JSON text.
pub(super) fn text(payload: &Value) -> String {
    clean(payload).to_string()
}

fn clean(value: &Value) -> Value {
    match value {
        Value::String(text) if is_file(text) => format!("({} bytes of a file were left out)", text.len()).into(),
        Value::String(text) if text.len() > MAX_TEXT => {
            let start = text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default();
            format!("{start}… ({} bytes)", text.len()).into()
        }
        Value::String(text) => without_login(text).into(),
        Value::Array(items) => items.iter().map(clean).collect(),
        Value::Object(fields) => Value::Object(fields.iter().map(|(name, value)| (name.clone(), field(name, value))).collect::<Map<_, _>>()),
        other => other.clone(),
    }
}

fn field(name: &str, value: &Value) -> Value {
    let plain: String = name.chars().filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).collect();
    let ends = |name: &str| SECRET.iter().any(|end| name.ends_with(end));
    // A number under a plural counts them, as `total_tokens` does.
    let (one, many) = (ends(&plain), plain.strip_suffix('s').is_some_and(ends));
    if one || many { masked(value, one) } else { clean(value) }
}

/// A secret, or several: names and parts with names of their own stay.
fn masked(value: &Value, numbers: bool) -> Value {
    match value {
        Value::String(_) => "***".into(),
        Value::Number(_) if numbers => "***".into(),
        Value::Array(items) => items.iter().map(|item| masked(item, numbers)).collect(),
        _ => clean(value),
    }
}

/// An address without the name and password in it.
fn without_login(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.get(..authority).and_then(|authority| authority.rfind('@')) {
        Some(at) => format!("{scheme}://***{}", rest.get(at..).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_and_files_are_not_kept() {
        let payload = json!({
            "apiKey": {"key": "k1", "webhookCallbackApiKey": "k2", "name": "n"}, "api_key": "k3", "keys": [{"token": "k4"}],
            "access_token": "k5", "secrets": ["k6", {"a": 1}], "total_tokens": 77, "token": 881_881, "passwd": "k7", "cookie": "sid=k8",
            "webhook": "https://me:k9@x.org/a@b?c", "mail": "a@x.org", "keys2": [["k10"]], "api_keys": [["k11"]], "credentials": {"user": "u", "password": "k12"},
            "data": format!("iVBORw0KGgo{}", "A".repeat(5_000)), "long": "ä".repeat(3_000), "image": "data:image/png;base64,AAAA"
        });
        let kept = text(&payload);
        assert!(!["\"k1\"", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9", "k11", "k12", "881"].iter().any(|secret| kept.contains(secret)), "{kept}");
        assert!(
            kept.len() < 3_000
                && kept.contains("https://***@x.org/a@b?c")
                && kept.contains("a@x.org")
                && kept.contains("\"name\":\"n\"")
                && kept.contains("\"total_tokens\":77")
                && kept.contains("5011 bytes of a file"),
            "{kept}"
        );
    }
}
