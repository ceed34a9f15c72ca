//! A payload as it is kept for the operator: without secrets, without files.

use serde_json::{Map, Value};

use super::pictures::is_file;

/// How the names of fields end whose values nobody should keep, in the singular, in small letters without `_` and `-`. Leonardo sends its API key record along.
const SECRET: [&str; 6] = ["key", "token", "secret", "password", "authorization", "signature"];
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
        Value::Array(items) => items.iter().map(clean).collect(),
        Value::Object(fields) => Value::Object(fields.iter().map(|(name, value)| (name.clone(), field(name, value))).collect::<Map<_, _>>()),
        other => other.clone(),
    }
}

fn field(name: &str, value: &Value) -> Value {
    let plain: String = name.chars().filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).collect();
    let secret = SECRET.iter().any(|end| plain.ends_with(end) || plain.strip_suffix('s').is_some_and(|one| one.ends_with(end)));
    match value {
        Value::String(_) if secret => "***".into(),
        Value::Array(items) if secret && !items.iter().any(Value::is_object) => "***".into(),
        _ => clean(value),
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
            "access_token": "k5", "secrets": ["k6"], "total_tokens": 77,
            "data": format!("iVBORw0KGgo{}", "A".repeat(5_000)), "long": "ä".repeat(3_000), "image": "data:image/png;base64,AAAA"
        });
        let kept = text(&payload);
        assert!(!["k1", "k2", "k3", "k4", "k5", "k6"].iter().any(|secret| kept.contains(secret)), "{kept}");
        assert!(
            kept.len() < 3_000 && kept.contains("\"name\":\"n\"") && kept.contains("\"total_tokens\":77") && kept.contains("5011 bytes of a file"),
            "{kept}"
        );
    }
}
