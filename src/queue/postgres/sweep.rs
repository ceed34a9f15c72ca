//! Returns to the queue what this node holds in the database although nobody in memory does: the
//! task died, the lease was dropped, or the answer to a claim was lost.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::types::Type;

use super::codes::{lane, time, token_code};
use super::pool::VerbError;
use super::store::Shared;
use crate::domain::Timestamp;
use crate::queue::LEASE;
use crate::queue::held::HeldLeases;

/// The ends given by the claims. They are not renewed in the database, so some that are over are
/// still in use.
const HELD: &str = "SELECT token, until, coalesce($1::bigint, jobbell.now_ms()) AS now FROM jobbell.held WHERE node = $2";

/// The last number is what is subtracted from the attempts. The token in `due` is that of a
/// settlement, and there was none.
const RELEASE: &str = "WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now), \
     x AS (DELETE FROM jobbell.held WHERE node = $2 AND token = ANY ($3) RETURNING *), \
     q AS (INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token, preferred_server) \
         SELECT delivery, at, lane, least(until, (SELECT now FROM t)), greatest(0, attempts - $4), 0, preferred_server FROM x), \
     c AS (INSERT INTO jobbell.counts AS c (node, writer, queued, sending) SELECT $2, $5, count(*), -count(*) FROM x HAVING count(*) > 0 \
         ON CONFLICT (node, writer) DO UPDATE SET queued = c.queued + excluded.queued, sending = c.sending + excluded.sending) \
     SELECT lane, count(*) AS number FROM x GROUP BY lane";

/// The pause before leases are looked at again that are in use after the end given by the claim.
const PERIOD: Duration = Duration::from_secs(LEASE.as_secs() / 3);
/// The pause between two attempts to release what was lost.
const PAUSE: Duration = Duration::from_secs(1);

/// When to sweep, and what to release.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Tokens of statements whose result is unknown, and when the statement was given up.
    lost: Vec<(i64, Timestamp)>,
    released: Option<Instant>,
}

impl Schedule {
    /// Waits until lost tokens should be looked for again.
    pub(super) async fn wait(&self) {
        if self.lost.is_empty() {
            std::future::pending::<()>().await;
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Does what is due; errors only delay it. Returns whether anything returned to the queue.
    pub(super) async fn run(&mut self, shared: &Shared) -> bool {
        let now = shared.clock.now();
        let lost = shared.lost.take();
        self.lost.extend(lost.into_iter().map(|token| (token, now)));
        // The statement may still be running there, so it is looked for until its leases end.
        self.lost.retain(|(_, since)| now < since.after(LEASE));
        let mut found = 0;
        let may_release = self.released.is_none_or(|last| last.elapsed() >= PAUSE);
        if !self.lost.is_empty() && may_release {
            let is_unknown = |token: &i64| !shared.held.contains((0, token_code(*token)));
            let tokens: Vec<_> = (self.lost.iter())
                .map(|(token, _)| *token)
                .filter(is_unknown)
                .collect();
            let released = release(shared, &tokens, Attempt::Uncounted, now).await;
            found += released.unwrap_or(0);
            self.released = Some(Instant::now());
        }
        if shared.claims.take_end(now) {
            let claimer = shared.claims.held();
            let claimer = claimer.as_ref().map(|(held, lease)| (held, *lease));
            match run(shared, claimer, now).await {
                Ok(number) => found += number,
                // Not at once, so that the claims that depend on it do not run without a pause.
                Err(_) => shared.claims.ends_at(Some(now.after(PAUSE))),
            }
        }
        found > 0
    }
}

/// Whether the attempt of a released lease counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// It may have crashed the task.
    Counted,
    /// It never began.
    Uncounted,
}

/// Returns expired leases to the queue that nobody holds; their number. Those of the claimer are
/// renewed instead.
pub(super) async fn run(
    shared: &Shared,
    claimer: Option<(&HeldLeases, Duration)>,
    now: Timestamp,
) -> Result<i64, VerbError> {
    let (life, given) = (shared.life()?, shared.given(now));
    let values: [super::connection::Value<'_>; 2] =
        [(&given, Type::INT8), (&life.node, Type::INT8)];
    let (mut unknown, mut in_use) = (Vec::new(), Vec::new());
    for row in shared.work.query(HELD, &values).await? {
        let (token, until): (i64, _) = (row.try_get("token")?, time(&row, "until")?);
        let key = (0, token_code(token));
        if until > time(&row, "now")? {
            shared.claims.ends_at(Some(until));
        } else if claimer.is_some_and(|(held, _)| held.contains(key)) {
            in_use.push(key);
        } else if !shared.held.holds_at(key, now) {
            unknown.push(token);
        }
        // Else it is in use by an earlier claimer.
    }
    if let Some((held, lease)) = claimer {
        in_use.retain(|key| !held.holds_at(*key, now));
        held.extend(&in_use, now.after(lease));
    }
    shared.claims.ends_at(Some(now.after(PERIOD)));
    release(shared, &unknown, Attempt::Counted, now).await
}

/// Returns the rows with these tokens to the queue; their number.
async fn release(
    shared: &Shared,
    tokens: &[i64],
    attempt: Attempt,
    now: Timestamp,
) -> Result<i64, VerbError> {
    if tokens.is_empty() {
        return Ok(0);
    }
    let (life, given) = (shared.life()?, shared.given(now));
    let uncounted = i32::from(attempt == Attempt::Uncounted);
    let mut connection = shared.work.get().await?;
    let values: [super::connection::Value<'_>; 5] = [
        (&given, Type::INT8),
        (&life.node, Type::INT8),
        (&tokens, Type::INT8_ARRAY),
        (&uncounted, Type::INT4),
        (&connection.writer(), Type::INT2),
    ];
    let rows = connection.query_again(RELEASE, &values).await?;
    let mut released = 0;
    for row in rows {
        let number: i64 = row.try_get("number")?;
        tracing::warn!(
            "returned {number} mails to the queue that were claimed but that nobody was sending"
        );
        if let Some(lane) = lane(row.try_get("lane")?) {
            shared.claims.added(lane, shared.clock.now());
        }
        released += number;
    }
    Ok(released)
}
