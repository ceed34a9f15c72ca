//! The columns of the statement that stores a batch.

use ring::digest::{Context, SHA256};
use uuid::Uuid;

use super::codes::{int, lane_code, state_code, uuid_millis};
use crate::domain::{Delivery, EventId, Plan, State, Timestamp};
use crate::queue::held::Holding;

/// Columns of the events.
#[derive(Default)]
pub(super) struct Events {
    pub(super) requests: Vec<i32>,
    pub(super) keys: Vec<Uuid>,
    pub(super) at: Vec<i64>,
    pub(super) ids: Vec<String>,
    pub(super) contents: Vec<Vec<u8>>,
    pub(super) sources: Vec<String>,
    pub(super) payloads: Vec<Vec<u8>>,
    pub(super) secret: Vec<bool>,
    /// How long after now the thumbnails' deadline is.
    pub(super) thumbnails_in: Vec<Option<i64>>,
    /// Whether the queue has no room for it.
    pub(super) full: Vec<bool>,
}

/// Columns of the deliveries.
#[derive(Default)]
pub(super) struct Deliveries {
    /// The number of the event, from 1.
    pub(super) events: Vec<i32>,
    pub(super) ids: Vec<Uuid>,
    pub(super) at: Vec<i64>,
    pub(super) kinds: Vec<&'static str>,
    pub(super) lanes: Vec<i16>,
    pub(super) recipients: Vec<String>,
    pub(super) message_ids: Vec<String>,
    pub(super) created_at: Vec<i64>,
    pub(super) expires_in: Vec<i64>,
    pub(super) states: Vec<i16>,
    pub(super) reasons: Vec<Option<&'static str>>,
    pub(super) due_in: Vec<i64>,
    /// The fencing token if this node claims it at once, else 0.
    pub(super) tokens: Vec<i64>,
    pub(super) holdings: Vec<Option<Holding>>,
}

/// Columns of the keys of requests.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) requests: Vec<i32>,
    pub(super) names: Vec<String>,
    pub(super) contents: Vec<Vec<u8>>,
    pub(super) ids: Vec<String>,
    /// The latest time of its events, for retention.
    pub(super) at: Vec<i64>,
}

/// Columns of the jobs that may end once: a digest over all ends that exclude each other.
#[derive(Default)]
pub(super) struct Ends {
    pub(super) events: Vec<i32>,
    pub(super) jobs: Vec<Vec<u8>>,
}

/// Columns of the ids that refuse an event.
#[derive(Default)]
pub(super) struct Excludes {
    pub(super) events: Vec<i32>,
    pub(super) ids: Vec<String>,
}

impl Deliveries {
    pub(super) fn add(&mut self, event: i32, delivery: &Delivery, now: Timestamp) {
        let (state, due_at, reason) = match delivery.plan {
            Plan::Send(not_before) => (State::Queued, not_before, None),
            Plan::Suppress(reason) => (State::Suppressed, now, Some(reason.as_str())),
        };
        self.events.push(event);
        self.ids.push(delivery.id.0);
        self.at.push(uuid_millis(delivery.id.0));
        self.kinds.push(delivery.kind.as_str());
        self.lanes.push(lane_code(delivery.lane));
        self.recipients.push(delivery.recipient.as_str().to_owned());
        self.message_ids.push(delivery.message_id.clone());
        self.created_at.push(delivery.created_at.as_millis());
        self.expires_in.push(span(now, delivery.expires_at));
        self.states.push(state_code(state));
        self.reasons.push(reason);
        self.due_in.push(span(now, due_at));
        self.tokens.push(0);
        self.holdings.push(None);
    }
}

/// Milliseconds from one time to another.
pub(super) fn span(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millis() - from.as_millis()
}

/// The job of which these events are the ends; each of them names all others.
pub(super) fn job(id: &EventId, excludes: &[EventId]) -> Vec<u8> {
    let mut ends: Vec<_> = excludes.iter().chain([id]).map(EventId::as_str).collect();
    ends.sort_unstable();
    let mut digest = Context::new(&SHA256);
    for end in ends {
        digest.update(&int(end.len()).to_be_bytes());
        digest.update(end.as_bytes());
    }
    digest.finish().as_ref().to_vec()
}
