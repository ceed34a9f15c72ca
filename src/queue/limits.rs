//! Limits of the mail servers, as far as they hold over all nodes that share a queue.

use super::{Backend, Queue};
use crate::domain::ServerName;

pub use super::limit_values::{Available, Others, Pause, Probe, RateCap, TURN};
#[cfg(feature = "postgres")]
pub use super::postgres::{
    Seats, ServerLimits, SharedBreaker, SharedLimits, SharedPermit, SharedRate,
};
#[cfg(not(feature = "postgres"))]
pub use stub::{Seats, ServerLimits, SharedBreaker, SharedLimits, SharedPermit, SharedRate};

#[cfg(not(feature = "postgres"))]
#[path = "limits_stub.rs"]
mod stub;

impl Queue {
    /// The limits of the mail servers.
    pub fn limits(&self) -> Limits {
        match &*self.0 {
            Backend::Sqlite(_) => Limits::Local,
            #[cfg(feature = "postgres")]
            Backend::Postgres(_, limits) => Limits::Shared(limits.clone()),
        }
    }
}

/// The limits of a queue.
#[derive(Debug, Clone)]
pub enum Limits {
    /// This process is the only one that sends: it counts by itself.
    Local,
    /// Other nodes send as well: the database counts.
    Shared(SharedLimits),
}

impl Limits {
    /// The limits of a server over all nodes; `None` if this process is the only one.
    pub fn server(&self, name: &ServerName) -> Option<ServerLimits> {
        match self {
            Self::Local => None,
            Self::Shared(limits) => Some(limits.server(name)),
        }
    }

    /// Returns what this process has and does not use, before it ends.
    pub(super) async fn surrender(&self) {
        match self {
            Self::Local => {}
            Self::Shared(limits) => limits.surrender().await,
        }
    }

    /// Completes when the database allows more than before; never for [`Limits::Local`]. Wakes one
    /// caller at a time.
    pub async fn changed(&self) {
        match self {
            Self::Local => std::future::pending().await,
            Self::Shared(limits) => limits.changed().await,
        }
    }
}
