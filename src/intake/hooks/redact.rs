//! Removes secrets and embedded files from payloads that are kept for the operator.

use serde_json::{Map, Value};

use super::images::is_file;

/// Endings of field names whose values are secret: singular, lower case, without `_` and `-`.
/// Leonardo sends its API key record along.
const SECRET: [&str; 15] = [
    "key",
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "cookie",
    "credential",
    "authorization",
    "signature",
    "otp",
    "passcode",
    "verificationcode",
    "authcode",
];
/// Maximum length of a text, in bytes.
const MAX_TEXT: usize = 2_000;
/// Maximum length of a body that is not JSON, in bytes.
const MAX_RAW: usize = 4_000;

/// Endings of field names whose values are callback addresses or one-time links: everything after
/// the host is secret.
const CALLED: [&str; 13] = [
    "hook",
    "hookurl",
    "hookuri",
    "webhookv2",
    "callback",
    "callbackurl",
    "callbackuri",
    "reseturl",
    "resetlink",
    "verifyurl",
    "verifylink",
    "magiclink",
    "loginlink",
];

/// Redacts a payload; returns JSON.
pub(super) fn text(payload: &Value) -> String {
    clean(payload).to_string()
}

/// Redacts a body that is not JSON: values that follow a secret's name are masked.
pub(super) fn raw(body: &[u8]) -> String {
    let head = body.get(..body.len().min(MAX_RAW)).unwrap_or_default();
    let text = String::from_utf8_lossy(head);
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, name, after)) = next_name(rest) {
        out.push_str(before);
        out.push_str(name);
        rest = after;
        if let Some((between, value)) =
            value_of(after).filter(|_| is_secret(&plain(name)) || is_called(&plain(name)))
        {
            out.push_str(between);
            out.push_str("***");
            rest = after.get(between.len() + value.len()..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    if head.len() < body.len() {
        format!("{out}… ({} bytes)", body.len())
    } else {
        out
    }
}

/// Splits a text at the next name: before, name, after.
fn next_name(text: &str) -> Option<(&str, &str, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let start = text.find(is_part)?;
    let (before, rest) = text.split_at_checked(start)?;
    let (name, after) = rest.split_at_checked(rest.find(|c| !is_part(c)).unwrap_or(rest.len()))?;
    Some((before, name, after))
}

/// Splits the text after a name into separator (`": "`, `=`) and value.
fn value_of(after: &str) -> Option<(&str, &str)> {
    let sign = after.find(|c: char| !c.is_whitespace() && !"\"'\\".contains(c))?;
    let rest = after.get(sign..)?.strip_prefix([':', '='])?;
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\\']).len();
    let quote = rest
        .get(blanks..)?
        .chars()
        .next()
        .filter(|c| "\"'".contains(*c));
    let start = sign + 1 + blanks + quote.map_or(0, char::len_utf8);
    let value = after.get(start..)?;
    let ends = |c: char| {
        quote.map_or_else(
            || c.is_whitespace() || ",&;}])".contains(c),
            |quote| c == quote || c == '\n',
        )
    };
    let value = value.get(..value.find(ends).unwrap_or(value.len()))?;
    (!value.is_empty()).then(|| (after.get(..start).unwrap_or_default(), value))
}

fn clean(value: &Value) -> Value {
    match value {
        Value::String(text) if is_file(text) => {
            format!("({} bytes of an embedded file)", text.len()).into()
        }
        Value::String(text) if text.len() > MAX_TEXT => {
            let start = text
                .get(..text.floor_char_boundary(MAX_TEXT))
                .unwrap_or_default();
            format!("{start}… ({} bytes)", text.len()).into()
        }
        Value::String(text) => without_secrets(text).into(),
        Value::Array(items) => items.iter().map(clean).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), field(name, value)))
                .collect::<Map<_, _>>(),
        ),
        other => other.clone(),
    }
}

fn field(name: &str, value: &Value) -> Value {
    let name = plain(name);
    match value {
        Value::String(address) if is_called(&name) => host_of(address).into(),
        // A number under a plural name is a count, such as `total_tokens`.
        _ if is_secret(&name) => masked(value, ends_secret(&name)),
        _ => clean(value),
    }
}

/// Normalizes a name.
fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| *c != '_' && *c != '-')
        .flat_map(char::to_lowercase)
        .collect()
}

fn ends_secret(name: &str) -> bool {
    SECRET.iter().any(|end| name.ends_with(end))
}

/// Whether a name stands in for one secret or several.
fn is_secret(name: &str) -> bool {
    ends_secret(name) || name.strip_suffix('s').is_some_and(ends_secret)
}

