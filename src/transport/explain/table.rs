//! The table and its lookup.

use std::sync::LazyLock;
use std::time::Duration;

use super::local::LocalError;
use super::normalized::{NormalizedReply, contains};
use super::verdict::{Advice, Class, Verdict, is_session};
use crate::domain::{Reply, Stage};

/// The table as text.
pub(super) const REPLIES: &str = include_str!("replies.tsv");

/// A row of the table. Its texts are part of the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) provider: &'static str,
    /// The reply code; 0 for rows without a reply.
    pub(super) code: u16,
    pub(super) enhanced: &'static str,
    pub(super) text: &'static str,
    pub(super) class: Class,
    pub(super) retry_same_server: bool,
    pub(super) fail_over: bool,
    /// See [`Verdict::pause`].
    pub(super) pause: Option<Duration>,
    pub(super) advice: Advice,
}

impl Row {
    fn parse(line: &'static str) -> Option<Self> {
        let mut columns = line.split('\t');
        let mut next = || columns.next();
        let (provider, code, enhanced, text) = (next()?, next()?, next()?, next()?);
        let (class, again, elsewhere) = (Class::from_name(next()?)?, yes(next()?)?, yes(next()?)?);
        let pause = match next()? {
            "" => None,
            seconds => Some(Duration::from_secs(seconds.parse().ok()?)),
        };
        let advice = Advice {
            cause_en: next()?,
            advice_en: next()?,
            cause_zh: next()?,
            advice_zh: next()?,
        };
        let code = if code == "-" { 0 } else { code.parse().ok()? };
        Some(Self {
            provider,
            code,
            enhanced,
            text,
            class,
            retry_same_server: again,
            fail_over: elsewhere,
            pause,
            advice,
        })
    }

    /// A longer text is more precise, then a row with an enhanced code.
    fn precision(&self) -> (usize, bool) {
        (self.text.len(), !self.enhanced.is_empty())
    }

    fn fits(&self, reply: &NormalizedReply<'_>) -> bool {
        (self.enhanced.is_empty() || self.enhanced == reply.enhanced) && reply.contains(self.text)
    }

    fn verdict(&self, server_wide: bool) -> Verdict {
        Verdict {
            class: self.class,
            retry_same_server: self.retry_same_server,
            fail_over: self.fail_over,
            server_wide: server_wide || self.class == Class::Quota,
            pause: self.pause,
            advice: Some(self.advice),
        }
    }
}

