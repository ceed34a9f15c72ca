//! One configuration key: its table and name, the values it accepts, its aliases and its
//! documentation. The keys themselves are listed in [`super::keys`].

use super::units::{show_bytes, show_span};

/// The table of `[hooks.NAME]` tables; each has the same keys.
pub(super) const HOOKS: &str = "hooks";

/// The array of tables `[[server.token]]`.
pub(super) const TOKENS: &str = "server.token";

/// The values that a key accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A boolean.
    Flag,
    /// A whole number within bounds, both included.
    Whole(u64, u64),
    /// A length of time within bounds, both included, in milliseconds.
    Span(u64, u64),
    /// A size within bounds, both included, in bytes.
    Bytes(u64, u64),
    /// A rate, such as `30/min`.
    Rate,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Text; the words say which.
    Text(&'static str),
    /// An address or a list of them; shown masked in problems. The words say which.
    Address(&'static str),
    /// An address that may carry login data.
    Url(&'static str),
    /// A list of texts, also written with commas.
    List(&'static str),
    /// A text that is never shown.
    Secret,
    /// A list of texts that are never shown.
    Secrets,
}

impl Kind {
    /// Whether the value must never be shown.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Secrets)
    }

    /// Whether an array may stand there.
    pub(super) const fn takes_list(self) -> bool {
        matches!(self, Self::List(_) | Self::Secrets | Self::Address(_))
    }

    /// Whether single entries can be set (`JOBBELL_SERVER__TOKENS__0`).
    pub const fn is_list(self) -> bool {
        matches!(self, Self::List(_) | Self::Secrets)
    }

    /// Describes the allowed values.
    pub fn allowed(self) -> String {
        match self {
            Self::Flag => "true, false, 1, 0, yes, no, on or off".to_owned(),
            Self::Whole(least, most) => format!("a number from {least} to {most}"),
            Self::Span(least, most) => {
                format!("a time from {} to {}, written as \"500ms\", \"30s\", \"15m\", \"2h\" or \"2d\"", show_span(least), show_span(most))
            }
            Self::Bytes(least, most) => format!("a size from {} to {}, written as \"512KiB\", \"1MiB\" or \"2MB\"", show_bytes(least), show_bytes(most)),
            Self::Rate => "a rate as \"30/min\": N/s, N/min, N/h or N/day, with N from 1 to 1000000".to_owned(),
            Self::Choice(words) => words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "),
            Self::Text(words) | Self::Address(words) | Self::Url(words) | Self::List(words) => words.to_owned(),
            Self::Secret => "text in quotes, without line breaks".to_owned(),
            Self::Secrets => "a list of texts in quotes, each of visible ASCII characters without blanks or commas".to_owned(),
        }
    }
}

/// One key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its table.
    pub table: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// The values it accepts.
    pub kind: Kind,
    /// Whether each `[[smtp.backup]]` has it too.
    pub per_server: bool,
    /// Other paths that mean the same in the file (`smtp.server`).
    pub aliases: &'static [&'static str],
    /// Variables beside those that follow from the names (`EMAILS_FROM_EMAIL`).
    pub variables: &'static [&'static str],
    /// Documentation in English.
    pub en: &'static str,
    /// Documentation in Chinese.
    pub zh: &'static str,
}

impl Key {
    pub(super) const fn new(
        table: &'static str,
        name: &'static str,
        kind: Kind,
        en: &'static str,
        zh: &'static str,
    ) -> Self {
        Self {
            table,
            name,
            kind,
            per_server: false,
            aliases: &[],
            variables: &[],
            en,
            zh,
        }
    }

    pub(super) const fn server(
        name: &'static str,
        kind: Kind,
        en: &'static str,
        zh: &'static str,
    ) -> Self {
        Self {
            per_server: true,
            ..Self::new("smtp", name, kind, en, zh)
        }
    }

    pub(super) const fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    pub(super) const fn variable(self, variables: &'static [&'static str]) -> Self {
        Self { variables, ..self }
    }

    /// The full name, as `smtp.host`; of a hook's key `hooks.NAME.kind`, of a token's key
    /// `server.token.name`.
    pub fn path(&self) -> String {
        let name = if self.table == HOOKS { ".NAME" } else { "" };
        format!("{}{name}.{}", self.table, self.name)
    }
}
