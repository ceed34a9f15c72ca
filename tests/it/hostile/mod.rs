//! What an attacker without rights tries: one file for each kind.

mod config_search;
mod permissions;
