//! Removes the payloads of ended events, and masks the secrets in them; the delivery records stay.

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Value;
use super::partitions::LOCK;
use super::pool::{Pool, VerbError};
use super::upkeep::{Key, Search};
use crate::domain::Timestamp;
use crate::queue::Retention;
use crate::queue::vault::{self, Opened, Vault};

/// How many events one search scans.
const STRIDE: i64 = 10_000;
/// How many sealed payloads are looked at in a round.
const SECRETS: i64 = 100;

/// Searches $4 events after ($1, $2) that were accepted before $3, and removes the payloads of at most
/// $5 whose deliveries have all ended before. Their deliveries are locked before they are looked at
/// again: an operator may be returning one to the queue. $6: the lock that only one node has.
const REDACT: &str = "WITH me AS MATERIALIZED (SELECT pg_try_advisory_xact_lock($6) AS is_free), \
     s AS MATERIALIZED (SELECT at, event, deliveries, octet_length(payload) > 0 AS is_filled FROM jobbell.events \
        WHERE at >= $1 AND at < $3 AND (at, event) > ($1, $2) AND received_at < $3 AND (SELECT is_free FROM me) ORDER BY at, event LIMIT $4), \
     n AS MATERIALIZED (SELECT at, event, deliveries, EXISTS (SELECT FROM unnest(deliveries) AS o (id) JOIN jobbell.deliveries d \
        ON d.at = jobbell.uuid_ms(o.id) AND d.id = o.id WHERE d.state = 0 OR d.ended_at >= $3) AS is_young FROM s WHERE is_filled), \
     f AS MATERIALIZED (SELECT at, event, deliveries FROM n WHERE NOT is_young ORDER BY at, event LIMIT $5), \
     l AS MATERIALIZED (SELECT f.event, d.state, d.ended_at FROM f CROSS JOIN LATERAL unnest(f.deliveries) AS o (id) CROSS JOIN LATERAL \
        (SELECT state, ended_at FROM jobbell.deliveries d WHERE d.at = jobbell.uuid_ms(o.id) AND d.id = o.id FOR SHARE) d), \
     u AS (UPDATE jobbell.events e SET payload = '', secret = false FROM f WHERE e.at = f.at AND e.event = f.event \
        AND NOT EXISTS (SELECT FROM l WHERE l.event = f.event AND (l.state = 0 OR l.ended_at >= $3)) RETURNING e.at, e.event), \
     p AS (DELETE FROM jobbell.pictures p USING u WHERE p.at = u.at AND p.event = u.event) \
     SELECT (SELECT count(*) FROM u) AS redacted, (SELECT count(*) FROM f) AS found, (SELECT count(*) FROM s) AS scanned, \
        r.at, r.event, y.at AS young_at, y.event AS young \
     FROM (SELECT at, event FROM f WHERE (SELECT count(*) FROM f) >= $5 UNION ALL SELECT at, event FROM s WHERE (SELECT count(*) FROM f) < $5 \
        ORDER BY at DESC, event DESC LIMIT 1) r \
     LEFT JOIN (SELECT at, event FROM n WHERE is_young ORDER BY at, event LIMIT 1) y ON (y.at, y.event) <= (r.at, r.event)";
/// Sealed payloads of events without a pending delivery: two nodes ended the last two at once.
const SEALED: &str = "SELECT e.at, e.event, e.id, e.payload FROM jobbell.events e WHERE e.secret AND NOT EXISTS (SELECT FROM unnest(e.deliveries) AS o (id) \
     JOIN jobbell.deliveries d ON d.at = jobbell.uuid_ms(o.id) AND d.id = o.id WHERE d.state = 0) LIMIT $1";
const MASK: &str = "WITH l AS MATERIALIZED (SELECT d.state FROM jobbell.events e CROSS JOIN LATERAL unnest(e.deliveries) AS o (id) CROSS JOIN LATERAL \
        (SELECT state FROM jobbell.deliveries d WHERE d.at = jobbell.uuid_ms(o.id) AND d.id = o.id FOR SHARE) d WHERE e.at = $1 AND e.event = $2) \
     UPDATE jobbell.events SET payload = $3, secret = false WHERE at = $1 AND event = $2 AND secret AND NOT EXISTS (SELECT FROM l WHERE state = 0)";

/// The result of a search.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Redacted {
    pub(super) events: u64,
    /// Whether there may be more to remove.
    pub(super) more: bool,
}

/// Removes the payloads of at most `limit` events that the next stride of the search finds.
pub(super) async fn run(
    work: &Pool,
    search: &Search,
    retention: &Retention,
    limit: u32,
    now: Timestamp,
) -> Result<Redacted, VerbError> {
    let (at, event) = search.position(retention, now);
    let ended_before = now.before(retention.payloads).as_millis();
    let limit = i64::from(limit);
    let values: [Value<'_>; 6] = [
        (&at, Type::INT8),
        (&event, Type::UUID),
        (&ended_before, Type::INT8),
        (&STRIDE, Type::INT8),
        (&limit, Type::INT8),
        (&LOCK, Type::INT8),
    ];
    match work.query(REDACT, &values).await?.first() {
        Some(row) => found(row, search, limit),
        None => Ok(Redacted::default()),
    }
}

fn found(row: &Row, search: &Search, limit: i64) -> Result<Redacted, VerbError> {
    let (found, scanned): (i64, i64) = (row.try_get("found")?, row.try_get("scanned")?);
    let young_at: Option<i64> = row.try_get("young_at")?;
    let young: Option<Uuid> = row.try_get("young")?;
    search.advance(
        (row.try_get("at")?, row.try_get("event")?),
        young_at.zip(young),
    );
    Ok(Redacted {
        events: u64::try_from(row.try_get::<_, i64>("redacted")?).unwrap_or(0),
        more: found >= limit || scanned >= STRIDE,
    })
}

/// Masks the secrets of events without a pending delivery. What nobody can decrypt is removed.
pub(super) async fn mask(work: &Pool, vault: &Vault) -> Result<(), VerbError> {
    for row in work.query(SEALED, &[(&SECRETS, Type::INT8)]).await? {
        let stored: &[u8] = row.try_get("payload")?;
        let masked = match vault::open(vault, row.try_get("id")?, stored) {
            Opened::Whole(json) => vault::masked(&json),
            Opened::Masked(_) => stored.to_vec(),
            Opened::Gone | Opened::Damaged => Vec::new(),
        };
        let (at, event): Key = (row.try_get("at")?, row.try_get("event")?);
        let values: [Value<'_>; 3] = [
            (&at, Type::INT8),
            (&event, Type::UUID),
            (&masked, Type::BYTEA),
        ];
        work.query(MASK, &values).await?;
    }
    Ok(())
}
