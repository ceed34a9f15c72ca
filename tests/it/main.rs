//! Tests over real sockets, processes and files, in folders by module.
//!
//! `cfg(test)` on each line tells Clippy that helpers may unwrap too: it does not count an
//! integration test as test code otherwise.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod dispatch;
#[cfg(test)]
mod fuzz_corpus;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod render;
#[cfg(test)]
mod reports;
#[cfg(test)]
#[expect(dead_code, reason = "shared with tests/faults")]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod thumbnails;
#[cfg(test)]
mod transport;
