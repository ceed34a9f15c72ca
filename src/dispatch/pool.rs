//! Keeps the right number of attempts under way: claims in batches, settles in batches, sleeps when
//! there is nothing to do.
//!
//! While there is room a claim stands in the store, so a mail that comes in begins as soon as its
//! event is on disk.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::deliver::Bench;
use super::line::Line;
use crate::domain::{Clock, Timestamp};
use crate::queue::{Lease, Queue, SettleError, Settlement, StandingClaim, StoreError};
use crate::telemetry::Metrics;

/// The pause after the store has failed, and its doubled limit.
const STORE_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The longest sleep: a clock that was set forward is noticed at the latest then.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// The longest span of a rate limit.
const LONGEST_RATE: Duration = Duration::from_hours(24);

/// The worker of the queue.
#[derive(Debug)]
pub struct Dispatcher {
    queue: Queue,
    line: Arc<ArcSwap<Line>>,
    changed: Arc<Notify>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// The line in use; the others that still have mails under way are retired.
    current: Arc<Line>,
    /// Whether the current line's servers know what they were given before.
    counting: bool,
    retiring: JoinSet<()>,
    /// With each, how much its times do not make up for yet: [`Clock::followed`] as of the claim.
    running: JoinSet<(Settlement, i64)>,
    /// Cuts off what is under way.
    cut: CancellationToken,
    finished: Vec<Settlement>,
    /// The claim that stays in the store. Its answer is always seen, for the leases in it are
    /// nobody else's.
    standing: Option<StandingClaim>,
    /// Whether to claim although one stands: something may have become due since.
    look: bool,
    /// Why the claim that stood was refused; the next turn waits for it.
    failed: Option<StoreError>,
    store_pause: Duration,
}

/// Puts a new line into a running dispatcher.
#[derive(Debug, Clone)]
pub struct LineHandle {
    line: Arc<ArcSwap<Line>>,
    changed: Arc<Notify>,
}

impl LineHandle {
    /// From now on mails go by the new line; those under way end on the old one, and those that
    /// wait for a connection there come back.
    pub fn replace(&self, line: Line) {
        self.line.store(Arc::new(line));
        self.changed.notify_one();
    }
}

impl Dispatcher {
    /// A dispatcher over a queue.
    pub fn new(queue: Queue, line: Line, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let current = Arc::new(line);
        Self {
            queue,
            line: Arc::new(ArcSwap::new(Arc::clone(&current))),
            changed: Arc::new(Notify::new()),
            clock,
            metrics,
            current,
            counting: false,
            retiring: JoinSet::new(),
            running: JoinSet::new(),
            cut: CancellationToken::new(),
            finished: Vec::new(),
            standing: None,
            look: false,
            failed: None,
            store_pause: Duration::ZERO,
        }
    }

    /// The handle that replaces its line.
    pub fn line(&self) -> LineHandle {
        LineHandle {
            line: Arc::clone(&self.line),
            changed: Arc::clone(&self.changed),
        }
    }

