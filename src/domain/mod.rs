//! The values of the domain: events, deliveries, mails, attempts.
//!
//! Nothing here does I/O, reads a clock or depends on another module. Input is parsed into these
//! types when it arrives, so a [`Recipient`] is always a valid address and a [`Timestamp`] a valid
//! time.

pub mod attempt;
pub mod delivery;
pub(crate) mod duration_text;
pub mod email;
pub mod event;
pub(crate) mod html;
#[cfg(feature = "server")]
pub(crate) mod json;
pub mod locale;
mod mail_kind;
pub mod mailbox;
pub(crate) mod named;
pub mod recipient;
pub mod thumbnail;
pub mod timestamp;
mod uuid_v7;

pub use attempt::{
    Attempt, AttemptResult, Explanation, Failure, FailureKind, Outcome, Receipt, Reply, ServerName,
    Stage,
};
pub use delivery::{DeadReason, Delivery, DeliveryId, Lane, Plan, State, SuppressReason};
pub use email::{Email, InlinePart};
pub use event::{
    Code, Event, EventId, FieldError, Image, JobError, JobEvent, JobStatus, Link, MessageContent,
    MessageNames, MessageRequest, Parsed, Size, Source, Ttl,
};
pub use locale::Locale;
pub use mail_kind::MailKind;
pub use mailbox::{AddressList, Mailbox};
pub use recipient::{AddressError, Recipient};
pub use thumbnail::{MissingReason, Thumbnail, ThumbnailResult, ThumbnailState};
pub use timestamp::Timestamp;
pub(crate) use uuid_v7::uuid_v7;
