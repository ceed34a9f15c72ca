//! Nodes that share a queue in PostgreSQL: the real program, a real server, and faults of both and of
//! what is between them. Skipped where PostgreSQL is not installed.
//!
//! `JOBBELL_TEST_NODE_KILLS=N` sets the number of `kill -9` rounds of a node,
//! `JOBBELL_TEST_SERVER_STOPS=N` that of stops of the database.

mod answers;
mod failover;
mod kills;
mod leases;
mod nodes;
mod outages;
mod pooler;
mod room;
mod schema;
mod slow;
mod stopped;
mod together;
