//! What the daemon says of itself: counts for `/metrics`, lines for the log.

pub mod log_limit;
pub mod metrics;
pub mod terminal;

pub use metrics::Metrics;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The `[log]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A level (`info`) or a filter as `RUST_LOG` takes it; `RUST_LOG` wins.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
}
