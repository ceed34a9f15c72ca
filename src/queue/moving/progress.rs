//! How far a move has come.

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The source is read through once.
    Counting,
    /// Rows are copied.
    Copying,
    /// The target is read and compared.
    Verifying,
}

/// How far a move has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Events so far in this phase.
    pub events: u64,
    /// All events, if their number is known.
    pub total: Option<u64>,
}
