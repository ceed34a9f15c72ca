//! Keeps the right number of attempts under way: claims in batches, settles in batches, sleeps when there is nothing to do.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::deliver::Bench;
use super::line::{Line, Opening};
use crate::domain::{Clock, Timestamp};
use crate::queue::{ClaimLimit, Lease, Queue, Settlement};
use crate::telemetry::Metrics;

/// How long a lease lasts. It outlasts the sum of a transmission's time limits on every server that one attempt may walk through, the ten
/// minutes after the final dot included; it only ever runs out when a task was lost.
pub const LEASE: Duration = Duration::from_hours(2);
/// How many slots are kept free for the urgent lane: one in eight, at least one where there are two.
const URGENT_SHARE: usize = 8;
/// The pause after the store has failed, and its doubled limit.
const STORE_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The longest sleep: a clock that was set forward is noticed at the latest then.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The worker of the queue.
#[derive(Debug)]
pub struct Dispatcher {
    queue: Queue,
    line: Arc<ArcSwap<Line>>,
    changed: Arc<Notify>,
    clock: Clock,
    metrics: Arc<Metrics>,
    running: JoinSet<Settlement>,
    finished: Vec<Settlement>,
    store_pause: Duration,
}

/// Puts a new line into a running dispatcher.
#[derive(Debug, Clone)]
pub struct LineHandle {
    line: Arc<ArcSwap<Line>>,
    changed: Arc<Notify>,
}

impl LineHandle {
    /// From now on mails go by the new line; those under way end on the old one. Returns the old one.
    pub fn replace(&self, line: Line) -> Arc<Line> {
        let old = self.line.swap(Arc::new(line));
        self.changed.notify_one();
        old
    }
}

impl Dispatcher {
    /// A dispatcher over a queue.
    pub fn new(queue: Queue, line: Line, clock: Clock, metrics: Arc<Metrics>) -> Self {
        Self {
            queue,
            line: Arc::new(ArcSwap::from_pointee(line)),
            changed: Arc::new(Notify::new()),
            clock,
            metrics,
            running: JoinSet::new(),
            finished: Vec::new(),
            store_pause: Duration::ZERO,
        }
    }

    /// The handle that replaces its line.
    pub fn line(&self) -> LineHandle {
        LineHandle { line: Arc::clone(&self.line), changed: Arc::clone(&self.changed) }
    }

    /// Works until `stop`; then lets the mails under way end, at most until `grace` is over, and settles what they came to.
    pub async fn run(mut self, stop: CancellationToken, grace: Duration) {
        while !stop.is_cancelled() {
            let sleep = self.turn().await;
            let queue = self.queue.clone();
            let changed = Arc::clone(&self.changed);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.running.join_next() => self.collect(done),
                () = queue.woken(), if sleep.wakes => {}
                () = changed.notified() => {}
                () = tokio::time::sleep(sleep.at_most) => {}
            }
        }
        self.drain(grace).await;
    }

    /// One turn: settles what has ended and claims what there is room for, in one commit of the store. Says how long to sleep.
    async fn turn(&mut self) -> Sleep {
        while let Some(done) = self.running.try_join_next() {
            self.collect(done);
        }
        let line = self.line.load_full();
        let now = self.clock.now();
        let limit = self.room(&line, now);
        let settlements = std::mem::take(&mut self.finished);
        let settled = !settlements.is_empty();
        let settle = async { if settled { self.queue.settle(settlements, now).await.map(drop) } else { Ok(()) } };
        let claim = async {
            match limit {
                Some(limit) => self.queue.claim(limit, LEASE, now).await,
                None => Ok(Vec::new()),
            }
        };
        let (settle, claim) = tokio::join!(settle, claim);
        if let Err(failed) = settle {
            error!("what became of {} mails cannot be stored, will try again: {}", failed.settlements.len(), failed.error);
            self.finished = failed.settlements;
            return self.store_failed();
        }
        match claim {
            Ok(leases) => {
                self.store_pause = Duration::ZERO;
                // Fewer than there was room for: whatever is due has been claimed.
                let emptied = limit.is_some_and(|limit| leases.len() < limit.normal);
                self.begin(&line, leases);
                self.sleep(&line, emptied, limit.is_some(), now).await
            }
            Err(failed) => {
                warn!("the queue cannot be read: {failed}");
                self.store_failed()
            }
        }
    }

    fn begin(&mut self, line: &Arc<Line>, leases: Vec<Lease>) {
        for lease in leases {
            let bench = Bench { line: Arc::clone(line), clock: self.clock.clone(), metrics: Arc::clone(&self.metrics) };
            self.running.spawn(bench.deliver(lease));
        }
    }

    fn collect(&mut self, done: Result<Settlement, tokio::task::JoinError>) {
        match done {
            Ok(settlement) => self.finished.push(settlement),
            // Its lease runs out and the attempt stays counted, so a mail that does this every time ends.
            Err(lost) => error!("an attempt broke down and is left to its lease: {lost}"),
        }
    }

    /// How many may be claimed now; `None` is none.
    fn room(&self, line: &Line, now: Timestamp) -> Option<ClaimLimit> {
        let free = line.concurrency.saturating_sub(self.running.len());
        match line.opening(now) {
            _ if free == 0 || !self.store_pause.is_zero() && !self.finished.is_empty() => None,
            Opening::Wide => {
                let urgent = (line.concurrency / URGENT_SHARE).max(usize::from(line.concurrency > 1)).min(free);
                Some(ClaimLimit { urgent, normal: free - urgent })
            }
            Opening::Probe => Some(ClaimLimit { urgent: 0, normal: 1 }),
            Opening::At(_) | Opening::Closed => None,
        }
    }

    /// How long to sleep when nothing else happens.
    async fn sleep(&self, line: &Line, emptied: bool, wakes: bool, now: Timestamp) -> Sleep {
        let until = match line.opening(now) {
            Opening::At(until) => Some(until),
            Opening::Wide | Opening::Probe if emptied => self.queue.next_due(now).await.unwrap_or(None),
            _ => None,
        };
        let at_most = until.map_or(LONGEST_SLEEP, |until| until.since(now).min(LONGEST_SLEEP));
        Sleep { at_most, wakes }
    }

    fn store_failed(&mut self) -> Sleep {
        let (first, most) = STORE_PAUSE;
        self.store_pause = (self.store_pause * 2).clamp(first, most);
        Sleep { at_most: self.store_pause, wakes: false }
    }

    /// Waits for the mails under way, then settles. What is cut off stays leased and is taken back at the next start.
    async fn drain(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        while let Ok(Some(done)) = tokio::time::timeout_at(deadline, self.running.join_next()).await {
            self.collect(done);
        }
        if !self.running.is_empty() {
            warn!("{} mails were still under way when the time to stop was over", self.running.len());
            self.running.abort_all();
        }
        let settlements = std::mem::take(&mut self.finished);
        if !settlements.is_empty()
            && let Err(failed) = self.queue.settle(settlements, self.clock.now()).await
        {
            error!("what became of {} mails could not be stored: {}", failed.settlements.len(), failed.error);
        }
    }
}

/// How to wait for the next turn.
struct Sleep {
    at_most: Duration,
    /// Whether new work in the queue ends the sleep: only when there is room for it.
    wakes: bool,
}
