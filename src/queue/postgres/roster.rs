//! The nodes of the queue, as an operator sees them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::codes::time;
use super::command;
use super::connection::{Connection, Value};
use super::listen;
use super::open_error::OpenError;
use super::store::Store;
use super::verb_error::VerbError;
use crate::queue::{NodeRecord, NodeStatus, PostgresSettings, StoreError};

/// What a record consists of. What a node holds is counted: its own report is as old as its last
/// heartbeat.
macro_rules! columns {
    () => {
        "n.node, n.name, n.version, n.seen_at, n.draining, greatest(jobbell.now_ms() - n.seen_at, 0) AS silent, \
            (SELECT count(*) FROM jobbell.held h WHERE h.node = n.node) AS in_flight"
    };
}

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM jobbell.nodes n ORDER BY n.name"
);
const DRAIN: &str = concat!(
    "UPDATE jobbell.nodes n SET draining = $2 WHERE n.name = $1 RETURNING ",
    columns!()
);

/// A connection to the queue of a command that is no node and needs nothing else.
#[derive(Debug)]
pub(in crate::queue) struct Visit(Connection);

impl Visit {
    pub(in crate::queue) async fn begin(settings: &PostgresSettings) -> Result<Self, OpenError> {
        Ok(Self(command::visit(settings).await?))
    }

    pub(in crate::queue) async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        records(&self.0.query(LIST, &[]).await?)
    }

    pub(in crate::queue) async fn drain(
        &self,
        name: &str,
        draining: bool,
    ) -> Result<Option<NodeRecord>, StoreError> {
        drain(&self.0, name, draining).await
    }
}

/// Begins or ends the draining of a node; `None` if no node has this name.
async fn drain(
    connection: &Connection,
    name: &str,
    draining: bool,
) -> Result<Option<NodeRecord>, StoreError> {
    let values: [Value<'_>; 2] = [(&name, Type::TEXT), (&draining, Type::BOOL)];
    let rows = connection.query(DRAIN, &values).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    // The nodes read it at their next heartbeat, which this hastens.
    listen::nodes_changed(connection).await;
    Ok(Some(record(row)?))
}

impl Store {
    pub(in crate::queue) async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        records(&self.read(LIST, &[]).await?)
    }

    pub(in crate::queue) async fn drain(
        &self,
        name: &str,
        draining: bool,
    ) -> Result<Option<NodeRecord>, StoreError> {
        self.check_open()?;
        let connection = self.shared.connector.connect().await;
        let connection = connection.map_err(StoreError::from)?;
        drain(&connection, name, draining).await
    }

    pub(in crate::queue) fn node_status(&self) -> NodeStatus {
        let life = self.shared.life.load();
        let life = life.as_ref();
        NodeStatus {
            id: life.map_or(0, |life| life.node),
            name: self.shared.name.clone(),
            in_flight: self.shared.held.len(),
            lease_left: life.map_or(Duration::ZERO, |life| life.fence.left()),
            draining: life.is_some_and(|life| life.draining.load(Ordering::Acquire)),
        }
    }
}

fn records(rows: &[Row]) -> Result<Vec<NodeRecord>, StoreError> {
    let records: Result<_, VerbError> = rows.iter().map(record).collect();
    Ok(records?)
}

fn record(row: &Row) -> Result<NodeRecord, VerbError> {
    let number =
        |column| Ok::<_, VerbError>(u64::try_from(row.try_get::<_, i64>(column)?).unwrap_or(0));
    Ok(NodeRecord {
        id: row.try_get("node")?,
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        last_seen: time(row, "seen_at")?,
        in_flight: number("in_flight")?,
        draining: row.try_get("draining")?,
        silent: Duration::from_millis(number("silent")?),
    })
}
