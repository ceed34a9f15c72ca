//! Limits how often one kind of event is logged, without losing count.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At most one log line per kind in this time.
const INTERVAL: Duration = Duration::from_mins(1);

/// Decides when a kind of event is logged again: at once the first time, then at most once a minute
/// with the number of events since the last line.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    pending: u64,
}

/// What to do about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Log now; contains the number of events since the last line, including this one.
    Log(u64),
    /// Call [`LogLimit::flush`] after this time, so that withheld events are logged.
    FlushIn(Duration),
    /// Nothing: a flush is already due.
    Skip,
}

impl LogLimit {
    /// A limit that has logged nothing yet.
    pub const fn new() -> Self {
        Self(Mutex::new(State {
            last: None,
            pending: 0,
        }))
    }

    /// Counts one event.
    pub fn count(&self) -> Verdict {
        self.count_at(Instant::now())
    }

    fn count_at(&self, now: Instant) -> Verdict {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.pending = state.pending.saturating_add(1);
        let since = state.last.map(|last| now.saturating_duration_since(last));
        match since {
            Some(since) if since < INTERVAL && state.pending == 1 => {
                Verdict::FlushIn(INTERVAL.saturating_sub(since))
            }
            Some(since) if since < INTERVAL => Verdict::Skip,
            _ => {
                state.last = Some(now);
                Verdict::Log(std::mem::take(&mut state.pending))
            }
        }
    }

    /// Takes the number of withheld events, if any; the caller logs it.
    pub fn flush(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = std::mem::take(&mut state.pending);
        if pending > 0 {
            state.last = Some(Instant::now());
        }
        (pending > 0).then_some(pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_event_is_logged_and_later_ones_once_a_minute_with_a_count() {
        let (limit, start) = (LogLimit::new(), Instant::now());
        let at = |seconds| limit.count_at(start + Duration::from_secs(seconds));
        assert_eq!(at(0), Verdict::Log(1));
        assert_eq!(at(10), Verdict::FlushIn(Duration::from_secs(50)));
        assert_eq!((at(20), at(59)), (Verdict::Skip, Verdict::Skip));
        assert_eq!(at(60), Verdict::Log(4));
        assert_eq!(at(61), Verdict::FlushIn(Duration::from_secs(59)));
        assert_eq!((limit.flush(), limit.flush()), (Some(1), None));
    }
}
