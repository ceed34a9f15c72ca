//! The result of a check of the database.

use std::path::PathBuf;

use crate::queue::CountCheck;

/// The result of a check of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The database that was checked.
    pub path: PathBuf,
    /// Its schema version.
    pub schema: i64,
    /// How many events are on record.
    pub events: u64,
    /// The stored counts beside those of the rows; `None` if the rows cannot be counted.
    pub counts: Option<CountCheck>,
    /// One sentence for each problem found.
    pub problems: Vec<String>,
}

impl CheckReport {
    /// Whether the check found no problem.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}
