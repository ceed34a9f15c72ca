//! Explains TOML syntax errors.

use super::message::{Message, message};

/// Characters that look like TOML's quotes and signs, with the character to use instead.
const LOOKALIKES: [(&str, char); 5] = [
    ("“”„‟«»「」＂", '"'),
    ("‘’＇", '\''),
    ("＝", '='),
    ("［【", '['),
    ("］】", ']'),
];

/// The explanation of the parser's message about a line.
pub(super) fn explain(line: Option<&str>, message: &str) -> Message {
    line.and_then(lookalike)
        .unwrap_or_else(|| of_parser(message))
}

/// Reports a typographic quote or sign. The rest of the line is not shown, because it may contain a
/// password.
fn lookalike(line: &str) -> Option<Message> {
    // Quoted text and comments may contain any character.
    let outside = line.split('#').next()?.split(['"', '\'']).step_by(2);
    let (odd, meant) = outside.flat_map(str::chars).find_map(|c| {
        let known = LOOKALIKES.iter().find(|(known, _)| known.contains(c));
        known.map(|(_, meant)| (c, *meant))
    })?;
    Some(message!(
        "{odd} is not a TOML character; write {meant} instead, as in host = \"smtp.example.com\"",
        "此处的 {odd} 不是英文标点；请改用 {meant}，例如 host = \"smtp.example.com\""
    ))
}

/// The parser's message, with advice. Unknown messages are dropped, because they may quote the line,
/// which may contain a password.
fn of_parser(message: &str) -> Message {
    const KNOWN: [&str; 6] = [
        "missing ",
        "extra ",
        "unclosed ",
        "unexpected ",
        "key with no value",
        "invalid ",
    ];
    let error = message.split(", expected").next().unwrap_or_default();
    match error {
        "string values must be quoted" => [
            "text needs quotes, as in host = \"smtp.example.com\"",
            "文本需要加引号，例如 host = \"smtp.example.com\"",
        ]
        .into(),
        "duplicate key" => [
            "this key or table is set twice; keep one",
            "该键或表重复出现；请只保留一个",
        ]
        .into(),
        "unclosed table" | "unclosed array table" => [
            "the closing bracket is missing, as in [smtp]",
            "缺少右方括号，例如 [smtp]",
        ]
        .into(),
        "invalid boolean" => [
            "a boolean is written true or false, in lower case",
            "布尔值写作 true 或 false（小写）",
        ]
        .into(),
        "invalid basic string" | "invalid literal string" => [
            "the closing quote is missing, or a \\ must be written \\\\",
            "缺少右引号，或 \\ 应写作 \\\\",
        ]
        .into(),
        _ if KNOWN.iter().any(|start| error.starts_with(start))
            && error.len() < 60
            && error.is_ascii() =>
        {
            message!("invalid TOML: {error}", "TOML 语法错误：{error}")
        }
        _ => ["invalid TOML", "TOML 语法错误"].into(),
    }
}
