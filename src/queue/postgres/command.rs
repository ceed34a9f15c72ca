//! Opens the queue for a single command, beside the nodes that work on it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::beat;
use super::connection::Connection;
use super::connector::Connector;
use super::inspection::Inspection;
use super::migrate;
use super::node;
use super::open_error::OpenError;
use super::pace::Pace;
use super::secret_key;
use super::server_check::ServerFacts;
use super::store::{Life, Shared, Store};
use super::waiting::Intake;
use super::{intake, listen};
use crate::clock::{Clock, FenceHandle};
use crate::queue::rendering::Rendering;
use crate::queue::{PostgresSettings, Settings};

impl Store {
    /// Opens the queue for a command, which is no node: it claims nothing and has no lease. To change
    /// it, its tables are created if need be.
    ///
    /// # Errors
    /// Also when the database cannot be reached: a command does not wait for it.
    pub(in crate::queue) async fn open_for_command(
        settings: &Settings,
        postgres: &PostgresSettings,
        changes: bool,
    ) -> Result<Self, OpenError> {
        let (connector, connection) = connect(postgres).await?;
        let (clock, pace) = (Clock::adjusted(), Pace::default());
        let shared = Shared::new(settings, connector, &clock, "command".to_owned(), pace);
        let shared = Arc::new(shared);
        let closed = CancellationToken::new();
        let (requests, inbox) = Intake::new();
        if changes {
            node::prepare(&shared, &connection).await?;
            let life = Life::new(0, FenceHandle::new());
            life.fence.extend_to(Duration::MAX);
            shared.life.store(Some(Arc::new(life)));
            // For `queue.max_pending`.
            let reading = shared.pending.read();
            reading.finish(beat::pending(&connection).await?);
        } else {
            let facts = facts(postgres, &shared.connector, &connection).await?;
            facts.verify()?;
            migrate::check(&connection).await?;
            let key = postgres.secret_key_file.as_deref();
            let vault = secret_key::open(&connection, key).await?;
            shared.vault.get_or_init(|| vault);
        }
        let store = Self {
            intake: requests,
            rendering: Rendering::default(),
            tasks: Mutex::default(),
            closed: closed.clone(),
            shared: Arc::clone(&shared),
        };
        if changes {
            // Nodes that wait for work.
            shared.others.store(1, std::sync::atomic::Ordering::Relaxed);
            store.spawn(listen::send(Arc::clone(&shared), closed.clone()));
            store.spawn(intake::run(shared, inbox, closed));
        }
        Ok(store)
    }
}

impl Store {
    /// Opens the queue to move it, also while it is incomplete. Returns a connection of its own.
    pub(super) async fn open_to_move(
        settings: &Settings,
        postgres: &PostgresSettings,
    ) -> Result<(Self, Connection), OpenError> {
        let (connector, connection) = connect(postgres).await?;
        facts(postgres, &connector, &connection).await?.verify()?;
        migrate::migrate(&connection).await?;
        let (clock, pace) = (Clock::adjusted(), Pace::default());
        let shared = Shared::new(settings, connector, &clock, "command".to_owned(), pace);
        let (intake, _) = Intake::new();
        let store = Self {
            intake,
            rendering: Rendering::default(),
            tasks: Mutex::default(),
            closed: CancellationToken::new(),
            shared: Arc::new(shared),
        };
        Ok((store, connection))
    }
}

/// Asks the server of a queue for what decides whether it keeps what it acknowledges. Changes nothing.
///
/// # Errors
/// When it cannot be reached, or refuses the login.
pub async fn inspect(postgres: &PostgresSettings) -> Result<Inspection, OpenError> {
    let (connector, connection) = connect(postgres).await?;
    let facts = facts(postgres, &connector, &connection).await?;
    let mut inspection = Inspection {
        version: facts.version.clone(),
        findings: facts.findings(),
        is_empty: false,
    };
    if !inspection.is_refused() {
        // A newer schema, or another key.
        match migrate::check(&connection).await {
            Ok(()) => {
                let key = postgres.secret_key_file.as_deref();
                secret_key::check(&connection, key).await?;
            }
            Err(OpenError::NoQueue) => inspection.is_empty = true,
            Err(error) => return Err(error),
        }
    }
    Ok(inspection)
}

async fn connect(postgres: &PostgresSettings) -> Result<(Arc<Connector>, Connection), OpenError> {
    let connector = Arc::new(Connector::new(postgres.url.expose(), postgres)?);
    let connection = connector.connect_now(None).await?;
    Ok((connector, connection))
}

/// A connection to an existing queue whose schema this version knows, for a command that needs nothing
/// else.
pub(super) async fn visit(postgres: &PostgresSettings) -> Result<Connection, OpenError> {
    let (_, connection) = connect(postgres).await?;
    migrate::check(&connection).await?;
    Ok(connection)
}

async fn facts(
    postgres: &PostgresSettings,
    connector: &Connector,
    connection: &Connection,
) -> Result<ServerFacts, OpenError> {
    let has_listen_url = postgres.listen_url.is_some();
    Ok(ServerFacts::ask(connection, connector.ports(), has_listen_url).await?)
}
