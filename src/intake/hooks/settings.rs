//! `[hooks.NAME]`: the service, how it authenticates, and the recipients.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::mapping::Mapping;
use super::verify::Verifier;
use super::verify::jwks::{Fetch, JwksCache};
use super::{Kind, MapResult, Payload};
use crate::domain::{JobEvent, Locale, Recipient, Source, Timestamp};
#[cfg(feature = "server")]
use crate::telemetry::log_limit::LogLimit;

/// One `[hooks.NAME]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name: last segment of the URL, source and id prefix of its events.
    pub name: String,
    /// The service.
    pub kind: Kind,
    /// How requests are verified.
    pub verifier: Verifier,
    /// Whether undocumented fields are read.
    pub unconfirmed: bool,
    /// Maximum difference between a signed time and ours.
    pub replay_window: Duration,
    /// Maximum length of a body, in bytes; `None` means `server.max_body`.
    pub max_body: Option<usize>,
    /// The recipients, and the only ones that a payload may name. Empty means the default
    /// recipients.
    pub to: Vec<Recipient>,
    /// The language; `None` means the default.
    pub locale: Option<Locale>,
    /// The mapping of a `generic` hook.
    pub mapping: Mapping,
}

impl Settings {
    /// The built-in hook `huiying`, unless the configuration defines one: open to every caller that
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

    /// Maps a payload to events. `has_default_recipient` says whether events without recipients
    /// have default ones.
    pub fn map(
        &self,
        payload: &Value,
        headers: &HeaderMap,
        has_default_recipient: bool,
        now: Timestamp,
    ) -> MapResult {
        self.kind.map(
            &self.mapping,
            &Payload {
                hook: &self.name,
                json: payload,
                headers,
                unconfirmed: self.unconfirmed,
                requires_recipient: self.to.is_empty() && !has_default_recipient,
                now,
            },
        )
    }

    /// Fills in recipients and language. If `to` is set, other recipients of the event are removed;
    /// returns whether there were any.
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

    /// The source of its events.
    pub fn source(&self) -> Source {
        Source(self.name.clone().into())
    }
}

/// An active hook.
#[derive(Debug)]
pub struct Hook {
    /// Its settings.
    pub settings: Settings,
    /// The published keys, for services that sign with such.
    pub keys: Option<JwksCache>,
    /// Limits log lines about payloads of unverified hooks.
    #[cfg(feature = "server")]
    pub(super) unauthenticated: LogLimit,
}

/// The active hooks. Clones share them.
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
    /// Activates these hooks, and the one of the Huiying studio. `fetch` downloads published keys.
    pub fn new(settings: &[Settings], fetch: Fetch) -> Self {
        let list = list(settings, &fetch);
        Self {
            list: Arc::new(ArcSwap::from_pointee(list)),
            fetch,
        }
    }

    /// Replaces the hooks, starting with the next request.
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
            #[cfg(feature = "server")]
            unauthenticated: LogLimit::new(),
        })
    };
    settings.iter().cloned().chain(huiying).map(hook).collect()
}
