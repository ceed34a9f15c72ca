-- $1 deliveries, $2 times in their ids, $3 tokens, $4 and $5 first and last of $2, $6 to $21 attempts.
WITH s AS MATERIALIZED (
    SELECT * FROM unnest((SELECT $1::uuid[]), (SELECT $2::bigint[]), (SELECT $3::bigint[])) WITH ORDINALITY AS s(delivery, at, token, place)),
d AS (
    UPDATE jobbell.deliveries AS d SET token = d.token
    FROM s WHERE d.at = s.at AND d.id = s.delivery AND d.token = s.token AND d.at BETWEEN $4 AND $5 RETURNING s.place),
q AS (UPDATE jobbell.due AS q SET token = q.token FROM s WHERE q.delivery = s.delivery AND q.token = s.token RETURNING s.place),
a AS (
    INSERT INTO jobbell.attempts (at, delivery, token, place, number, server, started_at, took_ms, result, stage, code, enhanced, reply, detail, cause,
        advice)
    SELECT a.*
    FROM unnest((SELECT $6::bigint[]), (SELECT $7::uuid[]), (SELECT $8::bigint[]), (SELECT $9::smallint[]), (SELECT $10::integer[]),
        (SELECT $11::text[]), (SELECT $12::bigint[]), (SELECT $13::bigint[]), (SELECT $14::text[]), (SELECT $15::text[]), (SELECT $16::integer[]),
        (SELECT $17::text[]), (SELECT $18::text[]), (SELECT $19::text[]), (SELECT $20::text[]), (SELECT $21::text[])) AS a(at, delivery)
    WHERE EXISTS (SELECT FROM jobbell.deliveries AS d WHERE d.at = a.at AND d.id = a.delivery AND d.at BETWEEN $4 AND $5)
    ON CONFLICT DO NOTHING)
SELECT place FROM d UNION SELECT place FROM q UNION SELECT place FROM s WHERE EXISTS (
    SELECT FROM jobbell.attempts AS a WHERE a.at = s.at AND a.delivery = s.delivery AND a.token = s.token AND a.place > 0 AND a.at BETWEEN $4 AND $5)
