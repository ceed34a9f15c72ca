//! Verbs on the nodes that share a queue.

use std::time::Duration;

pub use super::node_record::{NodeRecord, NodeStatus, NodesError};
use super::{Backend, Queue, Settings, StoreError};

impl Queue {
    /// The nodes that share the queue, by name. A node that was killed is listed until another one
    /// has taken over its mails, at most 35 s later.
    ///
    /// # Errors
    /// [`NodesError::NotShared`] for a queue in SQLite.
    pub async fn nodes(&self) -> Result<Vec<NodeRecord>, NodesError> {
        match &*self.0 {
            Backend::Sqlite(_) => Err(NodesError::NotShared),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store, _) => store.nodes().await,
        }
    }

    /// Begins or ends the draining of the node with this name. A draining node claims nothing, refuses
    /// events from its next heartbeat on, and ends what it holds. A restart ends the draining.
    ///
    /// # Errors
    /// [`NodesError::NotShared`] for a queue in SQLite; [`NodesError::Unknown`].
    pub async fn drain(&self, name: &str, draining: bool) -> Result<NodeRecord, NodesError> {
        match &*self.0 {
            Backend::Sqlite(_) => Err(NodesError::NotShared),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store, _) => store.drain(name, draining).await,
        }
    }

    /// This process as a node; `None` for a queue in SQLite.
    pub fn node(&self) -> Option<NodeStatus> {
        match &*self.0 {
            Backend::Sqlite(_) => None,
            #[cfg(feature = "postgres")]
            Backend::Postgres(store, _) => Some(store.node_status()),
        }
    }

    /// The age of the oldest snapshot that keeps the database from removing dead rows; `None` for a
    /// queue in SQLite. Zero if there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn horizon(&self) -> Result<Option<Duration>, StoreError> {
        match &*self.0 {
            Backend::Sqlite(_) => Ok(None),
            #[cfg(feature = "postgres")]
            Backend::Postgres(store, _) => store.horizon().await.map(Some),
        }
    }
}

/// The same as [`Queue::nodes`], on a connection of its own and without being a node.
///
/// # Errors
/// As [`Queue::nodes`]; [`NodesError::Open`].
pub async fn list(settings: &Settings) -> Result<Vec<NodeRecord>, NodesError> {
    #[cfg(feature = "postgres")]
    if let Some(postgres) = settings.location.postgres() {
        return super::postgres::list_nodes(postgres).await;
    }
    not_shared(settings)
}

/// The same as [`Queue::drain`], on a connection of its own and without being a node.
///
/// # Errors
/// As [`Queue::drain`]; [`NodesError::Open`].
pub async fn drain(
    settings: &Settings,
    name: &str,
    draining: bool,
) -> Result<NodeRecord, NodesError> {
    #[cfg(feature = "postgres")]
    if let Some(postgres) = settings.location.postgres() {
        return super::postgres::drain_node(postgres, name, draining).await;
    }
    let _ = (name, draining);
    not_shared(settings)
}

const fn not_shared<T>(_settings: &Settings) -> Result<T, NodesError> {
    Err(NodesError::NotShared)
}
