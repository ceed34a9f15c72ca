//! The configured mail servers, for commands that connect to them directly, even with `smtp.enable
//! = false`.

use std::sync::Arc;

use super::i18n::{terminal_locale, tr};
use super::{CONFIG, load};
use crate::clock::Clock;
use crate::config::{Config, Loaded, Sources};
use crate::daemon::token_home_of_command;
use crate::domain::{Failure, FailureKind, Locale, Stage};
use crate::telemetry::Metrics;
use crate::transport::explain::Table;
use crate::transport::{Context, Settings, Transport};

/// The mail servers of the configuration.
pub(super) struct Servers {
    /// The configuration, with `smtp.enable` forced on.
    pub(super) config: Config,
    /// Whether `smtp.enable` is false in the configuration.
    pub(super) switched_off: bool,
    context: Context,
}

/// One server.
pub(super) struct Chosen<'a> {
    pub(super) settings: &'a Settings,
}

impl Chosen<'_> {
    /// Its name in the configuration.
    pub(super) fn name(&self) -> &str {
        &self.settings.common.name
    }
}

impl Servers {
    /// Loads the configuration or prints its problems. It is read with `smtp.enable` on, so that
    /// missing mail settings are reported.
    pub(super) fn load(sources: &Sources) -> Result<Self, u8> {
        let mut loaded = load(sources)?;
        let switched_off = !loaded.config.routes.enabled;
        if switched_off {
            let mut on = sources.clone();
            on.overrides.push((
                "smtp.enable".to_owned(),
                "true".to_owned(),
                "this command".to_owned(),
            ));
            loaded = load(&on)?;
        }
        Self::of(loaded).map(|servers| Self {
            switched_off,
            ..servers
        })
    }

    /// The servers of a configuration that was read with `smtp.enable` on.
    pub(super) fn of(loaded: Loaded) -> Result<Self, u8> {
        let mut config = loaded.config;
        let locale = terminal_locale();
        // Causes and advice are in the terminal's language.
        config
            .smtp
            .iter_mut()
            .for_each(|settings| settings.common.locale = locale);
        if config.smtp.is_empty() {
            eprintln!(
                "{}",
                tr(
                    locale,
                    "jobbell: no mail server is configured",
                    "jobbell：没有配置邮件服务器"
                )
            );
            return Err(CONFIG);
        }
        let context = Context {
            metrics: Arc::new(Metrics::new()),
            replies: Arc::new(Table::new()),
            clock: Clock::System,
            tokens: Some(token_home_of_command(&config)),
        };
        Ok(Self {
            config,
            switched_off: false,
            context,
        })
    }

    /// All servers, the primary first.
    pub(super) fn all(&self) -> Vec<Chosen<'_>> {
        self.config
            .smtp
            .iter()
            .map(|settings| Chosen { settings })
            .collect()
    }

    /// The server with that name, or the first one. The error lists the names.
    pub(super) fn named(&self, name: Option<&str>, locale: Locale) -> Result<Chosen<'_>, String> {
        let mut servers = self.config.smtp.iter();
        let found = match name {
            Some(name) => servers.find(|settings| settings.common.name.eq_ignore_ascii_case(name)),
            None => servers.next(),
        };
        found.map(|settings| Chosen { settings }).ok_or_else(|| {
            let known = self
                .config
                .smtp
                .iter()
                .map(|settings| format!("\"{}\"", settings.common.name))
                .collect::<Vec<_>>()
                .join(", ");
            format!(
                "{}{known}",
                tr(
                    locale,
                    "no mail server has that name; configured servers: ",
                    "没有这个名称的邮件服务器；现有："
                )
            )
        })
    }

    /// The transport to this server, as the daemon builds it; does not connect.
    pub(super) fn transport(&self, chosen: &Chosen<'_>) -> Result<Transport, Failure> {
        Transport::new(chosen.settings, &self.context).map_err(|error| unusable(&error))
    }
}

/// Reports a local failure before any connection was made.
pub(super) fn unusable(error: &dyn std::error::Error) -> Failure {
    let causes =
        std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string);
    let detail = std::iter::once(error.to_string())
        .chain(causes)
        .collect::<Vec<_>>()
        .join(": ");
    Failure {
        kind: FailureKind::Misconfigured,
        stage: Stage::Compose,
        reply: None,
        detail,
        explanation: None,
    }
}