    /// Works until `stop`; then lets the mails under way end, at most until `grace` is over, and
    /// settles what they came to.
    pub async fn run(mut self, stop: CancellationToken, grace: Duration) {
        while !stop.is_cancelled() {
            let Some(until) = self.turn().await else {
                error!("the store is closed while mails are being sent");
                break;
            };
            let (queue, changed, clock) = (
                self.queue.clone(),
                Arc::clone(&self.changed),
                self.clock.clone(),
            );
            let waits = self.standing.is_some();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.running.join_next() => self.collect(done),
                leases = claims::answer(&mut self.standing), if waits => {
                    self.standing = None;
                    self.failed = self.take(leases).err();
                }
                () = queue.wait_for_work(), if waits => self.store_pause = Duration::ZERO,
                () = changed.notified() => {}
                () = clock.sleep_until(until) => self.look = true,
            }
        }
        self.drain(grace).await;
    }

    /// One turn: settles what has ended and claims what there is room for, in one commit of the
    /// store. Says how long to sleep; `None` when the store is closed.
    async fn turn(&mut self) -> Option<Timestamp> {
        while let Some(done) = self.running.try_join_next() {
            self.collect(done);
        }
        if let Some(failed) = self.failed.take() {
            return self.store_failed(&failed);
        }
        if let Err(failed) = self.follow_clock().await {
            warn!("the queue cannot be moved along with the clock: {failed}");
            return self.store_failed(&failed);
        }
        let now = self.clock.now();
        if let Err(failed) = self.change_line(now).await {
            warn!("the queue cannot be read: {failed}");
            return self.store_failed(&failed);
        }
        let settlements = std::mem::take(&mut self.finished);
        // After a failure, what became of mails that were sent goes first.
        let (settles, catches_up) = (
            !settlements.is_empty(),
            !self.store_pause.is_zero() && !settlements.is_empty(),
        );
        let room = if catches_up { None } else { self.room(now) };
        let queue = self.queue.clone();
        let settle = settle(&queue, settlements, now);
        let (settled, claimed) = tokio::join!(settle, self.claim(room, now));
        if let Err(failed) = settled {
            error!(
                "what became of {} mails cannot be stored, will try again: {}",
                failed.settlements.len(),
                failed.error
            );
            self.finished = failed.settlements;
            return self.store_failed(&failed.error);
        }
        if settles {
            self.store_pause = Duration::ZERO;
        }
        match claimed {
            Ok(()) if catches_up => Some(now),
            Ok(()) => Some(self.sleep(now)),
            Err(failed) => self.store_failed(&failed),
        }
    }

    /// When the system's clock was set, moves along what was planned by it, and only then goes by
    /// it: neither does it expire what waits nor put it off.
    async fn follow_clock(&mut self) -> Result<(), StoreError> {
        if self.clock.set_by() == 0 {
            return Ok(());
        }
        // A claim that stands was made by the old time, at which too much or too little is due by
        // the new one.
        self.claim(None, self.clock.now()).await?;
        let _held = self.clock.no_plans().await;
        let set_by = self.clock.set_by();
        // Somebody may have set it right again.
        if set_by == 0 {
            return Ok(());
        }
        let moved = self
            .queue
            .shift_schedule(set_by, self.clock.now().moved(set_by))
            .await?;
        self.current.move_along(set_by);
        self.finished
            .iter_mut()
            .for_each(|settlement| settlement.outcome.move_along(set_by));
        self.clock.follow(set_by);
        warn!(
            "the system clock was set by {} s; the times of {moved} mails that wait are moved along",
            set_by / 1_000
        );
        Ok(())
    }

    /// Takes a new line into use, if there is one, and retires the old one. Its servers go on
    /// counting from what is on record.
    async fn change_line(&mut self, now: Timestamp) -> Result<(), StoreError> {
        while self.retiring.try_join_next().is_some() {}
        let line = self.line.load_full();
        let is_new = !Arc::ptr_eq(&line, &self.current);
        if !is_new && self.counting {
            return Ok(());
        }
        if line.is_metered() {
            let used = self.queue.send_history(now.before(LONGEST_RATE)).await?;
            let old = is_new.then_some(&*self.current);
            line.meter(
                old,
                &used,
                self.running.len().saturating_add(self.finished.len()),
                now,
            );
        }
        self.counting = true;
        if is_new {
            // A claim that stands was made with the old one's lease.
            self.look = true;
            let old = std::mem::replace(&mut self.current, line);
            self.retiring.spawn(old.retire());
        }
        Ok(())
    }

    fn begin(&mut self, leases: Vec<Lease>, now: Timestamp) {
        for lease in leases {
            let reserved = self
                .current
                .reserve(lease.preferred_server.as_ref(), lease.lane, now);
            let (line, clock, metrics) = (
                Arc::clone(&self.current),
                self.clock.clone(),
                Arc::clone(&self.metrics),
            );
            let (queue, followed) = (self.queue.clone(), self.clock.followed());
            let bench = Bench {
                queue,
                line,
                clock,
                metrics,
                cut: self.cut.clone(),
                followed,
            };
            self.running
                .spawn(async move { (bench.deliver(lease, reserved).await, followed) });
        }
    }

    fn collect(&mut self, done: Result<(Settlement, i64), tokio::task::JoinError>) {
        match done {
            Ok((mut settlement, followed)) => {
                settlement
                    .outcome
                    .move_along(self.clock.followed().saturating_sub(followed));
                self.finished.push(settlement);
            }
            // Its lease runs out and the attempt stays counted, so a mail that does this every time
            // ends.
            Err(lost) => error!("an attempt broke down and is left to its lease: {lost}"),
        }
    }

    fn store_failed(&mut self, error: &StoreError) -> Option<Timestamp> {
        let (first, most) = STORE_PAUSE;
        self.store_pause = (self.store_pause * 2).clamp(first, most);
        (!matches!(error, StoreError::Closed)).then(|| self.clock.now().after(self.store_pause))
    }
}

async fn settle(
    queue: &Queue,
    settlements: Vec<Settlement>,
    now: Timestamp,
) -> Result<(), SettleError> {
    if settlements.is_empty() {
        Ok(())
    } else {
        queue.settle(settlements, now).await.map(drop)
    }
}

mod claims;
mod drain;
#[cfg(test)]
mod tests;
