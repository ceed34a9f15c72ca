//! Numbers of deliveries by state, and the check that they add up.

use serde::{Deserialize, Serialize};

use crate::domain::State;

/// Numbers of deliveries on record. `accepted` is counted independently, so that
/// [`Counts::balanced`] can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// All deliveries that were accepted and have not been purged.
    pub accepted: u64,
    /// Waiting.
    pub queued: u64,
    /// In flight.
    pub sending: u64,
    /// Accepted by a server.
    pub sent: u64,
    /// Failed for good.
    pub dead: u64,
    /// Never to be sent.
    pub suppressed: u64,
    /// Cancelled by the operator.
    pub cancelled: u64,
}

impl Counts {
    /// The number in one state.
    pub const fn of(&self, state: State) -> u64 {
        match state {
            State::Queued => self.queued,
            State::Sending => self.sending,
            State::Sent => self.sent,
            State::Dead => self.dead,
            State::Suppressed => self.suppressed,
            State::Cancelled => self.cancelled,
        }
    }

    /// Deliveries that have not ended: queued and sending.
    pub const fn pending(&self) -> u64 {
        self.queued.saturating_add(self.sending)
    }

    /// Whether deliveries are conserved: `accepted` is the sum over the six states.
    pub fn balanced(&self) -> bool {
        State::ALL.iter().map(|state| self.of(*state)).sum::<u64>() == self.accepted
    }

    fn of_mut(&mut self, state: State) -> &mut u64 {
        match state {
            State::Queued => &mut self.queued,
            State::Sending => &mut self.sending,
            State::Sent => &mut self.sent,
            State::Dead => &mut self.dead,
            State::Suppressed => &mut self.suppressed,
            State::Cancelled => &mut self.cancelled,
        }
    }

    pub(super) fn accept(&mut self, state: State) {
        self.accepted += 1;
        self.add(state, 1);
    }

    pub(super) fn add(&mut self, state: State, number: u64) {
        *self.of_mut(state) += number;
    }

    pub(super) fn shift(&mut self, from: State, to: State) {
        let left = self.of_mut(from);
        *left = left.saturating_sub(1);
        self.add(to, 1);
    }

    pub(super) fn purge(&mut self, state: State) {
        self.accepted = self.accepted.saturating_sub(1);
        let left = self.of_mut(state);
        *left = left.saturating_sub(1);
    }
}

/// The stored counts and those of the rows, at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CountCheck {
    /// The stored counts.
    pub kept: Counts,
    /// The rows, counted; `accepted` is their number.
    pub found: Counts,
}

impl CountCheck {
    /// Whether both agree and add up.
    pub fn agrees(&self) -> bool {
        self.kept == self.found && self.kept.balanced()
    }
}

/// The most pending deliveries at which an event is accepted. An eighth of `max_pending`, at least
/// one of four, is reserved for the urgent lane, so that job events cannot block codes.
pub(super) fn capacity(max_pending: u64, is_urgent: bool) -> u64 {
    let kept = if max_pending < 4 {
        0
    } else {
        (max_pending / 8).max(1)
    };
    if is_urgent {
        max_pending
    } else {
        max_pending - kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unbalanced_counts_are_detected() {
        let mut counts = Counts::default();
        counts.accept(State::Queued);
        counts.shift(State::Queued, State::Sending);
        assert!(counts.balanced());
        assert_eq!((counts.pending(), counts.of(State::Sending)), (1, 1));
        counts.add(State::Sent, 1);
        assert!(!counts.balanced());
        assert!(
            !CountCheck {
                kept: counts,
                found: counts
            }
            .agrees()
        );
    }
}
