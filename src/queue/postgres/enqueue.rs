//! The statement that stores the requests of a batch.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::answers::Known;
use super::batch::Batch;
use super::connection::Value;
use super::pool::VerbError;
use super::store::Shared;

/// Stores the requests of a batch, see the function.
const ENQUEUE: &str = "SELECT * FROM jobbell.enqueue($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
     $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, \
     $37, $38, $39)";

/// Runs the statement within a time limit; the values are the same at each repetition.
pub(super) async fn run(
    shared: &Shared,
    batch: &Batch,
    limit: Duration,
) -> Result<Known, VerbError> {
    let mut connection = shared.intake.get().await?;
    let (given, writer) = (shared.given(batch.now), connection.writer());
    let (events, deliveries, keys) = (&batch.events, &batch.deliveries, &batch.keys);
    let (node, lease) = (batch.life().node, batch.lease());
    let values: [Value<'_>; 39] = [
        (&given, Type::INT8),
        (&node, Type::INT8),
        (&writer, Type::INT2),
        (&batch.intake, Type::UUID),
        (&batch.refused, Type::INT4_ARRAY),
        (&events.requests, Type::INT4_ARRAY),
        (&events.keys, Type::UUID_ARRAY),
        (&events.at, Type::INT8_ARRAY),
        (&events.ids, Type::TEXT_ARRAY),
        (&events.contents, Type::BYTEA_ARRAY),
        (&events.sources, Type::TEXT_ARRAY),
        (&events.payloads, Type::BYTEA_ARRAY),
        (&events.secret, Type::BOOL_ARRAY),
        (&events.thumbnails_in, Type::INT8_ARRAY),
        (&events.full, Type::BOOL_ARRAY),
        (&deliveries.events, Type::INT4_ARRAY),
        (&deliveries.ids, Type::UUID_ARRAY),
        (&deliveries.at, Type::INT8_ARRAY),
        (&deliveries.kinds, Type::TEXT_ARRAY),
        (&deliveries.lanes, Type::INT2_ARRAY),
        (&deliveries.recipients, Type::TEXT_ARRAY),
        (&deliveries.message_ids, Type::TEXT_ARRAY),
        (&deliveries.created_at, Type::INT8_ARRAY),
        (&deliveries.expires_in, Type::INT8_ARRAY),
        (&deliveries.states, Type::INT2_ARRAY),
        (&deliveries.reasons, Type::TEXT_ARRAY),
        (&deliveries.due_in, Type::INT8_ARRAY),
        (&deliveries.tokens, Type::INT8_ARRAY),
        (&keys.requests, Type::INT4_ARRAY),
        (&keys.names, Type::TEXT_ARRAY),
        (&keys.contents, Type::BYTEA_ARRAY),
        (&keys.ids, Type::TEXT_ARRAY),
        (&keys.at, Type::INT8_ARRAY),
        (&batch.ends.events, Type::INT4_ARRAY),
        (&batch.ends.jobs, Type::BYTEA_ARRAY),
        (&batch.excludes.events, Type::INT4_ARRAY),
        (&batch.excludes.ids, Type::TEXT_ARRAY),
        (&lease, Type::INT8),
        (&batch.is_repeated, Type::BOOL),
    ];
    known(&connection.query_within(limit, ENQUEUE, &values).await?)
}

fn known(rows: &[Row]) -> Result<Known, VerbError> {
    let mut known = Known::default();
    for row in rows {
        let number = row.try_get::<_, Option<i32>>("number")?.unwrap_or_default();
        let text = row
            .try_get::<_, Option<String>>("text")?
            .unwrap_or_default();
        let (is_same, is_own) = (row.try_get("is_same")?, row.try_get("is_own")?);
        match row.try_get("what")? {
            "event" => drop(known.events.insert(number, (is_same, is_own))),
            "key" => drop(known.keys.insert(number, (is_same, is_own, text))),
            "ended" => drop(known.ended.insert(number, text)),
            _ => known.held.extend(row.try_get::<_, Option<i64>>("token")?),
        }
    }
    Ok(known)
}
