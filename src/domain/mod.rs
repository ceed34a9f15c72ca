//! The words of the house: what an event, a delivery, a mail and an attempt are.
//!
//! Values only: nothing here does I/O, asks the time or knows another room. Everything that enters
//! is parsed into these types at the door, so that inside a [`Recipient`] is always an address that
//! can be mailed to and a [`Timestamp`] always a time.

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
mod named;
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
