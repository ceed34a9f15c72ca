//! Delivers claimed mails: claim, render, choose a server, send, decide, settle.
//!
//! [`retry`], [`failover`], [`breaker`] and [`sliding_window`] hold the policy and do no I/O.
//! [`attempt`] makes one attempt for one lease. [`pool`] claims deliveries, runs the attempts and
//! settles their results.
//!
//! A server's `rate_limit` bounds the claims, so mails wait in the queue and not with a lease. When
//! a limit per second or minute is reached, mails wait, even if there is a backup server. When a
//! limit per hour or day is reached, the next server takes over.

pub mod attempt;
pub mod breaker;
pub mod capacity;
pub mod failover;
mod keeper;
pub mod pipeline;
pub mod pool;
pub mod rate_limiter;
pub mod retry;
mod seats;
pub mod server;
pub mod sliding_window;

pub use breaker::Breaker;
pub use pipeline::{Permitted, Pipeline};
pub use pool::{Dispatcher, ReloadHandle};
pub use retry::RetryPolicy;
pub use server::Server;

/// The configuration of dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When a delivery is retried, and when it fails for good.
    pub retry: RetryPolicy,
    /// The most attempts at a time.
    pub concurrency: usize,
}
