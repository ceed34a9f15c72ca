//! The statement that stores the requests of a batch.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::answers::Known;
use super::batch::Batch;
use super::connection::Value;
use super::pool::VerbError;
use super::store::Shared;

/// Reads what is known of the events (`e`), keys (`k`) and ended jobs (`j`, `x`), decides which
/// requests are refused (`bad`), and stores the rest, all or none of each. A name that another node
/// stores at the same time is a unique violation: nothing is stored, and the statement is run again.
///
/// An answer that rests on rows of others writes as well (`again`), so that it waits for the standby
/// as they did.
const ENQUEUE: &str = "WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now), \
     me AS MATERIALIZED (SELECT 1 FROM jobbell.nodes WHERE node = $2 AND alive_until > jobbell.now_ms() AND NOT draining), \
     e AS MATERIALIZED (SELECT * FROM unnest($6::int[], $7::uuid[], $8::bigint[], $9::text[], $10::bytea[], $11::text[], $12::bytea[], $13::bool[], \
        $14::bigint[], $15::bool[]) WITH ORDINALITY AS e (request, event, at, id, content, source, payload, secret, thumbnails_in, is_full, n)), \
     d AS MATERIALIZED (SELECT * FROM unnest($16::int[], $17::uuid[], $18::bigint[], $19::text[], $20::smallint[], $21::text[], $22::text[], \
        $23::bigint[], $24::bigint[], $25::smallint[], $26::text[], $27::bigint[], $28::bigint[]) WITH ORDINALITY \
        AS d (n, id, at, kind, lane, recipient, message_id, created_at, expires_in, state, reason, due_in, token, place)), \
     k AS MATERIALIZED (SELECT * FROM unnest($29::int[], $30::text[], $31::bytea[], $32::text[], $33::bigint[]) AS k (request, key, content, ids, at)), \
     j AS MATERIALIZED (SELECT * FROM unnest($34::int[], $35::bytea[]) AS j (n, job)), \
     x AS MATERIALIZED (SELECT * FROM unnest($36::int[], $37::text[]) AS x (n, id)), \
     known AS MATERIALIZED (SELECT e.n, e.request, i.id, i.content = e.content AS is_same, i.intake = $4 AS is_own \
        FROM e JOIN jobbell.event_ids i ON i.id = e.id), \
     known_keys AS MATERIALIZED (SELECT k.request, i.key, i.content = k.content AS is_same, i.intake = $4 AS is_own, i.ids \
        FROM k JOIN jobbell.keys i ON i.key = k.key), \
     ended AS MATERIALIZED (SELECT j.n, i.id FROM j JOIN jobbell.job_ends i ON i.job = j.job WHERE i.intake <> $4 \
        UNION ALL SELECT x.n, i.id FROM x JOIN jobbell.event_ids i ON i.id = x.id), \
     bad AS MATERIALIZED (SELECT request FROM known WHERE NOT is_same UNION SELECT request FROM known_keys \
        UNION SELECT e.request FROM ended JOIN e ON e.n = ended.n WHERE e.id <> ended.id \
        UNION SELECT request FROM e WHERE is_full AND NOT EXISTS (SELECT FROM known WHERE known.n = e.n) \
        UNION SELECT unnest($5::int[])), \
     w AS MATERIALIZED (SELECT * FROM e WHERE NOT EXISTS (SELECT FROM bad WHERE bad.request = e.request) \
        AND NOT EXISTS (SELECT FROM known WHERE known.n = e.n)), \
     dw AS MATERIALIZED (SELECT d.*, w.event, w.at AS event_at, d.token <> 0 AND EXISTS (SELECT FROM me) AS is_mine FROM d JOIN w ON w.n = d.n), \
     i_ids AS (INSERT INTO jobbell.event_ids (id, content, intake, event, at) SELECT id, content, $4, event, at FROM w ORDER BY id COLLATE \"C\"), \
     i_keys AS (INSERT INTO jobbell.keys (key, content, ids, intake, at) SELECT key, content, ids, $4, at FROM k \
        WHERE NOT EXISTS (SELECT FROM bad WHERE bad.request = k.request) AND ids <> '[]' ORDER BY key COLLATE \"C\"), \
     i_ends AS (INSERT INTO jobbell.job_ends (job, id, intake, at) SELECT j.job, w.id, $4, w.at FROM j JOIN w ON w.n = j.n ORDER BY j.job), \
     i_events AS (INSERT INTO jobbell.events (event, at, id, source, received_at, payload, thumbnails, secret, deliveries) \
        SELECT w.event, w.at, w.id, w.source, (SELECT now FROM t), w.payload, w.thumbnails_in IS NOT NULL, w.secret, coalesce(ids.ids, '{}') \
        FROM w LEFT JOIN (SELECT n, array_agg(id ORDER BY place) AS ids FROM d GROUP BY n) ids ON ids.n = w.n), \
     i_deliveries AS (INSERT INTO jobbell.deliveries (id, at, event, event_at, kind, lane, recipient, message_id, created_at, expires_at, state, reason, \
        ended_at) SELECT id, at, event, event_at, kind, lane, recipient, message_id, created_at, (SELECT now FROM t) + expires_in, state, reason, \
        CASE WHEN state = 0 THEN NULL ELSE (SELECT now FROM t) END FROM dw), \
     i_unsent AS (INSERT INTO jobbell.unsent (state, at, delivery) SELECT state, at, id FROM dw WHERE state <> 0), \
     i_held AS (INSERT INTO jobbell.held (delivery, at, token, node, lane, attempts, until) \
        SELECT id, at, token, $2, lane, 1, (SELECT now FROM t) + $38 FROM dw WHERE state = 0 AND is_mine RETURNING token), \
     i_due AS (INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token) \
        SELECT id, at, lane, (SELECT now FROM t) + due_in, 0, 0 FROM dw WHERE state = 0 AND NOT is_mine), \
     i_thumbnails AS (INSERT INTO jobbell.thumbnail_jobs (event, at, deadline) \
        SELECT event, at, (SELECT now FROM t) + thumbnails_in FROM w WHERE thumbnails_in IS NOT NULL), \
     again AS (UPDATE jobbell.event_ids SET at = at WHERE id = ANY (ARRAY(SELECT id FROM known))), \
     again_keys AS (UPDATE jobbell.keys SET at = at WHERE key = ANY (ARRAY(SELECT key FROM known_keys))), \
     c AS (INSERT INTO jobbell.counts AS c (node, writer, accepted, queued, sending, suppressed) SELECT $2, $3, count(*), \
        count(*) FILTER (WHERE state = 0 AND NOT is_mine), count(*) FILTER (WHERE state = 0 AND is_mine), count(*) FILTER (WHERE state = 4) \
        FROM dw HAVING count(*) > 0 ON CONFLICT (node, writer) DO UPDATE SET accepted = c.accepted + excluded.accepted, \
        queued = c.queued + excluded.queued, sending = c.sending + excluded.sending, suppressed = c.suppressed + excluded.suppressed) \
     SELECT 'event' AS what, n::int AS number, is_same, is_own, NULL AS text, NULL::bigint AS token FROM known \
     UNION ALL SELECT 'key', request, is_same, is_own, ids, NULL FROM known_keys \
     UNION ALL SELECT 'ended', n, false, false, id, NULL FROM ended \
     UNION ALL SELECT 'held', NULL, false, false, NULL, token FROM i_held \
     UNION ALL SELECT 'held', NULL, false, true, NULL, held.token FROM jobbell.held \
        WHERE $39 AND held.node = $2 AND held.token = ANY ($28)";

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
