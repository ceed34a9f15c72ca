-- $1 now of a test, $2 node, $3 most urgent, $4 most of both if one is normal, $5 first token, $6 milliseconds of the lease, $7 and $8 lower bounds
-- of both lanes, $9 writer of counts.
WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now),
me AS MATERIALIZED (SELECT FROM jobbell.nodes WHERE node = $2 AND NOT draining AND alive_until > jobbell.now_ms()),
-- MATERIALIZED, so that each limit is applied once. The second one depends on what the first one found.
urgent AS MATERIALIZED (
    SELECT ctid AS place FROM jobbell.due WHERE lane = 0 AND due_at >= $7 AND due_at <= (SELECT now FROM t) AND EXISTS (SELECT FROM me)
    ORDER BY lane, due_at, delivery LIMIT $3 FOR UPDATE SKIP LOCKED),
-- The inner limit is unknown to the planner; the outer one keeps its estimate low.
normal AS MATERIALIZED (
    SELECT place FROM (
        SELECT ctid AS place FROM jobbell.due WHERE lane = 1 AND due_at >= $8 AND due_at <= (SELECT now FROM t) AND EXISTS (SELECT FROM me)
        ORDER BY lane, due_at, delivery LIMIT greatest(0, $4 - (SELECT count(*) FROM urgent)) FOR UPDATE SKIP LOCKED) AS locked LIMIT $4),
taken AS (
    DELETE FROM jobbell.due WHERE ctid = ANY (ARRAY(SELECT place FROM urgent UNION ALL SELECT place FROM normal))
    RETURNING delivery, at, lane, due_at, attempts + 1 AS attempts, preferred_server),
claimed AS MATERIALIZED (SELECT *, $5 - 1 + row_number() OVER () AS token FROM taken),
h AS (
    INSERT INTO jobbell.held (delivery, at, token, node, lane, attempts, until, preferred_server)
    SELECT delivery, at, token, $2, lane, attempts, (SELECT now FROM t) + $6, preferred_server FROM claimed),
c AS (
    INSERT INTO jobbell.counts AS c (node, writer, queued, sending)
    SELECT $2, $9, -count(*), count(*) FROM taken HAVING count(*) > 0
    ON CONFLICT (node, writer) DO UPDATE SET queued = c.queued + excluded.queued, sending = c.sending + excluded.sending),
-- OFFSET 0 keeps the planner from joining with a scan of the table.
facts AS MATERIALIZED (
    SELECT claimed.*, d.*, row_number() OVER (PARTITION BY d.event) = 1 AS is_first
    FROM claimed LEFT JOIN LATERAL (
        SELECT event, event_at, kind, recipient, message_id, created_at, expires_at FROM jobbell.deliveries
        WHERE at = claimed.at AND id = claimed.delivery OFFSET 0) AS d ON true),
j AS (DELETE FROM jobbell.thumbnail_jobs AS j USING facts WHERE j.event = facts.event)
-- One row at least. The payload of an event stands in one of its rows.
SELECT (SELECT now FROM t) AS now,
    (SELECT min(due_at) FROM jobbell.due WHERE lane = 0 AND due_at > (SELECT now FROM t)) AS next_urgent,
    (SELECT min(due_at) FROM jobbell.due WHERE lane = 1 AND due_at > (SELECT now FROM t)) AS next_normal,
    f.delivery, f.lane, f.due_at, f.attempts, f.token, f.preferred_server, f.event, f.kind, f.recipient, f.message_id, f.created_at, f.expires_at,
    e.id AS event_id, e.thumbnails, CASE WHEN f.is_first THEN e.payload END AS payload
FROM (SELECT) AS one LEFT JOIN (
    facts AS f LEFT JOIN LATERAL (
        SELECT id, thumbnails, payload FROM jobbell.events WHERE at = f.event_at AND event = f.event OFFSET 0) AS e ON true) ON true
