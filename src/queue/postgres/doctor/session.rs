//! A session of somebody, in words.

use tokio_postgres::Row;

use super::super::verb_error::VerbError;
use super::query_text;
use crate::queue::symptom::Symptom;

/// A session. What this role may not see is `None`.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) pid: i32,
    user: Option<String>,
    database: Option<String>,
    application: Option<String>,
    state: Option<String>,
    query: Option<String>,
}

/// What PostgreSQL shows instead of a query that this role may not see.
const HIDDEN: &str = "<insufficient privilege>";

impl Session {
    /// Reads the columns `pid`, `role`, `database`, `name`, `state` and `query`.
    pub(super) fn read(row: &Row) -> Result<Self, VerbError> {
        let query: Option<String> = row.try_get("query")?;
        let query = query.filter(|query| query != HIDDEN && !query.is_empty());
        Ok(Self {
            pid: row.try_get::<_, Option<i32>>("pid")?.unwrap_or(0),
            user: row.try_get("role")?,
            database: row.try_get("database")?,
            application: row.try_get("name")?,
            state: row.try_get("state")?,
            query: query.map(|query| query_text::shown(&query)),
        })
    }

    /// Whether it is in a transaction and does nothing.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.as_deref().unwrap_or_default();
        state.starts_with("idle in transaction")
    }

    /// Its number, role, program and state.
    pub(super) fn named(&self) -> String {
        let parts = [&self.user, &self.application, &self.state];
        let parts = parts.into_iter().flatten().map(String::as_str);
        let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            self.pid.to_string()
        } else {
            format!("{} ({})", self.pid, parts.join(", "))
        }
    }

    /// Its query, to stand at the end of a sentence.
    pub(super) fn quoted(&self) -> String {
        let query = self.query.as_ref();
        query.map_or_else(String::new, |query| format!(": {query}"))
    }

    pub(super) fn add_to(self, symptom: Symptom) -> Symptom {
        symptom
            .with("pid", Some(self.pid))
            .with("user", self.user)
            .with("database", self.database)
            .with("application", self.application)
            .with("state", self.state)
            .with("query", self.query)
    }
}
