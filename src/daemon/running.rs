//! The running daemon: [`Jobbell`] with its HTTP server, and reloads of the configuration.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use super::supervise::{TaskEnded, Tasks};
use super::{Jobbell, jwks_fetch, reload, systemd};
use crate::admin::{self, Admin};
use crate::config::{Config, Level, Loaded, Note, Report, ShownKey};
use crate::http::{Access, Limits, Listener, Refusals, app};
use crate::intake::{self, hooks::Hooks};
use crate::routing::Disabled;
use crate::telemetry;

/// How to restrict access to the HTTP server.
pub(super) const ADVICE: &str = "set server.tokens, server.tokens_file or [[server.token]], let the socket listen on 127.0.0.1, or write server.allow_anonymous = true";

/// The daemon while it runs.
pub(super) struct Running {
    jobbell: Jobbell,
    pub(super) config: Config,
    /// Every effective key, to report changes on reload.
    shown: Vec<ShownKey>,
    /// Whether other machines can connect. Not derived from `server.listen`, because systemd may
    /// have passed the socket.
    public: bool,
    access: Access,
    hooks: Hooks,
    server_tasks: Tasks,
    closing: CancellationToken,
}

impl Running {
    pub(super) fn new(
        jobbell: Jobbell,
        config: Config,
        shown: Vec<ShownKey>,
        listener: Listener,
        extra_routes: axum::Router,
        public: bool,
    ) -> Self {
        let closing = CancellationToken::new();
        let access = Access::new(&config.server);
        let refusals = Refusals::new(jobbell.metrics());
        let hooks = Hooks::new(&config.hooks, jwks_fetch::fetcher());
        let mut server_tasks = Tasks::default();
        let router = app::finish(
            router(&jobbell, &access, &hooks).merge(extra_routes),
            &access,
            openapi,
        );
        server_tasks.spawn(
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
        server_tasks.spawn(
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
            server_tasks,
            closing,
        }
    }

    pub(super) async fn task_failed(&mut self) -> TaskEnded {
        tokio::select! {
            ended = self.jobbell.task_failed() => ended,
            ended = self.server_tasks.ended() => ended,
        }
    }

    /// Reloads the configuration; keeps the old one if the new one is invalid.
    pub(super) fn reload(
        &mut self,
        read_again: &dyn Fn() -> Result<Loaded, Report>,
        set_log: &dyn Fn(&telemetry::Settings),
    ) {
        systemd::reloading();
        match self.apply(read_again) {
            Ok((config, shown)) => {
                let changed = reload::changed((&self.config, &self.shown), (&config, &shown));
                for key in reload::needs_restart(&self.config, &config) {
                    warn!("{key} has changed; restart the daemon to apply it");
                }
                self.access.replace(&config.server);
                self.hooks.replace(&config.hooks);
                set_log(&config.log);
                let changed = match changed.as_slice() {
                    [] => "nothing".to_owned(),
                    keys => keys.join(", "),
                };
                info!(
                    changed,
                    servers = server_names(&config),
                    "configuration reloaded"
                );
                warn_if_off(&config);
                self.shown = shown;
                self.config = reload::effective(&self.config, config);
            }
            Err(problems) => {
                for problem in problems {
                    error!("{problem}");
                }
                error!("reload failed; keeping the old configuration");
            }
        }
        systemd::ready();
    }

    /// Reads and applies the configuration, or changes nothing.
    fn apply(
        &self,
        read_again: &dyn Fn() -> Result<Loaded, Report>,
    ) -> Result<(Config, Vec<ShownKey>), Vec<String>> {
        let Loaded {
            config,
            notes,
            shown,
            ..
        } = read_again().map_err(|report| {
            let problems = report.problems.iter().map(ToString::to_string);
            problems.collect::<Vec<_>>()
        })?;
        log_notes(&notes);
        if self.public && config.server.wants_tokens() {
            return Err(vec![format!(
                "other machines can reach this daemon, but no tokens are set; {ADVICE}"
            )]);
        }
        self.jobbell
            .reload(&config)
            .map_err(|error| vec![error.to_string()])?;
        Ok((config, shown))
    }

    /// Stops in order: refuses new requests, answers those in progress, then stops intake, dispatch
    /// and store.
    pub(super) async fn stop(&mut self) {
        self.closing.cancel();
        // Stop claiming first, so that a slow client does not delay the shutdown.
        self.jobbell.stop_claiming();
        for ended in self.server_tasks.finish().await {
            warn!("while stopping: {ended}");
        }
        self.jobbell.stop().await;
        info!("stopped");
    }
}

/// All routes of the daemon.
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

/// The OpenAPI description of all routes, served at `/openapi.json`.
pub fn openapi() -> OpenApi {
    intake::http::openapi().merge_from(admin::Described::openapi())
}

/// The names of the mail servers, in order.
pub(super) fn server_names(config: &Config) -> String {
    let names = config
        .smtp
        .iter()
        .map(|server| server.common.name.to_string());
    names.collect::<Vec<_>>().join(", ")
}

/// Warns that sending is switched off, which is easily forgotten.
pub(super) fn warn_if_off(config: &Config) {
    if !config.routes.enabled {
        let fate = if config.routes.disabled == Disabled::Hold {
            "held until it is switched on"
        } else {
            "not sent"
        };
        warn!("mails are OFF (smtp.enable = false): events are recorded, their mails are {fate}");
    }
}

/// Logs the notes on the configuration.
pub(super) fn log_notes(notes: &[Note]) {
    for note in notes {
        if note.level == Level::Warning {
            warn!("{note}");
        } else {
            info!("{note}");
        }
    }
}
