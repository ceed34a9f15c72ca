//! A configuration key: its table, name, allowed values and aliases. [`super::keys`] lists the keys.

use super::message::{Message, message};
use super::units::{show_bytes, show_span};

/// The table of the `[hooks.NAME]` tables, which all have the same keys.
pub(super) const HOOKS: &str = "hooks";

/// The array of tables `[[server.token]]`.
pub(super) const TOKENS: &str = "server.token";

/// A description of allowed values in English and Chinese.
pub(super) type Words = [&'static str; 2];

/// The values that a key accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A boolean.
    Flag,
    /// A whole number within inclusive bounds.
    Whole(u64, u64),
    /// A duration within inclusive bounds, in milliseconds.
    Span(u64, u64),
    /// A size within inclusive bounds, in bytes.
    Bytes(u64, u64),
    /// A rate, such as `30/min`.
    Rate,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// One line of text with at most this many characters.
    Line(usize),
    /// Text as described.
    Text(Words),
    /// An address or a list of addresses as described; masked in problems.
    Address(Words),
    /// A URL that may contain credentials; masked.
    Url(Words),
    /// A list of texts as described, also separated by commas.
    List(Words),
    /// A text that is never shown.
    Secret,
    /// A list of texts that are never shown.
    Secrets,
}

impl Kind {
    /// Whether the value must never be shown.
    pub(super) const fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Secrets)
    }

    /// Whether an array is allowed.
    pub(super) const fn takes_list(self) -> bool {
        matches!(self, Self::List(_) | Self::Secrets | Self::Address(_))
    }

    /// Whether single entries can be set (`JOBBELL_SERVER__TOKENS__0`).
    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::List(_) | Self::Secrets)
    }

    /// Describes the allowed values.
    pub(super) fn expected(self) -> Message {
        match self {
            Self::Flag => [
                "true, false, 1, 0, yes, no, on or off",
                "true、false、1、0、yes、no、on 或 off",
            ]
            .into(),
            Self::Whole(least, most) => message!(
                "a number from {least} to {most}",
                "{least} 到 {most} 之间的整数"
            ),
            Self::Span(least, most) => message!(
                "a time from {0} to {1}, written as \"500ms\", \"30s\", \"15m\", \"2h\" or \"2d\"",
                "{0} 到 {1} 之间的时长，写作 \"500ms\"、\"30s\"、\"15m\"、\"2h\" 或 \"2d\"",
                show_span(least),
                show_span(most)
            ),
            Self::Bytes(least, most) => message!(
                "a size from {0} to {1}, written as \"512KiB\", \"1MiB\" or \"2MB\"",
                "{0} 到 {1} 之间的大小，写作 \"512KiB\"、\"1MiB\" 或 \"2MB\"",
                show_bytes(least),
                show_bytes(most)
            ),
            Self::Rate => [
                "a rate such as \"30/min\": N/s, N/min, N/h or N/day, with N from 1 to 1000000",
                "频率，如 \"30/min\"：N/s、N/min、N/h 或 N/day，N 为 1 到 1000000",
            ]
            .into(),
            Self::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                let (en, zh) = (words.join(", "), words.join("、"));
                (format!("one of {en}"), format!("{zh} 之一")).into()
            }
            Self::Line(most) => message!(
                "text of at most {most} characters, without line breaks",
                "最多 {most} 个字符的文本，不含换行"
            ),
            Self::Text(words) | Self::Address(words) | Self::Url(words) | Self::List(words) => {
                words.into()
            }
            Self::Secret => [
                "text in quotes, without line breaks",
                "用引号括起的文本，不含换行",
            ]
            .into(),
            Self::Secrets => [
                "a list of texts in quotes, each of visible ASCII characters without spaces or commas",
                "用引号括起的文本列表，每项为可见 ASCII 字符，不含空格或逗号",
            ]
            .into(),
        }
    }
}

/// A key of the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Its table.
    pub table: &'static str,
    /// Its name in the table.
    pub name: &'static str,
    /// The allowed values.
    pub kind: Kind,
    /// Whether each `[[smtp.backup]]` has the key, too.
    pub per_server: bool,
    /// Other paths with the same meaning in the file (`smtp.server`).
    pub aliases: &'static [&'static str],
    /// Variables besides those derived from the names (`EMAILS_FROM_EMAIL`).
    pub variables: &'static [&'static str],
}

impl Key {
    pub(super) const fn new(table: &'static str, name: &'static str, kind: Kind) -> Self {
        Self {
            table,
            name,
            kind,
            per_server: false,
            aliases: &[],
            variables: &[],
        }
    }

    pub(super) const fn server(name: &'static str, kind: Kind) -> Self {
        Self {
            per_server: true,
            ..Self::new("smtp", name, kind)
        }
    }

    pub(super) const fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    pub(super) const fn variable(self, variables: &'static [&'static str]) -> Self {
        Self { variables, ..self }
    }

    /// The full name, such as `smtp.host`, `hooks.NAME.kind` or `server.token.name`.
    pub(super) fn path(&self) -> String {
        let name = if self.table == HOOKS { ".NAME" } else { "" };
        format!("{}{name}.{}", self.table, self.name)
    }
}
