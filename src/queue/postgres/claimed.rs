//! Reads what a claim returned.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::claims::Lanes;
use super::codes::{lane, time, token_code, unsigned};
use super::pool::VerbError;
use crate::clock::Fence;
use crate::domain::{DeliveryId, EventId, Lane, MailKind, Recipient, Timestamp};
use crate::queue::lease::{EventKey, StoredEvent};
use crate::queue::vault::{self, Opened, Vault};
use crate::queue::{Lease, transition};

/// The answer to a claim.
pub(super) struct Claimed {
    /// The time of the database.
    pub(super) now: Timestamp,
    /// The first due time of each lane after `now`.
    pub(super) next_due: Lanes<Option<Timestamp>>,
    /// Urgent ones first, then by due time.
    pub(super) rows: Vec<ClaimedRow>,
    until: Timestamp,
    fence: Fence,
}

/// A claimed delivery.
pub(super) struct ClaimedRow {
    pub(super) id: Uuid,
    pub(super) lane: Lane,
    pub(super) due_at: Timestamp,
    pub(super) attempts: u32,
    pub(super) token: i64,
    row: Row,
}

/// The events of a claim by their ids; `None` for one that cannot be read.
type Events = HashMap<Uuid, Option<ReadEvent>>;

struct ReadEvent {
    id: EventId,
    stored: Arc<StoredEvent>,
    has_thumbnails: bool,
}

impl Claimed {
    /// The fence is that of the node's life, which its leases share.
    pub(super) fn read(rows: Vec<Row>, lease: Duration, fence: Fence) -> Result<Self, VerbError> {
        let past = Timestamp::from_millis(0);
        let mut claimed = Self {
            now: past,
            until: past,
            fence,
            next_due: Lanes::default(),
            rows: Vec::with_capacity(rows.len()),
        };
        for row in rows {
            if claimed.rows.is_empty() {
                let moment = |column| {
                    let millis: Option<i64> = row.try_get(column)?;
                    Ok::<_, VerbError>(millis.map(Timestamp::from_millis))
                };
                claimed.now = time(&row, "now")?;
                claimed.until = claimed.now.after(lease);
                claimed.next_due = Lanes {
                    urgent: moment("next_urgent")?,
                    normal: moment("next_normal")?,
                };
            }
            claimed.rows.extend(ClaimedRow::read(row)?);
        }
        claimed
            .rows
            .sort_by_key(|row| (row.lane, row.due_at, row.id));
        Ok(claimed)
    }

    pub(super) fn number_of(&self, lane: Lane) -> usize {
        self.rows.iter().filter(|row| row.lane == lane).count()
    }

    /// The due time of the first delivery of a lane.
    pub(super) fn oldest(&self, lane: Lane) -> Option<Timestamp> {
        let first = self.rows.iter().find(|row| row.lane == lane);
        first.map(|row| row.due_at)
    }

    /// The leases, and the rows that cannot be read.
    pub(super) fn leases(self, vault: &Vault) -> (Vec<Lease>, Vec<ClaimedRow>) {
        let events = self.events(vault);
        let mut leases = Vec::with_capacity(self.rows.len());
        let mut unreadable = Vec::new();
        for row in self.rows {
            match row.lease(&events, self.until, &self.fence) {
                Some(lease) => leases.push(lease),
                None => unreadable.push(row),
            }
        }
        (leases, unreadable)
    }

    /// Deliveries of one event share it.
    fn events(&self, vault: &Vault) -> Events {
        let mut events = Events::new();
        for ClaimedRow { row, .. } in &self.rows {
            let event = get::<Uuid>(row, "event").zip(get::<&[u8]>(row, "payload"));
            if let Some((event, payload)) = event {
                events.insert(event, ReadEvent::new(row, payload, vault));
            }
        }
        events
    }
}

impl ReadEvent {
    /// A masked, removed or damaged payload is unreadable.
    fn new(row: &Row, payload: &[u8], vault: &Vault) -> Option<Self> {
        let id = EventId::parse(get(row, "event_id")?).ok()?;
        match vault::open(vault, id.as_str(), payload) {
            Opened::Whole(json) => Some(Self {
                id,
                stored: Arc::new(StoredEvent::new(&json)),
                has_thumbnails: get(row, "thumbnails")?,
            }),
            Opened::Masked(_) | Opened::Gone | Opened::Damaged => None,
        }
    }
}

impl ClaimedRow {
    /// `None` for the row of a claim that found nothing.
    fn read(row: Row) -> Result<Option<Self>, VerbError> {
        let Some(id) = row.try_get("delivery")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            id,
            lane: lane(row.try_get("lane")?).unwrap_or(Lane::Normal),
            due_at: time(&row, "due_at")?,
            attempts: unsigned(&row, "attempts")?,
            token: row.try_get("token")?,
            row,
        }))
    }

    fn lease(&self, events: &Events, until: Timestamp, fence: &Fence) -> Option<Lease> {
        let row = &self.row;
        let event_key: Uuid = get(row, "event")?;
        let event = events.get(&event_key)?.as_ref()?;
        let moment = |column| get(row, column).map(Timestamp::from_millis);
        Some(Lease {
            id: DeliveryId(self.id),
            event_id: event.id.clone(),
            message_id: get(row, "message_id")?,
            recipient: Recipient::parse(get(row, "recipient")?).ok()?,
            kind: MailKind::from_name(get(row, "kind")?)?,
            lane: self.lane,
            attempt: self.attempts,
            token: token_code(self.token),
            until,
            created_at: moment("created_at")?,
            expires_at: moment("expires_at")?,
            preferred_server: self.preferred_server().map(Into::into),
            stored: Arc::clone(&event.stored),
            event_key: EventKey::Id(event_key),
            has_thumbnails: event.has_thumbnails,
            row_seq: 0,
            fence: fence.clone(),
            holding: None,
        })
    }

    /// The delivery before it was claimed.
    pub(super) fn before(&self) -> transition::Row<'_> {
        transition::Row {
            attempts: self.attempts.saturating_sub(1),
            preferred_server: self.preferred_server(),
        }
    }

    fn preferred_server(&self) -> Option<&str> {
        get(&self.row, "preferred_server")
    }
}

/// A value that this version can read.
fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &str) -> Option<T> {
    row.try_get::<_, Option<T>>(column).ok().flatten()
}
