
-- Limits over all nodes. The key is the name of a mail server in the configuration.

-- Its row lock puts the changes of a server's limits in order.
CREATE TABLE jobbell.server_state (
    server        text   COLLATE "C" PRIMARY KEY,
    resting_until bigint NOT NULL DEFAULT 0,     -- the circuit breaker is open, and half-open after that; 0 if it is closed
    step          bigint NOT NULL DEFAULT 0,     -- the length of that pause
    why           text,
    prober        bigint NOT NULL DEFAULT 0,     -- the node whose mail tries the server after the pause
    probe_until   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
-- Mails that count against the rate. A bucket begins at `bucket`, and counts for one period after `last_at`.
CREATE TABLE jobbell.server_use (
    server  text   COLLATE "C" NOT NULL,
    bucket  bigint NOT NULL,
    mails   bigint NOT NULL,
    last_at bigint NOT NULL,
    PRIMARY KEY (server, bucket)
) WITH (fillfactor = 50);
-- What each node may still send, or is sending.
CREATE TABLE jobbell.permits (
    server text   COLLATE "C" NOT NULL,
    node   bigint NOT NULL,
    n      bigint NOT NULL,                      -- granted, and reported neither as used nor as returned
    seq    bigint NOT NULL,                      -- of the node's last request: an older one that comes late changes nothing
    booked bigint NOT NULL,                      -- of the last batch of used permits, so that none is counted twice
    PRIMARY KEY (server, node)
) WITH (fillfactor = 50);
-- Connections. A node has one account for each lane, and further ones while a replaced configuration closes its connections.
CREATE TABLE jobbell.seats (
    server    text     COLLATE "C" NOT NULL,
    lane      smallint NOT NULL,                 -- 0: connections that are kept for urgent mails, 1: the others
    account   bigint   NOT NULL,                 -- never used again
    node      bigint   NOT NULL,
    seq       bigint   NOT NULL,                 -- of its last request: an older one that comes late changes nothing
    held      integer  NOT NULL,
    want      integer  NOT NULL,
    wanted_at bigint,                            -- since when it waits for one, with less than its fair share
    asked_at  bigint   NOT NULL,
    PRIMARY KEY (server, lane, account)
) WITH (fillfactor = 50);

ALTER TABLE jobbell.server_state SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE jobbell.server_use   SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE jobbell.permits      SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE jobbell.seats        SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

-- Waits for the turn of the caller at a server's limits. The time must be read after it.
CREATE FUNCTION jobbell.lock_server(the_server text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM FROM jobbell.server_state s WHERE s.server = the_server FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO jobbell.server_state (server) VALUES (the_server) ON CONFLICT DO NOTHING;
        PERFORM FROM jobbell.server_state s WHERE s.server = the_server FOR UPDATE;
    END IF;
END $$;

-- Adds used permits, given by their age.
CREATE FUNCTION jobbell.book_use(the_server text, t bigint, width bigint, ages bigint[], numbers bigint[]) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO jobbell.server_use AS u (server, bucket, mails, last_at)
    SELECT the_server, (t - age) / width * width, sum(n), max(t - age) FROM unnest(ages, numbers) AS used (age, n) WHERE n > 0 GROUP BY 2
    ON CONFLICT (server, bucket) DO UPDATE SET mails = u.mails + excluded.mails, last_at = greatest(u.last_at, excluded.last_at)
$$;

-- Removes buckets that no limit counts any more. Those of short periods become minutes, which count when the period of a limit is made longer.
CREATE FUNCTION jobbell.prune_use(the_server text, t bigint, period bigint) RETURNS void LANGUAGE sql VOLATILE AS $$
    DELETE FROM jobbell.server_use u WHERE u.server = the_server AND u.bucket < t - 90000000;
    WITH old AS (
        DELETE FROM jobbell.server_use u
        WHERE u.server = the_server AND u.bucket > t - period - 720000 AND u.bucket < t - period - 120000 AND u.bucket % 60000 <> 0 AND period < 3840000
        RETURNING u.bucket / 60000 * 60000 AS minute, u.mails, u.last_at)
    INSERT INTO jobbell.server_use AS u (server, bucket, mails, last_at)
    SELECT the_server, minute, sum(mails), max(last_at) FROM old GROUP BY minute
    ON CONFLICT (server, bucket) DO UPDATE SET mails = u.mails + excluded.mails, last_at = greatest(u.last_at, excluded.last_at)
$$;

-- In how many milliseconds so many mails have left the window; null if they are not in it yet.
CREATE FUNCTION jobbell.use_expires_in(the_server text, t bigint, period bigint, excess bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT greatest(w.last_at + period + 1 - t, 1)
    FROM (SELECT u.last_at, sum(u.mails) OVER (ORDER BY u.last_at, u.bucket) AS sum FROM jobbell.server_use u
          WHERE u.server = the_server AND u.bucket > t - period - 1350001 AND u.last_at + period + 1 > t) w
    WHERE w.sum >= excess ORDER BY w.last_at LIMIT 1
$$;

-- Books what a node has used, takes back what it returns, and grants permits. A permit counts from its grant until one period after its mail was
-- sent, so that no window of the server contains more than `cap` mails. `share` are kept for urgent mails. What a dead node had counts as used
-- now: its last mails were sent before its life was over. `outstanding` is what the node has, without what it reports as used.
CREATE FUNCTION jobbell.grant_permits(
    the_server text, the_node bigint, the_seq bigint, cap bigint, share bigint, period bigint,
    batch bigint, ages bigint[], numbers bigint[], outstanding bigint, want_normal bigint, want_urgent bigint,
    OUT is_valid boolean, OUT normal bigint, OUT urgent bigint, OUT free_normal bigint, OUT free_all bigint, OUT chunk bigint,
    OUT normal_in bigint, OUT urgent_in bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t bigint;
    width bigint := greatest(period / 64, 1);
    living bigint;
    known record;
    used bigint;
    gone bigint;
    others bigint;
BEGIN
    PERFORM jobbell.lock_server(the_server);
    t := jobbell.now_ms();
    SELECT count(*), coalesce(bool_or(n.node = the_node), false) INTO living, is_valid FROM jobbell.nodes n WHERE n.alive_until > t;
    SELECT p.seq, p.booked INTO known FROM jobbell.permits p WHERE p.server = the_server AND p.node = the_node;
    is_valid := is_valid AND the_seq > coalesce(known.seq, 0);
    IF NOT is_valid THEN
        RETURN;
    END IF;

    -- The clock of the database was set back.
    UPDATE jobbell.server_use u SET last_at = t WHERE u.server = the_server AND u.bucket > t - 1350001 AND u.last_at > t;
    IF batch > coalesce(known.booked, 0) THEN
        PERFORM jobbell.book_use(the_server, t, width, ages, numbers);
    END IF;
    WITH dead AS (
        DELETE FROM jobbell.permits p
        WHERE p.server = the_server AND NOT EXISTS (SELECT FROM jobbell.nodes n WHERE n.node = p.node AND n.alive_until > t) RETURNING p.n)
    SELECT sum(n) INTO gone FROM dead;
    IF gone > 0 THEN
        PERFORM jobbell.book_use(the_server, t, width, ARRAY[0::bigint], ARRAY[gone]);
    END IF;
    PERFORM jobbell.prune_use(the_server, t, period);

    SELECT coalesce(sum(u.mails), 0) INTO used FROM jobbell.server_use u
    WHERE u.server = the_server AND u.bucket > t - period - 1350001 AND u.last_at + period + 1 > t;
    SELECT coalesce(sum(p.n), 0) INTO others FROM jobbell.permits p WHERE p.server = the_server AND p.node <> the_node;
    used := used + outstanding + others;
    chunk := greatest(cap / (4 * living), 1);
    normal := greatest(least(want_normal, chunk, cap - share - used), 0);
    urgent := greatest(least(want_urgent, chunk, cap - used - normal), 0);
    used := used + normal + urgent;
    free_all := greatest(cap - used, 0);
    free_normal := greatest(cap - share - used, 0);
    IF free_normal = 0 THEN
        normal_in := jobbell.use_expires_in(the_server, t, period, used + 1 - (cap - share));
    END IF;
    IF free_all = 0 THEN
        urgent_in := jobbell.use_expires_in(the_server, t, period, used + 1 - cap);
    END IF;
    IF others > 0 THEN
        -- Other nodes may return theirs.
        normal_in := CASE WHEN normal_in > 1000 THEN 1000 ELSE normal_in END;
        urgent_in := CASE WHEN urgent_in > 1000 THEN 1000 ELSE urgent_in END;
    END IF;

    INSERT INTO jobbell.permits AS p (server, node, n, seq, booked)
    VALUES (the_server, the_node, outstanding + normal + urgent, the_seq, greatest(batch, 0))
    ON CONFLICT (server, node) DO UPDATE SET n = excluded.n, seq = excluded.seq, booked = greatest(p.booked, excluded.booked);
END $$;

-- Tells how many connections an account has, and gives it more of the lane's `capacity`, in the order of waiting. An account waits while it
-- has less than its fair share and less than it wants; one that has not asked for 2 s is passed over. Those of dead nodes are free.
CREATE FUNCTION jobbell.take_seats(
    the_server text, the_lane smallint, the_account bigint, the_node bigint, the_seq bigint, capacity integer, has integer, wants integer,
    OUT is_valid boolean, OUT now_held integer, OUT others_want bigint, OUT others bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t bigint;
    known record;
    taken bigint;
    earlier bigint;
    fair bigint;
BEGIN
    PERFORM jobbell.lock_server(the_server);
    t := jobbell.now_ms();
    SELECT s.seq, s.wanted_at INTO known FROM jobbell.seats s WHERE s.server = the_server AND s.lane = the_lane AND s.account = the_account;
    is_valid := the_seq > coalesce(known.seq, 0) AND EXISTS (SELECT FROM jobbell.nodes n WHERE n.node = the_node AND n.alive_until > t);
    IF NOT is_valid THEN
        RETURN;
    END IF;
    DELETE FROM jobbell.seats s WHERE s.server = the_server AND s.lane = the_lane AND s.account <> the_account
        AND NOT EXISTS (SELECT FROM jobbell.nodes n WHERE n.node = s.node AND n.alive_until > t);
    SELECT coalesce(sum(s.held), 0), count(*) FILTER (WHERE s.held > 0 OR w.waits), coalesce(sum(s.want - s.held) FILTER (WHERE w.waits), 0),
        count(*) FILTER (WHERE w.waits AND s.wanted_at < coalesce(known.wanted_at, t))
    INTO taken, others, others_want, earlier
    FROM jobbell.seats s, LATERAL (SELECT s.wanted_at IS NOT NULL AND s.asked_at > t - 2000 AS waits) w
    WHERE s.server = the_server AND s.lane = the_lane AND s.account <> the_account;
    fair := greatest(capacity / (others + 1), 1);
    now_held := has + greatest(least(wants - has, capacity - taken - has - earlier, CASE WHEN others_want > 0 THEN fair - has ELSE capacity END), 0);
    INSERT INTO jobbell.seats (server, lane, account, node, seq, held, want, wanted_at, asked_at)
    VALUES (the_server, the_lane, the_account, the_node, the_seq, now_held, wants,
        CASE WHEN wants > now_held AND now_held < fair THEN coalesce(known.wanted_at, t) END, t)
    ON CONFLICT (server, lane, account) DO UPDATE SET node = excluded.node, seq = excluded.seq, held = excluded.held, want = excluded.want,
        wanted_at = excluded.wanted_at, asked_at = excluded.asked_at;
END $$;
