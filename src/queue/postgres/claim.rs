//! Hands out leases.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::claims::Lanes;
use super::codes::{self, int, parse, time, token_code};
use super::pool::VerbError;
use super::settle::{self, Unreadable};
use super::store::{Life, Shared};
use crate::domain::{DeadReason, DeliveryId, EventId, Lane, MailKind, Recipient, Timestamp};
use crate::queue::lease::{EventKey, StoredEvent};
use crate::queue::vault::{self, Opened, Vault};
use crate::queue::{ClaimLimit, Lease, StoreError};

/// Takes due rows of both lanes: urgent ones up to $3, then normal ones until there are $4 of both.
/// MATERIALIZED, since the LIMIT must not be run again by a join. Rows that another node is claiming
/// are skipped, so the order is by due time as far as rows are free. A row that was locked after it
/// had changed is checked again by PostgreSQL.
const CLAIM: &str = "WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now), \
     me AS MATERIALIZED (SELECT 1 FROM jobbell.nodes WHERE node = $2 AND alive_until > jobbell.now_ms() AND NOT draining), \
     u AS MATERIALIZED (SELECT delivery FROM jobbell.due WHERE lane = 0 AND due_at <= (SELECT now FROM t) AND EXISTS (SELECT FROM me) \
        ORDER BY due_at, delivery LIMIT $3 FOR UPDATE SKIP LOCKED), \
     n AS MATERIALIZED (SELECT delivery FROM jobbell.due WHERE lane = 1 AND due_at <= (SELECT now FROM t) AND EXISTS (SELECT FROM me) \
        ORDER BY due_at, delivery LIMIT greatest($4 - (SELECT count(*) FROM u), 0) FOR UPDATE SKIP LOCKED), \
     x AS (DELETE FROM jobbell.due WHERE delivery = ANY (ARRAY(SELECT delivery FROM u UNION ALL SELECT delivery FROM n)) RETURNING *), \
     h AS (INSERT INTO jobbell.held (delivery, at, token, node, lane, attempts, until, preferred_server) \
        SELECT delivery, at, $5 + row_number() OVER (ORDER BY lane, due_at, delivery) - 1, $2, lane, attempts + 1, (SELECT now FROM t) + $6, preferred_server \
        FROM x RETURNING *), \
     c AS (INSERT INTO jobbell.counts AS c (node, writer, queued, sending) SELECT $2, $7, -count(*), count(*) FROM h HAVING count(*) > 0 \
        ON CONFLICT (node, writer) DO UPDATE SET queued = c.queued + excluded.queued, sending = c.sending + excluded.sending), \
     f AS (SELECT h.token, h.lane, h.attempts, h.preferred_server, d.id, d.at, d.event, d.event_at, d.kind, d.recipient, d.message_id, d.created_at, \
        d.expires_at, e.id AS event_id, e.payload, e.thumbnails \
        FROM h JOIN jobbell.deliveries d ON d.at = h.at AND d.id = h.delivery LEFT JOIN jobbell.events e ON e.at = d.event_at AND e.event = d.event), \
     j AS (DELETE FROM jobbell.thumbnail_jobs WHERE event = ANY (ARRAY(SELECT event FROM f WHERE thumbnails))) \
     SELECT f.*, EXISTS (SELECT FROM me) AS is_alive, \
        least((SELECT due_at FROM jobbell.due WHERE lane = 0 AND due_at > (SELECT now FROM t) ORDER BY due_at LIMIT 1), \
              (SELECT due_at FROM jobbell.due WHERE lane = 1 AND due_at > (SELECT now FROM t) ORDER BY due_at LIMIT 1)) - (SELECT now FROM t) AS next_due_in \
     FROM (SELECT) one LEFT JOIN f ON true ORDER BY f.token";

/// The result of a claim.
pub(super) struct Claimed {
    pub(super) leases: Vec<Lease>,
    /// Whether a lane has no further row that is due.
    pub(super) is_empty: Lanes,
    /// When the next row becomes due.
    pub(super) next_due: Option<Timestamp>,
}

