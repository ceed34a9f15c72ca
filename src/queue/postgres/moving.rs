//! Reads and writes a whole queue in PostgreSQL, for `jobbell queue move`.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::codes::int;
use super::connection::{Connection, Value};
use super::moving_error::MovingError;
use super::moving_sql as sql;
use super::open_error::OpenError;
use super::partitions::{self, Week};
use super::pool::VerbError;
use super::reap::{self, Ended};
use super::secret_key;
use super::store::Store;
use crate::queue::moved::{MovedEvent, MovedKey, MovedRest};
use crate::queue::vault::KEY_LEN;
use crate::queue::{PostgresSettings, Settings};

/// How long a statement may take: a page may have several megabytes.
const LIMIT: Duration = Duration::from_mins(5);
const LIVING: &str =
    "SELECT name FROM jobbell.nodes WHERE alive_until > jobbell.now_ms() ORDER BY name";
const NODES: &str = "SELECT node FROM jobbell.nodes";
const HOLDERS: &str = "SELECT DISTINCT node FROM jobbell.held";
/// Ids are never used again, so a node that has come and gone is noticed as well.
const LATEST: &str = "SELECT last_value FROM pg_sequences WHERE schemaname = 'jobbell' AND sequencename = 'nodes_node_seq'";
const BEGIN: &str =
    "INSERT INTO jobbell.moving (since) VALUES (jobbell.now_ms()) ON CONFLICT DO NOTHING";
const IS_MOVING: &str = "SELECT FROM jobbell.moving";
const FILLED: &str = "SELECT EXISTS (SELECT FROM jobbell.event_ids) AS filled";
const END: &str = "DELETE FROM jobbell.moving";

/// A queue that is being moved.
pub(in crate::queue) struct Moving {
    store: Store,
    connection: Connection,
    /// The first milliseconds of weeks that have partitions.
    weeks: HashSet<i64>,
    last: (i64, Uuid, String),
    /// The last node that began, when this was opened.
    latest: Option<i64>,
}

type Answer<T> = Result<T, MovingError>;

impl Moving {
    /// Opens the database; creates its tables if need be.
    pub(in crate::queue) async fn open(
        settings: &Settings,
        postgres: &PostgresSettings,
    ) -> Answer<Self> {
        let (store, connection) = Store::open_to_move(settings, postgres).await?;
        let mut moving = Self {
            store,
            connection,
            weeks: HashSet::new(),
            last: (i64::MIN, Uuid::nil(), String::new()),
            latest: None,
        };
        moving.check_unused().await?;
        moving.latest = moving.latest_node().await?;
        Ok(moving)
    }