fn yes(word: &str) -> Option<bool> {
    match word {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// The table of replies, about 300 rows, parsed on first use. Create one and share it.
#[derive(Debug)]
pub struct Table {
    /// Sorted by code, else in the order of the file.
    rows: LazyLock<Vec<Row>>,
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// The table of this binary.
    pub fn new() -> Self {
        let read = || {
            let mut rows: Vec<Row> = REPLIES.lines().skip(1).filter_map(Row::parse).collect();
            rows.sort_by_key(|row| row.code);
            rows
        };
        Self {
            rows: LazyLock::new(read),
        }
    }

    /// Explains a reply at a stage.
    ///
    /// `provider` is a key of the table (`qq`, `netease`, `gmail`, …; see
    /// [`Provider::replies`](crate::transport::providers::Provider)). A key without rows is ignored.
    pub fn explain(&self, provider: Option<&str>, stage: Stage, reply: &Reply) -> Verdict {
        let normalized = NormalizedReply::of(reply);
        let named = provider.and_then(|provider| {
            self.best(provider, &normalized)
                .or_else(|| same_servers(provider).and_then(|other| self.best(other, &normalized)))
        });
        let server_wide = reply.code == 421 || is_session(stage) || stage == Stage::Mail;
        let found = named.or_else(|| self.general(stage, &normalized));
        found.map_or_else(
            || self.by_digit(stage, reply.code),
            |row| row.verdict(server_wide),
        )
    }

    /// Explains an error of a mail service's HTTP API by its code (`InvalidMailAddress.NotFound`),
    /// else by its message, else by the HTTP status, which services use inconsistently.
    pub fn explain_code(
        &self,
        provider: Option<&str>,
        status: u16,
        api_code: &str,
        message: &str,
    ) -> Verdict {
        let server_wide = status == 429 || status >= 500;
        let named = |text: &str| {
            let rows = self
                .rows
                .iter()
                .rev()
                .filter(|row| Some(row.provider) == provider && contains(text, row.text));
            rows.max_by_key(|row| row.precision())
        };
        let general = match status {
            401 | 403 => "auth",
            429 => "throttled",
            408 | 500.. => "server",
            400.. => "request",
            _ => "server",
        };
        let row = named(api_code).or_else(|| named(message));
        row.or_else(|| self.keyed("http", general))
            .map_or(UNKNOWN, |row| row.verdict(server_wide))
    }

    /// Explains a local error.
    pub fn explain_local(&self, error: LocalError) -> Verdict {
        let row = self.keyed("connection", error.as_str());
        row.map_or(UNKNOWN, |row| row.verdict(error.is_server_wide()))
    }

    /// The explanation of a missing access token.
    pub(in crate::transport) fn oauth_advice(&self, key: &str) -> Option<Advice> {
        self.keyed("oauth", key).map(|row| row.advice)
    }

    #[cfg(test)]
    pub(in crate::transport) fn has_rows_of(&self, provider: &str) -> bool {
        self.rows.iter().any(|row| row.provider == provider)
    }

    /// The row for any provider.
    fn general(&self, stage: Stage, reply: &NormalizedReply<'_>) -> Option<&Row> {
        let row = self.best("any", reply)?;
        let bare = row.enhanced.is_empty() && row.text.is_empty();
        match (reply.code, stage) {
            // The cause is usually the name in EHLO.
            (_, Stage::Ehlo) if bare => self.keyed("stage", "ehlo"),
            // A server that closes after the final dot may have accepted the mail (RFC 1047).
            (421, Stage::Dot) => self.keyed("connection", LocalError::LostAfterFinalDot.as_str()),
            (550 | 553, _) if bare => self.by_stage(stage, "data").or(Some(row)),
            _ => Some(row),
        }
    }

    /// The row for a refusal of which only the stage is known.
    fn by_stage(&self, stage: Stage, data: &str) -> Option<&Row> {
        let key = match stage {
            Stage::Auth => "auth",
            Stage::Mail => "mail",
            Stage::Rcpt => "rcpt",
            Stage::Data | Stage::Dot => data,
            Stage::Api | Stage::Compose => return None,
            Stage::Ehlo => "ehlo",
            Stage::Dns
            | Stage::Connect
            | Stage::Tls
            | Stage::Greeting
            | Stage::Starttls
            | Stage::Rset
            | Stage::Quit => "session",
        };
        self.keyed("stage", key)
    }

    /// The verdict on a code without a row.
    fn by_digit(&self, stage: Stage, code: u16) -> Verdict {
        let row = match (code, stage) {
            (400..500, _) => self.keyed("digit", "4"),
            (500..600, _) => self
                .by_stage(stage, "data_unlisted")
                .or_else(|| self.keyed("http", "request")),
            // Without a verdict on the mail, it is the same as no reply.
            (_, Stage::Dot) => self.keyed("connection", LocalError::LostAfterFinalDot.as_str()),
            _ => self.keyed("digit", "other"),
        };
        let about_the_mail =
            matches!(stage, Stage::Rcpt | Stage::Data | Stage::Dot) && (400..600).contains(&code);
        row.map_or(UNKNOWN, |row| row.verdict(!about_the_mail))
    }

    fn best(&self, provider: &str, reply: &NormalizedReply<'_>) -> Option<&Row> {
        let fitting = self
            .of_code(reply.code)
            .iter()
            .rev()
            .filter(|row| row.provider == provider && row.fits(reply));
        fitting.max_by_key(|row| row.precision())
    }

    fn keyed(&self, group: &str, key: &str) -> Option<&Row> {
        self.of_code(0)
            .iter()
            .find(|row| row.provider == group && row.text == key)
    }

    pub(super) fn of_code(&self, code: u16) -> &[Row] {
        let start = self.rows.partition_point(|row| row.code < code);
        let end = self.rows.partition_point(|row| row.code <= code);
        self.rows.get(start..end).unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// The verdict if the table has no row at all.
const UNKNOWN: Verdict = Verdict {
    class: Class::Transient,
    retry_same_server: true,
    fail_over: true,
    server_wide: false,
    pause: None,
    advice: None,
};

/// The provider whose servers, and so whose replies, this one shares.
fn same_servers(provider: &str) -> Option<&'static str> {
    match provider {
        "outlook" => Some("m365"),
        "exmail" => Some("qq"),
        _ => None,
    }
}
