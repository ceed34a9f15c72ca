-- Statements of the path of a mail, as functions: a session plans them once, behind a connection pooler as well. To parse and plan one takes longer than
-- to run it. The settings make a plan of today right for any number of rows: it reads every table by an index.

-- Takes what is due from both lanes, urgent deliveries first: at most `most_urgent`, and normal ones until there are `most_normal` of both. There is
-- always a first row with the time. The payload of an event stands in one of its rows. Nothing below the lower bounds is looked at.
CREATE FUNCTION jobbell.claim(given bigint, claimer bigint, most_urgent bigint, most_normal bigint, first_token bigint, lease bigint, low_urgent bigint,
    low_normal bigint, counter smallint)
RETURNS TABLE (now bigint, next_urgent bigint, next_normal bigint, delivery uuid, lane smallint, due_at bigint, attempts integer, token bigint,
    preferred_server text, event uuid, kind text, recipient text, message_id text, created_at bigint, expires_at bigint, event_id text,
    thumbnails boolean, payload bytea)
LANGUAGE plpgsql ROWS 50 SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $function$
#variable_conflict use_column
BEGIN RETURN QUERY
WITH t AS MATERIALIZED (SELECT coalesce(given, jobbell.now_ms()) AS now),
-- A node whose life is over takes nothing.
me AS MATERIALIZED (SELECT FROM jobbell.nodes WHERE node = claimer AND NOT draining AND alive_until > jobbell.now_ms()),
-- MATERIALIZED, so that each limit is applied once. The second one depends on what the first one found.
urgent AS MATERIALIZED (
    SELECT ctid AS place FROM jobbell.due WHERE lane = 0 AND due_at >= low_urgent AND due_at <= (SELECT now FROM t) AND EXISTS (SELECT FROM me)
    ORDER BY lane, due_at, delivery LIMIT most_urgent FOR UPDATE SKIP LOCKED),
normal AS MATERIALIZED (
    SELECT ctid AS place FROM jobbell.due WHERE lane = 1 AND due_at >= low_normal AND due_at <= (SELECT now FROM t) AND EXISTS (SELECT FROM me)
    ORDER BY lane, due_at, delivery LIMIT greatest(0, most_normal - (SELECT count(*) FROM urgent)) FOR UPDATE SKIP LOCKED),
taken AS (
    DELETE FROM jobbell.due WHERE ctid = ANY (ARRAY(SELECT place FROM urgent UNION ALL SELECT place FROM normal))
    RETURNING delivery, at, lane, due_at, attempts + 1 AS attempts, preferred_server),
claimed AS MATERIALIZED (SELECT *, first_token - 1 + row_number() OVER () AS token FROM taken),
h AS (
    INSERT INTO jobbell.held (delivery, at, token, node, lane, attempts, until, preferred_server)
    SELECT delivery, at, token, claimer, lane, attempts, (SELECT now FROM t) + lease, preferred_server FROM claimed),
c AS (
    INSERT INTO jobbell.counts AS c (node, writer, queued, sending) SELECT claimer, counter, -count(*), count(*) FROM taken HAVING count(*) > 0
    ON CONFLICT (node, writer) DO UPDATE SET queued = c.queued + excluded.queued, sending = c.sending + excluded.sending),
facts AS MATERIALIZED (
    SELECT claimed.*, d.*, row_number() OVER (PARTITION BY d.event) = 1 AS is_first
    FROM claimed LEFT JOIN LATERAL (
        SELECT event, event_at, kind, recipient, message_id, created_at, expires_at FROM jobbell.deliveries
        WHERE at = claimed.at AND id = claimed.delivery OFFSET 0) AS d ON true),
j AS (DELETE FROM jobbell.thumbnail_jobs AS j USING facts WHERE j.event = facts.event)
SELECT (SELECT now FROM t),
    (SELECT min(due_at) FROM jobbell.due WHERE lane = 0 AND due_at > (SELECT now FROM t)),
    (SELECT min(due_at) FROM jobbell.due WHERE lane = 1 AND due_at > (SELECT now FROM t)),
    f.delivery, f.lane, f.due_at, f.attempts, f.token, f.preferred_server, f.event, f.kind, f.recipient, f.message_id, f.created_at, f.expires_at,
    e.id, e.thumbnails, CASE WHEN f.is_first THEN e.payload END
