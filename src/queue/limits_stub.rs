//! Shared limits in builds without the feature `postgres`: they have no values.
#![expect(
    clippy::unused_async,
    reason = "the same signatures as with PostgreSQL"
)]

use std::time::Duration;

use tokio::sync::watch;

use crate::domain::{Lane, ServerName};
use crate::queue::StoreError;
use crate::queue::limit_values::{Available, Others, Pause, Probe, RateCap};

/// The limits of all servers; never constructed in this build.
#[derive(Debug, Clone)]
pub enum SharedLimits {}

/// The limits of one server; never constructed in this build.
#[derive(Debug, Clone)]
pub enum ServerLimits {}

/// A rate limit; never constructed in this build.
#[derive(Debug, Clone)]
pub enum SharedRate {}

/// A permit; never constructed in this build.
#[derive(Debug)]
pub enum SharedPermit {}

/// A circuit breaker; never constructed in this build.
#[derive(Debug)]
pub enum SharedBreaker {}

/// An account of connections; never constructed in this build.
#[derive(Debug)]
pub enum Seats {}

impl SharedLimits {
    /// Never called.
    pub fn server(&self, _name: &ServerName) -> ServerLimits {
        match *self {}
    }

    /// Never called.
    pub async fn surrender(&self) {
        match *self {}
    }

    /// Never called.
    pub async fn changed(&self) {
        match *self {}
    }
}

impl ServerLimits {
    /// Never called.
    pub fn rate(&self, _cap: RateCap) -> SharedRate {
        match *self {}
    }

    /// Never called.
    pub fn breaker(&self) -> &SharedBreaker {
        match *self {}
    }

    /// Never called.
    pub fn seats(&self, _lane: Lane, _capacity: usize) -> Seats {
        match *self {}
    }
}

impl SharedRate {
    /// Never called.
    pub fn available(&self) -> Available {
        match *self {}
    }

    /// Never called.
    pub fn is_unknown(&self) -> bool {
        match *self {}
    }

    /// Never called.
    pub fn reserve(&self, _lane: Lane) -> Result<SharedPermit, Duration> {
        match *self {}
    }
}

impl SharedPermit {
    /// Never called.
    pub async fn granted(&mut self) -> Result<(), Duration> {
        match *self {}
    }

    /// Never called.
    pub fn commit(self) {
        match self {}
    }
}

impl SharedBreaker {
    /// Never called.
    pub fn watch(&self) -> watch::Receiver<Option<Pause>> {
        match *self {}
    }

    /// Never called.
    pub fn opened(&self, _pause: Duration, _why: &str) {
        match *self {}
    }

    /// Never called.
    pub fn closed(&self) {
        match *self {}
    }

    /// Never called.
    pub fn try_now(&self) {
        match *self {}
    }

    /// Never called.
    pub async fn probe(&self, _limit: Duration) -> Probe {
        match *self {}
    }
}

impl Seats {
    /// Never called.
    pub const fn capacity(&self) -> usize {
        match *self {}
    }

    /// Never called.
    pub fn is_valid(&self) -> bool {
        match *self {}
    }

    /// Never called.
    pub fn life(&self) -> i64 {
        match *self {}
    }

    /// Never called.
    pub fn others(&self) -> watch::Receiver<Others> {
        match *self {}
    }

    /// Never called.
    pub fn fair(&self, _others: Others) -> usize {
        match *self {}
    }

    /// Never called.
    pub async fn exchange(&self, _held: usize, _want: usize) -> Result<usize, StoreError> {
        match *self {}
    }
}
