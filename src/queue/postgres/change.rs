//! The statements that change a delivery for an operator.
//!
//! Each changes it only if it is what was read: a queued one if its row of `due` has the token that was
//! read, an ended one if its state and token are the same. Rows are locked in the order of all other
//! statements: `due`, `deliveries`, `events`. An ended delivery of a week that is about to be dropped
//! does not change any more (`weeks`).

use tokio_postgres::types::Type;

use super::codes::{state_code, uuid_millis};
use super::connection::Value;
use super::pool::VerbError;
use super::store::Shared;
use super::stored::Found;
use crate::domain::{State, Timestamp};
use crate::queue::transition::Change;

/// All statements have $1: the injected time, $2 and $3: the delivery, $4: the token that was read, and
/// $5 to $10: what changes in `counts`. `d` returns a row if the delivery was changed.
macro_rules! change {
    ($($part:literal),+) => {
        concat!(
            "WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now), ",
            $($part,)+
            "c AS (INSERT INTO jobbell.counts AS c (node, writer, queued, dead, suppressed, cancelled) SELECT $5, $6, $7, $8, $9, $10 FROM d \
                ON CONFLICT (node, writer) DO UPDATE SET queued = c.queued + excluded.queued, dead = c.dead + excluded.dead, \
                suppressed = c.suppressed + excluded.suppressed, cancelled = c.cancelled + excluded.cancelled) \
             SELECT now FROM t, d"
        )
    };
}

/// Makes a queued delivery due. $11: when it was last retried.
const HASTEN: &str = change!(
    "q AS (UPDATE jobbell.due SET due_at = (SELECT now FROM t) WHERE delivery = $3 AND token = $4 RETURNING 1), \
     d AS (UPDATE jobbell.deliveries SET retried_at = (SELECT now FROM t) WHERE at = $2 AND id = $3 AND retried_at IS NOT DISTINCT FROM $11::bigint \
        AND EXISTS (SELECT FROM q) RETURNING 1), "
);

/// Returns an ended delivery to the queue. $11: when it was last retried, $12: its state, $13: after
/// how long it expires, $14 and $15: its event.
///
/// The payload may be removed at the same time. That statement locks the deliveries and then the event,
/// as this one does, so one of them sees what the other has done.
const QUEUE: &str = change!(
    "l AS MATERIALIZED (SELECT FROM jobbell.deliveries WHERE at = $2 AND id = $3 AND state = $12::smallint AND token = $4 \
        AND retried_at IS NOT DISTINCT FROM $11::bigint FOR UPDATE), \
     w AS MATERIALIZED (SELECT ending FROM jobbell.weeks WHERE first <= $2 AND until > $2 FOR SHARE), \
     e AS MATERIALIZED (SELECT FROM jobbell.events WHERE at = $14 AND event = $15 AND EXISTS (SELECT FROM l) AND octet_length(payload) > 0 \
        AND get_byte(payload, 0) <> 2 FOR SHARE), \
     d AS (UPDATE jobbell.deliveries SET state = 0, reason = NULL, ended_at = NULL, attempts = 0, retried_at = (SELECT now FROM t), \
        expires_at = (SELECT now FROM t) + $13 WHERE at = $2 AND id = $3 AND EXISTS (SELECT FROM e) AND NOT EXISTS (SELECT FROM w WHERE ending <> 0) \
        RETURNING at, id, lane, token, preferred_server), \
     q AS (INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token, preferred_server) \
        SELECT id, at, lane, (SELECT now FROM t), 0, token, preferred_server FROM d), \
     u AS (DELETE FROM jobbell.unsent u USING d WHERE u.state = $12::smallint AND u.at = d.at AND u.delivery = d.id), "
);

/// The rest of a statement that ends a delivery, with state $11: secrets are masked (the payload $12)
/// unless another delivery of the event is pending. Two nodes that end the last two at once leave that
/// to maintenance.
macro_rules! end {
    ($($part:literal),+) => {
        change!(
            $($part,)+
            "x AS (INSERT INTO jobbell.unsent (state, at, delivery) SELECT $11::smallint, at, id FROM d), \
             m AS (UPDATE jobbell.events e SET payload = $12::bytea, secret = false FROM d WHERE $12::bytea IS NOT NULL AND e.at = d.event_at \
                AND e.event = d.event AND NOT EXISTS (SELECT FROM unnest(e.deliveries) AS o (id) WHERE o.id <> $3 \
                AND (EXISTS (SELECT FROM jobbell.due WHERE due.delivery = o.id) OR EXISTS (SELECT FROM jobbell.held WHERE held.delivery = o.id)))), "
        )
    };
}