FROM (SELECT) AS one LEFT JOIN (
    facts AS f LEFT JOIN LATERAL (
        SELECT id, thumbnails, payload FROM jobbell.events WHERE at = f.event_at AND event = f.event OFFSET 0) AS e ON true) ON true;
END $function$;

-- Ends leases and returns the places of those that were held, from 1. `first_at` and `last_at` are the range of `ats`. The last arrays are events with
-- secrets: the payload of one becomes `masked` when none of its deliveries is pending any more. If two nodes end the last two at once, neither sees the
-- other's end; maintenance masks it then.
CREATE FUNCTION jobbell.settle(given bigint, ids uuid[], ats bigint[], tokens bigint[], first_at bigint, last_at bigint, states smallint[],
    delays bigint[], numbers integer[], reasons text[], servers text[], counted_node bigint, counter smallint,
    tried_at bigint[], tried uuid[], tried_tokens bigint[], tried_places smallint[], tried_numbers integer[], tried_servers text[],
    tried_started_at bigint[], tried_took_ms bigint[], tried_results text[], tried_stages text[], tried_codes integer[], tried_enhanced text[],
    tried_replies text[], tried_details text[], tried_causes text[], tried_advice text[],
    secret_ats bigint[], secret_events uuid[], masked bytea[], first_secret_at bigint, last_secret_at bigint)
RETURNS TABLE (place bigint, lane smallint, now bigint)
LANGUAGE plpgsql ROWS 50 SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $function$
#variable_conflict use_column
BEGIN RETURN QUERY
WITH t AS MATERIALIZED (SELECT coalesce(given, jobbell.now_ms()) AS now),
s AS MATERIALIZED (
    SELECT * FROM unnest(ids, ats, tokens, states, delays, numbers, reasons, servers) WITH ORDINALITY
        AS s (delivery, at, token, state, delay, attempts, reason, server, place)),
x AS (DELETE FROM jobbell.held AS h USING s WHERE h.delivery = s.delivery AND h.token = s.token RETURNING s.*, h.lane),
q AS (
    INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token, preferred_server)
    SELECT delivery, at, lane, (SELECT now FROM t) + delay, attempts, token, server FROM x WHERE state = 0),
d AS (
    UPDATE jobbell.deliveries AS d
    SET state = x.state, reason = x.reason, attempts = x.attempts, token = x.token, ended_at = (SELECT now FROM t), preferred_server = x.server
    FROM x WHERE x.state <> 0 AND d.at = x.at AND d.id = x.delivery AND d.at BETWEEN first_at AND last_at),
u AS (INSERT INTO jobbell.unsent (state, at, delivery) SELECT state, at, delivery FROM x WHERE state > 2 ON CONFLICT DO NOTHING),
a AS (
    INSERT INTO jobbell.attempts (at, delivery, token, place, number, server, started_at, took_ms, result, stage, code, enhanced, reply, detail, cause,
        advice)
    SELECT a.* FROM unnest(tried_at, tried, tried_tokens, tried_places, tried_numbers, tried_servers, tried_started_at, tried_took_ms, tried_results,
        tried_stages, tried_codes, tried_enhanced, tried_replies, tried_details, tried_causes, tried_advice) AS a (at, delivery, token)
    WHERE a.token IN (SELECT token FROM x) ON CONFLICT DO NOTHING),
m AS (
    UPDATE jobbell.events AS e SET payload = p.masked, secret = false
    FROM unnest(secret_ats, secret_events, masked) AS p (at, event, masked)
    WHERE e.at = p.at AND e.event = p.event AND e.at BETWEEN first_secret_at AND last_secret_at AND e.secret AND NOT EXISTS (
        SELECT FROM unnest(e.deliveries) AS o (id) WHERE NOT EXISTS (SELECT FROM x WHERE x.delivery = o.id AND x.state <> 0)
            AND (EXISTS (SELECT FROM jobbell.due WHERE delivery = o.id) OR EXISTS (SELECT FROM jobbell.held WHERE delivery = o.id)))),
