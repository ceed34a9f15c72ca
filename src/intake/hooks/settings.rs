//! `[hooks.NAME]`: which services post here, how each proves itself, who is told.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::Kind;
use super::verify::Check;
use crate::domain::{Locale, Recipient, Source};

/// One `[hooks.NAME]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name: the last part of its URL, the source of its events, the beginning of their ids.
    pub name: String,
    /// The service.
    pub kind: Kind,
    /// How its sender proves who it is.
    pub check: Check,
    /// Whether fields are read that no documentation confirms.
    pub unconfirmed: bool,
    /// How far a signed time may be from ours.
    pub replay_window: Duration,
    /// The most bytes of a body; none means `server.max_body`.
    pub max_body: Option<usize>,
    /// Who is told; empty means the configured default.
    pub to: Vec<Recipient>,
    /// In which language; none means the configured one.
    pub locale: Option<Locale>,
}

impl Settings {
    /// What `POST /v1/hooks/huiying` is while no `[hooks.huiying]` says otherwise: open to whoever may post events.
    pub fn huiying() -> Self {
        Self {
            name: Source::HUIYING.0.into_owned(),
            kind: Kind::Huiying,
            check: Check::ServerTokens,
            unconfirmed: false,
            replay_window: Duration::ZERO,
            max_body: None,
            to: Vec::new(),
            locale: None,
        }
    }

    /// Where its events come in.
    pub fn source(&self) -> Source {
        Source(self.name.clone().into())
    }
}

/// The hooks in force, shared by the route and by whoever reads the configuration again.
#[derive(Debug, Clone)]
pub struct Hooks(Arc<ArcSwap<Vec<Arc<Settings>>>>);

impl Hooks {
    /// These hooks, and that of the Huiying studio.
    pub fn new(settings: &[Settings]) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(list(settings))))
    }

    /// Puts other hooks in force, from the next request on (SIGHUP).
    pub fn replace(&self, settings: &[Settings]) {
        self.0.store(Arc::new(list(settings)));
    }

    /// The hook of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Settings>> {
        self.0.load().iter().find(|hook| hook.name == name).cloned()
    }
}

fn list(settings: &[Settings]) -> Vec<Arc<Settings>> {
    let mut list: Vec<_> = settings.iter().cloned().map(Arc::new).collect();
    let huiying = Settings::huiying();
    if !list.iter().any(|hook| hook.name == huiying.name) {
        list.push(Arc::new(huiying));
    }
    list
}
