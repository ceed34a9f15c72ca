//! The daemon as a program: [`Jobbell`] with an HTTP server, signals and systemd.

use std::path::Path;

use tracing::{error, info, warn};

pub use super::running::openapi as described;
use super::running::{ADVICE, Running, log_notes, server_names, warn_if_off};
use super::signals::{SIGHUP, Signals};
use super::supervise::TaskEnded;
use super::{Jobbell, StartError, systemd};
use crate::config::{Loaded, Report, permissions};
use crate::domain::State;
use crate::http::{BindError, Listener};
use crate::telemetry;

/// Inputs of [`serve`].
pub struct Setup {
    /// The initial configuration.
    pub loaded: Loaded,
    /// Reads the configuration again, on SIGHUP.
    pub read_again: Box<dyn Fn() -> Result<Loaded, Report> + Send>,
    /// Changes the log level.
    pub set_log: Box<dyn Fn(&telemetry::Settings) + Send>,
    /// A socket passed by systemd, used instead of `server.listen`.
    pub inherited: Option<Listener>,
    /// Additional routes, for the demo.
    pub routes: axum::Router,
    /// Called once with the address when the daemon accepts events.
    pub on_ready: Box<dyn FnOnce(&str) + Send>,
}

/// Why the daemon failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The daemon cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The socket passed by systemd is open to other machines, and there are no tokens.
    #[error(
        "the socket {0}, passed by systemd, can be reached from other machines, but no tokens are set; {ADVICE}"
    )]
    Public(String),
    /// A module could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(#[source] std::io::Error),
    /// A task ended unexpectedly.
    #[error(transparent)]
    TaskEnded(#[from] TaskEnded),
    /// A second signal arrived during the shutdown.
    #[error(
        "stopped at once by a second signal; mails in flight are tried again after the next start"
    )]
    Interrupted,
}

/// Runs the daemon until a signal stops it.
///
/// # Errors
/// If the daemon cannot start, or one of its tasks ends unexpectedly; it is then stopped in order.
pub async fn serve(setup: Setup) -> Result<(), ServeError> {
    let Setup {
        loaded,
        read_again,
        set_log,
        inherited,
        routes,
        on_ready,
    } = setup;
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let (mut running, address) = start(loaded, inherited, routes).await?;
    on_ready(&address);
    let failed = loop {
        tokio::select! {
            signal = signals.next() => match signal {
                SIGHUP => running.reload(&read_again, &set_log),
                name => {
                    info!("{name}: stopping");
                    break None;
                }
            },
            ended = running.task_failed() => break Some(ended),
        }
    };
    systemd::stopping();
    tokio::select! {
        () = running.stop() => {}
        name = signals.next_stop() => {
            warn!("{name} again: stopping at once");
            return Err(ServeError::Interrupted);
        }
    }
    match failed {
        Some(ended) => {
            error!("{ended}");
            Err(ended.into())
        }
        None => Ok(()),
    }
}

/// Listens, starts all tasks and notifies systemd. Returns the running daemon and its address.
async fn start(
    loaded: Loaded,
    inherited: Option<Listener>,
    routes: axum::Router,
) -> Result<(Running, String), ServeError> {
    let Loaded {
        config,
        notes,
        shown,
        file,
    } = loaded;
    log_notes(&notes);
    let listener = match inherited {
        Some(listener) => listener,
        None => Listener::bind(&config.server.listen)?,
    };
    let address = listener.local_addr().to_string();
    if let Some(message) = address
        .strip_prefix("unix:")
        .and_then(|path| permissions::open_socket(Path::new(path)))
    {
        warn!("{message}");
    }
    let public = listener.is_public();
    if public && config.server.wants_tokens() {
        return Err(ServeError::Public(address));
    }
    let jobbell = Jobbell::start(&config).await?;
    let counts = jobbell.queue().counts().await;
    let waiting = counts.map_or(0, |counts| counts.of(State::Queued));
    let running = Running::new(jobbell, config, shown, listener, routes, public);
    systemd::ready();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        config = file.map_or_else(|| "none".to_owned(), |path| path.display().to_string()),
        servers = server_names(&running.config),
        waiting,
        "listening on {address}"
    );
    warn_if_off(&running.config);
    Ok((running, address))
}
