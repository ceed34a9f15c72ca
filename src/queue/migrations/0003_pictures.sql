-- Small copies of pictures, made once when an event comes in and kept with it.
ALTER TABLE events ADD COLUMN pictures INTEGER NOT NULL DEFAULT 0; -- 1 when its mails carry small copies of its pictures

-- Events whose mails still wait for them. The first claim of one of its deliveries ends that as well.
CREATE TABLE captures (
    event_seq INTEGER PRIMARY KEY REFERENCES events (seq) ON DELETE CASCADE,
    until     INTEGER NOT NULL              -- its deliveries are due then
) STRICT;

CREATE TABLE pictures (
    event_seq INTEGER NOT NULL REFERENCES events (seq) ON DELETE CASCADE,
    place     INTEGER NOT NULL,             -- which of the event's pictures, from 0
    reason    TEXT,                         -- why there is no copy
    width     INTEGER,
    height    INTEGER,
    jpeg      BLOB,
    PRIMARY KEY (event_seq, place)
) STRICT;