c AS (
    INSERT INTO jobbell.counts AS c (node, writer, queued, sending, sent, dead, suppressed, cancelled)
    SELECT counted_node, counter, count(*) FILTER (WHERE state = 0), -count(*), count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3),
        count(*) FILTER (WHERE state = 4), count(*) FILTER (WHERE state = 5) FROM x HAVING count(*) > 0
    ON CONFLICT (node, writer) DO UPDATE SET queued = c.queued + excluded.queued, sending = c.sending + excluded.sending, sent = c.sent + excluded.sent,
        dead = c.dead + excluded.dead, suppressed = c.suppressed + excluded.suppressed, cancelled = c.cancelled + excluded.cancelled)
SELECT x.place, x.lane, (SELECT now FROM t) FROM x;
END $function$;

-- For settlements that `settle` does not find in `held`: records their attempts, and returns the places of those that were made before, by their token.
-- Those are written again, so that this commit, too, waits for the synchronous standby. Attempts at place 0 are not of a settlement.
CREATE FUNCTION jobbell.settle_stale(ids uuid[], ats bigint[], tokens bigint[], first_at bigint, last_at bigint,
    tried_at bigint[], tried uuid[], tried_tokens bigint[], tried_places smallint[], tried_numbers integer[], tried_servers text[],
    tried_started_at bigint[], tried_took_ms bigint[], tried_results text[], tried_stages text[], tried_codes integer[], tried_enhanced text[],
    tried_replies text[], tried_details text[], tried_causes text[], tried_advice text[])
RETURNS TABLE (place bigint)
LANGUAGE plpgsql ROWS 50 SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $function$
#variable_conflict use_column
BEGIN RETURN QUERY
WITH s AS MATERIALIZED (SELECT * FROM unnest(ids, ats, tokens) WITH ORDINALITY AS s (delivery, at, token, place)),
d AS (
    UPDATE jobbell.deliveries AS d SET token = d.token
    FROM s WHERE d.at = s.at AND d.id = s.delivery AND d.token = s.token AND d.at BETWEEN first_at AND last_at RETURNING s.place),
q AS (UPDATE jobbell.due AS q SET token = q.token FROM s WHERE q.delivery = s.delivery AND q.token = s.token RETURNING s.place),
a AS (
    INSERT INTO jobbell.attempts (at, delivery, token, place, number, server, started_at, took_ms, result, stage, code, enhanced, reply, detail, cause,
        advice)
    SELECT a.* FROM unnest(tried_at, tried, tried_tokens, tried_places, tried_numbers, tried_servers, tried_started_at, tried_took_ms, tried_results,
        tried_stages, tried_codes, tried_enhanced, tried_replies, tried_details, tried_causes, tried_advice) AS a (at, delivery)
    WHERE EXISTS (SELECT FROM jobbell.deliveries AS d WHERE d.at = a.at AND d.id = a.delivery AND d.at BETWEEN first_at AND last_at)
    ON CONFLICT DO NOTHING)
SELECT place FROM d UNION SELECT place FROM q UNION SELECT place FROM s WHERE EXISTS (
    SELECT FROM jobbell.attempts AS a
    WHERE a.at = s.at AND a.delivery = s.delivery AND a.token = s.token AND a.place > 0 AND a.at BETWEEN first_at AND last_at);
END $function$;

