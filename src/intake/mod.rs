//! Intake: turns requests and in-process events into deliveries on disk.
//!
//! Every source parses its input into [`Parsed`](crate::domain::Parsed) events. [`Intake::accept`]
//! plans their deliveries and returns once they are committed. It has no task and no channel: the
//! queue's writer groups concurrent requests into one commit.

#[cfg(feature = "server")]
mod charset;
mod entry;
#[cfg(feature = "server")]
mod events;
#[cfg(feature = "server")]
mod grant;
pub mod hooks;
#[cfg(feature = "server")]
pub mod http;
mod job_event_builder;
#[cfg(feature = "server")]
mod messages;
mod outcome;
#[cfg(feature = "server")]
mod parsing;
#[cfg(feature = "server")]
mod request;
#[cfg(feature = "server")]
mod response;

#[cfg(feature = "server")]
use crate::http::Access;

pub use entry::Intake;
#[cfg(feature = "cli")]
pub(crate) use events::post_directly;
pub use job_event_builder::{InvalidEvent, JobEventBuilder};
pub use outcome::{Accepted, Refusal};

/// State of every intake route.
#[cfg(feature = "server")]
#[derive(Debug, Clone)]
struct ApiState {
    intake: Intake,
    access: Access,
    hooks: hooks::Hooks,
    parsing: parsing::Parsing,
}

#[cfg(feature = "server")]
impl axum::extract::FromRef<ApiState> for Access {
    fn from_ref(state: &ApiState) -> Self {
        state.access.clone()
    }
}
