//! `POST /v1/hooks/{name}`: events in the words of the services that send them.
//!
//! ```text
//!  bytes ── verify (raw) ── JSON ── kind::map (pure, one file a kind) ── MapResult ── the one door
//! ```
//!
//! [`Settings`] is one `[hooks.NAME]` table. `verify` says whether the sender is who it should be,
//! before anything is parsed; [`kinds`] turn a payload into job events with the vocabulary of
//! [`sent`] and [`draft`]; `route` does both over HTTP and says what became of it.

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
pub mod verify;

pub use event_builder::EventBuilder;
pub use kind::Kind;
pub use map_result::{JobEnd, MapResult};
pub use payload::Payload;
#[cfg(feature = "server")]
pub(super) use route::{ApiDoc, routes};
pub use settings::{Hook, Hooks, Settings};
