//! Claims that wait until there is something to claim.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::held::{HeldLeases, Renewal};
use super::{ClaimLimit, LEASE, Lease, Queue, StoreError};
use crate::clock::Clock;
use crate::domain::Timestamp;

/// The longest sleep between two looks at the clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Claims deliveries for one dispatcher as they become due.
///
/// The claim waits in the store: the commit that adds a delivery also hands it out, so a mail waits
/// for one fsync, not for two. A queue serves one claimer at a time; a second one replaces the
/// claim of the first. Leases that are claimed but not yet returned by [`Claimer::next`] when the
/// claimer is dropped stay taken until they expire: call [`Claimer::stop`] first.
///
/// While [`Claimer::next`] waits, it renews every lease of this claimer that has not been dropped.
/// A lease that expires all the same, because the store failed or the machine was suspended, is
/// renewed instead of claimed again: this claimer never gets a delivery that it still holds.
#[derive(Debug)]
pub struct Claimer {
    queue: Queue,
    clock: Clock,
    reply: ClaimReply,
    /// Holds at most one answer, because a claim is made only after the previous answer was seen.
    answers: mpsc::Receiver<Result<Vec<Lease>, StoreError>>,
    next_due: watch::Receiver<Option<Timestamp>>,
    seen: u64,
    pending: Option<(ClaimLimit, Duration)>,
    /// How long the leases of the last limit last.
    lease: Duration,
    /// When to look for leases to renew.
    renew_at: Timestamp,
}

impl Claimer {
    /// Sets how many deliveries may be claimed now and for how long. Does nothing if that is
    /// pending already; [`ClaimLimit::NONE`] pauses claiming. An answer uses the limit up: set it
    /// again after [`Claimer::next`].
    ///
    /// If the store has handed out leases that [`Claimer::next`] has not returned yet, the new
    /// limit has no effect: it counts their slots as free.
    ///
    /// # Errors
    /// When the store is closed or too many requests wait for it; nothing changes then.
    pub async fn set(&mut self, limit: ClaimLimit, lease: Duration) -> Result<(), StoreError> {
        let wanted = Some((limit, lease)).filter(|_| limit != ClaimLimit::NONE);
        if wanted == self.pending {
            return Ok(());
        }
        self.request(limit, lease).await?;
        (self.pending, self.lease) = (wanted, lease);
        Ok(())
    }

    /// Waits for the next leases, at least one. Cancel-safe. Waits without end while no limit is
    /// set.
    ///
    /// # Errors
    /// When the claim failed or the store was closed. The limit is used up.
    pub async fn next(&mut self) -> Result<Vec<Lease>, StoreError> {
        loop {
            self.renew().await?;
            let next_due = *self.next_due.borrow_and_update();
            // Without a pending claim, a due time in the past must not end the sleep at once.
            let due = next_due.filter(|_| self.pending.is_some());
            let latest = self.clock.now().after(LONGEST_SLEEP).min(self.renew_at);
            let wake_at = due.map_or(latest, |due| due.min(latest));
            tokio::select! {
                biased;
                Some(answer) = self.answers.recv() => {
                    self.seen += 1;
                    self.pending = None;
                    return answer;
                }
                () = self.queue.closed() => {
                    self.pending = None;
                    return Err(StoreError::Closed);
                }
                _ = self.next_due.changed() => {}
                () = self.clock.sleep_until(wake_at) => {}
            }
            if let Some((limit, lease)) = self.pending
                && due.is_some_and(|due| due <= self.clock.now())
            {
                self.request(limit, lease).await?;
            }
        }
    }

    /// Ends the pending claim and returns the leases that it was given in the meantime. The claimer
    /// can be used again.
    ///
    /// # Errors
    /// When the store is closed or too many requests wait for it.
    pub async fn stop(&mut self) -> Result<Vec<Lease>, StoreError> {
        on_store!(self.queue, store => store.stop_claim().await)?;
        self.pending = None;
        match self.answers.try_recv() {
            Ok(answer) => {
                self.seen += 1;
                answer
            }
            Err(_) => Ok(Vec::new()),
        }
    }

    /// The limit of the pending claim.
    pub fn limit(&self) -> Option<ClaimLimit> {
        self.pending.map(|(limit, _)| limit)
    }

    /// Every third of a lease, renews the leases that have less than two thirds left. So at least a
    /// third is left at any time, whatever the moment of the claim.
    async fn renew(&mut self) -> Result<(), StoreError> {
        let (now, third) = (self.clock.now(), self.lease / 3);
        if now < self.renew_at {
            return Ok(());
        }
        let leases = self.reply.held.ending_before(now.after(third * 2));
        if !leases.is_empty() {
            let renewal = Renewal {
                leases,
                until: now.after(self.lease),
                now,
                held: self.reply.held.clone(),
            };
            on_store!(self.queue, store => store.renew(renewal).await)?;
        }
        self.renew_at = now.after(third);
        Ok(())
    }

    async fn request(&self, limit: ClaimLimit, lease: Duration) -> Result<(), StoreError> {
        let request = ClaimRequest {
            limit,
            lease,
            now: self.clock.now(),
            seen: self.seen,
            reply: self.reply.clone(),
        };
        self.reply.next_due.send_replace(None);
        on_store!(self.queue, store => store.set_claim(request).await)
    }
}

impl Queue {
    /// A claimer of this queue's deliveries; it claims nothing before [`Claimer::set`].
    pub fn claimer(&self, clock: Clock) -> Claimer {
        let (sender, answers) = mpsc::channel(1);
        let (next_due_sender, next_due) = watch::channel(None);
        Claimer {
            queue: self.clone(),
            renew_at: clock.now(),
            clock,
            reply: ClaimReply {
                answers: sender,
                next_due: next_due_sender,
                held: on_store!(self, store => store.held_by_claimer()),
            },
            answers,
            next_due,
            seen: 0,
            pending: None,
            lease: LEASE,
        }
    }

    /// Completes when the store is closed.
    async fn closed(&self) {
        on_store!(self, store => store.closed().await);
    }
}

/// A claim as the store sees it.
#[derive(Debug)]
pub(super) struct ClaimRequest {
    pub(super) limit: ClaimLimit,
    pub(super) lease: Duration,
    pub(super) now: Timestamp,
    /// How many answers the claimer had seen when it computed the limit.
    pub(super) seen: u64,
    pub(super) reply: ClaimReply,
}

/// The store's end of a claimer.
#[derive(Debug, Clone)]
pub(super) struct ClaimReply {
    answers: mpsc::Sender<Result<Vec<Lease>, StoreError>>,
    next_due: watch::Sender<Option<Timestamp>>,
    /// The leases of the claimer.
    pub(super) held: HeldLeases,
}

impl ClaimReply {
    /// Answers the claim. The channel has a free slot. Leases sent to a dropped claimer expire.
    pub(super) fn answer(&self, answer: Result<Vec<Lease>, StoreError>) {
        drop(self.answers.try_send(answer));
    }

    /// Reports the next due time, if the claim found no due delivery and stays pending.
    pub(super) fn wait_until(&self, next_due: Option<Timestamp>) {
        self.next_due.send_replace(next_due);
    }

    /// Whether both belong to the same claimer.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.answers.same_channel(&other.answers)
    }

    /// Whether the claimer was dropped.
    pub(super) fn is_closed(&self) -> bool {
        self.answers.is_closed()
    }
}
