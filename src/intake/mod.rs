//! Intake: turns requests and in-process events into deliveries on disk.
//!
//! Every source builds an [`IncomingEvent`]; [`Intake::accept`] plans its deliveries and returns
//! once they are committed. It needs neither a task nor a channel: the queue's writer groups
//! concurrent requests into one commit.

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
#[cfg(feature = "server")]
mod parsing;
#[cfg(feature = "server")]
mod request;
#[cfg(feature = "server")]
mod response;

#[cfg(feature = "server")]
use crate::http::Access;

pub use entry::{Accepted, IncomingEvent, Intake, Refusal};
pub use job_event_builder::{InvalidEvent, JobEventBuilder};

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
