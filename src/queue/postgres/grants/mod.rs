//! The permits that this node has for one server's rate limit: granted by the database in advance,
//! handed out here. Pure: takes the time since boot, returns what to ask for.
//!
//! A permit counts in the database from its grant until it is reported as used or returned. Each
//! report names all that the node has, so an answer that was lost costs nothing: what was granted by
//! it comes back with the next report. Permits that are not used for a while are returned. Without
//! an answer for [`VALID`] they are not used any more.
//!
//! While nothing is scarce, no permits are kept in advance: a mail is promised a permit, which is
//! granted while the mail is rendered. When mails follow each other closely, more and more permits
//! are asked for in advance.

mod requests;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub(super) use requests::{Answer, Request};

use super::used::Used;
use crate::domain::Lane;
use crate::queue::limit_values::Available;

/// How long permits may be used after the last answer of the database.
const VALID: Duration = Duration::from_secs(10);
/// When to ask again if the database does not know when permits become free: other mails are being
/// sent.
const SOON: Duration = Duration::from_secs(1);
/// How long the number of free permits of an answer is taken for granted.
const FRESH: Duration = Duration::from_secs(1);

/// What is free before the database has told: a mail may ask.
const UNKNOWN: Lanes<u64> = Lanes {
    normal: 1,
    urgent: 1,
};

/// One value for each lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lanes<T> {
    pub(super) normal: T,
    pub(super) urgent: T,
}

impl<T: Copy> Lanes<T> {
    pub(super) const fn of(&self, lane: Lane) -> T {
        match lane {
            Lane::Normal => self.normal,
            Lane::Urgent => self.urgent,
        }
    }

    const fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Normal => &mut self.normal,
            Lane::Urgent => &mut self.urgent,
        }
    }
}

/// The answer to a mail that asks for a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It has one, of those for this lane.
    Granted(Lane),
    /// It gets one with the answer to this request, or is refused then.
    Promised(u64),
    /// There is none before this time has passed.
    Refused(Duration),
}

/// The permits of this node.
#[derive(Debug)]
pub(super) struct Grants {
    period: Duration,
    /// Changed with the limit.
    limit: u64,
    /// The node that they were granted to.
    node: i64,
    /// Granted and not in use.
    spare: Lanes<u64>,
    valid_until: Duration,
    in_use: u64,
    /// Mails that wait for a permit, and the last request that one of them waits for.
    promised: Lanes<u64>,
    promised_by: u64,
    used: Used,
    /// The last answer.
    free: Lanes<u64>,
    chunk: u64,
    /// When to ask again if nothing is free.
    more_at: Lanes<Duration>,
    is_unknown: bool,
    /// The last request, and the last one with a result.
    asked: u64,
    answered: u64,
    asked_at: Duration,
    answered_at: Duration,
    retry_at: Duration,
    /// How many permits to have in advance.
    advance: u64,
    /// When a permit was last taken or granted, and how many were taken since the last request.
    active_at: Duration,
    taken: u64,
    /// Whether a mail or the dispatcher has found no permit.
    is_wanted: bool,
    /// Whether the node has less than the database knows.
    is_less: bool,
}

impl Grants {
    pub(super) fn new(period: Duration) -> Self {
        Self {
            period,
            limit: 0,
            node: 0,
            spare: Lanes::default(),
            valid_until: Duration::ZERO,
            in_use: 0,
            promised: Lanes::default(),
            promised_by: 0,
            used: Used::default(),
            free: UNKNOWN,
            chunk: 1,
            more_at: Lanes::default(),
            is_unknown: true,
            asked: 0,
            answered: 0,
            asked_at: Duration::ZERO,
            answered_at: Duration::ZERO,
            retry_at: Duration::ZERO,
            advance: 0,
            active_at: Duration::ZERO,
            taken: 0,
            is_wanted: false,
            is_less: false,
        }
    }

    /// Another limit, with this period, replaces the one under which permits were granted.
    pub(super) fn change_limit(&mut self, period: Duration) {
        self.period = period;
        self.limit += 1;
        self.is_less |= self.spare != Lanes::default();
        self.spare = Lanes::default();
        self.free = UNKNOWN;
        self.is_unknown = true;
    }

