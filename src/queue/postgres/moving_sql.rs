//! The statements of `moving`. Each reads or writes a page as one JSON text.

/// The next events after ($1, $2), with all that belongs to them.
pub(super) const EVENTS: &str = "SELECT e.at, e.event, json_build_object( \
        'id', e.id, 'content', encode(i.content, 'hex'), 'source', e.source, 'received_at', e.received_at, 'payload', encode(e.payload, 'hex'), \
        'thumbnails', e.thumbnails, 'deadline', (SELECT j.deadline FROM jobbell.thumbnail_jobs j WHERE j.event = e.event), \
        'pictures', (SELECT coalesce(json_agg(json_build_object('place', p.place, 'reason', p.reason, 'width', p.width, 'height', p.height, \
            'jpeg', encode(p.jpeg, 'hex'), 'partial', p.partial) ORDER BY p.place), '[]') FROM jobbell.pictures p WHERE p.at = e.at AND p.event = e.event), \
        'deliveries', (SELECT coalesce(json_agg(json_build_object( \
            'id', d.id, 'state', d.state, 'lane', d.lane, 'due_at', q.due_at, 'attempts', coalesce(q.attempts, d.attempts), \
            'token', coalesce(q.token, d.token), 'created_at', d.created_at, 'expires_at', d.expires_at, 'ended_at', d.ended_at, \
            'retried_at', d.retried_at, 'kind', d.kind, 'reason', d.reason, \
            'preferred_server', CASE WHEN q.delivery IS NULL THEN d.preferred_server ELSE q.preferred_server END, \
            'recipient', d.recipient, 'message_id', d.message_id, \
            'tries', (SELECT coalesce(json_agg(json_build_object('number', a.number, 'server', a.server, 'started_at', a.started_at, \
                'took_ms', a.took_ms, 'result', a.result, 'stage', a.stage, 'code', a.code, 'enhanced', a.enhanced, 'reply', a.reply, \
                'detail', a.detail, 'cause', a.cause, 'advice', a.advice) ORDER BY a.started_at, a.token, a.place), '[]') \
                FROM jobbell.attempts a WHERE a.at = d.at AND a.delivery = d.id)) ORDER BY o.n), '[]') \
            FROM unnest(e.deliveries) WITH ORDINALITY o (id, n) JOIN jobbell.deliveries d ON d.at = jobbell.uuid_ms(o.id) AND d.id = o.id \
            LEFT JOIN jobbell.due q ON q.delivery = d.id AND d.state = 0))::text AS json \
     FROM jobbell.events e JOIN jobbell.event_ids i ON i.id = e.id WHERE (e.at, e.event) > ($1, $2) ORDER BY e.at, e.event LIMIT $3";

pub(super) const KEYS: &str = "SELECT key, json_build_object('key', key, 'content', encode(content, 'hex'), 'ids', ids)::text AS json \
     FROM jobbell.keys WHERE key > $1 ORDER BY key LIMIT $2";

pub(super) const PAYLOADS: &str = "SELECT json_build_object('seq', seq, 'hook', hook, 'digest', encode(digest, 'hex'), 'first_at', first_at, \
     'last_at', last_at, 'times', times, 'why', why, 'payload', payload)::text AS json FROM jobbell.unmapped_payloads";

pub(super) const USED: &str = "SELECT json_build_object('server', server, 'minute', bucket / 60000, 'last_at', max(last_at), \
     'mails', sum(mails))::text AS json FROM jobbell.server_use GROUP BY server, bucket / 60000";

