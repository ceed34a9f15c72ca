//! The lives of this node: how one begins and how it ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::{Connection, Value};
use super::failure::Failure;
use super::listen;
use super::migrate;
use super::open_error::OpenError;
use super::partitions;
use super::query_error::QueryError;
use super::reap::{self, Ended};
use super::secret_key;
use super::server_check::ServerFacts;
use super::state_dir::StateDir;
use super::store::{Life, Shared};
use crate::clock::FenceHandle;
use crate::domain::DeliveryId;
use crate::queue::{Location, PostgresSettings};

/// How long the end of a life may take: the daemon is stopping.
const END: Duration = Duration::from_secs(5);
/// How often a name is tried whose last owner has ended.
const TRIES: usize = 3;

const REGISTER: &str = "INSERT INTO jobbell.nodes (name, version, life, started_at, seen_at, alive_until, draining) \
     SELECT $1, $2, $3, now, now, now + $4, $5 FROM (SELECT jobbell.now_ms() AS now) t ON CONFLICT DO NOTHING RETURNING node";
const OWNER: &str = "SELECT node, life = $2 AS is_own, alive_until <= jobbell.now_ms() AS is_over, greatest(jobbell.now_ms() - seen_at, 0) AS silent \
     FROM jobbell.nodes WHERE name = $1";
const IS_MOVING: &str = "SELECT FROM jobbell.moving";
const PREDECESSOR: &str = "SELECT node FROM jobbell.nodes WHERE life = $1";

/// What this node keeps for its next lives.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) dir: StateDir,
    /// Mails that were being rendered when the last process died.
    pub(super) rendering: Vec<DeliveryId>,
    /// The life that is being registered, so that it is known again if the answer is lost.
    next: Option<Uuid>,
    /// Whether this node was draining when its life ended.
    pub(super) draining: bool,
}

impl Home {
    pub(super) const fn new(dir: StateDir, rendering: Vec<DeliveryId>) -> Self {
        Self {
            dir,
            rendering,
            next: None,
            draining: false,
        }
    }
}

/// Checks the server, migrates the database, agrees on the key.
pub(super) async fn prepare(shared: &Shared, connection: &Connection) -> Result<(), OpenError> {
    let Some(settings) = postgres(shared) else {
        return Ok(());
    };
    let ports = shared.connector.ports();
    let facts = ServerFacts::ask(connection, ports, settings.listen_url.is_some()).await?;
    facts.verify()?;
    migrate::migrate(connection).await?;
    if !connection.query(IS_MOVING, &[]).await?.is_empty() {
        return Err(OpenError::Incomplete);
    }
    // Without them, rows go to the default partitions.
    if let Err(error) = partitions::ensure(connection).await {
        tracing::warn!("cannot create the partitions of this week, will retry: {error}");
    }
    let vault = secret_key::ensure(connection, settings.secret_key_file.as_deref()).await?;
    shared.vault.get_or_init(|| vault);
    Ok(())
}

/// Begins a life. It has no lease before its first heartbeat.
pub(super) async fn register(
    shared: &Shared,
    home: &mut Home,
    connection: &Connection,
) -> Result<Life, Failure> {
    take_over(shared, home, connection).await?;
    let life = match home.next {
        Some(life) => life,
        None => {
            let life = Uuid::now_v7();
            home.dir.begin_life(life)?;
            *home.next.insert(life)
        }
    };
    for _ in 0..TRIES {
        if let Some(node) = insert(shared, home, connection, life).await? {
            return Ok(begun(node, home));
        }
        let Some(owner) = owner(shared, connection, life).await? else {
            continue;
        };
        if owner.is_own {
            return Ok(begun(owner.node, home));
        }
        if !owner.is_over {
            return Err(taken(&shared.name, owner.silent));
        }
        let ended = Ended {
            nodes: vec![owner.node],
            ..Ended::default()
        };
        reap::run(shared, connection, ended).await?;
    }
    Err(taken(&shared.name, 0))
}

fn begun(node: i64, home: &mut Home) -> Life {
    home.next = None;
    let life = Life::new(node, FenceHandle::new());
    life.draining.store(home.draining, Ordering::Release);
    life
}

