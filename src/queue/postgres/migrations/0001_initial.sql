-- Times are milliseconds since the Unix epoch by the clock of the database. `at` is the time within a UUIDv7: it chooses the partition, so that a
-- row is found by its id alone. Hot tables (due, held, nodes, counts) are narrow; facts are written once, and once more when a delivery ends.

CREATE FUNCTION jobbell.now_ms() RETURNS bigint LANGUAGE sql VOLATILE PARALLEL SAFE
    AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- The time of a UUIDv7 (RFC 9562, section 5.7).
CREATE FUNCTION jobbell.uuid_ms(id uuid) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT ('x0000' || substr(replace(id::text, '-', ''), 1, 12))::bit(64)::bigint $$;

-- One row for each life of a node. Its id is never used again.
CREATE TABLE jobbell.nodes (
    node        bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text    NOT NULL UNIQUE,
    version     text    NOT NULL,
    life        uuid    NOT NULL UNIQUE,         -- the node keeps it, so that it knows its row again
    started_at  bigint  NOT NULL,
    seen_at     bigint  NOT NULL,
    alive_until bigint  NOT NULL,
    in_flight   integer NOT NULL DEFAULT 0,
    clock_skew  bigint  NOT NULL DEFAULT 0,      -- its clock minus that of the database
    draining    boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- Every event id on record. A partitioned table could not make it unique.
CREATE TABLE jobbell.event_ids (
    id      text   COLLATE "C" PRIMARY KEY,
    content bytea  NOT NULL,                     -- digest that tells a repetition from another event
    intake  uuid   NOT NULL,                     -- the batch that stored it, so that a commit whose answer was lost is known again
    event   uuid   NOT NULL,
    at      bigint NOT NULL
) WITH (fillfactor = 90);
CREATE INDEX event_ids_at ON jobbell.event_ids USING brin (at);

-- Requests that their producer named (Idempotency-Key, webhook-id).
CREATE TABLE jobbell.keys (
    key     text   COLLATE "C" PRIMARY KEY,
    content bytea  NOT NULL,
    ids     text   NOT NULL,                     -- the ids that were answered, in order, as a JSON array
    intake  uuid   NOT NULL,
    at      bigint NOT NULL                      -- of the latest of its events
);
CREATE INDEX keys_at ON jobbell.keys (at);

-- A job that may end once. Its name is a digest over all ends that exclude each other.
CREATE TABLE jobbell.job_ends (
    job     bytea  PRIMARY KEY,
    id      text   COLLATE "C" NOT NULL,         -- the end on record
    intake  uuid   NOT NULL,
    at      bigint NOT NULL
);
CREATE INDEX job_ends_at ON jobbell.job_ends USING brin (at);

CREATE TABLE jobbell.events (
    event       uuid    NOT NULL,
    at          bigint  NOT NULL,
    id          text    COLLATE "C" NOT NULL,
    source      text    NOT NULL,
    received_at bigint  NOT NULL,
    payload     bytea   NOT NULL,
    thumbnails  boolean NOT NULL,
    secret      boolean NOT NULL,                -- the payload holds a code or a secret link that is not masked yet
    deliveries  uuid[]  NOT NULL,                -- in the order of acceptance
    PRIMARY KEY (at, event)
) PARTITION BY RANGE (at);
CREATE INDEX events_secret ON jobbell.events (at, event) WHERE secret;

CREATE TABLE jobbell.deliveries (
    id               uuid     NOT NULL,
    at               bigint   NOT NULL,
    event            uuid     NOT NULL,
    event_at         bigint   NOT NULL,
    kind             text     NOT NULL,
    lane             smallint NOT NULL,          -- 0 urgent, 1 normal
    recipient        text     NOT NULL,
    message_id       text     NOT NULL,          -- without angle brackets
    created_at       bigint   NOT NULL,
    expires_at       bigint   NOT NULL,
    state            smallint NOT NULL,          -- 0 pending (see due and held), 2 sent, 3 dead, 4 suppressed, 5 cancelled
    reason           text,
    attempts         integer  NOT NULL DEFAULT 0,
    token            bigint   NOT NULL DEFAULT 0, -- of the settlement that ended it
    ended_at         bigint,
    retried_at       bigint,                     -- when it was last retried by hand
    preferred_server text,                       -- may already have the mail, so it is tried first
    PRIMARY KEY (at, id)
) PARTITION BY RANGE (at);

-- Deliveries that ended without a mail, for lists of what went wrong. An index on `state` would make every end of a delivery change all indexes.
CREATE TABLE jobbell.unsent (
    state    smallint NOT NULL,
    at       bigint   NOT NULL,
    delivery uuid     NOT NULL,
    PRIMARY KEY (state, at, delivery)
);

CREATE TABLE jobbell.attempts (
    at         bigint   NOT NULL,                -- of the delivery
    delivery   uuid     NOT NULL,
    token      bigint   NOT NULL,                -- of the claim; 0 for what a node's end left behind
    place      smallint NOT NULL,                -- within the settlement
    number     integer  NOT NULL,
    server     text     NOT NULL,
    started_at bigint   NOT NULL,
    took_ms    bigint   NOT NULL,
    result     text     NOT NULL,
    stage      text,
    code       integer,
    enhanced   text,
    reply      text,
    detail     text,
    cause      text,
    advice     text,
    PRIMARY KEY (at, delivery, token, place)
) PARTITION BY RANGE (at);

-- Waits, and no node holds it.
CREATE TABLE jobbell.due (
    delivery         uuid     PRIMARY KEY,
    at               bigint   NOT NULL,
    lane             smallint NOT NULL,
    due_at           bigint   NOT NULL,
    attempts         integer  NOT NULL,
    token            bigint   NOT NULL,          -- of the last settlement
    preferred_server text
);
CREATE INDEX due_next ON jobbell.due (lane, due_at, delivery);

-- A node is sending it.
CREATE TABLE jobbell.held (
    delivery         uuid     PRIMARY KEY,
    at               bigint   NOT NULL,
    token            bigint   NOT NULL,          -- fences: compared for equality, never used again
    node             bigint   NOT NULL,
    lane             smallint NOT NULL,
    attempts         integer  NOT NULL,          -- with this one
    until            bigint   NOT NULL,          -- the end of a lease that its node no longer knows
    preferred_server text
);
CREATE INDEX held_by ON jobbell.held (node);

-- Changes of the numbers by state. One row for each connection that writes, since a row that every commit updates is a lock over its flush; the
-- numbers are the sums. The rows of ended nodes are added to those of node 0.
CREATE TABLE jobbell.counts (
    node       bigint   NOT NULL,
    writer     smallint NOT NULL,
    accepted   bigint   NOT NULL DEFAULT 0,
    queued     bigint   NOT NULL DEFAULT 0,
    sending    bigint   NOT NULL DEFAULT 0,
    sent       bigint   NOT NULL DEFAULT 0,
    dead       bigint   NOT NULL DEFAULT 0,
    suppressed bigint   NOT NULL DEFAULT 0,
    cancelled  bigint   NOT NULL DEFAULT 0,
    PRIMARY KEY (node, writer)
) WITH (fillfactor = 50);

-- Thumbnails.
CREATE TABLE jobbell.thumbnail_jobs (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event    uuid   NOT NULL UNIQUE,
    at       bigint NOT NULL,
    deadline bigint NOT NULL,
    node     bigint NOT NULL DEFAULT 0,          -- the node that holds it; 0 if none does
    token    bigint NOT NULL DEFAULT 0
);
CREATE TABLE jobbell.pictures (
    at      bigint  NOT NULL,                    -- of the event
    event   uuid     NOT NULL,
    place   integer  NOT NULL,
    reason  text,
    width   integer,
    height  integer,
    jpeg    bytea,
    partial boolean  NOT NULL DEFAULT false,
    PRIMARY KEY (at, event, place)
) PARTITION BY RANGE (at);
ALTER TABLE jobbell.pictures ALTER jpeg SET STORAGE EXTERNAL; -- a JPEG does not compress

CREATE TABLE jobbell.unmapped_payloads (
    seq      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hook     text    NOT NULL,
    digest   bytea   NOT NULL,
    first_at bigint  NOT NULL,
    last_at  bigint  NOT NULL,
    times    integer NOT NULL,
    why      text    NOT NULL,
    payload  text    NOT NULL,
    UNIQUE (hook, digest)
);

-- Refresh tokens that a token server has replaced, encrypted. One node at a time uses one: a token server may take its second use for theft.
CREATE TABLE jobbell.oauth_tokens (
    name           text   PRIMARY KEY,           -- of the mail server
    origin         text   NOT NULL DEFAULT '',   -- digest of the configured token that it replaces
    sealed         bytea,
    changed_at     bigint NOT NULL DEFAULT 0,
    reserved_by    text   NOT NULL DEFAULT '',
    reserved_until bigint NOT NULL DEFAULT 0
);

-- One row. The key is null if it is in a file (`queue.secret_key_file`); its id is then compared.
CREATE TABLE jobbell.secret_key (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    key    bytea,
    key_id bytea   NOT NULL
);

-- One row while `jobbell queue move` fills the database, or was broken off: no node starts meanwhile.
CREATE TABLE jobbell.moving (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    since bigint  NOT NULL
);

-- Rows of these tables live for seconds, so dead ones are removed at once.
ALTER TABLE jobbell.due    SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE jobbell.held   SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE jobbell.nodes  SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE jobbell.counts SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- Weeks that have partitions. While one is ending, its ended deliveries do not change: they are counted, and then its partitions are dropped.
CREATE TABLE jobbell.weeks (
    week   text   PRIMARY KEY,                   -- 2026w49, the end of the names of its partitions
    first  bigint NOT NULL,
    until  bigint NOT NULL,
    ending bigint NOT NULL DEFAULT 0             -- token of the node that drops it
);

-- Takes rows of a week that has no partition, so that an insert never fails for lack of one.
CREATE TABLE jobbell.events_default PARTITION OF jobbell.events DEFAULT;
CREATE TABLE jobbell.deliveries_default PARTITION OF jobbell.deliveries DEFAULT WITH (fillfactor = 85);
CREATE TABLE jobbell.attempts_default PARTITION OF jobbell.attempts DEFAULT;
CREATE TABLE jobbell.pictures_default PARTITION OF jobbell.pictures DEFAULT;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER TABLE jobbell.events ALTER payload SET COMPRESSION lz4;
    END IF;
END $$;
