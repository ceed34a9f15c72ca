//! A payload as it is kept for the operator: without secrets, without files.

use serde_json::{Map, Value};

use super::pictures::is_file;

/// The names of fields whose values nobody should keep, in small letters without `_` and `-`. Leonardo sends its API key record along.
const SECRET: [&str; 9] = ["key", "apikey", "token", "secret", "password", "authorization", "webhookcallbackapikey", "accesskey", "signature"];
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
    if SECRET.contains(&plain.as_str()) && !value.is_object() && !value.is_array() { "***".into() } else { clean(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_and_files_are_not_kept() {
        let payload = json!({
            "apiKey": {"key": "k1", "webhookCallbackApiKey": "k2", "name": "n"}, "api_key": "k3", "keys": [{"token": "k4"}],
            "data": format!("iVBORw0KGgo{}", "A".repeat(5_000)), "long": "ä".repeat(3_000), "image": "data:image/png;base64,AAAA"
        });
        let kept = text(&payload);
        assert!(!["k1", "k2", "k3", "k4"].iter().any(|secret| kept.contains(secret)), "{kept}");
        assert!(kept.len() < 3_000 && kept.contains("\"name\":\"n\"") && kept.contains("5011 bytes of a file"), "{kept}");
    }
}
