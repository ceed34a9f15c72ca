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
//! a stage owns its `Settings` and imports neither [`config`] nor [`daemon`]. `tests/it/layers`
//! holds all this.
//!
//! # Embedding
//!
//! [`Jobbell::start`] runs intake, queue and dispatch in your program, without HTTP.
//! `default-features = false` leaves the HTTP server and the command line out of the build.
//!
//! ```
//! use jobbell::prelude::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = std::env::temp_dir().join(format!("jobbell-doc-{}", std::process::id()));
//! let config = Config::builder()
//!     .smtp_host("127.0.0.1")
//!     .smtp_port(1025)
//!     .from("Studio <studio@example.com>")
//!     .to("you@example.com")
//!     .state_dir(&directory)
//!     .build()?;
//! let mut jobbell = Jobbell::start(config).await?;
//! let event = JobEvent::succeeded().id("gen-1").prompt("A cute little kitten");
//! jobbell.submit(event.image("https://img.example.com/kitten.png").build()?).await?;
//! jobbell.stop().await; // unsent mails stay on disk; the next start resumes them
//! # std::fs::remove_dir_all(directory)?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Jobbell::events`] is a channel with room for 1,024 events, for producers that do not wait for
//! the disk. [`Config::from_toml`](config::Config::from_toml) and
//! [`Config::from_env`](config::Config::from_env) read a configuration like the program's. The
//! public interface is [`prelude`], [`config`] and [`domain`]; other modules may change.
//!
//! Thumbnails and user templates run in child processes of the `jobbell` program: install it and
//! name it with `sandbox::use_program` to use them.

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod dispatch;
pub mod domain;
pub mod encoding;
pub mod http;
pub mod intake;
#[cfg(feature = "server")]
pub mod mail_catcher;
pub mod prelude;
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
