-- Limits how often a delivery may be retried by hand.
ALTER TABLE deliveries ADD COLUMN retried_at INTEGER; -- when it was last retried by hand
