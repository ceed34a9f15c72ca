-- A node is one run of a program that works on the queue. What it holds carries its id, and is recovered when the node has ended.
CREATE TABLE nodes (
    id INTEGER PRIMARY KEY AUTOINCREMENT    -- never used again
) STRICT;
-- Runs of earlier versions, which had no id.
INSERT INTO nodes (id) VALUES (1);

ALTER TABLE deliveries ADD COLUMN node INTEGER NOT NULL DEFAULT 0; -- the node that claimed it last

-- A thumbnail job has a lease as well. Jobs that an earlier version had started belong to node 1.
ALTER TABLE thumbnail_jobs RENAME COLUMN started TO node; -- the node that holds it; 0 if none does
ALTER TABLE thumbnail_jobs ADD COLUMN token INTEGER NOT NULL DEFAULT 0; -- incremented by each claim; an older token finishes nothing
