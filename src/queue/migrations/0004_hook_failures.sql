-- Payloads of webhooks that could not be understood, for the operator to look at: bounded for each hook, one row for each payload.
CREATE TABLE hook_failures (
    seq      INTEGER PRIMARY KEY,
    hook     TEXT    NOT NULL,
    digest   BLOB    NOT NULL,              -- SHA-256 of the payload as it is kept, to know one that is sent again
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    times    INTEGER NOT NULL,
    why      TEXT    NOT NULL,
    payload  TEXT    NOT NULL,              -- without secrets and files, cut
    UNIQUE (hook, digest)
) STRICT;
