//! Claims deliveries that are due, by one statement.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

use super::claimed::Claimed;
use super::claims::{Lanes, LowerBounds, Taken};
use super::settle;
use super::settle_rows::Ended;
use super::store::{Shared, Store};
use super::sweep;
use crate::domain::{DeadReason, DeliveryId, Lane, Outcome, Timestamp};
use crate::queue::claimer::ClaimRequest;
use crate::queue::held::Renewal;
use crate::queue::transition;
use crate::queue::{ClaimLimit, Lease, StoreError};

/// The most deliveries of each kind that one statement claims.
const MOST: usize = 1_000;

/// Takes from both lanes what [`ClaimLimit`] allows.
const CLAIM: &str = "SELECT * FROM jobbell.claim($1, $2, $3, $4, $5, $6, $7, $8, $9)";

impl Store {
    pub(in crate::queue) async fn claim(
        &self,
        limit: ClaimLimit,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Lease>, StoreError> {
        self.check_open()?;
        sweep::run(&self.shared, None, now).await?;
        let lows = LowerBounds::default().get(now);
        let claimed = run(&self.shared, bounded(limit), lease, now, lows).await?;
        let leases = leases(&self.shared, claimed, now).await?;
        let first_end = leases.iter().map(|lease| lease.until).min();
        self.shared.claims.ends_at(first_end);
        Ok(leases)
    }

    /// Sets the pending claim. Returns after it was tried, so that a later event is not claimed
    /// before it.
    pub(in crate::queue) async fn set_claim(
        &self,
        request: ClaimRequest,
    ) -> Result<(), StoreError> {
        self.check_open()?;
        self.shared.claims.replace(request);
        tokio::select! {
            () = self.closed.cancelled() => Err(StoreError::Closed),
            () = self.shared.claims.tried() => Ok(()),
        }
    }

    /// Extends leases in memory: the lease is the node's.
    #[expect(clippy::unused_async, reason = "the same signature as with SQLite")]
    pub(in crate::queue) async fn renew(&self, renewal: Renewal) -> Result<(), StoreError> {
        self.check_open()?;
        renewal.committed();
        self.shared.claims.wake();
        Ok(())
    }

    /// Removes the pending claim. After this, it is given no more leases.
    pub(in crate::queue) async fn stop_claim(&self) -> Result<(), StoreError> {
        self.shared.claims.remove();
        tokio::select! {
            () = self.closed.cancelled() => Err(StoreError::Closed),
            () = self.shared.claims.idle() => Ok(()),
        }
    }
}

/// Runs the statements of the pending claim, and the sweeps, until the store is closed.
pub(super) async fn keep(shared: Arc<Shared>, closed: CancellationToken) {
    let mut bounds = LowerBounds::default();
    let mut sweeps = sweep::Schedule::default();
    loop {
        tokio::select! {
            () = closed.cancelled() => return,
            () = shared.claims.work() => {}
            () = sweeps.wait() => {}
        }
        loop {
            // Before each claim: a lease that is over makes the request due until it was looked at.
            if sweeps.run(&shared).await {
                bounds = LowerBounds::default();
            }
            let Some(taken) = shared.claims.take() else {
                break;
            };
            let answer = claim(&shared, &taken, &mut bounds).await;
            taken.answer(answer);
        }
    }
}

/// Claims for the request.
async fn claim(
    shared: &Shared,
    taken: &Taken,
    bounds: &mut LowerBounds,
) -> Result<Vec<Lease>, StoreError> {
    if shared.life()?.draining.load(Ordering::Acquire) {
        for lane in Lane::ALL {
            shared.claims.emptied(*lane, None);
        }
        return Ok(Vec::new());
    }
    let (limit, now) = (bounded(taken.limit()), shared.clock.now());
    let claimed = run(shared, limit, taken.lease(), now, bounds.get(now)).await?;
    let asked = Lanes {
        urgent: limit.urgent + limit.normal,
        normal: (limit.normal).saturating_sub(claimed.number_of(Lane::Urgent)),
    };
    for lane in Lane::ALL {
        let (asked, found) = (*asked.of(*lane), claimed.number_of(*lane));
        if asked == 0 {
            continue;
        }
        if found < asked {
            let next_due = claimed.next_due.of(*lane);
            let next_due = next_due.map(|due| shared.local(due, claimed.now));
            shared.claims.emptied(*lane, next_due);
        } else {
            shared.claims.left(*lane);
        }
        let oldest = claimed.oldest(*lane).unwrap_or(claimed.now);
        bounds.claimed(*lane, oldest.as_millis(), claimed.now.as_millis());
    }
    leases(shared, claimed, now).await
}

/// Keeps statements and blocks of tokens within a reasonable size.
fn bounded(limit: ClaimLimit) -> ClaimLimit {
    ClaimLimit {
        urgent: limit.urgent.min(MOST),
        normal: limit.normal.min(MOST),
    }
}

/// Runs the statement.
async fn run(
    shared: &Shared,
    limit: ClaimLimit,
    lease: Duration,
    now: Timestamp,
    lows: Lanes<i64>,
) -> Result<Claimed, StoreError> {
    let life = shared.life()?;
    let number = |slots| i64::try_from(slots).unwrap_or(i64::MAX);
    let (all, normal) = (number(limit.urgent + limit.normal), number(limit.normal));
    let first_token = life.tokens(all);
    let given = shared.given(now);
    let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
    let mut connection = shared.work.get().await?;
    let writer = connection.writer();
    let values: [super::connection::Value<'_>; 9] = [
        (&given, Type::INT8),
        (&life.node, Type::INT8),
        (&all, Type::INT8),
        (&normal, Type::INT8),
        (&first_token, Type::INT8),
        (&lease_ms, Type::INT8),
        (&lows.urgent, Type::INT8),
        (&lows.normal, Type::INT8),
        (&writer, Type::INT2),
    ];
    let answer = connection.query_again(CLAIM, &values).await;
    if let Err(error) = &answer
        && error.may_be_committed()
    {
        shared
            .lost
            .add(first_token..first_token.saturating_add(all));
        shared.claims.wake();
    }
    Ok(Claimed::read(answer?, lease, life.fence.fence())?)
}

/// The leases of a claim. Rows that cannot be read are dead: otherwise they would stay the first
/// due rows and block the lane.
async fn leases(
    shared: &Shared,
    claimed: Claimed,
    now: Timestamp,
) -> Result<Vec<Lease>, StoreError> {
    let (leases, unreadable) = claimed.leases(shared.vault()?);
    let outcome = Outcome::Dead(DeadReason::Unrenderable);
    let ended: Vec<_> = (unreadable.iter())
        .map(|row| Ended {
            id: DeliveryId(row.id),
            token: row.token,
            change: transition::settle(row.before(), &outcome, now),
            attempts: &[],
            masked: None,
        })
        .collect();
    // If it fails, their leases end, and the next claim finds them.
    if !ended.is_empty()
        && let Err(error) = settle::end(shared, &ended, now).await
    {
        tracing::warn!(
            "could not end {} mails that this version cannot read: {error}",
            ended.len()
        );
    }
    Ok(leases)
}
