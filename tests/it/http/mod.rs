//! The HTTP interface: connections, events, messages, hooks and records.

mod connections;
mod events;
mod hooks;
mod listen;
mod messages;
pub(crate) mod peer;
mod record;
pub(crate) mod test_server;
