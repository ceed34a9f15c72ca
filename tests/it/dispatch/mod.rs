//! Failover, limits and the choice of a server.

mod failover;
mod limits;
mod nodes;
mod servers;
