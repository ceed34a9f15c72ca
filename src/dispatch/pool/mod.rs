//! Claims deliveries, runs their attempts and settles the results, in batches.
//!
//! While there are free slots, a claim is pending in the queue, so the attempt for a new event
//! starts as soon as the event is on disk.

mod claims;
mod shutdown;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::attempt::AttemptContext;
use super::keeper;
use super::pipeline::Pipeline;
use crate::clock::Clock;
use crate::domain::{Outcome, Timestamp};
use crate::queue::limits::Limits;
use crate::queue::{
    ClaimLimit, Claimer, LEASE, Lease, Queue, SettleError, Settled, Settlement, StoreError,
};
use crate::telemetry::Metrics;

/// The first and the longest pause after the store has failed.
const STORE_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The longest sleep: timers stand still while the machine is suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// The longest period of a rate limit.
const LONGEST_PERIOD: Duration = Duration::from_hours(24);

/// Delivers the mails of a queue.
#[derive(Debug)]
pub struct Dispatcher {
    queue: Queue,
    reload: ReloadHandle,
    pipelines: watch::Receiver<Arc<Pipeline>>,
    clock: Clock,
    metrics: Arc<Metrics>,
    /// The pipeline for new attempts.
    current: Arc<Pipeline>,
    /// Whether the rate limiters of the current pipeline are set.
    has_rate_limiters: bool,
    /// Replaced pipelines that are closing their connections.
    draining: JoinSet<()>,
    /// Whether other nodes send as well.
    limits: Limits,
    /// Keeps the servers in step with the other nodes.
    keepers: JoinSet<()>,
    running: JoinSet<Settlement>,
    /// Aborts all sends in progress.
    abort: CancellationToken,
    /// Results that are not settled yet.
    finished: Vec<Settlement>,
    claimer: Claimer,
    /// Why the last claim failed; handled by the next tick.
    failed: Option<StoreError>,
    /// The last pause after a failure of the store; zero after a success.
    store_pause: Duration,
}

/// Replaces the pipeline of a running dispatcher.
#[derive(Debug, Clone)]
pub struct ReloadHandle(watch::Sender<Arc<Pipeline>>);

impl ReloadHandle {
    /// Uses this pipeline for new attempts. Sends in progress end with the old one; mails that wait
    /// for a connection there return to the queue.
    pub fn replace(&self, pipeline: Pipeline) {
        self.0.send_replace(Arc::new(pipeline));
    }
}

impl Dispatcher {
    /// A dispatcher for a queue.
    pub fn new(queue: Queue, pipeline: Pipeline, clock: Clock, metrics: Arc<Metrics>) -> Self {
        let current = Arc::new(pipeline);
        let (sender, pipelines) = watch::channel(Arc::clone(&current));
        let claimer = queue.claimer(clock.clone());
        Self {
            limits: queue.limits(),
            keepers: JoinSet::new(),
            queue,
            reload: ReloadHandle(sender),
            pipelines,
            clock,
            metrics,
            current,
            has_rate_limiters: false,
            draining: JoinSet::new(),
            running: JoinSet::new(),
            abort: CancellationToken::new(),
            finished: Vec::new(),
            claimer,
            failed: None,
            store_pause: Duration::ZERO,
        }
    }

    /// The handle that replaces the pipeline.
    pub fn reload_handle(&self) -> ReloadHandle {
        self.reload.clone()
    }

    /// Delivers mails until `stop`. Then waits for the sends in progress, at most for `grace`, and
    /// settles their results.
    pub async fn run(mut self, stop: CancellationToken, grace: Duration) {
        while !stop.is_cancelled() {
            let Some(until) = self.tick().await else {
                error!("the queue was closed while mails are being sent");
                break;
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.running.join_next() => self.finish(done),
                leases = self.claimer.next() => self.failed = self.take(leases).err(),
                Ok(()) = self.pipelines.changed() => {}
                () = self.limits.changed() => {}
                () = self.clock.sleep_until(until) => {}
            }
        }
        self.shut_down(grace).await;
    }

