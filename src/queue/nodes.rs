//! Verbs on the nodes that share a queue.
#![cfg_attr(
    not(feature = "postgres"),
    expect(clippy::unused_async, reason = "only a database has to be asked")
)]

use std::time::Duration;

pub use super::node_record::{NodeRecord, NodeStatus};
use super::{Backend, OpenError, Queue, Settings, StoreError};

/// Why nodes cannot be listed or drained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodesError {
    /// The queue is in SQLite.
    #[error(
        "the queue is in SQLite, so the daemon on this machine is its only node; nodes share a queue in PostgreSQL (queue.url = \"postgres://…\")"
    )]
    NotShared,
    /// No node has this name.
    #[error("no node is named \"{name}\"; {}", known_names(.known))]
    Unknown {
        /// The name.
        name: String,
        /// The names of all nodes.
        known: Vec<String>,
    },
    /// The queue cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn known_names(known: &[String]) -> String {
    if known.is_empty() {
        "no node is running".to_owned()
    } else {
        format!("nodes: {}", known.join(", "))
    }
}

impl NodesError {
    #[cfg(feature = "postgres")]
    fn unknown(name: &str, nodes: Vec<NodeRecord>) -> Self {
        Self::Unknown {
            name: name.to_owned(),
            known: nodes.into_iter().map(|node| node.name).collect(),
        }
    }
}

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
            Backend::Postgres(store, _) => Ok(store.nodes().await?),
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
            Backend::Postgres(store, _) => match store.drain(name, draining).await? {
                Some(node) => Ok(node),
                None => Err(NodesError::unknown(name, store.nodes().await?)),
            },
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
        return Ok(visit(postgres).await?.nodes().await?);
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
        let visit = visit(postgres).await?;
        return match visit.drain(name, draining).await? {
            Some(node) => Ok(node),
            None => Err(NodesError::unknown(name, visit.nodes().await?)),
        };
    }
    let _ = (name, draining);
    not_shared(settings)
}

#[cfg(feature = "postgres")]
async fn visit(settings: &super::PostgresSettings) -> Result<super::postgres::Visit, OpenError> {
    Ok(super::postgres::Visit::begin(settings).await?)
}

const fn not_shared<T>(_settings: &Settings) -> Result<T, NodesError> {
    Err(NodesError::NotShared)
}
