//! Everything that needs a socket, a process or a file: one file per promise.

mod support;
mod transport;
mod render;
mod render_rules;
// Always so in this binary; said here because the lints that spare tests look for it.
#[cfg(test)]
mod layers;
// `cfg(test)` tells clippy that helpers in here, too, may unwrap: it does not count an integration test as one otherwise.
#[cfg(test)]
mod queue;
// `cfg(test)` tells clippy that helpers in here, too, may unwrap: it does not count an integration test as one otherwise.
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
mod http_record;
