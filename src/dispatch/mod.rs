//! From a lease to a settlement: claims, renders, picks a server, sends, decides.
//!
//! [`retry`] and [`failover`] hold the policy and do no I/O; [`deliver`] takes one lease through one attempt; [`pool`] keeps the right
//! number of attempts under way and settles what they came to.

pub mod deliver;
pub mod failover;
pub mod line;
pub mod pool;
pub mod retry;

pub use line::{Line, Server};
pub use pool::{Dispatcher, LineHandle};
pub use retry::RetryPolicy;

/// What dispatch needs of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When to try again, and when to give up.
    pub retry: RetryPolicy,
    /// The most deliveries under way at a time.
    pub concurrency: usize,
}
