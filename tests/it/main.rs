//! Everything that needs a socket, a process or a file: one file per promise.
//!
//! The `cfg(test)` on each line tells clippy that helpers, too, may unwrap: it does not count an
//! integration test as one otherwise.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod cli_demo;
#[cfg(test)]
mod cli_hooks_try;
#[cfg(test)]
mod cli_oauth;
#[cfg(test)]
mod cli_queue;
#[cfg(test)]
mod cli_run;
#[cfg(test)]
mod cli_send;
#[cfg(test)]
mod cli_test_email;
#[cfg(test)]
mod daemon_library;
#[cfg(test)]
mod daemon_mails;
#[cfg(test)]
mod daemon_messages;
#[cfg(test)]
mod daemon_retry;
#[cfg(test)]
mod daemon_secrets;
#[cfg(test)]
mod daemon_signals;
#[cfg(test)]
mod daemon_start;
#[cfg(test)]
mod daemon_stop;
#[cfg(test)]
mod daemon_survival;
#[cfg(test)]
mod daemon_systemd;
#[cfg(test)]
mod directmail;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fuzz_corpus;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http_connections;
#[cfg(test)]
mod http_events;
#[cfg(test)]
mod http_hooks;
#[cfg(test)]
mod http_house;
#[cfg(test)]
mod http_listen;
#[cfg(test)]
mod http_messages;
#[cfg(test)]
mod http_peer;
#[cfg(test)]
mod http_record;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod oauth;
#[cfg(test)]
mod oauth_device;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod render;
#[cfg(test)]
mod render_messages;
#[cfg(test)]
mod render_pictures;
#[cfg(test)]
mod render_rules;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod support;
#[cfg(test)]
mod templates;
#[cfg(test)]
mod thumbnails;
#[cfg(test)]
mod transport;
