//! `jobbell demo`: the daemon with a mailbox of its own.

mod brush;
pub mod pictures;
mod png;
