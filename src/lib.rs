//! Jobbell rings when a job is done: completion events in, good mails out, nothing lost.
//!
//! ```text
//!  webhook ─┐
//!  in-process├─ Event ─▶ intake ── Delivery × n ─▶ queue ── Lease ─▶ dispatch ── Email ─▶ transport ─▶ SMTP
//!  hooks/*  ─┘          (routes it,               ▲                 (renders,             (one try on
//!                        one commit)              │                  picks a server)       one server)
//!                                                 └── Settlement ◀── Outcome ◀── Result<Receipt, Failure>
//! ```
//!
//! **The promise.** An event that was acknowledged is on disk; from then on its mail is delivered
//! at least once, whatever dies. At most one extra copy is made, and only when a server went silent
//! after the final dot or the process died between the server's yes and our commit; every copy
//! carries the same Message-ID. Accepted deliveries are always the sum over the six states
//! (conservation).
//!
//! **The map.** [`domain`] has the words, values without I/O. [`routing`] plans deliveries,
//! [`render`] makes mails, [`dispatch::retry`] and [`dispatch::failover`] decide: all pure.
//! [`intake`] is the one door, [`queue`] the store, [`transport`] one try on one server,
//! [`dispatch`] the worker between them, [`thumbnails`] the one beside them that makes small copies
//! of an event's pictures before its mails go. [`daemon`] is the only place where the stages meet;
//! a stage owns its `Settings` and imports neither [`config`] nor [`daemon`]. `tests/it/layers.rs`
//! holds all this.
//!
//! **Embedding.** [`Jobbell::start`] runs intake, queue and dispatch in your program, without HTTP;
//! `default-features = false` leaves the server and the command line out of the build. See
//! `examples/in_process.rs`. Pictures are decoded and templates of one's own are filled by child
//! processes of the program `jobbell` only; name an installed one with `sandbox::use_program` for
//! either.

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod daemon;
pub mod dispatch;
pub mod domain;
pub mod encoding;
pub mod http;
pub mod intake;
#[cfg(feature = "server")]
pub mod mail_catcher;
pub mod queue;
pub mod render;
pub mod routing;
#[cfg(any(feature = "thumbnails", feature = "user-templates"))]
pub mod sandbox;
pub mod secret;
pub mod telemetry;
pub mod thumbnails;
pub mod tls;
pub mod transport;

pub use daemon::Jobbell;
