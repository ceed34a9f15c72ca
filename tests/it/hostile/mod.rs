//! What an attacker without rights tries: one file for each kind.

mod attacker;
mod bodies;
mod config_search;
mod early_reply;
mod full_inodes;
mod guessing;
mod gzip;
mod hook_ids;
mod host;
mod keep_alive;
mod permissions;
mod picture_hosts;
mod pictures;
mod refusals;
mod reserved_lane;
mod retry;
mod secrets_at_rest;
mod slow_bodies;
mod slow_lists;
mod sockets;
mod templates;
mod tokens;
mod two_daemons;
