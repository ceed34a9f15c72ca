//! What `jobbell queue doctor` finds.

use std::time::Duration;

use serde_json::{Map, Value};

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bilingual {
    /// In English.
    pub english: String,
    /// In Chinese.
    pub chinese: String,
}

#[cfg(feature = "postgres")]
impl Bilingual {
    pub(super) fn new(english: impl Into<String>, chinese: impl Into<String>) -> Self {
        Self {
            english: english.into(),
            chinese: chinese.into(),
        }
    }

    /// A duration in its largest unit.
    pub(super) fn span(span: Duration) -> Self {
        let seconds = span.as_secs();
        let (number, unit, chinese) = match seconds {
            0..120 => (seconds, "s", "秒"),
            120..7_200 => (seconds / 60, "min", "分钟"),
            7_200..172_800 => (seconds / 3_600, "h", "小时"),
            _ => (seconds / 86_400, "days", "天"),
        };
        Self::new(format!("{number} {unit}"), format!("{number} {chinese}"))
    }
}

/// Something that slows the queue down, or will.
#[derive(Debug, Clone, PartialEq)]
pub struct Symptom {
    /// What was examined: `snapshot`, `prepared_transaction`, `standby`, `replication_slot`, `bloat`,
    /// `partitions`, `clock`, `nodes`, `autovacuum`, `lock` or `rights`.
    pub check: &'static str,
    /// Whether somebody has to do something: it does not end by itself.
    pub needs_action: bool,
    /// What was found.
    pub message: Bilingual,
    /// What to do.
    pub advice: Bilingual,
    /// Its parts for programs, such as `pid`, `user`, `query` and `age_s`.
    pub facts: Map<String, Value>,
}

#[cfg(feature = "postgres")]
impl Symptom {
    pub(super) fn new(
        check: &'static str,
        needs_action: bool,
        message: Bilingual,
        advice: Bilingual,
    ) -> Self {
        Self {
            check,
            needs_action,
            message,
            advice,
            facts: Map::new(),
        }
    }

    /// Adds a part, if it is known.
    #[must_use]
    pub(super) fn with<T: Into<Value>>(mut self, name: &str, value: Option<T>) -> Self {
        if let Some(value) = value {
            self.facts.insert(name.to_owned(), value.into());
        }
        self
    }
}

/// The size of a table whose rows live for seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// Its rows, estimated by PostgreSQL.
    pub rows: u64,
    /// Rows that were deleted and take room and time until they are removed, estimated.
    pub dead_rows: u64,
    /// Its size with its indexes.
    pub bytes: u64,
    /// When dead rows were last removed; `None` if never.
    pub since_vacuum: Option<Duration>,
}

/// What was found out about the database of a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Examination {
    /// The version of the server.
    pub server_version: String,
    /// What is wrong, or worth knowing.
    pub symptoms: Vec<Symptom>,
    /// The tables that a claim reads.
    pub tables: Vec<TableSize>,
}

impl Examination {
    /// Whether nobody has to do anything.
    pub fn is_well(&self) -> bool {
        !self.symptoms.iter().any(|symptom| symptom.needs_action)
    }
}
