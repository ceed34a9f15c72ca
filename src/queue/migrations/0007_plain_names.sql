-- Tables and columns take the names that the program uses. Only the schema changes, no row is rewritten.
ALTER TABLE events RENAME COLUMN content TO content_hash;
ALTER TABLE keys RENAME COLUMN content TO content_hash;
ALTER TABLE deliveries RENAME COLUMN tries TO attempt_rows;
ALTER TABLE deliveries RENAME COLUMN same_server TO preferred_server;
ALTER TABLE captures RENAME TO thumbnail_jobs;
ALTER TABLE thumbnail_jobs RENAME COLUMN until TO deadline;
ALTER TABLE server_use RENAME TO send_history;
ALTER TABLE hook_failures RENAME TO unmapped_payloads;
