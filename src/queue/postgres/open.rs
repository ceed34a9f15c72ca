//! Opens the store.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::claim;
use super::connector::Connector;
use super::heartbeat::Keeper;
use super::intake;
use super::listen;
use super::node::{self, Home};
use super::open_error::OpenError;
use super::pace::Pace;
use super::state_dir::StateDir;
use super::store::{INTAKE, Shared, Store, lock};
use super::waiting::Intake;
use crate::clock::Clock;
use crate::domain::DeliveryId;
use crate::queue::rendering::Rendering;
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
        pace: Pace,
    ) -> Result<Self, OpenError> {
        let connector = Arc::new(Connector::new(postgres.url.expose(), postgres)?);
        let listener = match &postgres.listen_url {
            Some(url) => Arc::new(Connector::new(url.expose(), postgres)?),
            None => Arc::clone(&connector),
        };
        let (dir, rendering, left) = state_dir(settings).await?;
        let name = (postgres.node_name.clone()).unwrap_or_else(|| dir.default_name());
        let shared = Arc::new(Shared::new(settings, connector, clock, name, pace));
        let mut keeper = Keeper::new(Arc::clone(&shared), Home::new(dir, left));
        keeper.start().await?;
        let closed = CancellationToken::new();
        let (intake, inbox) = Intake::new();
        let store = Self {
            intake,
            rendering,
            tasks: Mutex::default(),
            closed: closed.clone(),
            shared,
        };
        store.spawn(keeper.run(closed.clone()));
        store.spawn(listen::send(Arc::clone(&store.shared), closed.clone()));
        store.spawn(listen::receive(
            Arc::clone(&store.shared),
            listener,
            closed.clone(),
        ));
        store.spawn(claim::keep(Arc::clone(&store.shared), closed.clone()));
        for _ in 0..INTAKE {
            let shared = Arc::clone(&store.shared);
            store.spawn(intake::run(shared, Arc::clone(&inbox), closed.clone()));
        }
        Ok(store)
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
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
        node::end(&self.shared).await;
        for pool in [&self.shared.intake, &self.shared.work, &self.shared.reads] {
            pool.close();
        }
    }
}

/// Locks the state directory, and reads the marks of mails that were being rendered when the last
/// process died.
async fn state_dir(
    settings: &Settings,
) -> Result<(StateDir, Rendering, Vec<DeliveryId>), OpenError> {
    let settings = settings.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let dir = StateDir::open(&settings)?;
        let (rendering, left) = Rendering::open(&dir.rendering());
        Ok((dir, rendering, left))
    });
    opened
        .await
        .map_err(|error| OpenError::Statement(error.to_string()))?
}
