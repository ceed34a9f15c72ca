//! Telemetry: counters for `/metrics`, writers for log lines and terminals.

pub mod log_limit;
pub mod metrics;
mod node_metrics;
pub mod terminal;

pub use metrics::Metrics;
pub use node_metrics::NodeMetrics;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Human-readable text.
    Text,
    /// One JSON object per line.
    Json,
}

/// The `[log]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A level (`info`) or a filter in the syntax of `RUST_LOG`, which overrides it.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
}
