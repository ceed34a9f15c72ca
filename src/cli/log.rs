//! Where log lines go: standard error, as text on a terminal and as JSON otherwise.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::telemetry::terminal::LogLines;
use crate::telemetry::{LogFormat, Settings};

/// Changes the level while the daemon runs.
#[derive(Debug, Clone)]
pub(super) struct LogHandle(reload::Handle<EnvFilter, Registry>);

impl LogHandle {
    /// Puts another level in force; the format stays until a restart. A filter that cannot be read
    /// changes nothing.
    pub(super) fn apply(&self, settings: &Settings) {
        if let Err(error) = self.0.reload(filter(settings)) {
            tracing::warn!("the log level stays as it was: {error}");
        }
    }
}

/// Starts logging.
///
/// # Errors
/// When the process logs already.
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

/// `RUST_LOG` where it is set, else `log.level`.
fn filter(settings: &Settings) -> EnvFilter {
    std::env::var("RUST_LOG")
        .ok()
        .filter(|text| !text.is_empty())
        .and_then(|text| EnvFilter::try_new(text).ok())
        .or_else(|| EnvFilter::try_new(&settings.level).ok())
        .unwrap_or_else(|| EnvFilter::new("info"))
}
