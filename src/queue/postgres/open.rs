//! Opens the store.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::claim;
use super::connection::Connection;
use super::connector::Connector;
use super::intake::{self, Intake};
use super::migrate;
use super::node;
use super::open_error::OpenError;
use super::partitions;
use super::store::{INTAKE, Shared, Store, lock};
use crate::clock::Clock;
use crate::queue::rendering::Rendering;
use crate::queue::vault::Vault;
use crate::queue::{PostgresSettings, Settings};

impl Store {
    /// Opens the queue for the daemon. While the database cannot be reached, the store is not ready
    /// and goes on trying.
    ///
    /// # Errors
    /// What a person must mend.
    pub(in crate::queue) async fn open(
        settings: &Settings,
        postgres: &PostgresSettings,
        clock: &Clock,
    ) -> Result<Self, OpenError> {
        let connector = Arc::new(Connector::new(postgres.url.expose(), postgres)?);
        let shared = Arc::new(Shared::new(settings, Arc::clone(&connector), clock));
        match connector.connect_now(None).await {
            Ok(connection) => begin(&shared, &connection).await?,
            Err(error) if error.is_permanent() => return Err(error.into()),
            Err(error) => connector.failed(&error),
        }
        let closed = CancellationToken::new();
        let (intake, inbox) = Intake::new();
        let store = Self {
            intake,
            rendering: Rendering::default(),
            tasks: Mutex::default(),
            closed: closed.clone(),
            shared,
        };
        store.spawn(node::keep(Arc::clone(&store.shared), closed.clone()));
        store.spawn(claim::keep(Arc::clone(&store.shared), closed.clone()));
        for _ in 0..INTAKE {
            let shared = Arc::clone(&store.shared);
            store.spawn(intake::run(shared, Arc::clone(&inbox), closed.clone()));
        }
        Ok(store)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.tasks).push(tokio::spawn(task));
    }

    pub(in crate::queue) async fn ping(&self) {
        self.shared.claims.tried().await;
        drop(self.shared.work.query("SELECT 1", &[]).await);
    }

    pub(in crate::queue) async fn close(&self) {
        self.closed.cancel();
        let tasks: Vec<_> = lock(&self.tasks).drain(..).collect();
        for task in tasks {
            drop(task.await);
        }
        for pool in [&self.shared.intake, &self.shared.work, &self.shared.reads] {
            pool.close();
        }
    }
}

/// Migrates the database and begins a life of this node.
pub(super) async fn begin(shared: &Shared, connection: &Connection) -> Result<(), OpenError> {
    migrate::migrate(connection).await?;
    // Without them, rows go to the default partitions.
    if let Err(error) = partitions::ensure(connection).await {
        tracing::warn!("cannot create the partitions of this week, will retry: {error}");
    }
    if shared.vault.get().is_none()
        && let Some(vault) = Vault::ephemeral()
    {
        drop(shared.vault.set(vault));
    }
    node::register(shared, connection).await
}
