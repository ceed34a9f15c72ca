//! The lives of this node: registration, heartbeat, and the return of what silent nodes held.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::open_error::OpenError;
use super::store::{Life, Shared};
use crate::clock::{FenceHandle, Reading};

/// How long a node lives without a heartbeat.
const LEASE: Duration = Duration::from_secs(30);
/// How long before its end a node considers its own lease over.
const MARGIN: Duration = Duration::from_secs(5);
/// The pause between two heartbeats.
const BEAT: Duration = Duration::from_secs(5);

const REGISTER: &str = "WITH t AS MATERIALIZED (SELECT jobbell.now_ms() AS now) \
     INSERT INTO jobbell.nodes (name, version, started_at, seen_at, alive_until) \
     SELECT $1, $2, now, now, now + $3 FROM t RETURNING node";
const BEAT_SQL: &str = "WITH t AS MATERIALIZED (SELECT jobbell.now_ms() AS now) \
     UPDATE jobbell.nodes SET seen_at = t.now, alive_until = t.now + $2 FROM t WHERE node = $1 AND alive_until > t.now RETURNING draining";

/// Begins a life.
pub(super) async fn register(shared: &Shared, connection: &Connection) -> Result<(), OpenError> {
    let started = Reading::system().since_boot;
    let name = "node";
    let version = env!("CARGO_PKG_VERSION");
    let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
    let rows = connection
        .query(
            REGISTER,
            &[
                (&name, Type::TEXT),
                (&version, Type::TEXT),
                (&lease, Type::INT8),
            ],
        )
        .await?;
    if let Some(row) = rows.first() {
        let fence = FenceHandle::new();
        fence.extend_to(started + LEASE - MARGIN);
        shared
            .life
            .store(Some(Arc::new(Life::new(row.try_get(0)?, fence))));
    }
    Ok(())
}

/// Keeps this node alive until the store is closed.
pub(super) async fn keep(shared: Arc<Shared>, closed: CancellationToken) {
    loop {
        tokio::select! {
            () = closed.cancelled() => return,
            () = tokio::time::sleep(BEAT) => {}
        }
        let Some(life) = shared.life.load_full() else {
            continue;
        };
        let started = Reading::system().since_boot;
        let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
        let values: [super::connection::Value<'_>; 2] =
            [(&life.node, Type::INT8), (&lease, Type::INT8)];
        if let Ok(rows) = shared.work.query(BEAT_SQL, &values).await
            && !rows.is_empty()
        {
            life.fence.extend_to(started + LEASE - MARGIN);
        }
    }
}
