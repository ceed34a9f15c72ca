//! The daemon as a program: Jobbell with its HTTP server, signals and systemd around it.

use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use super::supervise::{TaskEnded, Tasks};
use super::{Jobbell, StartError, reload, systemd};
use crate::admin::{self, Admin};
use crate::config::{Config, Level, Loaded, Note, Report, ShownKey, permissions};
use crate::domain::State;
use crate::http::{Access, BindError, Limits, Listener, Refusals, app};
use crate::intake::{self, hooks::Hooks};
use crate::routing::Disabled;
use crate::telemetry;

/// Inputs of [`serve`].
pub struct Setup {
    /// The configuration in force at first.
    pub loaded: Loaded,
    /// Reads the configuration again, for SIGHUP.
    pub read_again: Box<dyn Fn() -> Result<Loaded, Report> + Send>,
    /// Puts another log level in force.
    pub set_log: Box<dyn Fn(&telemetry::Settings) + Send>,
    /// Sockets handed over by systemd; the first one is listened on instead of `server.listen`.
    pub inherited: Option<Listener>,
    /// Further routes, for the demo.
    pub routes: axum::Router,
    /// Called once with the address as soon as events are taken.
    pub on_ready: Box<dyn FnOnce(&str) + Send>,
}

/// Why the daemon ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It could not listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The socket that was handed over is open to other machines, and there are no tokens.
    #[error(
        "{0} was handed over by systemd and can be reached from other machines, and no tokens are set; {ADVICE}"
    )]
    Public(String),
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signals(#[source] std::io::Error),
    /// A part of it ended unasked.
    #[error(transparent)]
    Broken(#[from] TaskEnded),
    /// A second signal came while it was stopping.
    #[error(
        "stopped at once by a second signal; what was under way is taken up again at the next start"
    )]
    Hurried,
}

/// What to do about an open door.
const ADVICE: &str = "set server.tokens, server.tokens_file or [[server.token]], let the socket listen on 127.0.0.1, or write server.allow_anonymous = true";

/// The signal that asks to read the configuration again.
const SIGHUP: &str = "SIGHUP";

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, ServeError> {
        let listen = |kind| signal(kind).map_err(ServeError::Signals);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The name of the next signal.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => SIGHUP,
        }
    }

    /// The next signal that asks to stop.
    async fn next_stop(&mut self) -> &'static str {
        loop {
            match self.next().await {
                SIGHUP => warn!("SIGHUP while stopping: too late to read the configuration again"),
                name => return name,
            }
        }
    }
}

/// Runs the daemon until a signal stops it.
///
/// # Errors
/// When it cannot start, or a part of it ends unasked; then everything has been stopped in order
/// all the same.
pub async fn serve(setup: Setup) -> Result<(), ServeError> {
    let Setup {
        loaded,
        read_again,
        set_log,
        inherited,
        routes,
        on_ready,
    } = setup;
    let Loaded {
        config,
        notes,
        shown,
        file,
    } = loaded;
    let mut signals = Signals::new()?;
    tell(&notes);
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
    let waiting = jobbell
        .queue()
        .counts()
        .await
        .map_or(0, |counts| counts.of(State::Queued));
    let servers = servers(&config);
    let mut running = Running::new(jobbell, config, shown, listener, routes, public);
    systemd::ready();
    let file = file.map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    info!(
        version = env!("CARGO_PKG_VERSION"),
        config = file,
        servers,
        waiting,
        "taking events at {address}"
    );
    warn_if_off(&running.config);
    on_ready(&address);
    let broken = loop {
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
            return Err(ServeError::Hurried);
        }
    }
    match broken {
        Some(ended) => {
            error!("{ended}");
            Err(ended.into())
        }
        None => Ok(()),
    }
}

/// The daemon while it takes events.
struct Running {
    jobbell: Jobbell,
    config: Config,
    /// Every key in force, to say at a reload which have changed.
    shown: Vec<ShownKey>,
    /// Whether other machines reach the door, whatever `server.listen` says: the socket may have
    /// been handed over.
    public: bool,
    access: Access,
    hooks: Hooks,
    doors: Tasks,
    closing: CancellationToken,
}

