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

use super::deliver::AttemptContext;
use super::pipeline::Pipeline;
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::queue::{
    ClaimLimit, Claimer, LEASE, Lease, Queue, SettleError, Settled, Settlement, StoreError,
};
use crate::telemetry::Metrics;

/// The pause after the store has failed, and its doubled limit.
const STORE_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The longest sleep: timers stand still while the machine is suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// The longest span of a rate limit.
const LONGEST_RATE: Duration = Duration::from_hours(24);

/// The worker of the queue.
#[derive(Debug)]
pub struct Dispatcher {
    queue: Queue,
    pipeline: Arc<ArcSwap<Pipeline>>,
    changed: Arc<Notify>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// The line in use; the others that still have mails under way are retired.
    current: Arc<Pipeline>,
    /// Whether the current line's servers know what they were given before.
    counting: bool,
    draining: JoinSet<()>,
    running: JoinSet<Settlement>,
    /// Cuts off what is under way.
    abort: CancellationToken,
    finished: Vec<Settlement>,
    claimer: Claimer,
    /// Why the last claim failed; handled by the next tick.
    failed: Option<StoreError>,
    store_pause: Duration,
}

/// Puts a new line into a running dispatcher.
#[derive(Debug, Clone)]
pub struct ReloadHandle {
    pipeline: Arc<ArcSwap<Pipeline>>,
    changed: Arc<Notify>,
}

impl ReloadHandle {
    /// From now on mails go by the new line; those under way end on the old one, and those that
    /// wait for a connection there come back.
    pub fn replace(&self, pipeline: Pipeline) {
        self.pipeline.store(Arc::new(pipeline));
        self.changed.notify_one();
    }
}

impl Dispatcher {
    /// A dispatcher over a queue.
    pub fn new(queue: Queue, pipeline: Pipeline, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let current = Arc::new(pipeline);
        let claimer = queue.claimer(clock.clone());
        Self {
            queue,
            pipeline: Arc::new(ArcSwap::new(Arc::clone(&current))),
            changed: Arc::new(Notify::new()),
            clock,
            metrics,
            current,
            counting: false,
            draining: JoinSet::new(),
            running: JoinSet::new(),
            abort: CancellationToken::new(),
            finished: Vec::new(),
            claimer,
            failed: None,
            store_pause: Duration::ZERO,
        }
    }

    /// The handle that replaces its line.
    pub fn reload_handle(&self) -> ReloadHandle {
        ReloadHandle {
            pipeline: Arc::clone(&self.pipeline),
            changed: Arc::clone(&self.changed),
        }
    }

    /// Works until `stop`; then lets the mails under way end, at most until `grace` is over, and
    /// settles what they came to.
    pub async fn run(mut self, stop: CancellationToken, grace: Duration) {
        while !stop.is_cancelled() {
            let Some(until) = self.tick().await else {
                error!("the store is closed while mails are being sent");
                break;
            };
            let (changed, clock) = (Arc::clone(&self.changed), self.clock.clone());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.running.join_next() => self.finish(done),
                leases = self.claimer.next() => self.failed = self.take(leases).err(),
                () = changed.notified() => {}
                () = clock.sleep_until(until) => {}
            }
        }
        self.shut_down(grace).await;
    }

    /// One turn: settles what has ended and claims what there is room for, in one commit of the
    /// store. Says how long to sleep; `None` when the store is closed.
    async fn tick(&mut self) -> Option<Timestamp> {
        while let Some(done) = self.running.try_join_next() {
            self.finish(done);
        }
        if let Some(failed) = self.failed.take() {
            return self.store_failed(&failed);
        }
        let now = self.clock.now();
        if let Err(failed) = self.change_pipeline(now).await {
            warn!("the queue cannot be read: {failed}");
            return self.store_failed(&failed);
        }
        let settlements = std::mem::take(&mut self.finished);
        // After a failure, what became of mails that were sent goes first.
        let (settles, catches_up) = (
            !settlements.is_empty(),
            !self.store_pause.is_zero() && !settlements.is_empty(),
        );
        let limit = if catches_up {
            ClaimLimit::NONE
        } else {
            self.claim_limit(now)
        };
        let settle = settle(&self.queue, &self.metrics, settlements, now);
        let claim = self.claimer.set(limit, LEASE);
        let (settled, claimed) = tokio::join!(settle, claim);
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

    /// Takes a new line into use, if there is one, and retires the old one. Its servers go on
    /// counting from what is on record.
    async fn change_pipeline(&mut self, now: Timestamp) -> Result<(), StoreError> {
        while self.draining.try_join_next().is_some() {}
        let pipeline = self.pipeline.load_full();
        let is_new = !Arc::ptr_eq(&pipeline, &self.current);
        if !is_new && self.counting {
            return Ok(());
        }
        if pipeline.is_rate_limited() {
            let history = self.queue.send_history(now.before(LONGEST_RATE)).await?;
            let previous = is_new.then_some(&*self.current);
            let unsettled = self.running.len().saturating_add(self.finished.len());
            pipeline.set_rate_limiters(previous, &history, unsettled, now);
        }
        self.counting = true;
        if is_new {
            let old = std::mem::replace(&mut self.current, pipeline);
            self.draining.spawn(old.drain());
        }
        Ok(())
    }

    fn spawn_attempts(&mut self, leases: Vec<Lease>, now: Timestamp) {
        for lease in leases {
            let reserved = self
                .current
                .reserve(lease.preferred_server.as_ref(), lease.lane, now);
            let (pipeline, clock, metrics) = (
                Arc::clone(&self.current),
                self.clock.clone(),
                Arc::clone(&self.metrics),
            );
            let context = AttemptContext {
                queue: self.queue.clone(),
                pipeline,
                clock,
                metrics,
                abort: self.abort.clone(),
            };
            self.running.spawn(context.deliver(lease, reserved));
        }
    }

    fn finish(&mut self, done: Result<Settlement, tokio::task::JoinError>) {
        match done {
            Ok(settlement) => self.finished.push(settlement),
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

/// Stores the results of attempts. One whose lease had expired is the sign of a second copy of the
/// mail, so it is logged and counted.
async fn settle(
    queue: &Queue,
    metrics: &Metrics,
    settlements: Vec<Settlement>,
    now: Timestamp,
) -> Result<(), SettleError> {
    if settlements.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = settlements.iter().map(|one| one.lease.id).collect();
    for (id, settled) in ids.into_iter().zip(queue.settle(settlements, now).await?) {
        if settled == Settled::Stale {
            metrics.stale_settlement();
            warn!(delivery = %id, "attempt ended after its lease had expired; it is on record, but the delivery keeps its state and may be sent twice");
        }
    }
    Ok(())
}

mod claims;
mod shutdown;
#[cfg(test)]
mod tests;
