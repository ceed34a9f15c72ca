//! Reads error details in any shape: a text, an object, a list, or any of these as JSON inside a
//! text.

use serde_json::Value;

use super::payload::text;

/// Names of an object's error code, message and traceback, in the order in which they are tried.
const CODES: [&str; 5] = ["code", "error_code", "error_type", "exception_type", "type"];
const MESSAGES: [&str; 9] = [
    "message",
    "error_message",
    "exception_message",
    "msg",
    "detail",
    "reason",
    "description",
    "error",
    "title",
];
const TRACES: [&str; 4] = ["error_traceback", "traceback", "stacktrace", "stack"];

/// Maximum depth of nested errors.
const MAX_DEPTH: usize = 4;
/// Maximum number of errors that are read from a list.
const MAX_LISTED: usize = 10;
/// Maximum length of a traceback, in bytes. Its last lines are kept, because they name the error.
const MAX_TRACE: usize = 3_000;

/// The code and the message of an error, as far as they are known.
pub(super) type ErrorInfo = (Option<String>, Option<String>);

/// Reads an error. `None` if the value contains none.
pub(super) fn read(value: &Value) -> Option<ErrorInfo> {
    Some(within(value, 0)).filter(|(code, message)| code.is_some() || message.is_some())
}

fn within(value: &Value, depth: usize) -> ErrorInfo {
    match value {
        _ if depth > MAX_DEPTH => (None, None),
        Value::String(said) => json_in(said)
            .map(|parsed| within(&parsed, depth + 1))
            .filter(|(_, message)| message.is_some())
            .unwrap_or((None, text(value))),
        Value::Array(items) => list(items, depth),
        Value::Object(fields) => {
            let first = |names: &[&str]| {
                names
                    .iter()
                    .find_map(|name| fields.get(*name).filter(|value| !value.is_null()).cloned())
            };
            let (inner, message) =
                first(&MESSAGES).map_or((None, None), |value| within(&value, depth + 1));
            let code = first(&CODES)
                .as_ref()
                .and_then(text)
                .map(|code| class(&code))
                .or(inner);
            let trace = first(&TRACES)
                .as_ref()
                .and_then(lines)
                .map(|trace| tail(&trace).to_owned());
            let parts: Vec<String> = [message, trace].into_iter().flatten().collect();
            (
                code,
                Some(parts.join("\n\n")).filter(|message| !message.is_empty()),
            )
        }
        Value::Number(_) | Value::Bool(true) => (None, text(value)),
        Value::Bool(false) | Value::Null => (None, None),
    }
}

fn list(items: &[Value], depth: usize) -> ErrorInfo {
    let details: Vec<ErrorInfo> = items
        .iter()
        .take(MAX_LISTED)
        .map(|item| within(item, depth + 1))
        .collect();
    let messages: Vec<String> = details
        .iter()
        .filter_map(|(_, message)| message.clone())
        .collect();
    let code = details.into_iter().find_map(|(code, _)| code);
    (
        code,
        Some(messages.join("; ")).filter(|message| !message.is_empty()),
    )
}

/// Parses a text that is a JSON object or array.
fn json_in(text: &str) -> Option<Value> {
    let text = text.trim();
    if text.starts_with(['{', '[']) {
        serde_json::from_str(text).ok()
    } else {
        None
    }
}

/// Shortens Python's `<class 'RuntimeError'>` to `RuntimeError`.
fn class(code: &str) -> String {
    let name = code
        .trim()
        .strip_prefix("<class '")
        .and_then(|rest| rest.strip_suffix("'>"));
    name.unwrap_or(code).to_owned()
}

/// A text, or the lines of an array.
fn lines(value: &Value) -> Option<String> {
    let Value::Array(items) = value else {
        return text(value);
    };
    let lines: Vec<&str> = items
        .iter()
        .filter_map(Value::as_str)
        .map(|line| line.trim_end_matches('\n'))
        .collect();
    Some(lines.join("\n")).filter(|text| !text.is_empty())
}

/// The last lines of a text, up to [`MAX_TRACE`].
pub(super) fn tail(text: &str) -> &str {
    let text = text.trim_matches('\n');
    let start = text.ceil_char_boundary(text.len().saturating_sub(MAX_TRACE));
    let rest = text.get(start..).unwrap_or_default();
    if start == 0 {
        rest
    } else {
        rest.split_once('\n')
            .map_or(rest, |(_, whole_lines)| whole_lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_of_every_shape_are_read() {
        let details = |value: Value| {
            read(&value)
                .map(|(code, message)| (code.unwrap_or_default(), message.unwrap_or_default()))
        };
        let own = |code: &str, message: &str| Some((code.to_owned(), message.to_owned()));
        assert_eq!(details(json!("out of memory")), own("", "out of memory"));
        assert_eq!(details(json!({"code": 5, "message": "m"})), own("5", "m"));
        assert_eq!(
            details(json!({"error": {"type": "Oom", "msg": "m"}})),
            own("Oom", "m")
        );
        assert_eq!(details(json!(["a", {"detail": "b"}])), own("", "a; b"));
        let python = json!({"error_type": "<class 'RuntimeError'>", "error_message": "m", "error_traceback": "Traceback:\n  x\n"});
        assert_eq!(
            details(json!(python.to_string())),
            own("RuntimeError", "m\n\nTraceback:\n  x")
        );
        assert_eq!(details(json!("{not JSON")), own("", "{not JSON"));
        assert_eq!(
            details(json!("{\"a\": 1}")),
            own("", "{\"a\": 1}"),
            "an unknown shape is shown as text"
        );
        for nothing in [
            json!(null),
            json!(""),
            json!({}),
            json!([]),
            json!(false),
            json!({"message": null}),
        ] {
            assert_eq!(details(nothing.clone()), None, "{nothing}");
        }
        let deep = (0..100).fold(json!("m"), |inner, _| json!({ "error": inner }));
        assert_eq!(details(deep), None);
    }

    #[test]
    fn long_tracebacks_keep_their_last_lines() {
        let long = (0..1_000)
            .map(|line| format!("line {line}"))
            .collect::<Vec<_>>()
            .join("\n");
        let kept = tail(&long);
        assert!(
            kept.len() <= MAX_TRACE && kept.starts_with("line ") && kept.ends_with("line 999"),
            "{kept}"
        );
    }
}
