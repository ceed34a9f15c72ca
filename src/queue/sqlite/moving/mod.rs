//! Reads and writes a whole SQLite queue, for `jobbell queue move`.

mod new_queue;
mod opened;
mod read;
mod write;

pub(in crate::queue) use new_queue::NewQueue;
pub(in crate::queue) use opened::{Moving, open_source, open_target};
