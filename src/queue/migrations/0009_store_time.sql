-- Times are store time: the wall clock minus an offset that absorbs the steps of the wall clock. Before this step they were wall time, so the offset is 0.
CREATE TABLE clock (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    offset_ms INTEGER NOT NULL,             -- wall time minus store time
    booted_at INTEGER NOT NULL,             -- wall time of the boot at which the offset is right
    boot_id   TEXT                          -- of that boot; null if unknown
) STRICT;

INSERT INTO clock VALUES (1, 0, 0, NULL);

-- The time of the commit that wrote the counts: no time in the past that is on record is later.
ALTER TABLE counts ADD COLUMN as_of INTEGER NOT NULL DEFAULT 0;
UPDATE counts SET as_of = coalesce((SELECT received_at FROM events ORDER BY seq DESC LIMIT 1), 0);