/// Claims due deliveries. `is_held`: for a claimer, which holds its leases until they are dropped.
pub(super) async fn run(
    shared: &Shared,
    limit: ClaimLimit,
    lease: Duration,
    now: Timestamp,
    is_held: bool,
) -> Result<Claimed, StoreError> {
    let life = shared.life()?;
    let urgent = int(limit.urgent.saturating_add(limit.normal));
    let normal = int(limit.normal);
    let first = life.tokens(urgent);
    let mut connection = shared.work.get().await?;
    let (given, span, writer) = (
        shared.given(now),
        int(lease.as_millis()),
        connection.writer(),
    );
    let answer = connection
        .query(
            CLAIM,
            &[
                (&given, Type::INT8),
                (&life.node, Type::INT8),
                (&urgent, Type::INT8),
                (&normal, Type::INT8),
                (&first, Type::INT8),
                (&span, Type::INT8),
                (&writer, Type::INT2),
            ],
        )
        .await;
    drop(connection);
    let rows = match answer {
        Ok(rows) => rows,
        Err(error) => {
            if error.may_be_committed() {
                shared.lost.add(first..first.saturating_add(urgent));
            }
            return Err(error.into());
        }
    };
    let claim = Claim {
        shared,
        life: &life,
        until: now.after(lease),
        is_held,
    };
    Ok(claim.finish(&rows, limit, now).await?)
}

struct Claim<'a> {
    shared: &'a Shared,
    life: &'a Arc<Life>,
    until: Timestamp,
    is_held: bool,
}

impl Claim<'_> {
    async fn finish(
        &self,
        rows: &[Row],
        limit: ClaimLimit,
        now: Timestamp,
    ) -> Result<Claimed, VerbError> {
        let (mut leases, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        let (mut urgent, mut normal) = (0, 0);
        let mut last = None;
        for row in rows {
            let Some(token) = row.try_get::<_, Option<i64>>("token")? else {
                continue;
            };
            match row.try_get::<_, i16>("lane")? {
                0 => urgent += 1,
                _ => normal += 1,
            }
            match self.lease(row, token, &mut last)? {
                Some(lease) => leases.push(lease),
                None => unreadable.push(Unreadable {
                    delivery: row.try_get("id")?,
                    token,
                    attempts: row.try_get("attempts")?,
                }),
            }
        }
        // Otherwise it would be the first due row again and block the lane.
        if !unreadable.is_empty() {
            settle::bury(self.shared, &unreadable, DeadReason::Unrenderable, now).await?;
        }
        let (next_due_in, is_alive): (Option<i64>, bool) = match rows.first() {
            Some(row) => (row.try_get("next_due_in")?, row.try_get("is_alive")?),
            None => (None, false),
        };
        let all = limit.urgent.saturating_add(limit.normal);
        Ok(Claimed {
            leases,
            is_empty: Lanes {
                urgent: is_alive && urgent < all,
                normal: is_alive && urgent + normal < limit.normal,
            },
            next_due: next_due_in.map(|millis| now.shifted(millis)),
        })
    }

    /// The lease of a row; `None` if this version cannot read it.
    fn lease(
        &self,
        row: &Row,
        token: i64,
        last: &mut Option<(Uuid, Arc<StoredEvent>)>,
    ) -> Result<Option<Lease>, VerbError> {
        let event: Uuid = row.try_get("event")?;
        let Some(event_id) = parse(row, "event_id", |text| EventId::parse(text).ok())? else {
            return Ok(None);
        };
        let stored = match last {
            Some((key, stored)) if *key == event => Arc::clone(stored),
            _ => match stored(self.shared.vault()?, &event_id, row.try_get("payload")?) {
                Some(stored) => Arc::clone(&last.insert((event, stored)).1),
                None => return Ok(None),
            },
        };
        let (recipient, kind, lane) = (
            parse(row, "recipient", |text| Recipient::parse(text).ok())?,
            parse(row, "kind", MailKind::from_name)?,
            codes::lane(row.try_get("lane")?),
        );
        let (Some(recipient), Some(kind), Some(lane)) = (recipient, kind, lane) else {
            return Ok(None);
        };
        let preferred_server: Option<&str> = row.try_get("preferred_server")?;
        let key = (0, token_code(token));
        let holding = self.is_held.then(|| self.shared.held.hold(key, self.until));
        Ok(Some(Lease {
            id: DeliveryId(row.try_get("id")?),
            event_id,
            message_id: row.try_get("message_id")?,
            recipient,
            kind,
            lane,
            attempt: codes::unsigned(row, "attempts")?,
            token: token_code(token),
            until: self.until,
            created_at: time(row, "created_at")?,
            expires_at: time(row, "expires_at")?,
            preferred_server: preferred_server.map(Into::into),
            stored,
            event_key: EventKey::Id(event),
            has_thumbnails: row.try_get("thumbnails")?,
            row_seq: 0,
            fence: self.life.fence.fence(),
            holding,
        }))
    }
}

