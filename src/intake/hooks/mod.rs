//! `POST /v1/hooks/{name}`: events in the words of the services that send them.
//!
//! ```text
//!  bytes ── verify (raw) ── JSON ── kind::map (pure, one file a kind) ── Mapped ── the one door
//! ```
//!
//! [`Settings`] is one `[hooks.NAME]` table. `verify` says whether the sender is who it should be,
//! before anything is parsed; [`kinds`] turn a payload into job events with the vocabulary of
//! [`sent`] and [`draft`]; `route` does both over HTTP and says what became of it.

mod blame;
pub mod draft;
#[cfg(feature = "server")]
mod ends;
mod ids;
#[cfg(feature = "server")]
mod kept;
pub mod kind;
pub mod kinds;
mod mapped;
pub mod mapping;
#[cfg(feature = "server")]
mod payload;
mod pictures;
#[cfg(feature = "server")]
mod request;
#[cfg(feature = "server")]
mod route;
#[cfg(feature = "server")]
mod secrets;
pub mod sent;
mod settings;
pub mod verify;

pub use draft::Draft;
pub use kind::Kind;
pub use mapped::{End, Mapped};
#[cfg(feature = "server")]
pub(super) use route::{Described, routes};
pub use sent::Sent;
pub use settings::{Hook, Hooks, Settings};
