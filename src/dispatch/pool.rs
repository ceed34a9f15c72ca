//! Keeps the right number of attempts under way: claims in batches, settles in batches, sleeps when there is nothing to do.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::deliver::Bench;
use super::limit::urgent_share;
use super::line::{Line, Opening};
use crate::domain::{Clock, Lane, Timestamp};
use crate::queue::{ClaimLimit, Lease, Queue, Settlement, StoreError};
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
    running: JoinSet<Settlement>,
    /// Cuts off what is under way.
    cut: CancellationToken,
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
    /// From now on mails go by the new line; those under way end on the old one, and those that wait for a connection there come back.
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
            let Some(sleep) = self.turn().await else {
                error!("the store is closed while mails are being sent");
                break;
            };
            let (queue, changed, clock) = (self.queue.clone(), Arc::clone(&self.changed), self.clock.clone());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = self.running.join_next() => self.collect(done),
                () = queue.woken(), if sleep.wakes => {}
                () = changed.notified() => {}
                () = clock.sleep_until(sleep.until) => {}
            }
        }
        self.drain(grace).await;
    }

    /// One turn: settles what has ended and claims what there is room for, in one commit of the store. Says how long to sleep; `None` when the
    /// store is closed.
    async fn turn(&mut self) -> Option<Sleep> {
        while let Some(done) = self.running.try_join_next() {
            self.collect(done);
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
        let limit = self.room(now);
        let settlements = std::mem::take(&mut self.finished);
        let settled = !settlements.is_empty();
        let settle = async { if settled { self.queue.settle(settlements, now).await.map(drop) } else { Ok(()) } };
        let claim = async {
            match limit {
                Some(limit) => self.queue.claim(limit, self.current.lease, now).await,
                None => Ok(Vec::new()),
            }
        };
        let (settle, claim) = tokio::join!(settle, claim);
        // What was claimed is begun even where the other commit failed: nobody else would before the lease is over.
        let claimed = claim.map(|leases| {
            let number = leases.len();
            self.begin(leases, now);
            number
        });
        if let Err(failed) = settle {
            error!("what became of {} mails cannot be stored, will try again: {}", failed.settlements.len(), failed.error);
            self.finished = failed.settlements;
            return self.store_failed(&failed.error);
        }
        match claimed {
            Ok(claimed) => {
                let recovered = !std::mem::take(&mut self.store_pause).is_zero();
                if recovered && limit.is_none() {
                    // Nothing was claimed while it failed: what is due by now wakes nobody any more.
                    return Some(Sleep { until: now, wakes: false });
                }
                Some(self.sleep(limit, claimed, now).await)
            }
            Err(failed) => {
                warn!("the queue cannot be read: {failed}");
                self.store_failed(&failed)
            }
        }
    }

    /// When the system's clock was set, moves along what was planned by it, and only then goes by it: neither does it expire what waits nor put it off.
    async fn follow_clock(&mut self) -> Result<(), StoreError> {
        let set_by = self.clock.set_by();
        if set_by == 0 {
            return Ok(());
        }
        let moved = self.queue.move_along(set_by, self.clock.now()).await?;
        self.current.move_along(set_by);
        self.clock.follow(set_by);
        warn!("the system clock was set by {} s; the times of {moved} mails that wait are moved along", set_by / 1_000);
        Ok(())
    }

    /// Takes a new line into use, if there is one, and retires the old one. Its servers go on counting from what is on record.
    async fn change_line(&mut self, now: Timestamp) -> Result<(), StoreError> {
        while self.retiring.try_join_next().is_some() {}
        let line = self.line.load_full();
        let is_new = !Arc::ptr_eq(&line, &self.current);
        if !is_new && self.counting {
            return Ok(());
        }
        if line.is_metered() {
            let used = self.queue.server_use(now.before(LONGEST_RATE)).await?;
            let old = is_new.then_some(&*self.current);
            line.meter(old, &used, self.running.len().saturating_add(self.finished.len()), now);
        }
        self.counting = true;
        if is_new {
            let old = std::mem::replace(&mut self.current, line);
            self.retiring.spawn(old.retire());
        }
        Ok(())
    }

    fn begin(&mut self, leases: Vec<Lease>, now: Timestamp) {
        for lease in leases {
            let reserved = self.current.reserve(lease.same_server.as_ref(), lease.lane, now);
            let (line, clock, metrics) = (Arc::clone(&self.current), self.clock.clone(), Arc::clone(&self.metrics));
            let (queue, followed) = (self.queue.clone(), self.clock.followed());
            let bench = Bench { queue, line, clock, metrics, cut: self.cut.clone(), followed };
            self.running.spawn(bench.deliver(lease, reserved));
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
    fn room(&self, now: Timestamp) -> Option<ClaimLimit> {
        let line = &self.current;
        let free = line.concurrency.saturating_sub(self.running.len());
        let share = urgent_share(line.concurrency).min(free);
        match line.opening(now) {
            _ if free == 0 || !self.store_pause.is_zero() && !self.finished.is_empty() => None,
            Opening::Wide => Some(ClaimLimit { urgent: share, normal: free - share }),
            Opening::Narrow { all, normal, .. } => {
                let all = all.min(free);
                let normal = normal.min(free - share).min(all);
                Some(ClaimLimit { urgent: all - normal, normal })
            }
            Opening::Probe => Some(ClaimLimit { urgent: 0, normal: 1 }),
            Opening::At(_) | Opening::Closed => None,
        }
    }

    /// How long to sleep when nothing else happens, after so many of the limit were claimed.
    async fn sleep(&self, limit: Option<ClaimLimit>, claimed: usize, now: Timestamp) -> Sleep {
        // Fewer than there was room for: whatever is due in the lane has been claimed. Where more may be due, that it is due wakes nobody.
        let emptied = limit.is_some_and(|limit| claimed < limit.normal);
        let urgent_emptied = limit.is_some_and(|limit| claimed < limit.normal.saturating_add(limit.urgent));
        let until = match self.current.opening(now) {
            Opening::At(until) => Some(until),
            Opening::Wide | Opening::Probe | Opening::Narrow { .. } if emptied => self.queue.next_due(now).await.unwrap_or(None),
            Opening::Wide if urgent_emptied => self.queue.next_due_in(Lane::Urgent, now).await.unwrap_or(None),
            Opening::Narrow { more_at, .. } => {
                let urgent = if urgent_emptied { self.queue.next_due_in(Lane::Urgent, now).await.unwrap_or(None) } else { None };
                more_at.into_iter().chain(urgent).min()
            }
            _ => None,
        };
        let longest = now.after(LONGEST_SLEEP);
        Sleep { until: until.map_or(longest, |until| until.min(longest)), wakes: limit.is_some() }
    }

    fn store_failed(&mut self, error: &StoreError) -> Option<Sleep> {
        let (first, most) = STORE_PAUSE;
        self.store_pause = (self.store_pause * 2).clamp(first, most);
        (!matches!(error, StoreError::Closed)).then(|| Sleep { until: self.clock.now().after(self.store_pause), wakes: false })
    }
}

/// How to wait for the next turn.
struct Sleep {
    /// When the next turn is at the latest.
    until: Timestamp,
    /// Whether new work in the queue ends the sleep: only when there is room for it.
    wakes: bool,
}

mod drain;
#[cfg(test)]
mod tests;
