-- How many mails each server was given, by minute, for a bit more than a day: a limit outlives a restart. Written with the settlements.
CREATE TABLE server_use (
    server  TEXT    NOT NULL,               -- empty: under way when the program died, so that any server may have had them
    minute  INTEGER NOT NULL,               -- since the Unix epoch
    last_at INTEGER NOT NULL,               -- when the last of them ended
    mails   INTEGER NOT NULL,
    PRIMARY KEY (server, minute)
) STRICT, WITHOUT ROWID;
