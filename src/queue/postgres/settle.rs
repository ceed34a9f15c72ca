//! Ends leases: one statement for all that wait.
//!
//! The token fences: only a row of `held` with the token of the lease is changed. A settlement
//! without one has been made before, by a commit whose answer was lost, or is stale.

use std::collections::HashSet;

use tokio_postgres::types::Type;

use super::attempt_rows::AttemptRows;
use super::claims::Lanes;
use super::codes::{lane, time, token_number};
use super::connection::Value;
use super::pool::VerbError;
use super::settle_rows::{Ended, EndedColumns, MaskedColumns};
use super::store::{Shared, Store};
use crate::domain::{Lane, State, Timestamp};
use crate::queue::lease::EventKey;
use crate::queue::transition::{self, Row};
use crate::queue::vault;
use crate::queue::{SettleError, Settled, Settlement, StoreError};

/// The most settlements of one statement.
const MOST: usize = 500;

const SETTLE: &str = "SELECT * FROM jobbell.settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
     $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34)";

/// For settlements that `held` does not know.
const STALE: &str = "SELECT * FROM jobbell.settle_stale($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
     $21)";

impl Store {
    pub(in crate::queue) async fn settle(
        &self,
        settlements: Vec<Settlement>,
        now: Timestamp,
    ) -> Result<Vec<Settled>, SettleError> {
        if let Err(error) = self.check_open() {
            return Err(SettleError { error, settlements });
        }
        let ended: Vec<_> = settlements.iter().map(|one| ended(one, now)).collect();
        match end(&self.shared, &ended, now).await {
            Ok(done) => Ok(ended
                .iter()
                .map(|one| {
                    if done.contains(&one.token) {
                        Settled::Done
                    } else {
                        Settled::Stale
                    }
                })
                .collect()),
            Err(error) => Err(SettleError { error, settlements }),
        }
    }
}

fn ended(settlement: &Settlement, now: Timestamp) -> Ended<'_> {
    let lease = &settlement.lease;
    let row = Row {
        attempts: lease.attempt,
        preferred_server: lease.preferred_server.as_deref(),
    };
    let change = transition::settle(row, &settlement.outcome, now);
    let masked = match lease.event_key {
        EventKey::Id(event) if change.ended_at.is_some() && lease.kind.holds_secret() => {
            Some((event, vault::masked(lease.stored.json())))
        }
        _ => None,
    };
    Ended {
        id: lease.id,
        token: token_number(lease.token),
        change,
        attempts: &settlement.attempts,
        masked,
    }
}

fn attempts<'a>(ended: &[&'a Ended<'a>]) -> AttemptRows<'a> {
    let mut rows = AttemptRows::default();
    for one in ended {
        for (place, attempt) in (1..).zip(one.attempts) {
            rows.add(one.id.0, one.token, place, attempt);
        }
    }
    rows
}

/// Ends leases. Returns the tokens of those whose end is on record.
pub(super) async fn end(
    shared: &Shared,
    ended: &[Ended<'_>],
    now: Timestamp,
) -> Result<HashSet<i64>, StoreError> {
    // Sorted, so that two statements do not wait for each other.
    let mut sorted: Vec<_> = ended.iter().collect();
    sorted.sort_unstable_by_key(|one| (one.id, one.token));
    let mut done = HashSet::with_capacity(ended.len());
    for some in sorted.chunks(MOST) {
        match end_some(shared, some, now, &mut done).await {
            Err(StoreError::Failed { .. }) if some.len() > 1 => {
                // One of them may be to blame.
                for one in some {
                    end_some(shared, &[one], now, &mut done).await?;
                }
            }
            other => other?,
        }
    }
    let is_over = |one: &&Ended<'_>| one.change.ended_at.is_some() && done.contains(&one.token);
    shared.pending.ended(ended.iter().filter(is_over).count());
    Ok(done)
}

async fn end_some(
    shared: &Shared,
    ended: &[&Ended<'_>],
    now: Timestamp,
    done: &mut HashSet<i64>,
) -> Result<(), StoreError> {
    let before = done.len();
    settle(shared, ended, now, done).await?;
    if done.len() < before + ended.len() {
        let missing: Vec<_> = (ended.iter().copied())
            .filter(|one| !done.contains(&one.token))
            .collect();
        settle_stale(shared, &missing, now, done).await?;
    }
    Ok(())
}

async fn settle(
    shared: &Shared,
    ended: &[&Ended<'_>],
    now: Timestamp,
    done: &mut HashSet<i64>,
) -> Result<(), VerbError> {
    let columns = EndedColumns::new(ended, now);
    let attempts = attempts(ended);
    let masked = MaskedColumns::new(ended);
    // A node without a life settles, too: `held` decides.
    let (given, node) = (shared.given(now), shared.node());
    let mut connection = shared.work.get().await?;
    let writer = connection.writer();
    let mut values: Vec<Value<'_>> = vec![(&given, Type::INT8)];
    values.extend(columns.keys());
    values.extend(columns.changes());
    values.extend([(&node as _, Type::INT8), (&writer as _, Type::INT2)]);
    values.extend(attempts.values());
    values.extend(masked.values());
    let rows = connection.query_again(SETTLE, &values).await?;
    drop(connection);
    let mut next_due = Lanes::<Option<Timestamp>>::default();
    for row in rows {
        let place: i64 = row.try_get("place")?;
        let Some(one) = ended.get(usize::try_from(place - 1).unwrap_or(usize::MAX)) else {
            continue;
        };
        done.insert(one.token);
        if one.change.state == State::Queued
            && let Some(lane) = lane(row.try_get("lane")?)
        {
            let (now_there, wait) = (
                time(&row, "now")?,
                one.change.due_at.as_millis() - now.as_millis(),
            );
            let due_at = shared.local(now_there.shifted(wait), now_there);
            let next = next_due.of_mut(lane);
            *next = Some(next.map_or(due_at, |next| next.min(due_at)));
        }
    }
    for lane in Lane::ALL {
        if let Some(due_at) = next_due.of(*lane) {
            shared.claims.added(*lane, *due_at);
        }
    }
    Ok(())
}

async fn settle_stale(
    shared: &Shared,
    ended: &[&Ended<'_>],
    now: Timestamp,
    done: &mut HashSet<i64>,
) -> Result<(), VerbError> {
    let columns = EndedColumns::new(ended, now);
    let attempts = attempts(ended);
    let mut values: Vec<Value<'_>> = columns.keys().to_vec();
    values.extend(attempts.values());
    let mut connection = shared.work.get().await?;
    for row in connection.query_again(STALE, &values).await? {
        let place: i64 = row.try_get("place")?;
        let one = ended.get(usize::try_from(place - 1).unwrap_or(usize::MAX));
        done.extend(one.map(|one| one.token));
    }
    Ok(())
}
