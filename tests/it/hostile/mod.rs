//! What an attacker without rights tries: one file for each kind.

mod bodies;
mod config_search;
mod early_reply;
mod gzip;
mod keep_alive;
mod permissions;
mod slow_bodies;
mod sockets;
