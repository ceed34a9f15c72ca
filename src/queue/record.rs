//! What is on record, as `GET /v1/events` and `GET /v1/deliveries` show it (contract 3).

use serde::{Deserialize, Serialize, Serializer};

use crate::domain::{
    DeliveryId, Event, EventId, Lane, MailKind, MissingReason, Recipient, Reply, Source, Stage,
    State, ThumbnailState, Timestamp,
};

/// An event with its deliveries.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    /// Its name.
    pub id: EventId,
    /// The event, its codes and secret links masked ([`Event::masked`]): whoever reads records has
    /// no use for them. None when its payload was removed.
    pub event: Option<Event>,
    /// Where it came in, and the token that posted it ([`crate::domain::Source::parts`]).
    pub source: String,
    /// When it was taken.
    pub received_at: Timestamp,
    /// What became of its pictures, where small copies of them were asked for.
    pub pictures: Vec<PictureRecord>,
    /// Its deliveries that have not been purged, in the order in which they were planned.
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

/// What became of one of an event's pictures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureRecord {
    /// Which of the event's `images`, from 0.
    pub index: usize,
    /// How far it has come.
    pub state: ThumbnailState,
    /// Why there is no small copy.
    pub reason: Option<MissingReason>,
    /// Pixels across of the small copy.
    pub width: Option<u32>,
    /// Pixels down.
    pub height: Option<u32>,
    /// Bytes.
    pub bytes: Option<u64>,
}

/// A delivery with its history; serialises to exactly the JSON of contract 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// Its name.
    pub id: DeliveryId,
    /// The event that it tells of.
    pub event_id: EventId,
    /// Where the mail goes.
    pub to: Recipient,
    /// Which mail.
    pub kind: MailKind,
    /// In which lane it waits.
    pub lane: Lane,
    /// Where it stands.
    pub state: State,
    /// Why it is dead or suppressed.
    pub reason: Option<String>,
    /// Every try since it was accepted, in order.
    pub attempts: Vec<AttemptRecord>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// While it is queued: not before this.
    pub next_attempt_at: Option<Timestamp>,
    /// When a server took it.
    pub sent_at: Option<Timestamp>,
    /// Its Message-ID as it stands in the mail's header, with angle brackets.
    pub message_id: String,
}

/// One try on one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// The attempt it belongs to, from 1; a retry by hand begins again at 1.
    pub number: u32,
    /// The server.
    pub server: String,
    /// When it began.
    pub at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// `sent`, or the kind of the failure.
    pub result: String,
    /// The step at which it failed.
    pub stage: Option<Stage>,
    /// The server's answer, when there was one.
    pub reply: Option<Reply>,
    /// One sentence on what happened, when it failed.
    pub detail: Option<String>,
    /// What went wrong, where the table of replies knows it.
    pub cause: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
}

/// Which deliveries to list; what is none does not restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// To this address, without regard to case.
    pub to: Option<Recipient>,
    /// Accepted at this moment or later.
    pub since: Option<Timestamp>,
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The deliveries.
    pub deliveries: Vec<DeliveryRecord>,
    /// Where the next page begins; none on the last one.
    pub next_cursor: Option<String>,
}