/// Stores a page of events. Their keys in the database are $2, in the same order.
pub(super) const WRITE_EVENTS: &str = "WITH e AS MATERIALIZED (SELECT k.event, jobbell.uuid_ms(k.event) AS at, r.* \
        FROM unnest($2::uuid[]) WITH ORDINALITY k (event, n) JOIN ROWS FROM (json_to_recordset($1::json) AS (id text, content text, source text, \
            received_at bigint, payload text, thumbnails boolean, deadline bigint, pictures json, deliveries json)) WITH ORDINALITY \
            AS r (id, content, source, received_at, payload, thumbnails, deadline, pictures, deliveries, n) USING (n)), \
     d AS MATERIALIZED (SELECT e.event, e.at AS event_at, jobbell.uuid_ms(x.id) AS at, x.* FROM e, ROWS FROM (json_to_recordset(e.deliveries) AS (id uuid, \
            state smallint, lane smallint, due_at bigint, attempts integer, token bigint, created_at bigint, expires_at bigint, ended_at bigint, \
            retried_at bigint, kind text, reason text, preferred_server text, recipient text, message_id text, tries json)) WITH ORDINALITY \
            AS x (id, state, lane, due_at, attempts, token, created_at, expires_at, ended_at, retried_at, kind, reason, preferred_server, recipient, \
            message_id, tries, place)), \
     i_ids AS (INSERT INTO jobbell.event_ids (id, content, intake, event, at) SELECT id, decode(content, 'hex'), $3, event, at FROM e), \
     i_events AS (INSERT INTO jobbell.events (event, at, id, source, received_at, payload, thumbnails, secret, deliveries) \
        SELECT event, at, id, source, received_at, decode(payload, 'hex'), thumbnails, left(payload, 2) = '01', \
            coalesce((SELECT array_agg(d.id ORDER BY d.place) FROM d WHERE d.event = e.event), '{}') FROM e), \
     i_deliveries AS (INSERT INTO jobbell.deliveries (id, at, event, event_at, kind, lane, recipient, message_id, created_at, expires_at, state, reason, \
        attempts, token, ended_at, retried_at, preferred_server) \
        SELECT id, at, event, event_at, kind, lane, recipient, message_id, created_at, expires_at, state, reason, \
            CASE WHEN state = 0 THEN 0 ELSE attempts END, CASE WHEN state = 0 THEN 0 ELSE token END, ended_at, retried_at, \
            CASE WHEN state <> 0 THEN preferred_server END FROM d), \
     i_due AS (INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token, preferred_server) \
        SELECT id, at, lane, due_at, attempts, token, preferred_server FROM d WHERE state = 0), \
     i_unsent AS (INSERT INTO jobbell.unsent (state, at, delivery) SELECT state, at, id FROM d WHERE state > 2), \
     i_attempts AS (INSERT INTO jobbell.attempts (at, delivery, token, place, number, server, started_at, took_ms, result, stage, code, enhanced, reply, \
        detail, cause, advice) SELECT d.at, d.id, t.n, 1, t.number, t.server, t.started_at, t.took_ms, t.result, t.stage, t.code, t.enhanced, t.reply, \
            t.detail, t.cause, t.advice FROM d, ROWS FROM (json_to_recordset(d.tries) AS (number integer, server text, started_at bigint, took_ms bigint, \
            result text, stage text, code integer, enhanced text, reply text, detail text, cause text, advice text)) WITH ORDINALITY \
            AS t (number, server, started_at, took_ms, result, stage, code, enhanced, reply, detail, cause, advice, n)), \
     i_jobs AS (INSERT INTO jobbell.thumbnail_jobs (event, at, deadline) SELECT event, at, deadline FROM e WHERE deadline IS NOT NULL) \
     INSERT INTO jobbell.pictures (at, event, place, reason, width, height, jpeg, partial) \
        SELECT e.at, e.event, p.place, p.reason, p.width, p.height, decode(p.jpeg, 'hex'), p.partial FROM e, json_to_recordset(e.pictures) \
            AS p (place integer, reason text, width integer, height integer, jpeg text, partial boolean)";

/// The time of a key is that of the latest of its events.
pub(super) const WRITE_KEYS: &str = "INSERT INTO jobbell.keys (key, content, ids, intake, at) \
     SELECT k.key, decode(k.content, 'hex'), k.ids, $2, coalesce((SELECT max(i.at) FROM json_array_elements_text(k.ids::json) AS o (id) \
        JOIN jobbell.event_ids i ON i.id = o.id), jobbell.now_ms()) FROM json_to_recordset($1::json) AS k (key text, content text, ids text)";

pub(super) const WRITE_PAYLOADS: &str = "WITH w AS (INSERT INTO jobbell.unmapped_payloads (seq, hook, digest, first_at, last_at, times, why, payload) \
     OVERRIDING SYSTEM VALUE SELECT seq, hook, decode(digest, 'hex'), first_at, last_at, times, why, payload FROM json_to_recordset($1::json) \
        AS p (seq bigint, hook text, digest text, first_at bigint, last_at bigint, times integer, why text, payload text) RETURNING seq) \
     SELECT setval(pg_get_serial_sequence('jobbell.unmapped_payloads', 'seq'), max(seq)) FROM w HAVING count(*) > 0";

pub(super) const WRITE_USED: &str = "INSERT INTO jobbell.server_use (server, bucket, mails, last_at) \
     SELECT server, minute * 60000, mails, last_at FROM json_to_recordset($1::json) AS u (server text, minute bigint, mails bigint, last_at bigint)";

pub(super) const WRITE_COUNTS: &str = "INSERT INTO jobbell.counts (node, writer, accepted, queued, sent, dead, suppressed, cancelled) \
     VALUES (0, 0, $1, $2, $3, $4, $5, $6)";

/// What earlier calls have stored.
pub(super) const CLEAR: &str = "BEGIN; TRUNCATE jobbell.events, jobbell.deliveries, jobbell.attempts, jobbell.pictures, jobbell.event_ids, jobbell.keys, \
     jobbell.job_ends, jobbell.unsent, jobbell.due, jobbell.held, jobbell.counts, jobbell.thumbnail_jobs, jobbell.unmapped_payloads, \
     jobbell.server_use; COMMIT";
