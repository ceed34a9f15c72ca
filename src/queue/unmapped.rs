//! Payloads of webhooks that could not be understood: kept, so that nothing vanishes.

use serde::{Deserialize, Serialize};

use super::{Queue, StoreError};
use crate::domain::Timestamp;

/// A payload to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmappedPayload {
    /// The hook that it came to.
    pub hook: String,
    /// What was wrong with it, at most 2,000 characters of it are kept.
    pub why: String,
    /// The payload, without secrets; at most [`UnmappedPayload::MAX_PAYLOAD`] bytes of it are kept.
    pub payload: String,
}

impl UnmappedPayload {
    /// The most bytes of one payload.
    pub const MAX_PAYLOAD: usize = 16 * 1_024;
    /// The most payloads of one hook; the oldest go first.
    pub const MAX_KEPT: u32 = 100;
}

/// A payload that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmappedRecord {
    /// Its number.
    pub id: i64,
    /// The hook that it came to.
    pub hook: String,
    /// When it came first.
    pub first_at: Timestamp,
    /// When it came last.
    pub last_at: Timestamp,
    /// How often it came.
    pub times: u32,
    /// What was wrong with it.
    pub why: String,
    /// The payload; in lists it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

/// The queue's verbs for them.
impl Queue {
    /// Keeps a payload of a webhook that could not be understood: at most [`UnmappedPayload::MAX_KEPT`]
    /// of one hook, one that comes again counted.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn keep_unmapped(
        &self,
        failure: UnmappedPayload,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.store.keep_unmapped(failure, now).await
    }

    /// The latest of those payloads, at most 500, without the payloads themselves.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn unmapped(&self, limit: u32) -> Result<Vec<UnmappedRecord>, StoreError> {
        self.store.unmapped(limit.min(500)).await
    }

    /// One of those payloads, if it is on record.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn find_unmapped(&self, id: i64) -> Result<Option<UnmappedRecord>, StoreError> {
        self.store.find_unmapped(id).await
    }

    /// Forgets those that came last before this.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn purge_unmapped(&self, before: Timestamp) -> Result<(), StoreError> {
        self.store.purge_unmapped(before).await
    }
}
