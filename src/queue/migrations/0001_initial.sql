-- What was accepted, and what became of it. Times are milliseconds since the Unix epoch, UTC.

CREATE TABLE events (
    seq         INTEGER PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    content     BLOB    NOT NULL,           -- SHA-256 of the event, to tell a repetition from another event of the same name
    source      TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    payload     BLOB    NOT NULL            -- the event as JSON
) STRICT;

-- Requests that their producer named by Idempotency-Key or webhook-id. Other requests never touch it.
CREATE TABLE keys (
    key       TEXT PRIMARY KEY,
    content   BLOB NOT NULL,                -- SHA-256 over the contents of the request's events, in order
    ids       TEXT NOT NULL,                -- the ids that were answered, in order, as a JSON array
    event_seq INTEGER REFERENCES events (seq) ON DELETE SET NULL -- the last of its events that is on record; without one the key goes
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_of_event ON keys (event_seq);

CREATE TABLE deliveries (
    seq         INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE,    -- UUIDv7, 16 bytes
    event_seq   INTEGER NOT NULL REFERENCES events (seq),
    state       INTEGER NOT NULL,           -- 0 queued, 1 sending, 2 sent, 3 dead, 4 suppressed, 5 cancelled
    lane        INTEGER NOT NULL,           -- 0 urgent, 1 normal
    due_at      INTEGER NOT NULL,           -- nobody may claim the row before
    attempts    INTEGER NOT NULL DEFAULT 0, -- counted at the claim; back to 0 when retried by hand
    token       INTEGER NOT NULL DEFAULT 0, -- goes up with every claim; an older one settles nothing
    tries       INTEGER NOT NULL DEFAULT 0, -- rows in attempts; never goes back
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    kind        TEXT    NOT NULL,
    reason      TEXT,
    same_server TEXT,                       -- may already have the mail, so it is asked first
    recipient   TEXT    NOT NULL,
    message_id  TEXT    NOT NULL            -- without angle brackets
) STRICT;

-- The claim, the next due time and the oldest due time. Schedule, backoff and lease expiry share it.
CREATE INDEX deliveries_due ON deliveries (lane, due_at) WHERE state < 2;
-- An event with its deliveries, and the check of the reference when an event is purged.
CREATE INDEX deliveries_of_event ON deliveries (event_seq);
-- Lists of what went wrong. Mails that are sent never enter it, so the way of nearly every mail does not pay for it.
CREATE INDEX deliveries_unsent ON deliveries (state) WHERE state > 2;

-- One row for each try on one server; only ever added to.
CREATE TABLE attempts (
    delivery_seq INTEGER NOT NULL REFERENCES deliveries (seq) ON DELETE CASCADE,
    try          INTEGER NOT NULL,          -- 0, 1, 2, … over the delivery's whole life
    number       INTEGER NOT NULL,          -- the attempt it belongs to; several servers may be tried within one
    server       TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    took_ms      INTEGER NOT NULL,
    result       TEXT    NOT NULL,
    stage        TEXT,
    code         INTEGER,
    enhanced     TEXT,
    text         TEXT,
    detail       TEXT,
    cause        TEXT,
    advice       TEXT,
    PRIMARY KEY (delivery_seq, try)
) STRICT, WITHOUT ROWID;

-- One row: how many deliveries are on record, in all and by state. Kept in the same transaction as the rows that it counts.
CREATE TABLE counts (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    accepted   INTEGER NOT NULL,
    queued     INTEGER NOT NULL,
    sending    INTEGER NOT NULL,
    sent       INTEGER NOT NULL,
    dead       INTEGER NOT NULL,
    suppressed INTEGER NOT NULL,
    cancelled  INTEGER NOT NULL
) STRICT;

INSERT INTO counts VALUES (1, 0, 0, 0, 0, 0, 0, 0);
