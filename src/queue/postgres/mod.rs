//! The queue in a PostgreSQL database, which any number of nodes may share.
//!
//! - One verb is one statement, one transaction and one round trip (`connection`): statements are
//!   not prepared, so that `PgBouncer`'s transaction mode works. All names are qualified with the
//!   schema `jobbell`.
//! - Hot tables are narrow and short-lived: `due` contains what waits, `held` what a node is sending.
//!   Events, deliveries and attempts are facts in weekly partitions.
//! - A node is one life of a process (`node`): it renews its lease of 30 s every 5 s on a connection
//!   of its own, and ends its own sends before the lease does. Another node then returns what it
//!   held to the queue. A lease is therefore the node's, not the delivery's.
//! - Each claim has a token that was never used before. A settlement deletes the row of `held` with
//!   its token; if there is none, it is stale.
//! - Times are those of the database. Tests inject their own, except for the lives of nodes.
//! - A statement without an answer is never cancelled; its connection is dropped. What may have been
//!   committed is resolved by the id of the intake, by `held`, and by settling again.
//! - The commit that stores an event also claims it, if this node has a free slot and nothing older
//!   waits (`claims`).

mod answers;
mod attempt_rows;
mod batch;
mod beat;
mod breaker;
mod change;
mod claim;
mod claimed;
mod claims;
mod clocks;
mod codes;
mod columns;
mod command;
mod connection;
mod connector;
mod doctor;
mod enqueue;
mod failure;
mod grants;
mod heartbeat;
mod horizon;
mod inspection;
mod intake;
mod leftovers;
mod life;
mod limit_context;
mod limits;
mod list;
mod listen;
mod maintain;
mod migrate;
pub(super) mod moving;
mod moving_error;
mod moving_sql;
mod mutex;
mod node;
mod notifier;
mod open;
mod open_error;
mod operator;
mod pace;
mod partitions;
mod pending;
mod pool;
mod purge;
mod query_error;
mod rate;
mod reads;
mod reap;
mod redact;
mod retire;
mod roster;
mod rows;
mod seats;
mod secret_key;
mod server_check;
mod session;
mod settle;
mod settle_rows;
mod state_dir;
mod store;
mod stored;
mod sweep;
mod thumbnails;
mod tokens;
mod unmapped;
mod upkeep;
mod url;
mod used;
mod verb_error;
mod waiting;
mod watch;

pub use breaker::SharedBreaker;
pub use command::inspect;
pub(super) use doctor::examine;
pub use inspection::{Finding, Inspection, Verdict};
pub use limits::{ServerLimits, SharedLimits};
pub use moving_error::MovingError;
pub use open_error::OpenError;
pub use pace::Pace;
pub use rate::{SharedPermit, SharedRate};
pub(super) use roster::Visit;
pub use seats::Seats;
pub(super) use store::Store;
pub use url::{ConnectionUrl, UrlError, UrlPart};