fn is_called(name: &str) -> bool {
    CALLED.iter().any(|end| name.ends_with(end))
}

/// Masks everything after a URL's host.
fn host_of(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return without_secrets(text);
    };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest
        .get(..authority)
        .and_then(|authority| authority.rsplit('@').next())
        .unwrap_or_default();
    if authority == rest.len() {
        format!("{scheme}://{host}")
    } else {
        format!("{scheme}://{host}/***")
    }
}

/// Masks one or several secrets; nested objects are cleaned by their own names.
fn masked(value: &Value, numbers: bool) -> Value {
    match value {
        Value::String(_) => "***".into(),
        Value::Number(_) if numbers => "***".into(),
        Value::Array(items) => items.iter().map(|item| masked(item, numbers)).collect(),
        _ => clean(value),
    }
}

/// Masks user name, password and secret query parameters of a URL.
fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let rest = match rest
        .get(..authority)
        .and_then(|authority| authority.rfind('@'))
    {
        Some(at) => format!("***{}", rest.get(at..).unwrap_or_default()),
        None => rest.to_owned(),
    };
    let Some((place, query)) = rest.split_once('?') else {
        return format!("{scheme}://{rest}");
    };
    let parameter = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if is_secret(&plain(name)) && !value.is_empty() => {
            format!("{name}=***")
        }
        _ => parameter.to_owned(),
    };
    let query: Vec<String> = query.split('&').map(parameter).collect();
    format!("{scheme}://{place}?{}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_and_embedded_files_are_redacted() {
        let payload = json!({
            "apiKey": {"key": "k1", "webhookCallbackApiKey": "k2", "name": "n"}, "api_key": "k3", "keys": [{"token": "k4"}],
            "access_token": "k5", "secrets": ["k6", {"a": 1}], "total_tokens": 77, "token": 881_881, "passwd": "k7", "cookie": "sid=k8",
            "link": "https://me:k9@x.org/a@b?c&token=k13&n=1", "webhook": "https://me:k14@y.org/k15?k16", "notifyHook": "https://z.org/k17", "callback_url": "https://w.org", "mail": "a@x.org", "keys2": [["k10"]], "api_keys": [["k11"]], "credentials": {"user": "u", "password": "k12"},
            "data": format!("iVBORw0KGgo{}", "A".repeat(5_000)), "long": "ä".repeat(3_000), "image": "data:image/png;base64,AAAA"
        });
        let kept = text(&payload);
        assert!(
            ![
                "\"k1\"", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9", "k11", "k12", "k13",
                "k14", "k15", "k16", "k17", "881"
            ]
            .iter()
            .any(|secret| kept.contains(secret)),
            "{kept}"
        );
        assert!(
            kept.len() < 3_000
                && kept.contains("https://***@x.org/a@b?c&token=***&n=1")
                && kept.contains("\"https://y.org/***\"")
                && kept.contains("\"https://z.org/***\"")
                && kept.contains("\"https://w.org\"")
                && kept.contains("a@x.org")
                && kept.contains("\"name\":\"n\"")
                && kept.contains("\"total_tokens\":77")
                && kept.contains("5011 bytes of an embedded file"),
            "{kept}"
        );
    }

    #[test]
    fn one_time_codes_and_links_are_redacted() {
        let payload = json!({
            "otp": "k1", "login_otp": 4_711, "verification_code": "k2", "authCode": "k3",
            "reset_url": "https://x.org/k4", "magicLink": "https://x.org/?k5", "status_code": 500
        });
        let kept = text(&payload);
        let leaks = ["k1", "4711", "k2", "k3", "k4", "k5"];
        assert!(!leaks.iter().any(|secret| kept.contains(secret)), "{kept}");
        assert!(kept.contains("\"status_code\":500"), "{kept}");
    }

    #[test]
    fn secrets_are_redacted_in_bodies_that_are_not_json() {
        for (body, wanted) in [
            (
                r#"{"apiKey": "k1", "id": 7,"#,
                r#"{"apiKey": "***", "id": 7,"#,
            ),
            (
                "token=k1&user=u&notify_hook=https%3A%2F%2Fx",
                "token=***&user=u&notify_hook=***",
            ),
            (
                "{'password':'a b', tokens: 5}",
                "{'password':'***', tokens: ***}",
            ),
            (r#"{\"secret\":\"k1\"} 火"#, r#"{\"secret\":\"***"} 火"#),
            ("plain words, the key of it", "plain words, the key of it"),
        ] {
            assert_eq!(raw(body.as_bytes()), wanted);
        }
        assert!(raw(&[0xFF; 5_000]).ends_with("… (5000 bytes)"));
    }
}
