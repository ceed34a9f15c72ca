//! From a lease to a settlement: claims, renders, picks a server, sends, decides.
//!
//! [`retry`], [`failover`] and [`sliding_window`] hold the policy and do no I/O; [`deliver`] takes one lease
//! through one attempt; [`pool`] keeps the right number of attempts under way and settles what they
//! came to.
//!
//! A server's `rate_limit` bounds what is claimed, so that mails wait in the queue and not in a
//! lease. A limit per second or minute is a pace: mails wait for it, even where there is a backup.
//! One per hour or day is a quota: when it is used up, the next server takes over.

pub mod deliver;
pub mod failover;
pub mod pipeline;
pub mod pool;
pub mod rate_limiter;
pub mod retry;
pub mod server;
pub mod sliding_window;
mod tries;

pub use pipeline::{Permitted, Pipeline};
pub use pool::{Dispatcher, ReloadHandle};
pub use retry::RetryPolicy;
pub use server::{Limits, Server};

/// What dispatch needs of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When to try again, and when to give up.
    pub retry: RetryPolicy,
    /// The most deliveries under way at a time.
    pub concurrency: usize,
}
