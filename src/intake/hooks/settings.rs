//! `[hooks.NAME]`: which services post here, how each proves itself, who is told.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use reqwest::header::HeaderMap;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard};

use super::mapping::Mapping;
use super::verify::Verifier;
use super::verify::jwks::{Fetch, JwksCache};
use super::{Kind, MapResult, Payload};
use crate::domain::{JobEvent, Locale, Recipient, Source, Timestamp};
use crate::telemetry::log_limit::LogLimit;

/// One `[hooks.NAME]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name: the last part of its URL, the source of its events, the beginning of their ids.
    pub name: String,
    /// The service.
    pub kind: Kind,
    /// How its sender proves who it is.
    pub verifier: Verifier,
    /// Whether fields are read that no documentation confirms.
    pub unconfirmed: bool,
    /// How far a signed time may be from ours.
    pub replay_window: Duration,
    /// The most bytes of a body; none means `server.max_body`.
    pub max_body: Option<usize>,
    /// Who is told, and the only ones whom a payload may name; empty means the configured default.
    pub to: Vec<Recipient>,
    /// In which language; none means the configured one.
    pub locale: Option<Locale>,
    /// How a generic hook reads its payloads.
    pub mapping: Mapping,
}

impl Settings {
    /// What `POST /v1/hooks/huiying` is while no `[hooks.huiying]` says otherwise: open to whoever
    /// may post events.
    pub fn huiying() -> Self {
        Self {
            name: Source::HUIYING.0.into_owned(),
            kind: Kind::Huiying,
            verifier: Verifier::ServerTokens,
            unconfirmed: false,
            replay_window: Duration::ZERO,
            max_body: None,
            to: Vec::new(),
            locale: None,
            mapping: Mapping::default(),
        }
    }

    /// What a payload says, in our words.
    pub fn map(&self, payload: &Value, headers: &HeaderMap, now: Timestamp) -> MapResult {
        self.kind.map(
            &self.mapping,
            &Payload {
                hook: &self.name,
                json: payload,
                headers,
                unconfirmed: self.unconfirmed,
                now,
            },
        )
    }

    /// Says whom an event goes to and in which language, where it does not say so itself. `to` pins
    /// the recipients: whether the event named others, which are left out.
    pub fn address(&self, event: &mut JobEvent) -> bool {
        event.locale = event.locale.or(self.locale);
        if self.to.is_empty() {
            return false;
        }
        let named = event.to.len();
        event
            .to
            .retain(|recipient| self.to.iter().any(|pinned| pinned.same_mailbox(recipient)));
        let foreign = event.to.len() < named;
        if event.to.is_empty() {
            event.to.clone_from(&self.to);
        }
        foreign
    }

    /// Where its events come in.
    pub fn source(&self) -> Source {
        Source(self.name.clone().into())
    }
}

/// A hook in force.
#[derive(Debug)]
pub struct Hook {
    /// Its table.
    pub settings: Settings,
    /// The keys that its service publishes, where it signs by such.
    pub keys: Option<JwksCache>,
    /// One of them is held from the question how a job has ended before until its end is on record,
    /// for two ends may come at the same time. Which one goes by the job, so that the ends of
    /// others are written together.
    ending: [Mutex<()>; 64],
    /// Bounds log lines about payloads of unproven senders.
    pub(super) unproven: LogLimit,
}

impl Hook {
    /// Waits until no other end of this job is on its way.
    pub async fn ending(&self, job: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        job.hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % 64).unwrap_or_default();
        let [first, ..] = &self.ending;
        self.ending.get(place).unwrap_or(first).lock().await
    }
}

/// The hooks in force, shared by the route and by whoever reads the configuration again.
#[derive(Clone)]
pub struct Hooks {
    list: Arc<ArcSwap<Vec<Arc<Hook>>>>,
    fetch: Fetch,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hooks").field(&self.list).finish()
    }
}

impl Hooks {
    /// These hooks, and that of the Huiying studio; published keys are fetched by `fetch`.
    pub fn new(settings: &[Settings], fetch: Fetch) -> Self {
        let list = list(settings, &fetch);
        Self {
            list: Arc::new(ArcSwap::from_pointee(list)),
            fetch,
        }
    }

    /// Puts other hooks in force, from the next request on (SIGHUP).
    pub fn replace(&self, settings: &[Settings]) {
        self.list.store(Arc::new(list(settings, &self.fetch)));
    }

    /// The hook of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Hook>> {
        self.list
            .load()
            .iter()
            .find(|hook| hook.settings.name == name)
            .cloned()
    }
}

fn list(settings: &[Settings], fetch: &Fetch) -> Vec<Arc<Hook>> {
    let huiying = Some(Settings::huiying())
        .filter(|huiying| !settings.iter().any(|hook| hook.name == huiying.name));
    let hook = |settings: Settings| {
        let keys = match &settings.verifier {
            Verifier::Fal(source) => Some(JwksCache::new(source.clone(), Arc::clone(fetch))),
            _ => None,
        };
        Arc::new(Hook {
            settings,
            keys,
            ending: std::array::from_fn(|_| Mutex::default()),
            unproven: LogLimit::new(),
        })
    };
    settings.iter().cloned().chain(huiying).map(hook).collect()
}
