-- $1 now of a test, $2 deliveries, $3 times in their ids, $4 tokens, $5 and $6 first and last of $3, $7 states, $8 delays, $9 attempts, $10 reasons,
-- $11 preferred servers, $12 node and $13 writer of counts, $14 to $29 attempts.
WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now),
-- The selects hide the lengths of the arrays from the planner, so that it reads the tables by key.
s AS MATERIALIZED (
    SELECT * FROM unnest((SELECT $2::uuid[]), (SELECT $3::bigint[]), (SELECT $4::bigint[]), (SELECT $7::smallint[]), (SELECT $8::bigint[]),
        (SELECT $9::integer[]), (SELECT $10::text[]), (SELECT $11::text[])) WITH ORDINALITY
        AS s(delivery, at, token, state, delay, attempts, reason, server, place)),
x AS (DELETE FROM jobbell.held AS h USING s WHERE h.delivery = s.delivery AND h.token = s.token RETURNING s.*, h.lane),
q AS (
    INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token, preferred_server)
    SELECT delivery, at, lane, (SELECT now FROM t) + delay, attempts, token, server FROM x WHERE state = 0),
e AS (
    UPDATE jobbell.deliveries AS d
    SET state = x.state, reason = x.reason, attempts = x.attempts, token = x.token, ended_at = (SELECT now FROM t), preferred_server = x.server
    FROM x WHERE x.state <> 0 AND d.at = x.at AND d.id = x.delivery AND d.at BETWEEN $5 AND $6),
u AS (
    INSERT INTO jobbell.unsent (state, at, delivery) SELECT state, at, delivery FROM x WHERE state > 2 ON CONFLICT DO NOTHING),
a AS (
    INSERT INTO jobbell.attempts (at, delivery, token, place, number, server, started_at, took_ms, result, stage, code, enhanced, reply, detail, cause,
        advice)
    SELECT a.*
    FROM unnest((SELECT $14::bigint[]), (SELECT $15::uuid[]), (SELECT $16::bigint[]), (SELECT $17::smallint[]), (SELECT $18::integer[]),
        (SELECT $19::text[]), (SELECT $20::bigint[]), (SELECT $21::bigint[]), (SELECT $22::text[]), (SELECT $23::text[]), (SELECT $24::integer[]),
        (SELECT $25::text[]), (SELECT $26::text[]), (SELECT $27::text[]), (SELECT $28::text[]), (SELECT $29::text[]))
        AS a(at, delivery, token) WHERE token IN (SELECT token FROM x)
    ON CONFLICT DO NOTHING),
c AS (
    INSERT INTO jobbell.counts AS c (node, writer, queued, sending, sent, dead, suppressed, cancelled)
    SELECT $12, $13, count(*) FILTER (WHERE state = 0), -count(*), count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3),
        count(*) FILTER (WHERE state = 4), count(*) FILTER (WHERE state = 5) FROM x HAVING count(*) > 0
    ON CONFLICT (node, writer) DO UPDATE SET queued = c.queued + excluded.queued, sending = c.sending + excluded.sending, sent = c.sent + excluded.sent,
        dead = c.dead + excluded.dead, suppressed = c.suppressed + excluded.suppressed, cancelled = c.cancelled + excluded.cancelled)
