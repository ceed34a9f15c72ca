//! Verbs of the operator.
//!
//! One statement reads the delivery, `transition` decides, and another one writes, if the delivery is
//! still what was read. If it is not, a node has claimed it or another operator was first: it is read
//! again.

use super::change::{self, Decision};
use super::pool::LIMIT;
use super::store::Store;
use super::stored::{self, Found};
use crate::domain::{DeliveryId, State, SuppressReason, Timestamp};
use crate::queue::transition::{Change, Stored};
use crate::queue::{DeliveryRecord, OperatorError, StoreError};

/// How often a delivery is read that changes all the time.
const TRIES: usize = 5;

/// What an operator asks for.
#[derive(Debug, Clone, Copy)]
enum Verb {
    /// With the time at which it expires.
    Retry(Timestamp),
    Cancel,
    Suppress(SuppressReason),
}

impl Verb {
    fn change(self, stored: Stored<'_>, now: Timestamp) -> Result<Change<'_>, OperatorError> {
        match self {
            Self::Retry(_) => stored.retry(now),
            Self::Cancel => stored.cancel(now),
            Self::Suppress(reason) => stored.suppress(reason, now),
        }
    }

    /// Whether a statement whose answer was lost has led from `before` to `after`.
    fn is_done(self, before: &Found, after: &Found) -> bool {
        match self {
            Self::Retry(_) => after.retried_at != before.retried_at,
            Self::Cancel => after.record.state == State::Cancelled,
            Self::Suppress(_) => after.record.state == State::Suppressed,
        }
    }
}

impl Store {
    pub(in crate::queue) async fn retry(
        &self,
        id: DeliveryId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        let record = self.operate(id, Verb::Retry(expires_at), now).await?;
        self.shared.claims.woken();
        self.shared.notify.wake();
        Ok(record)
    }

    pub(in crate::queue) async fn cancel(
        &self,
        id: DeliveryId,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        self.operate(id, Verb::Cancel, now).await
    }

    pub(in crate::queue) async fn suppress(
        &self,
        id: DeliveryId,
        reason: SuppressReason,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        self.operate(id, Verb::Suppress(reason), now).await
    }

    async fn operate(
        &self,
        id: DeliveryId,
        verb: Verb,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        tokio::time::timeout(LIMIT, self.try_operate(id, verb, now))
            .await
            .unwrap_or_else(|_| Err(StoreError::Busy.into()))
    }

    async fn try_operate(
        &self,
        id: DeliveryId,
        verb: Verb,
        now: Timestamp,
    ) -> Result<DeliveryRecord, OperatorError> {
        let mut unknown = None;
        for _ in 0..TRIES {
            let found = stored::find(&self.shared, id, now).await?;
            let found = found.filter(|found| !found.is_closed());
            let found = found.ok_or(OperatorError::NotFound)?;
            if let Some((before, _)) = &unknown
                && verb.is_done(before, &found)
            {
                return Ok(found.record);
            }
            let change = verb.change(found.stored(), found.now)?;
            let decision = Decision {
                found: &found,
                change: &change,
                expires_in: expires_in(verb, &found, now),
                given: self.shared.given(now),
            };
            let written = change::write(&self.shared, &decision).await;
            match written {
                Ok(Some(at)) => return Ok(changed(&found, &change, at)),
                Ok(None) => {}
                Err(error) if error.is_conflict() => {}
                Err(error) if unknown.is_none() && error.may_be_committed() => {
                    unknown = Some((found, error));
                }
                Err(error) => return Err(StoreError::from(error).into()),
            }
        }
        Err(unknown
            .map_or(StoreError::Busy, |(_, error)| error.into())
            .into())
    }
}

/// How long after now a retried delivery expires. A queued one keeps its expiry, and a retry does not
/// extend the TTL of a message.
fn expires_in(verb: Verb, found: &Found, now: Timestamp) -> i64 {
    match verb {
        Verb::Retry(expires_at) if !found.has_ttl => expires_at.as_millis() - now.as_millis(),
        _ => found.expires_at.as_millis() - found.now.as_millis(),
    }
}

/// The record after the change, which was made at `at`.
fn changed(found: &Found, change: &Change<'_>, at: Timestamp) -> DeliveryRecord {
    DeliveryRecord {
        state: change.state,
        reason: change.reason.map(str::to_owned),
        next_attempt_at: (change.state == State::Queued).then_some(at),
        sent_at: None,
        ..found.record.clone()
    }
}