/// Ends a queued delivery, for the reason $13.
const END_QUEUED: &str = end!(
    "q AS (DELETE FROM jobbell.due WHERE delivery = $3 AND token = $4 RETURNING attempts, token, preferred_server), \
     d AS (UPDATE jobbell.deliveries d SET state = $11::smallint, reason = $13::text, ended_at = (SELECT now FROM t), attempts = q.attempts, token = q.token, \
        preferred_server = q.preferred_server FROM q WHERE d.at = $2 AND d.id = $3 RETURNING d.at, d.id, d.event, d.event_at), "
);

/// Ends a delivery for the reason $13 that had ended with state $14.
const END_ENDED: &str = end!(
    "w AS MATERIALIZED (SELECT ending FROM jobbell.weeks WHERE first <= $2 AND until > $2 FOR SHARE), \
     d AS (UPDATE jobbell.deliveries SET state = $11::smallint, reason = $13::text, ended_at = (SELECT now FROM t) WHERE at = $2 AND id = $3 \
        AND state = $14::smallint AND token = $4 AND NOT EXISTS (SELECT FROM w WHERE ending <> 0) RETURNING at, id, event, event_at), \
     u AS (DELETE FROM jobbell.unsent u USING d WHERE u.state = $14::smallint AND u.at = d.at AND u.delivery = d.id), "
);

/// What becomes of a delivery that was found.
pub(super) struct Decision<'a> {
    pub(super) found: &'a Found,
    pub(super) change: &'a Change<'a>,
    /// How long after now it expires.
    pub(super) expires_in: i64,
    /// The injected time.
    pub(super) given: Option<i64>,
}

/// Writes the change if the delivery is still what was found. Returns when that was.
pub(super) async fn write(
    shared: &Shared,
    decision: &Decision<'_>,
) -> Result<Option<Timestamp>, VerbError> {
    let Decision { found, change, .. } = decision;
    let id = found.record.id.0;
    let (from, to) = (found.record.state, change.state);
    let mut connection = shared.work.get().await?;
    let (at, node, writer) = (uuid_millis(id), shared.node(), connection.writer());
    let counted = [
        State::Queued,
        State::Dead,
        State::Suppressed,
        State::Cancelled,
    ];
    let deltas = counted.map(|state| i64::from(state == to) - i64::from(state == from));
    let (old, new) = (state_code(from), state_code(to));
    let retried_at = found.retried_at.map(Timestamp::as_millis);
    let (event_at, event) = found.event;
    let mut values: Vec<Value<'_>> = vec![
        (&decision.given, Type::INT8),
        (&at, Type::INT8),
        (&id, Type::UUID),
        (&found.token, Type::INT8),
        (&node, Type::INT8),
        (&writer, Type::INT2),
    ];
    values.extend(deltas.iter().map(|delta| (delta as _, Type::INT8)));
    let statement = match (from, to) {
        (State::Queued, State::Queued) => {
            values.push((&retried_at, Type::INT8));
            HASTEN
        }
        (_, State::Queued) => {
            values.push((&retried_at, Type::INT8));
            values.push((&old, Type::INT2));
            values.push((&decision.expires_in, Type::INT8));
            values.push((&event_at, Type::INT8));
            values.push((&event, Type::UUID));
            QUEUE
        }
        _ => {
            values.push((&new, Type::INT2));
            values.push((&found.masked, Type::BYTEA));
            values.push((&change.reason, Type::TEXT));
            if from == State::Queued {
                END_QUEUED
            } else {
                values.push((&old, Type::INT2));
                END_ENDED
            }
        }
    };
    let rows = connection.query(statement, &values).await?;
    let now = rows.first().map(|row| row.try_get::<_, i64>("now"));
    Ok(now.transpose()?.map(Timestamp::from_millis))
}
