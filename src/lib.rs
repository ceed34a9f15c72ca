//! Jobbell sends emails when jobs finish. It stores each completion event on disk, renders the mail and
//! delivers it over SMTP.
//!
//! ```text
//!  webhooks   ─┐
//!  HTTP events ├─ Event ─▶ intake ── Delivery × n ─▶ queue ── Lease ─▶ dispatch ── Email ─▶ transport ─▶ SMTP
//!  in-process ─┘          (routing,                 ▲                 (renders,             (one attempt
//!                          one commit)              │                  picks a server)       on one server)
//!                                                   └── Settlement ◀── Outcome ◀── Result<Receipt, Failure>
//! ```
//!
//! # Guarantees
//!
//! An acknowledged event is on disk, and its mail is delivered at least once, even after a crash. At
//! most one extra copy is sent, and only if a server did not answer after the final dot or the process
//! died between the server's answer and the commit; every copy has the same Message-ID. The number of
//! accepted deliveries always equals the sum of the six states ([`State`](domain::State)).
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
//! public interface is [`Jobbell`], [`config`], [`domain`] and [`prelude`]; other modules may change.
//!
//! Thumbnails and user templates run in child processes of the `jobbell` program: to use them,
//! install it and pass its path to `jobbell::sandbox::use_program`.

#![cfg_attr(
    not(feature = "postgres"),
    allow(
        unreachable_code,
        unused_variables,
        irrefutable_let_patterns,
        reason = "what several nodes share has no values in this build"
    )
)]

#[cfg(feature = "server")]
#[doc(hidden)]
pub mod admin;
#[cfg(feature = "cli")]
pub mod cli;
#[doc(hidden)]
pub mod clock;
pub mod config;
#[doc(hidden)]
pub mod daemon;
#[doc(hidden)]
pub mod dispatch;
pub mod domain;
#[doc(hidden)]
pub mod encoding;
#[doc(hidden)]
pub mod http;
#[doc(hidden)]
pub mod intake;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod mail_catcher;
pub mod prelude;
#[doc(hidden)]
pub mod queue;
#[doc(hidden)]
pub mod render;
#[doc(hidden)]
pub mod routing;
#[cfg(any(feature = "thumbnails", feature = "user-templates"))]
#[doc(hidden)]
pub mod sandbox;
#[doc(hidden)]
pub mod secret;
#[doc(hidden)]
pub mod telemetry;
#[doc(hidden)]
pub mod thumbnails;
#[doc(hidden)]
pub mod tls;
#[doc(hidden)]
pub mod transport;

#[doc(inline)]
pub use daemon::{Jobbell, StartError};
#[doc(inline)]
pub use intake::{Accepted, InvalidEvent, JobEventBuilder, Refusal};