impl Running {
    fn new(
        jobbell: Jobbell,
        config: Config,
        shown: Vec<ShownKey>,
        listener: Listener,
        further: axum::Router,
        public: bool,
    ) -> Self {
        let closing = CancellationToken::new();
        let access = Access::new(&config.server);
        let refusals = Refusals::new(jobbell.metrics());
        let hooks = Hooks::new(&config.hooks, super::jwks_fetch::fetcher());
        let mut doors = Tasks::default();
        let router = app::finish(
            router(&jobbell, &access, &hooks).merge(further),
            &access,
            described,
        );
        doors.spawn(
            "http",
            crate::http::serve(
                listener,
                router,
                Limits::fitting(),
                refusals,
                access.proxies(),
                closing.clone(),
            ),
        );
        doors.spawn(
            "watchdog",
            systemd::watchdog(jobbell.queue().clone(), closing.clone()),
        );
        Self {
            jobbell,
            config,
            shown,
            public,
            access,
            hooks,
            doors,
            closing,
        }
    }

    async fn task_failed(&mut self) -> TaskEnded {
        tokio::select! {
            ended = self.jobbell.task_failed() => ended,
            ended = self.doors.ended() => ended,
        }
    }

    fn reload(
        &mut self,
        read_again: &dyn Fn() -> Result<Loaded, Report>,
        set_log: &dyn Fn(&telemetry::Settings),
    ) {
        systemd::reloading();
        match self.take_over(read_again) {
            Ok((config, shown)) => {
                let changed = reload::changed((&self.config, &self.shown), (&config, &shown));
                for key in reload::needs_restart(&self.config, &config) {
                    warn!("{key} has changed and needs a restart; the old value stays in force");
                }
                self.access.replace(&config.server);
                self.hooks.replace(&config.hooks);
                set_log(&config.log);
                let changed = if changed.is_empty() {
                    "nothing".to_owned()
                } else {
                    changed.join(", ")
                };
                info!(
                    changed,
                    servers = servers(&config),
                    "the configuration was read again and is in force"
                );
                warn_if_off(&config);
                self.shown = shown;
                self.config = reload::in_force(&self.config, config);
            }
            Err(problems) => {
                for problem in problems {
                    error!("{problem}");
                }
                error!(
                    "the configuration was read again and is refused for the problems above; the old one stays in force"
                );
            }
        }
        systemd::ready();
    }

    /// Reads the configuration again and puts it in force, all of it or nothing.
    fn take_over(
        &self,
        read_again: &dyn Fn() -> Result<Loaded, Report>,
    ) -> Result<(Config, Vec<ShownKey>), Vec<String>> {
        let Loaded {
            config,
            notes,
            shown,
            ..
        } = read_again().map_err(|report| {
            report
                .problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        })?;
        tell(&notes);
        if self.public && config.server.wants_tokens() {
            return Err(vec![format!(
                "other machines can reach this daemon, and no tokens are set; {ADVICE}"
            )]);
        }
        self.jobbell
            .reload(&config)
            .map_err(|error| vec![error.to_string()])?;
        Ok((config, shown))
    }

    /// Stops in order: no new requests, answer those held, then intake, dispatch and store.
    async fn stop(&mut self) {
        self.closing.cancel();
        // Nothing is claimed from here on, so a client that lingers does not lengthen the stop.
        self.jobbell.stop_claiming();
        for ended in self.doors.finish().await {
            warn!("while stopping: {ended}");
        }
        self.jobbell.stop().await;
        info!("stopped");
    }
}

/// Every route of the daemon.
fn router(jobbell: &Jobbell, access: &Access, hooks: &Hooks) -> axum::Router {
    let routes = Arc::clone(jobbell.routes());
    let expire_after = move || routes.load().expire_after;
    let allowing = Arc::clone(jobbell.routes());
    let admin = Admin::new(
        jobbell.queue().clone(),
        access.clone(),
        jobbell.clock().clone(),
        Arc::clone(jobbell.metrics()),
        expire_after,
    )
    .allowing(move |recipient| allowing.load().allows(recipient));
    intake::http::router(jobbell.intake().clone(), access.clone(), hooks.clone())
        .merge(admin::router(admin))
}

/// The description of those routes, for `/openapi.json`.
pub fn described() -> OpenApi {
    intake::http::openapi().merge_from(admin::Described::openapi())
}

/// The names of the mail servers, in their order.
fn servers(config: &Config) -> String {
    config
        .smtp
        .iter()
        .map(|server| server.name().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The switch is easily forgotten: what it does must not look like all being well.
fn warn_if_off(config: &Config) {
    if !config.routes.enabled {
        let fate = if config.routes.disabled == Disabled::Hold {
            "held until it is on again"
        } else {
            "not sent"
        };
        warn!("mails are OFF (smtp.enable = false): events are recorded, their mails are {fate}");
    }
}

/// Says at start what is worth knowing of the configuration.
fn tell(notes: &[Note]) {
    for note in notes {
        if note.level == Level::Warning {
            warn!("{note}");
        } else {
            info!("{note}");
        }
    }
}