    async fn rows(
        &self,
        statement: &str,
        values: &[Value<'_>],
    ) -> Answer<Vec<tokio_postgres::Row>> {
        let rows = self.connection.query_within(LIMIT, statement, values).await;
        Ok(rows.map_err(VerbError::from)?)
    }

    async fn latest_node(&self) -> Answer<Option<i64>> {
        let rows = self.rows(LATEST, &[]).await?;
        let latest = rows.first().map(|row| row.try_get(0)).transpose()?;
        Ok(latest.flatten())
    }

    /// Fails if nodes work on it.
    async fn check_unused(&self) -> Answer<()> {
        let mut names = Vec::new();
        for row in self.rows(LIVING, &[]).await? {
            names.push(row.try_get::<_, String>(0)?);
        }
        if names.is_empty() {
            Ok(())
        } else {
            Err(MovingError::InUse(names.join(", ")))
        }
    }

    /// Fails if a node has worked on it since it was opened.
    pub(in crate::queue) async fn check_untouched(&self) -> Answer<()> {
        if self.latest_node().await? == self.latest {
            self.check_unused().await
        } else {
            Err(MovingError::InUse(
                "a node was started meanwhile".to_owned(),
            ))
        }
    }

    /// Returns to the queue what ended nodes were sending, as another node would.
    pub(in crate::queue) async fn settle(&self) -> Answer<()> {
        let mut ended = Ended {
            is_certain: true,
            ..Ended::default()
        };
        for row in self.rows(NODES, &[]).await? {
            ended.nodes.push(row.try_get(0)?);
        }
        for row in self.rows(HOLDERS, &[]).await? {
            ended.orphans.push(row.try_get(0)?);
        }
        ended.orphans.retain(|node| !ended.nodes.contains(node));
        let reaped = reap::run(&self.store.shared, &self.connection, ended).await;
        reaped.map_err(OpenError::from)?;
        Ok(())
    }

    /// The key of codes and tokens.
    pub(in crate::queue) async fn key(&self, postgres: &PostgresSettings) -> Answer<[u8; KEY_LEN]> {
        let path = postgres.secret_key_file.as_deref();
        Ok(secret_key::bytes(&self.connection, path).await?)
    }

    /// Gives an empty queue this key, and keeps nodes out until [`Moving::publish`].
    pub(in crate::queue) async fn begin(
        &self,
        postgres: &PostgresSettings,
        key: &[u8; KEY_LEN],
    ) -> Answer<()> {
        let path = postgres.secret_key_file.as_deref();
        secret_key::replace(&self.connection, path, key).await?;
        self.rows(BEGIN, &[]).await?;
        // A node that started before it could see this.
        self.check_unused().await?;
        let cleared = self.connection.batch(LIMIT, sql::CLEAR).await;
        cleared.map_err(OpenError::from)?;
        Ok(())
    }

    /// Whether an earlier move was broken off.
    pub(in crate::queue) async fn is_incomplete(&self) -> Answer<bool> {
        Ok(!self.rows(IS_MOVING, &[]).await?.is_empty())
    }

    /// Whether there is an event.
    pub(in crate::queue) async fn is_filled(&self) -> Answer<bool> {
        let rows = self.rows(FILLED, &[]).await?;
        Ok(rows
            .first()
            .map(|row| row.try_get(0))
            .transpose()?
            .unwrap_or_default())
    }

    /// Lets nodes start.
    pub(in crate::queue) async fn publish(self) -> Answer<()> {
        self.rows(END, &[]).await?;
        self.store.close().await;
        Ok(())
    }

    /// The next events; empty at the end.
    pub(in crate::queue) async fn events(&mut self, most: usize) -> Answer<Vec<MovedEvent>> {
        let (at, event, most) = (self.last.0, self.last.1, int(most));
        let values: [Value<'_>; 3] = [(&at, Type::INT8), (&event, Type::UUID), (&most, Type::INT8)];
        let rows = self.rows(sql::EVENTS, &values).await?;
        if let Some(last) = rows.last() {
            (self.last.0, self.last.1) = (last.try_get("at")?, last.try_get("event")?);
        }
        read(&rows)
    }

    /// The next keys; empty at the end.
    pub(in crate::queue) async fn keys(&mut self, most: usize) -> Answer<Vec<MovedKey>> {
        let most = int(most);
        let values: [Value<'_>; 2] = [(&self.last.2, Type::TEXT), (&most, Type::INT8)];
        let rows = self.rows(sql::KEYS, &values).await?;
        if let Some(last) = rows.last() {
            self.last.2 = last.try_get("key")?;
        }
        read(&rows)
    }

    pub(in crate::queue) async fn rest(&self) -> Answer<MovedRest> {
        Ok(MovedRest {
            payloads: read(&self.rows(sql::PAYLOADS, &[]).await?)?,
            used: read(&self.rows(sql::USED, &[]).await?)?,
        })
    }

    /// Begins to read again.
    pub(in crate::queue) fn rewind(&mut self) {
        self.last = (i64::MIN, Uuid::nil(), String::new());
    }

    /// Stores events with all that belongs to them.
    pub(in crate::queue) async fn write(&self, events: &[MovedEvent]) -> Answer<()> {
        let keys: Vec<Uuid> = events.iter().map(key).collect();
        let json = json(events)?;
        let intake = Uuid::nil();
        let values: [Value<'_>; 3] = [
            (&json, Type::TEXT),
            (&keys, Type::UUID_ARRAY),
            (&intake, Type::UUID),
        ];
        self.rows(sql::WRITE_EVENTS, &values).await.map(drop)
    }

    /// Makes the partitions of these events.
    pub(in crate::queue) async fn make_room(&mut self, events: &[MovedEvent]) -> Answer<()> {
        let deliveries = events.iter().flat_map(|event| &event.deliveries);
        let times = deliveries.map(|delivery| super::codes::uuid_millis(delivery.id));
        let times = times.chain(events.iter().map(|event| event.received_at));
        let mut weeks: Vec<Week> = times.map(Week::of).collect();
        weeks.sort_unstable_by_key(|week| week.first);
        weeks.dedup();
        weeks.retain(|week| self.weeks.insert(week.first));
        let created = partitions::create(&self.connection, &weeks).await;
        created.map_err(OpenError::from)?;
        Ok(())
    }

    /// Stores keys, after their events.
    pub(in crate::queue) async fn write_keys(&self, keys: &[MovedKey]) -> Answer<()> {
        let (json, intake) = (json(keys)?, Uuid::nil());
        let values: [Value<'_>; 2] = [(&json, Type::TEXT), (&intake, Type::UUID)];
        self.rows(sql::WRITE_KEYS, &values).await.map(drop)
    }

    /// Stores the rest, and the numbers by state.
    pub(in crate::queue) async fn finish(&self, rest: &MovedRest, states: &[u64; 6]) -> Answer<()> {
        for (statement, json) in [
            (sql::WRITE_PAYLOADS, json(&rest.payloads)?),
            (sql::WRITE_USED, json(&rest.used)?),
        ] {
            self.rows(statement, &[(&json, Type::TEXT)]).await?;
        }
        let [queued, _, sent, dead, suppressed, cancelled] = states.map(int);
        let accepted = int(states.iter().sum::<u64>());
        let values: [Value<'_>; 6] = [
            (&accepted, Type::INT8),
            (&queued, Type::INT8),
            (&sent, Type::INT8),
            (&dead, Type::INT8),
            (&suppressed, Type::INT8),
            (&cancelled, Type::INT8),
        ];
        self.rows(sql::WRITE_COUNTS, &values).await.map(drop)
    }
}

fn read<T: DeserializeOwned>(rows: &[tokio_postgres::Row]) -> Answer<Vec<T>> {
    let read = |row: &tokio_postgres::Row| Ok(serde_json::from_str(row.try_get("json")?)?);
    rows.iter().map(read).collect()
}

fn json<T: Serialize>(rows: &[T]) -> Answer<String> {
    Ok(serde_json::to_string(rows)?)
}

/// The key of a moved event: its time, and an end made from its id.
fn key(event: &MovedEvent) -> Uuid {
    let digest = ring::digest::digest(&ring::digest::SHA256, event.id.as_bytes());
    let random = digest.as_ref().first_chunk().copied().unwrap_or_default();
    let millis = u64::try_from(event.received_at).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}
