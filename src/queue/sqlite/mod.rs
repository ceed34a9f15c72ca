//! The queue on SQLite, and the commands that work on its files.
//!
//! - One thread writes (`writer`): all waiting requests become one `BEGIN IMMEDIATE` transaction
//!   and one fsync, then they are answered. So a thousand producers share one fsync, and an answer
//!   means that the event is on disk.
//! - `synchronous = FULL` in WAL mode: the commit is fsynced before it is acknowledged. A torn tail
//!   of the WAL is dropped at the next open.
//! - If the disk refuses a batch, it is rolled back and all its requests fail; unless the disk is
//!   full or a lock was held too long, the connection is reopened. The next successful write ends
//!   the failing state; no restart is needed.
//! - A request that is at fault fails no other request: its batch is rolled back and run again one
//!   by one.
//! - A claim that finds nothing stays pending (`claimer`): the commit that adds a delivery also
//!   hands it out.
//! - A node is one run of the program. It has the database for itself, so at its start it recovers
//!   what all other nodes held (`recover`).
//! - Two connections read beside the writer (`readers`), and two more serve lists, with a time
//!   limit; they see commits only.
//! - Codes and secret links are encrypted (`vault`) and masked when their mail has ended
//!   (`secrets`).
//! - `location` locks the database file against a second daemon and refuses to start with an empty
//!   database where a queue was; `watch` detects that the file is removed or replaced; `wal`
//!   refuses a WAL that lost commits.
//! - The counts by state are one row of `counts`, updated in the transaction that changes them; a
//!   start does not count rows.

mod backup;
mod change;
mod check;
mod check_report;
mod claim;
mod claimer;
mod clock;
mod commit_error;
mod connect;
mod enqueue;
mod files;
mod key;
mod list;
mod location;
mod lock;
mod migrate;
#[cfg(feature = "postgres")]
pub(super) mod moving;
mod node;
mod open;
mod open_error;
mod operator;
mod path;
mod purge;
mod read;
mod readers;
mod reads;
mod recover;
mod redact;
mod request;
mod row;
mod secrets;
mod send_history;
mod settle;
mod shared;
mod space;
mod store;
#[cfg(test)]
mod tests;
mod thumbnails;
mod tx;
mod unmapped;
mod wal;
mod watch;
mod writer;
mod writes;

pub use backup::{backup, backup_showing};
pub use check::{Progress, check, check_showing};
pub use check_report::CheckReport;
#[cfg(feature = "postgres")]
pub(super) use location::lock_state_dir;
pub use open::{open, open_existing, open_to_read};
pub use open_error::{BackupError, OpenError};
pub(super) use store::Store;
