//! From a lease to a settlement: claims, renders, sends, decides.

use std::time::Duration;

/// What dispatch needs of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When to try again, and when to give up.
    pub retry: RetryPolicy,
    /// The most deliveries under way at a time.
    pub concurrency: usize,
}

/// The `[retry]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The most attempts, at least 1.
    pub max_attempts: u32,
    /// The pause after the first attempt; doubles each time, ±20 %.
    pub initial: Duration,
    /// The longest pause.
    pub max: Duration,
}