/// Decrypts a payload; `None` if it was removed, masked or damaged.
fn stored(vault: &Vault, id: &EventId, payload: Option<&[u8]>) -> Option<Arc<StoredEvent>> {
    match vault::open(vault, id.as_str(), payload?) {
        Opened::Whole(json) => Some(Arc::new(StoredEvent::new(json.as_ref()))),
        Opened::Masked(_) | Opened::Gone | Opened::Damaged => None,
    }
}

/// The rows of this node whose lease is over, or whose tokens are among those of a claim without an
/// answer.
const OWN: &str = "SELECT token FROM jobbell.held WHERE node = $2 AND (until <= coalesce($1::bigint, jobbell.now_ms()) OR token = ANY ($3))";
/// Returns rows to the queue. The attempt counts, since its task may have died of the mail, unless the
/// claim never had an answer.
const RETURN: &str = "WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now), \
     x AS (DELETE FROM jobbell.held WHERE node = $2 AND token = ANY ($3) RETURNING *), \
     q AS (INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token, preferred_server) \
        SELECT delivery, at, lane, least(until, (SELECT now FROM t)), attempts - CASE WHEN token = ANY ($4) THEN 1 ELSE 0 END, token, preferred_server FROM x) \
     INSERT INTO jobbell.counts AS c (node, writer, queued, sending) SELECT $2, $5, count(*), -count(*) FROM x HAVING count(*) > 0 \
        ON CONFLICT (node, writer) DO UPDATE SET queued = c.queued + excluded.queued, sending = c.sending + excluded.sending RETURNING 1";

/// Returns to the queue what this node holds in the database without knowing it: leases that were
/// dropped without a settlement, and claims whose answer was lost.
pub(super) async fn sweep(shared: &Shared, now: Timestamp) -> Result<(), StoreError> {
    let life = shared.life()?;
    let lost = shared.lost.all();
    let given = shared.given(now);
    let mut connection = shared.work.get().await?;
    let rows = connection
        .query(
            OWN,
            &[
                (&given, Type::INT8),
                (&life.node, Type::INT8),
                (&lost, Type::INT8_ARRAY),
            ],
        )
        .await?;
    let mut unknown = Vec::new();
    for row in &rows {
        let token: i64 = row.try_get(0).map_err(VerbError::from)?;
        if !shared.held.contains((0, token_code(token))) {
            unknown.push(token);
        }
    }
    if !unknown.is_empty() {
        let writer = connection.writer();
        connection
            .query(
                RETURN,
                &[
                    (&given, Type::INT8),
                    (&life.node, Type::INT8),
                    (&unknown, Type::INT8_ARRAY),
                    (&lost, Type::INT8_ARRAY),
                    (&writer, Type::INT2),
                ],
            )
            .await?;
        shared.claims.woken();
    }
    shared.lost.remove(&lost);
    Ok(())
}
