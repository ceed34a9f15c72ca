//! Jobbell rings when a job is done: completion events in, good mails out, nothing lost.

#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod dispatch;
pub mod domain;
pub mod http;
#[cfg(feature = "server")]
pub mod mailbox;
#[cfg(feature = "server")]
pub mod admin;
pub mod dispatch;
pub mod domain;
pub mod http;
pub mod intake;
pub mod queue;
pub mod render;
pub mod routing;
pub mod secret;
pub mod telemetry;
pub mod transport;