    /// Settles finished attempts and renews the claim, in one commit of the store. Returns how long
    /// to sleep, or `None` if the store is closed.
    async fn tick(&mut self) -> Option<Timestamp> {
        while let Some(done) = self.running.try_join_next() {
            self.finish(done);
        }
        if let Some(failed) = self.failed.take() {
            return self.store_failed(&failed);
        }
        let now = self.clock.now();
        if let Err(failed) = self.change_pipeline(now).await {
            failed.log("could not read the queue");
            return self.store_failed(&failed);
        }
        let settlements = std::mem::take(&mut self.finished);
        let settles = !settlements.is_empty();
        // After a failure, the results of mails that were sent are settled before anything is
        // claimed.
        let recovers = settles && !self.store_pause.is_zero();
        let limit = if recovers {
            ClaimLimit::NONE
        } else {
            self.claim_limit(now)
        };
        let settle = settle(&self.queue, &self.metrics, settlements, now);
        let claim = self.claimer.set(limit, LEASE);
        let (settled, claimed) = tokio::join!(settle, claim);
        if let Err(failed) = settled {
            error!(
                "could not record {} delivery results; retrying: {}",
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
            Ok(()) if recovers => Some(now),
            Ok(()) => Some(self.wake_at(now)),
            Err(failed) => self.store_failed(&failed),
        }
    }

    /// Switches to a new pipeline, if there is one, and sets its rate limiters from the send
    /// history.
    async fn change_pipeline(&mut self, now: Timestamp) -> Result<(), StoreError> {
        while self.draining.try_join_next().is_some() {}
        let pipeline = Arc::clone(&self.pipelines.borrow_and_update());
        let is_new = !Arc::ptr_eq(&pipeline, &self.current);
        if !is_new && self.has_rate_limiters {
            return Ok(());
        }
        while self.keepers.try_join_next().is_some() {}
        if let Limits::Shared(limits) = &self.limits {
            pipeline.share(limits);
            keeper::spawn(&mut self.keepers, &pipeline, &self.clock, &self.metrics);
        } else if pipeline.is_rate_limited() {
            let history = self.queue.send_history(now.before(LONGEST_PERIOD)).await?;
            let previous = is_new.then_some(&*self.current);
            let unsettled = self.running.len().saturating_add(self.finished.len());
            pipeline.set_rate_limiters(previous, &history, unsettled, now);
        }
        self.has_rate_limiters = true;
        if is_new {
            let old = std::mem::replace(&mut self.current, pipeline);
            self.draining.spawn(old.drain());
        }
        Ok(())
    }

    fn spawn_attempts(&mut self, leases: Vec<Lease>) {
        let now = self.clock.now();
        for lease in leases {
            let reserved = self
                .current
                .reserve(lease.preferred_server.as_ref(), lease.lane, now);
            let context = AttemptContext {
                queue: self.queue.clone(),
                pipeline: Arc::clone(&self.current),
                clock: self.clock.clone(),
                metrics: Arc::clone(&self.metrics),
                abort: self.abort.clone(),
            };
            self.running.spawn(context.deliver(lease, reserved));
        }
    }

    fn finish(&mut self, done: Result<Settlement, JoinError>) {
        match done {
            Ok(settlement) => self.finished.push(settlement),
            // The attempt stays counted, so a mail that panics every time fails in the end.
            Err(error) => {
                error!(
                    "delivery task panicked; it will be retried when its lease expires: {error}"
                );
            }
        }
    }

    fn store_failed(&mut self, error: &StoreError) -> Option<Timestamp> {
        let (first, longest) = STORE_PAUSE;
        self.store_pause = (self.store_pause * 2).clamp(first, longest);
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
    let ended: Vec<_> = settlements
        .iter()
        .map(|one| (one.lease.id, one.outcome == Outcome::Released))
        .collect();
    for ((id, is_released), settled) in ended.into_iter().zip(queue.settle(settlements, now).await?)
    {
        // What was released was not sent: that another node took it first is no sign of a copy.
        if settled == Settled::Stale && !is_released {
            metrics.stale_settlement();
            warn!(delivery = %id, "attempt ended after its lease had expired; it is on record, but the delivery keeps its state and may be sent twice");
        }
    }
    Ok(())
}