-- Stores the requests of a batch, all or none of each. Reads what is known of the events (`e`), keys (`k`) and ended jobs (`j`, `x`), decides which
-- requests are refused (`bad`), and stores the rest. A name that another node stores at the same time is a unique violation: nothing is stored, and the
-- statement is run again. An answer that rests on rows of others writes as well (`again`), so that it waits for the standby as they did. NOT IN, since
-- a hashed subplan takes time in proportion to the batch.
CREATE FUNCTION jobbell.enqueue(given bigint, claimer bigint, counter smallint, batch uuid, refused_requests integer[],
    e_requests integer[], e_events uuid[], e_ats bigint[], e_ids text[], e_contents bytea[], e_sources text[], e_payloads bytea[], e_secrets boolean[],
    e_thumbnails_in bigint[], e_full boolean[],
    d_events integer[], d_ids uuid[], d_ats bigint[], d_kinds text[], d_lanes smallint[], d_recipients text[], d_message_ids text[],
    d_created_at bigint[], d_expires_in bigint[], d_states smallint[], d_reasons text[], d_due_in bigint[], d_tokens bigint[],
    k_requests integer[], k_names text[], k_contents bytea[], k_ids text[], k_ats bigint[],
    j_events integer[], j_jobs bytea[], x_events integer[], x_ids text[], lease bigint, is_repetition boolean)
RETURNS TABLE (what text, number integer, is_same boolean, is_own boolean, text text, token bigint)
LANGUAGE plpgsql ROWS 50 SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $function$
#variable_conflict use_column
BEGIN RETURN QUERY
WITH t AS MATERIALIZED (SELECT coalesce(given, jobbell.now_ms()) AS now),
me AS MATERIALIZED (SELECT FROM jobbell.nodes WHERE node = claimer AND alive_until > jobbell.now_ms() AND NOT draining),
e AS MATERIALIZED (
    SELECT * FROM unnest(e_requests, e_events, e_ats, e_ids, e_contents, e_sources, e_payloads, e_secrets, e_thumbnails_in, e_full) WITH ORDINALITY
        AS e (request, event, at, id, content, source, payload, secret, thumbnails_in, is_full, n)),
d AS MATERIALIZED (
    SELECT * FROM unnest(d_events, d_ids, d_ats, d_kinds, d_lanes, d_recipients, d_message_ids, d_created_at, d_expires_in, d_states, d_reasons,
        d_due_in, d_tokens) WITH ORDINALITY
        AS d (n, id, at, kind, lane, recipient, message_id, created_at, expires_in, state, reason, due_in, token, place)),
k AS MATERIALIZED (SELECT * FROM unnest(k_requests, k_names, k_contents, k_ids, k_ats) AS k (request, key, content, ids, at)),
j AS MATERIALIZED (SELECT * FROM unnest(j_events, j_jobs) AS j (n, job)),
x AS MATERIALIZED (SELECT * FROM unnest(x_events, x_ids) AS x (n, id)),
-- OFFSET 0 keeps these as one look into an index for each row, whatever the tables held when the plan was made.
known AS MATERIALIZED (
    SELECT e.n, e.request, i.id, i.content = e.content AS is_same, i.intake = batch AS is_own
    FROM e CROSS JOIN LATERAL (SELECT id, content, intake FROM jobbell.event_ids WHERE id = e.id OFFSET 0) AS i),
known_keys AS MATERIALIZED (
    SELECT k.request, i.key, i.content = k.content AS is_same, i.intake = batch AS is_own, i.ids
    FROM k CROSS JOIN LATERAL (SELECT key, content, intake, ids FROM jobbell.keys WHERE key = k.key OFFSET 0) AS i),
ended AS MATERIALIZED (
    SELECT j.n, i.id FROM j CROSS JOIN LATERAL (SELECT id FROM jobbell.job_ends WHERE job = j.job AND intake <> batch OFFSET 0) AS i
    UNION ALL SELECT x.n, i.id FROM x CROSS JOIN LATERAL (SELECT id FROM jobbell.event_ids WHERE id = x.id OFFSET 0) AS i),
bad AS MATERIALIZED (
    SELECT request FROM known WHERE NOT is_same UNION SELECT request FROM known_keys
    UNION SELECT e.request FROM ended JOIN e ON e.n = ended.n WHERE e.id <> ended.id
    UNION SELECT request FROM e WHERE is_full AND n NOT IN (SELECT n FROM known)
    UNION SELECT unnest(refused_requests)),
