//! What the node asks the database for, and when.

use std::time::Duration;

use super::super::used::Batch;
use super::{Grants, Lanes, VALID};

/// When to ask again after a request has failed.
pub(super) const AFTER_FAILURE: Duration = Duration::from_millis(500);
/// Requests that follow each other within this time ask for more permits in advance.
const BUSY: Duration = Duration::from_millis(100);

/// A request to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue::postgres) struct Request {
    /// Requests are numbered; an older one that comes late changes nothing.
    pub(in crate::queue::postgres) number: u64,
    /// The limit under which permits are asked for.
    limit: u64,
    /// The node that asks.
    pub(in crate::queue::postgres) node: i64,
    pub(in crate::queue::postgres) sent_at: Duration,
    /// What the node has, apart from the used permits of `batch`.
    pub(in crate::queue::postgres) outstanding: u64,
    pub(in crate::queue::postgres) batch: Option<Batch>,
    pub(in crate::queue::postgres) want: Lanes<u64>,
}

/// An answer of the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::queue::postgres) struct Answer {
    pub(in crate::queue::postgres) granted: Lanes<u64>,
    /// What is free for each lane after that.
    pub(in crate::queue::postgres) free: Lanes<u64>,
    /// The most that one request is granted.
    pub(in crate::queue::postgres) chunk: u64,
    /// When permits become free, if none are and it is known.
    pub(in crate::queue::postgres) free_in: Lanes<Option<Duration>>,
}

impl Grants {
    /// When to send the next request; `None` if there is no reason to.
    pub(in crate::queue::postgres) fn next_request(&self, now: Duration) -> Option<Duration> {
        let soon = self.asked_at + self.spacing();
        let reasons = [
            (self.is_unknown || self.is_promised()).then_some(now),
            (self.is_wanted && self.free.normal == 0).then(|| self.more_at.normal.max(soon)),
            self.is_low().then_some(soon),
            self.must_report()
                .then(|| self.asked_at + self.report_after()),
            (self.spare != Lanes::default()).then(|| self.active_at + self.idle_after()),
        ];
        let first = reasons.into_iter().flatten().min();
        first.map(|at| at.max(self.retry_at))
    }

    /// The next request of `node`.
    pub(in crate::queue::postgres) fn request(&mut self, node: i64, now: Duration) -> Request {
        let is_idle = now >= self.active_at + self.idle_after();
        // Those of an earlier life count as used.
        if node != self.node || now >= self.valid_until || is_idle {
            self.spare = Lanes::default();
        }
        self.node = node;
        let is_busy = self.is_promised() || self.is_low();
        if is_busy {
            self.advance = if now < self.asked_at + BUSY {
                (self.advance * 2).clamp(1, self.chunk)
            } else {
                self.advance / 2
            };
        } else if is_idle {
            self.advance = 0;
        }
        let is_scarce = self.is_wanted && !self.is_unknown && self.free.normal == 0;
        let advance = match (is_busy, is_scarce && now >= self.more_at.normal) {
            (_, true) => self.advance.max(1),
            (true, false) => self.advance,
            (false, false) => 0,
        };
        self.asked += 1;
        self.asked_at = now;
        self.taken = 0;
        self.is_less = false;
        let batch = self.used.batch(self.asked);
        Request {
            number: self.asked,
            limit: self.limit,
            node,
            sent_at: now,
            outstanding: self.in_use + self.spare.normal + self.spare.urgent + self.used.waiting(),
            batch,
            want: Lanes {
                normal: (self.promised.normal + advance).saturating_sub(self.spare.normal),
                urgent: self.promised.urgent.saturating_sub(self.spare.urgent),
            },
        }
    }

    /// The result of a request; `None` if it failed or its result is unknown.
    pub(in crate::queue::postgres) fn answered(
        &mut self,
        request: &Request,
        answer: Option<Answer>,
        now: Duration,
    ) {
        self.answered = request.number;
        self.answered_at = now;
        let Some(answer) = answer else {
            self.free = Lanes::default();
            self.is_unknown = true;
            self.retry_at = now + AFTER_FAILURE;
            self.more_at = Lanes {
                normal: self.retry_at,
                urgent: self.retry_at,
            };
            // What was granted by it is not known here.
            self.is_less = true;
            return;
        };
        self.used.booked();
        if request.limit != self.limit {
            self.is_less = true;
            return;
        }
        self.spare.normal += answer.granted.normal;
        self.spare.urgent += answer.granted.urgent;
        if answer.granted != Lanes::default() {
            self.active_at = now;
        }
        if answer.granted.normal > 0 || answer.free.normal > 0 {
            self.is_wanted = false;
        }
        self.valid_until = request.sent_at + VALID;
        self.free = answer.free;
        self.is_unknown = false;
        self.chunk = answer.chunk.max(1);
        let more_at = |wait: Option<Duration>| now + wait.unwrap_or(self.report_after());
        self.more_at = Lanes {
            normal: more_at(answer.free_in.normal),
            urgent: more_at(answer.free_in.urgent),
        };
    }

    /// Gives everything back that is not in use.
    pub(in crate::queue::postgres) fn surrender(&mut self) {
        self.is_less |= self.spare != Lanes::default();
        self.spare = Lanes::default();
        self.promised = Lanes::default();
        self.is_wanted = false;
    }

    /// Whether a mail waits for the next request.
    const fn is_promised(&self) -> bool {
        self.promised_by > self.asked && self.promised.normal + self.promised.urgent > 0
    }

    /// Whether the permits in advance are nearly used up while mails follow each other.
    fn is_low(&self) -> bool {
        self.taken > 0 && self.free.normal > 0 && self.spare.normal < self.advance.div_ceil(2)
    }

    fn must_report(&self) -> bool {
        self.is_less || !self.used.is_empty()
    }

    /// The pause between two requests, unless a mail waits for the answer.
    fn spacing(&self) -> Duration {
        (self.period / 64).clamp(Duration::from_millis(20), Duration::from_secs(1))
    }

    /// How long used permits may stay unreported: less than a period, after which they would count
    /// too long.
    fn report_after(&self) -> Duration {
        (self.period / 8).clamp(Duration::from_millis(50), Duration::from_secs(1))
    }

    /// How long permits are kept unused.
    fn idle_after(&self) -> Duration {
        (self.period / 8).clamp(Duration::from_millis(100), VALID)
    }
}
