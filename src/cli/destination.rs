//! Where the events of a command go: to a daemon, or into the database that the nodes share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;

use super::client::{Answer, Client, ClientError};
use super::target::{DaemonOptions, Target, TargetError};
use super::{CONFIG, load, load_without_mail};
use crate::config::{Config, Loaded, Sources};
use crate::domain::Locale;
use crate::http::tokens::Scope;
use crate::intake::{Intake, post_directly};
use crate::queue::{OpenError, Queue};

/// Where events go.
pub(super) enum Destination {
    /// A daemon.
    Daemon(Client),
    /// The database of `queue.url`, which any machine may use. The recipients and limits are those of
    /// the configuration that is read here.
    Database(Box<Config>),
}

/// Why there is no destination.
pub(super) enum Unusable {
    /// The options, or the address.
    Client(ClientError),
    /// The configuration, whose problems have been printed; the exit status.
    Config(u8),
}

impl From<ClientError> for Unusable {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<TargetError> for Unusable {
    fn from(error: TargetError) -> Self {
        Self::Client(error.into())
    }
}

/// Why events were not stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl PostError {
    /// The message in the operator's language.
    pub(super) fn said(&self, locale: Locale) -> String {
        match self {
            Self::Client(error) => error.said(locale),
            Self::Open(error) => error.to_string(),
        }
    }

    /// Whether the configuration must be changed first.
    pub(super) fn is_configuration(&self) -> bool {
        match self {
            Self::Client(_) => false,
            Self::Open(error) => error.is_configuration(),
        }
    }
}

impl Destination {
    /// The daemon at `--url` or `$JOBBELL_URL`. Without one, the database of a queue that nodes share;
    /// otherwise the daemon at the configured address. Also returns the language of the mail, if it is
    /// known.
    pub(super) fn find(
        sources: &Sources,
        options: &DaemonOptions,
    ) -> Result<(Self, Option<Locale>), Unusable> {
        let named = Target::of_url(sources, options)?;
        let is_named = named.is_some();
        if let Some(target) = named.filter(|target| target.token.is_some()) {
            return Ok((Self::Daemon(Client::new(target)?), None));
        }
        let loaded = load_without_mail(sources).map_err(Unusable::Config)?;
        let locale = Some(loaded.config.render.locale);
        if !is_named && is_shared(&loaded.config) {
            let Loaded { config, .. } = load(sources).map_err(Unusable::Config)?;
            return Ok((Self::Database(Box::new(config)), locale));
        }
        let target = Target::new(sources, options, &loaded, &[Scope::Post])?;
        Ok((Self::Daemon(Client::new(target)?), locale))
    }

    /// Posts an event in JSON, or several in lines.
    pub(super) async fn post(&self, media_type: &str, body: Vec<u8>) -> Result<Answer, PostError> {
        match self {
            Self::Daemon(client) => Ok(client.post("/v1/events", media_type, body).await?),
            Self::Database(config) => {
                let queue = Queue::open_existing(&config.queue).await?;
                let routes = Arc::new(ArcSwap::from_pointee(config.routes.clone()));
                let clock = queue.clock().clone();
                let intake = Intake::new(queue.clone(), routes, clock, Arc::default());
                let lines = media_type == "application/x-ndjson";
                let (status, body) = post_directly(&intake, &body, lines).await;
                queue.close().await;
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                Ok(Answer {
                    status,
                    body,
                    withheld: None,
                })
            }
        }
    }
}

impl Unusable {
    /// The exit status, and what is left to say.
    pub(super) fn report(&self, locale: Locale) -> (u8, Option<String>) {
        match self {
            Self::Client(error) => (super::FAILED, Some(error.said(locale))),
            Self::Config(status) => (*status, None),
        }
    }
}

/// Whether nodes share the queue.
pub(super) fn is_shared(config: &Config) -> bool {
    config.queue.location.file().is_none()
}

/// The exit status of a command that could not use the queue.
pub(super) fn status_of(error: &PostError) -> u8 {
    if error.is_configuration() {
        CONFIG
    } else {
        super::FAILED
    }
}