fn taken(name: &str, silent: i64) -> Failure {
    let seconds = silent / 1_000;
    Failure::NameTaken(format!(
        "another living node has the name \"{name}\" (last sign {seconds} s ago); if it was stopped, wait until its lease of 30 s is over, otherwise set queue.node_name, since each node needs a name of its own"
    ))
}

/// Ends the last life of this node, whose process is dead: this one has its state directory.
async fn take_over(
    shared: &Shared,
    home: &mut Home,
    connection: &Connection,
) -> Result<(), QueryError> {
    if home.next.is_some() {
        return Ok(());
    }
    let Some(life) = home.dir.predecessor() else {
        return Ok(());
    };
    let rows = connection
        .query(PREDECESSOR, &[(&life, Type::UUID)])
        .await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let ended = Ended {
        nodes: vec![row.try_get("node")?],
        is_certain: true,
        crashed: home.rendering.iter().map(|id| id.0).collect(),
        ..Ended::default()
    };
    let reaped = reap::run(shared, connection, ended).await?;
    home.rendering.clear();
    if reaped.mails > 0 {
        tracing::warn!(
            mails = reaped.mails,
            "this node did not stop in order; what it was sending is tried again"
        );
    }
    if reaped.jobs > 0 {
        tracing::warn!(
            "thumbnails of {} events were being made when the daemon ended; their mails are sent without",
            reaped.jobs
        );
    }
    Ok(())
}

async fn insert(
    shared: &Shared,
    home: &Home,
    connection: &Connection,
    life: Uuid,
) -> Result<Option<i64>, QueryError> {
    let lease = shared.pace.lease_millis();
    let values: [Value<'_>; 5] = [
        (&shared.name, Type::TEXT),
        (&env!("CARGO_PKG_VERSION"), Type::TEXT),
        (&life, Type::UUID),
        (&lease, Type::INT8),
        (&home.draining, Type::BOOL),
    ];
    let rows = connection.query(REGISTER, &values).await?;
    let node = rows.first().map(|row| row.try_get("node"));
    Ok(node.transpose()?)
}

/// The life that has the name of this node.
struct Owner {
    node: i64,
    is_own: bool,
    is_over: bool,
    silent: i64,
}

async fn owner(
    shared: &Shared,
    connection: &Connection,
    life: Uuid,
) -> Result<Option<Owner>, QueryError> {
    let values: [Value<'_>; 2] = [(&shared.name, Type::TEXT), (&life, Type::UUID)];
    let rows = connection.query(OWNER, &values).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Owner {
        node: row.try_get("node")?,
        is_own: row.try_get("is_own")?,
        is_over: row.try_get("is_over")?,
        silent: row.try_get("silent")?,
    }))
}

/// Ends the life of a node that stops, so that nobody has to wait for the end of its lease. What it
/// still holds has an uncertain result.
pub(super) async fn end(shared: &Shared) {
    let Some(life) = shared.life.swap(None) else {
        return;
    };
    life.fence.end();
    if life.node == 0 {
        return;
    }
    let ending = async {
        let connection = shared.connector.connect_now(None).await?;
        let ended = Ended {
            nodes: vec![life.node],
            is_certain: true,
            ..Ended::default()
        };
        let reaped = reap::run(shared, &connection, ended).await;
        listen::nodes_changed(&connection).await;
        reaped
    };
    match tokio::time::timeout(END, ending).await {
        Ok(Ok(reaped)) if reaped.mails > 0 => tracing::warn!(
            mails = reaped.mails,
            "some mails were still being sent; they are tried again"
        ),
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(
            "could not sign off at the database; other nodes notice in 30 s: {error}"
        ),
        Err(_) => {
            tracing::warn!(
                "could not sign off at the database in time; other nodes notice in 30 s"
            );
        }
    }
}

fn postgres(shared: &Shared) -> Option<&PostgresSettings> {
    match &shared.settings.location {
        Location::Postgres(settings) => Some(settings),
        Location::Sqlite(_) => None,
    }
}
