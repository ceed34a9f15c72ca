//! Logging to standard error: text on a terminal, JSON otherwise.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::telemetry::terminal::LogLines;
use crate::telemetry::{LogFormat, Settings};

/// Changes the log level while the daemon runs.
#[derive(Debug, Clone)]
pub(super) struct LogHandle(reload::Handle<EnvFilter, Registry>);

impl LogHandle {
    /// Applies a new level; the format changes only on restart. An invalid filter changes nothing.
    pub(super) fn apply(&self, settings: &Settings) {
        if let Err(error) = self.0.reload(filter(settings)) {
            tracing::warn!("log level not changed: {error}");
        }
    }
}

/// Starts logging.
///
/// # Errors
/// If the process already has a logger.
pub(super) fn start(settings: &Settings) -> Result<LogHandle, TryInitError> {
    let (filter, handle) = reload::Layer::new(filter(settings));
    let json = match settings.format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let layer = fmt::layer().with_writer(|| LogLines(std::io::stderr()));
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        registry
            .with(
                layer
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false),
            )
            .try_init()?;
    } else {
        registry
            .with(
                layer
                    .with_target(false)
                    .with_ansi(std::io::stderr().is_terminal()),
            )
            .try_init()?;
    }
    Ok(LogHandle(handle))
}

/// `RUST_LOG` if set, else `log.level`.
fn filter(settings: &Settings) -> EnvFilter {
    std::env::var("RUST_LOG")
        .ok()
        .filter(|text| !text.is_empty())
        .and_then(|text| EnvFilter::try_new(text).ok())
        .or_else(|| EnvFilter::try_new(&settings.level).ok())
        .unwrap_or_else(|| EnvFilter::new("info"))
}
