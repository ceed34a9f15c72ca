-- $30 times and $31 ids of events, $32 their masked payloads, $33 and $34 first and last of $30. A delivery is pending if it waits or is being sent, and
-- does not end here.
, m AS (
    UPDATE jobbell.events AS e SET payload = p.masked, secret = false
    FROM unnest((SELECT $30::bigint[]), (SELECT $31::uuid[]), (SELECT $32::bytea[])) AS p(at, event, masked)
    WHERE e.at = p.at AND e.event = p.event AND e.at BETWEEN $33 AND $34 AND e.secret AND NOT EXISTS (
        SELECT FROM unnest(e.deliveries) AS o(id) WHERE NOT EXISTS (SELECT FROM x WHERE x.delivery = o.id AND x.state <> 0)
            AND (EXISTS (SELECT FROM jobbell.due WHERE delivery = o.id) OR EXISTS (SELECT FROM jobbell.held WHERE delivery = o.id))))