    pub(super) fn available(&mut self, now: Duration) -> Available {
        let spare = self.spare(now);
        let promised = self.promised.normal + self.promised.urgent;
        let normal = (spare.normal + self.hint(Lane::Normal, now)).saturating_sub(promised);
        let all = (spare.normal + spare.urgent + self.hint(Lane::Urgent, now))
            .saturating_sub(promised)
            .max(normal);
        self.is_wanted |= normal == 0;
        Available {
            normal,
            all,
            more_in: (normal == 0).then(|| self.more_in(Lane::Normal, now)),
        }
    }

    /// Takes a permit for a mail; [`used`](Self::used) or [`returned`](Self::returned) ends it.
    pub(super) fn take(&mut self, lane: Lane, now: Duration) -> Taken {
        let spare = self.spare(now);
        let promised = self.promised.normal + self.promised.urgent;
        if spare.normal + spare.urgent > promised
            && let Some(from) = self.take_spare(lane, now)
        {
            return Taken::Granted(from);
        }
        if self.hint(lane, now) + spare.normal > promised {
            *self.promised.of_mut(lane) += 1;
            return self.promise();
        }
        self.is_wanted = true;
        Taken::Refused(self.more_in(lane, now))
    }

    /// Asks again for a permit that was promised with the answer to this request.
    pub(super) fn redeem(&mut self, lane: Lane, request: u64, now: Duration) -> Taken {
        if let Some(from) = self.take_spare(lane, now) {
            self.unpromise(lane);
            return Taken::Granted(from);
        }
        if self.answered < request {
            return Taken::Promised(request);
        }
        // A request is granted a part only.
        if self.free.of(lane) > 0 {
            return self.promise();
        }
        self.unpromise(lane);
        self.is_wanted = true;
        Taken::Refused(self.more_in(lane, now))
    }

    /// The mail that was promised a permit needs none.
    pub(super) fn unpromise(&mut self, lane: Lane) {
        let promised = self.promised.of_mut(lane);
        *promised = promised.saturating_sub(1);
    }

    /// The server has counted the mail.
    pub(super) fn used(&mut self, now: Duration) {
        self.in_use = self.in_use.saturating_sub(1);
        self.used.add(now, self.period);
    }

    /// The server has not counted the mail.
    pub(super) fn returned(&mut self, from: Lane, now: Duration) {
        self.in_use = self.in_use.saturating_sub(1);
        if now < self.valid_until {
            *self.spare.of_mut(from) += 1;
        } else {
            self.is_less = true;
        }
    }

    /// Whether the database has not told what is free.
    pub(super) const fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// Whether the database counts anything for this node.
    pub(super) fn is_empty(&self) -> bool {
        self.spare == Lanes::default() && self.used.is_empty() && !self.is_less
    }

    fn promise(&mut self) -> Taken {
        self.promised_by = self.asked + 1;
        Taken::Promised(self.promised_by)
    }

    fn spare(&self, now: Duration) -> Lanes<u64> {
        if now < self.valid_until {
            self.spare
        } else {
            Lanes::default()
        }
    }

    fn take_spare(&mut self, lane: Lane, now: Duration) -> Option<Lane> {
        let spare = self.spare(now);
        let from = match lane {
            Lane::Urgent if spare.urgent > 0 => Lane::Urgent,
            _ if spare.normal > 0 => Lane::Normal,
            _ => return None,
        };
        *self.spare.of_mut(from) -= 1;
        self.in_use += 1;
        self.taken += 1;
        self.active_at = now;
        Some(from)
    }

    /// How many more the database would grant, as far as is known.
    fn hint(&self, lane: Lane, now: Duration) -> u64 {
        let free = self.free.of(lane).min(self.chunk);
        if now < self.answered_at + FRESH {
            free
        } else {
            free.min(self.advance.max(1))
        }
    }

    fn more_in(&self, lane: Lane, now: Duration) -> Duration {
        match self.more_at.of(lane).saturating_sub(now) {
            Duration::ZERO => SOON,
            wait => wait,
        }
    }
}