w AS MATERIALIZED (SELECT * FROM e WHERE request NOT IN (SELECT request FROM bad) AND n NOT IN (SELECT n FROM known)),
dw AS MATERIALIZED (SELECT d.*, w.event, w.at AS event_at, d.token <> 0 AND EXISTS (SELECT FROM me) AS is_mine FROM d JOIN w ON w.n = d.n),
i_ids AS (INSERT INTO jobbell.event_ids (id, content, intake, event, at) SELECT id, content, batch, event, at FROM w ORDER BY id COLLATE "C"),
i_keys AS (
    INSERT INTO jobbell.keys (key, content, ids, intake, at) SELECT key, content, ids, batch, at FROM k
    WHERE request NOT IN (SELECT request FROM bad) AND ids <> '[]' ORDER BY key COLLATE "C"),
i_ends AS (INSERT INTO jobbell.job_ends (job, id, intake, at) SELECT j.job, w.id, batch, w.at FROM j JOIN w ON w.n = j.n ORDER BY j.job),
i_events AS (
    INSERT INTO jobbell.events (event, at, id, source, received_at, payload, thumbnails, secret, deliveries)
    SELECT w.event, w.at, w.id, w.source, (SELECT now FROM t), w.payload, w.thumbnails_in IS NOT NULL, w.secret, coalesce(ids.ids, '{}')
    FROM w LEFT JOIN (SELECT n, array_agg(id ORDER BY place) AS ids FROM d GROUP BY n) AS ids ON ids.n = w.n),
i_deliveries AS (
    INSERT INTO jobbell.deliveries (id, at, event, event_at, kind, lane, recipient, message_id, created_at, expires_at, state, reason, ended_at)
    SELECT id, at, event, event_at, kind, lane, recipient, message_id, created_at, (SELECT now FROM t) + expires_in, state, reason,
        CASE WHEN state <> 0 THEN (SELECT now FROM t) END FROM dw),
i_unsent AS (INSERT INTO jobbell.unsent (state, at, delivery) SELECT state, at, id FROM dw WHERE state <> 0),
i_held AS (
    INSERT INTO jobbell.held (delivery, at, token, node, lane, attempts, until)
    SELECT id, at, token, claimer, lane, 1, (SELECT now FROM t) + lease FROM dw WHERE state = 0 AND is_mine RETURNING token),
i_due AS (
    INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token)
    SELECT id, at, lane, (SELECT now FROM t) + due_in, 0, 0 FROM dw WHERE state = 0 AND NOT is_mine),
i_thumbnails AS (
    INSERT INTO jobbell.thumbnail_jobs (event, at, deadline)
    SELECT event, at, (SELECT now FROM t) + thumbnails_in FROM w WHERE thumbnails_in IS NOT NULL),
again AS (UPDATE jobbell.event_ids SET at = at WHERE id = ANY (ARRAY(SELECT id FROM known))),
again_keys AS (UPDATE jobbell.keys SET at = at WHERE key = ANY (ARRAY(SELECT key FROM known_keys))),
c AS (
    INSERT INTO jobbell.counts AS c (node, writer, accepted, queued, sending, suppressed)
    SELECT claimer, counter, count(*), count(*) FILTER (WHERE state = 0 AND NOT is_mine), count(*) FILTER (WHERE state = 0 AND is_mine),
        count(*) FILTER (WHERE state = 4) FROM dw HAVING count(*) > 0
    ON CONFLICT (node, writer) DO UPDATE SET accepted = c.accepted + excluded.accepted, queued = c.queued + excluded.queued,
        sending = c.sending + excluded.sending, suppressed = c.suppressed + excluded.suppressed)
SELECT 'event', n::int, is_same, is_own, NULL::text, NULL::bigint FROM known
UNION ALL SELECT 'key', request, is_same, is_own, ids, NULL FROM known_keys
UNION ALL SELECT 'ended', n, false, false, id, NULL FROM ended
UNION ALL SELECT 'held', NULL, false, false, NULL, token FROM i_held
UNION ALL SELECT 'held', NULL, false, true, NULL, token FROM jobbell.held WHERE is_repetition AND node = claimer AND token = ANY (d_tokens);
END $function$;
