//! What an examination of the store came to.

use std::path::PathBuf;

use super::CountCheck;

/// What an examination of the store came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// The database that was examined.
    pub path: PathBuf,
    /// Its schema version.
    pub schema: i64,
    /// How many events are on record.
    pub events: u64,
    /// The kept numbers of deliveries beside the rows; none when the rows cannot be counted.
    pub counts: Option<CountCheck>,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}
