//! Records of events and deliveries, as `GET /v1/events` and `GET /v1/deliveries` return them.

use serde::{Deserialize, Serialize, Serializer};

use crate::domain::{
    DeliveryId, Event, EventId, Lane, MailKind, MissingReason, Recipient, Reply, Source, Stage,
    State, ThumbnailState, Timestamp,
};

/// An event with its deliveries.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    /// Its id.
    pub id: EventId,
    /// The event, with masked codes and secret links ([`Event::masked`]), which no reader of records
    /// needs. `None` when its payload was removed.
    pub event: Option<Event>,
    /// Its source, and the token that posted it ([`crate::domain::Source::parts`]).
    pub source: String,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// Its images, if its mails include thumbnails.
    pub pictures: Vec<PictureRecord>,
    /// Its deliveries that have not been purged, in the order of acceptance.
    pub deliveries: Vec<DeliveryRecord>,
}

/// The JSON of the HTTP API and of `queue show`: the source without its token, which has a field.
impl Serialize for EventRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Json<'a> {
            id: &'a EventId,
            event: Option<&'a Event>,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            payload_removed: bool,
            source: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            token: Option<&'a str>,
            received_at: Timestamp,
            pictures: &'a [PictureRecord],
            deliveries: &'a [DeliveryRecord],
        }
        let (source, token) = Source::parts(&self.source);
        Json {
            id: &self.id,
            event: self.event.as_ref(),
            payload_removed: self.event.is_none(),
            source,
            token,
            received_at: self.received_at,
            pictures: &self.pictures,
            deliveries: &self.deliveries,
        }
        .serialize(serializer)
    }
}

/// An image of an event and its thumbnail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureRecord {
    /// Its index among the event's `images`, from 0.
    pub index: usize,
    /// The state of the thumbnail.
    pub state: ThumbnailState,
    /// Why there is no thumbnail.
    pub reason: Option<MissingReason>,
    /// The width of the thumbnail in pixels.
    pub width: Option<u32>,
    /// Its height in pixels.
    pub height: Option<u32>,
    /// Its size in bytes.
    pub bytes: Option<u64>,
}

/// A delivery with its attempts. Its JSON is that of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// Its id.
    pub id: DeliveryId,
    /// Its event.
    pub event_id: EventId,
    /// The recipient.
    pub to: Recipient,
    /// The kind of the mail.
    pub kind: MailKind,
    /// Its lane.
    pub lane: Lane,
    /// Its state.
    pub state: State,
    /// Why it is dead or suppressed.
    pub reason: Option<String>,
    /// All attempts since it was accepted, in order.
    pub attempts: Vec<AttemptRecord>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// While it is queued, the earliest time of the next attempt.
    pub next_attempt_at: Option<Timestamp>,
    /// When a server accepted it.
    pub sent_at: Option<Timestamp>,
    /// Its Message-ID, with angle brackets.
    pub message_id: String,
}

impl EventRecord {
    /// Shifts all times from store time to wall time.
    pub(super) fn shifted(mut self, offset: i64) -> Self {
        self.received_at = self.received_at.shifted(offset);
        let deliveries = self.deliveries.into_iter();
        self.deliveries = deliveries.map(|one| one.shifted(offset)).collect();
        self
    }
}

impl DeliveryRecord {
    /// Shifts all times from store time to wall time.
    pub(super) fn shifted(mut self, offset: i64) -> Self {
        let attempts = self.attempts.iter_mut().map(|attempt| &mut attempt.at);
        let times = [&mut self.created_at].into_iter().chain(attempts);
        let optional = (self.next_attempt_at.as_mut().into_iter()).chain(self.sent_at.as_mut());
        for time in times.chain(optional) {
            *time = time.shifted(offset);
        }
        self
    }
}

/// One attempt on one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The number of the attempt, from 1. Several servers may be tried in one attempt; a retry by the
    /// operator starts again at 1.
    pub number: u32,
    /// The server.
    pub server: String,
    /// When it started.
    pub at: Timestamp,
    /// Its duration in milliseconds.
    pub took_ms: u64,
    /// `sent`, or the kind of the failure.
    pub result: String,
    /// The stage at which it failed.
    pub stage: Option<Stage>,
    /// The reply of the server, if there was one.
    pub reply: Option<Reply>,
    /// One sentence about the failure.
    pub detail: Option<String>,
    /// The cause, if the table of replies knows it.
    pub cause: Option<String>,
    /// The remedy.
    pub advice: Option<String>,
}

/// Conditions on the deliveries to list; all must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// The state.
    pub state: Option<State>,
    /// The recipient, in any case.
    pub to: Option<Recipient>,
    /// Accepted at this time or later.
    pub since: Option<Timestamp>,
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The deliveries.
    pub deliveries: Vec<DeliveryRecord>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
}
