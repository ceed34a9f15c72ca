//! `POST /v1/hooks/{name}`: events in the formats of the services that send them.
//!
//! ```text
//!  bytes ── verify ── JSON ── Kind::map (pure) ── MapResult ── Intake
//! ```
//!
//! [`Settings`] is a `[hooks.NAME]` table. [`verify`] authenticates the sender before anything is
//! parsed. [`kinds`] map a payload to job events, by a [`mapping`], by code that uses [`payload`]
//! and [`event_builder`], or by both. `handler` does all of this for an HTTP request.
//!
//! To add a kind:
//!
//! 1. a variant of [`Kind`] with its name, default verification and other properties (`kind.rs`);
//! 2. a table in `kinds/mappings.toml` with its JSON pointers and states, in the language of
//!    `generic` hooks;
//! 3. for what that language cannot express, a file in `kinds/`;
//! 4. samples in `tests/it/vectors/hooks/` and their expected events in
//!    `tests/it/hooks/samples.rs`;
//! 5. a row in `docs/webhooks.md`.

#[cfg(feature = "server")]
mod authenticate;
#[cfg(feature = "server")]
mod body_json;
mod error_info;
pub mod event_builder;
#[cfg(feature = "server")]
mod first_end;
#[cfg(feature = "server")]
mod handler;
mod ids;
mod images;
pub mod kind;
pub mod kinds;
mod map_result;
pub mod mapping;
pub mod payload;
#[cfg(feature = "server")]
mod redact;
#[cfg(feature = "server")]
mod route;
#[cfg(feature = "server")]
mod secret_mask;
mod settings;
#[cfg(feature = "server")]
mod unmapped;
pub mod verify;

pub use event_builder::EventBuilder;
pub use kind::Kind;
pub use map_result::{JobEnd, MapResult};
pub use payload::Payload;
#[cfg(feature = "server")]
pub(super) use route::{ApiDoc, routes};
pub use settings::{Hook, Hooks, Settings};
