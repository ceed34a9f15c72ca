//! A delivery as an operator finds it.

use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::codes::{time, unsigned, uuid_millis};
use super::connection::Value;
use super::pool::VerbError;
use super::rows;
use super::store::Shared;
use crate::domain::{DeliveryId, Event, ServerName, State, Timestamp};
use crate::queue::transition::{Row, Stored};
use crate::queue::vault::{self, Opened, Vault};
use crate::queue::{DeliveryRecord, StoreError};

const FIND: &str = concat!(
    "SELECT ",
    rows::delivery_columns!(),
    ", d.event, d.event_at, d.expires_at, d.retried_at, coalesce(q.attempts, d.attempts) AS counted, coalesce(q.token, d.token) AS token, \
        CASE WHEN q.delivery IS NULL THEN d.preferred_server ELSE q.preferred_server END AS preferred_server, \
        EXISTS (SELECT FROM jobbell.weeks w WHERE w.first <= d.at AND w.until > d.at AND w.ending <> 0) AS is_ending, \
        coalesce($1::bigint, jobbell.now_ms()) AS now, (SELECT e.payload FROM jobbell.events e WHERE e.at = d.event_at AND e.event = d.event) AS payload \
     FROM jobbell.deliveries d LEFT JOIN jobbell.due q ON q.delivery = d.id AND d.state = 0 WHERE d.at = $2 AND d.id = $3"
);

/// A delivery on record, and what else decides about it.
pub(super) struct Found {
    pub(super) record: DeliveryRecord,
    pub(super) event: (i64, Uuid),
    /// The token of its last settlement, which tells whether it has changed.
    pub(super) token: i64,
    pub(super) retried_at: Option<Timestamp>,
    pub(super) expires_at: Timestamp,
    /// Whether `expires_at` is the end of the message's own TTL.
    pub(super) has_ttl: bool,
    /// The payload with its secrets masked, if it has any.
    pub(super) masked: Option<Vec<u8>>,
    /// Whether it is about to be removed with its week, if it has ended.
    is_ending: bool,
    /// When it was found.
    pub(super) now: Timestamp,
    attempts: u32,
    preferred_server: Option<ServerName>,
    is_redacted: bool,
}

impl Found {
    pub(super) fn stored(&self) -> Stored<'_> {
        Stored {
            row: Row {
                attempts: self.attempts,
                preferred_server: self.preferred_server.as_deref(),
            },
            state: self.record.state,
            ttl_end: self.has_ttl.then_some(self.expires_at),
            is_redacted: self.is_redacted,
            retried_at: self.retried_at,
        }
    }

    /// Whether it does not change any more.
    pub(super) fn is_closed(&self) -> bool {
        self.is_ending && !matches!(self.record.state, State::Queued | State::Sending)
    }

    fn read(vault: &Vault, row: &SqlRow) -> Result<Self, VerbError> {
        let record = rows::delivery(row)?;
        let payload = row.try_get::<_, Option<&[u8]>>("payload")?;
        let payload = payload.unwrap_or_default();
        let opened = vault::open(vault, record.event_id.as_str(), payload);
        let (event, masked) = match &opened {
            Opened::Whole(json) => (
                serde_json::from_slice::<Event>(json).ok(),
                (record.kind.holds_secret()).then(|| vault::masked(json)),
            ),
            Opened::Masked(json) => (serde_json::from_slice(json).ok(), None),
            // An unreadable event ends as unrenderable later.
            Opened::Gone | Opened::Damaged => (None, None),
        };
        let retried_at: Option<i64> = row.try_get("retried_at")?;
        let preferred_server: Option<&str> = row.try_get("preferred_server")?;
        Ok(Self {
            event: (row.try_get("event_at")?, row.try_get("event")?),
            token: row.try_get("token")?,
            retried_at: retried_at.map(Timestamp::from_millis),
            expires_at: time(row, "expires_at")?,
            has_ttl: event.is_some_and(|event| event.ttl().is_some()),
            masked,
            is_ending: row.try_get("is_ending")?,
            now: time(row, "now")?,
            attempts: unsigned(row, "counted")?,
            preferred_server: preferred_server.map(Into::into),
            is_redacted: vault::is_redacted(payload),
            record,
        })
    }
}

/// Finds a delivery; `None` if there is none.
pub(super) async fn find(
    shared: &Shared,
    id: DeliveryId,
    now: Timestamp,
) -> Result<Option<Found>, StoreError> {
    let (given, at) = (shared.given(now), uuid_millis(id.0));
    let values: [Value<'_>; 3] = [(&given, Type::INT8), (&at, Type::INT8), (&id.0, Type::UUID)];
    let rows = shared.reads.query(FIND, &values).await?;
    let vault = shared.vault()?;
    let found = rows.first().map(|row| Found::read(vault, row));
    Ok(found.transpose()?)
}
