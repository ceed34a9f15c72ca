//! Webhook payloads that could not be mapped to an event, kept for the operator.

use serde::{Deserialize, Serialize};

use super::{Queue, StoreError};
use crate::domain::Timestamp;

/// A payload to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmappedPayload {
    /// Its hook.
    pub hook: String,
    /// The reason; at most 2,000 characters are kept.
    pub why: String,
    /// The payload without secrets; at most [`UnmappedPayload::MAX_PAYLOAD`] bytes are kept.
    pub payload: String,
}

impl UnmappedPayload {
    /// The most bytes of one payload.
    pub const MAX_PAYLOAD: usize = 16 * 1_024;
    /// The most payloads of one hook; the oldest are removed first.
    pub const MAX_KEPT: u32 = 100;
    /// The most characters of a reason.
    const MAX_WHY: usize = 2_000;

    /// The part of the payload that is kept.
    pub(super) fn kept_payload(&self) -> &str {
        let end = self.payload.floor_char_boundary(Self::MAX_PAYLOAD);
        self.payload.get(..end).unwrap_or_default()
    }

    /// The part of the reason that is kept.
    pub(super) fn kept_why(&self) -> String {
        self.why.chars().take(Self::MAX_WHY).collect()
    }
}

/// A payload on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmappedRecord {
    /// Its number.
    pub id: i64,
    /// Its hook.
    pub hook: String,
    /// When it arrived first.
    pub first_at: Timestamp,
    /// When it arrived last.
    pub last_at: Timestamp,
    /// The number of arrivals.
    pub times: u32,
    /// The reason.
    pub why: String,
    /// The payload; omitted in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// Verbs for unmapped payloads.
impl Queue {
    /// Keeps a payload, or counts it if it is on record: at most [`UnmappedPayload::MAX_KEPT`] of
    /// one hook.
    ///
    /// # Errors
    /// When the write fails.
    pub async fn keep_unmapped(
        &self,
        failure: UnmappedPayload,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        on_store!(self, store => store.keep_unmapped(failure, now).await)
    }

    /// The latest records, at most 500, without their payloads.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn unmapped(&self, limit: u32) -> Result<Vec<UnmappedRecord>, StoreError> {
        let records = on_store!(self, store => store.unmapped(limit.min(500)).await)?.into_iter();
        Ok(records.map(|record| self.shown(record)).collect())
    }

    /// The record with this id, if any.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_unmapped(&self, id: i64) -> Result<Option<UnmappedRecord>, StoreError> {
        let found = on_store!(self, store => store.find_unmapped(id).await)?;
        Ok(found.map(|record| self.shown(record)))
    }

    fn shown(&self, record: UnmappedRecord) -> UnmappedRecord {
        UnmappedRecord {
            first_at: self.clock().to_wall(record.first_at),
            last_at: self.clock().to_wall(record.last_at),
            ..record
        }
    }
}
