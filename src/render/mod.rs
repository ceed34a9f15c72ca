//! From an event to a mail: subject, text and HTML in the reader's language. Pure.

use crate::domain::{Link, Locale, Mailbox};

/// What rendering needs of the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The language of events that name none.
    pub locale: Locale,
    /// How times are shown.
    pub timezone: jiff::tz::TimeZone,
    /// Makes a link of an image's local path.
    pub public_url: Option<Link>,
    /// Put before every subject.
    pub subject_prefix: String,
    /// Whom mails come from.
    pub from: Mailbox,
    /// Where answers go.
    pub reply_to: Option<Mailbox>,
}
