//! Payloads of webhooks that could not be understood: kept, so that nothing vanishes.

use serde::{Deserialize, Serialize};

use super::{Queue, StoreError};
use crate::domain::Timestamp;

/// A payload to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookFailure {
    /// The hook that it came to.
    pub hook: String,
    /// What was wrong with it, at most 2,000 characters of it are kept.
    pub why: String,
    /// The payload, without secrets; at most [`HookFailure::MAX_PAYLOAD`] bytes of it are kept.
    pub payload: String,
}

impl HookFailure {
    /// The most bytes of one payload.
    pub const MAX_PAYLOAD: usize = 16 * 1_024;
    /// The most payloads of one hook; the oldest go first.
    pub const MAX_KEPT: u32 = 100;
}

/// A payload that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookFailureRecord {
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
    /// Keeps a payload of a webhook that could not be understood: at most [`HookFailure::MAX_KEPT`]
    /// of one hook, one that comes again counted.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn keep_hook_failure(
        &self,
        failure: HookFailure,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.store.keep_hook_failure(failure, now).await
    }

    /// The latest of those payloads, at most 500, without the payloads themselves.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn hook_failures(&self, limit: u32) -> Result<Vec<HookFailureRecord>, StoreError> {
        self.store.hook_failures(limit.min(500)).await
    }

    /// One of those payloads, if it is on record.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn hook_failure(&self, id: i64) -> Result<Option<HookFailureRecord>, StoreError> {
        self.store.hook_failure(id).await
    }

    /// Forgets those that came last before this.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn forget_hook_failures(&self, before: Timestamp) -> Result<(), StoreError> {
        self.store.forget_hook_failures(before).await
    }
}
