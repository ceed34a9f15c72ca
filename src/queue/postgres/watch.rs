//! Which other nodes have ended. Pure.
//!
//! A node whose lease is over is dead, unless the reason concerns everybody: the clock of the database
//! was set, or the database was away for longer than a lease. The nodes then come back one after the
//! other, and must not end each other's lives.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::reap::Ended;

/// A larger difference between the passed times of two clocks is a step.
const STEP: Duration = Duration::from_secs(2);

/// What a heartbeat has shown of the other nodes.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Nodes whose lease is over.
    pub(super) lapsed: Vec<i64>,
    /// Nodes without a row that hold something.
    pub(super) orphans: Vec<i64>,
    pub(super) living: usize,
    /// By how much the database's clock was set.
    pub(super) step: Duration,
}

/// What earlier heartbeats have shown.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Since when nothing has happened that concerns everybody.
    quiet_since: Option<Instant>,
    /// Those that had lapsed at the last heartbeat.
    suspects: HashSet<i64>,
}

impl Watch {
    /// The connection was lost, perhaps those of all nodes.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Chooses whose lives are ended now. In the first two beats after a disturbance, those that were
    /// silent at the beat before as well; later, up to half of all nodes at once, and more of them
    /// if they were silent before.
    pub(super) fn judge(&mut self, sight: Sight, now: Instant, beat: Duration) -> Ended {
        if sight.step > STEP {
            tracing::warn!(
                "the clock of the database was set by {} s",
                sight.step.as_secs()
            );
            self.quiet_since = None;
            self.suspects.clear();
        }
        let since = *self.quiet_since.get_or_insert(now);
        let is_quiet = now.duration_since(since) >= beat * 2;
        let all = sight.living + sight.lapsed.len() + 1;
        let is_minority = sight.lapsed.len() * 2 <= all;
        let seen = |node: &i64| self.suspects.contains(node);
        let is_ended = |node: &i64| is_quiet && (is_minority || seen(node));
        let nodes = sight.lapsed.iter().copied().filter(|node| is_ended(node));
        let nodes: Vec<_> = nodes.collect();
        self.suspects = sight.lapsed.into_iter().collect();
        Ended {
            nodes,
            orphans: sight.orphans,
            ..Ended::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_secs(5);

    struct Fixture {
        watch: Watch,
        now: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                watch: Watch::default(),
                now: Instant::now(),
            }
        }

        /// A heartbeat, five seconds after the last.
        fn beat(&mut self, lapsed: &[i64], living: usize, step: u64) -> Vec<i64> {
            self.now += BEAT;
            let sight = Sight {
                lapsed: lapsed.to_vec(),
                orphans: Vec::new(),
                living,
                step: Duration::from_secs(step),
            };
            self.watch.judge(sight, self.now, BEAT).nodes
        }
    }

    #[tokio::test]
    async fn dead_node_is_ended_at_once() {
        let mut quiet = Fixture::new();
        for _ in 0..3 {
            assert!(quiet.beat(&[], 1, 0).is_empty());
        }
        assert_eq!(quiet.beat(&[7], 0, 0), [7]);
        assert_eq!(quiet.beat(&[8, 9], 1, 0), [8, 9]);
    }

    #[tokio::test]
    async fn more_than_half_of_the_nodes_are_ended_when_seen_twice() {
        let mut quiet = Fixture::new();
        for _ in 0..3 {
            quiet.beat(&[], 4, 0);
        }
        assert!(quiet.beat(&[1, 2, 3, 4], 0, 0).is_empty());
        assert_eq!(quiet.beat(&[1, 2, 4, 5], 0, 0), [1, 2, 4]);
    }

    #[tokio::test]
    async fn nobody_is_ended_soon_after_a_disturbance() {
        let mut fixture = Fixture::new();
        for expected in [&[][..], &[], &[7], &[7]] {
            assert_eq!(fixture.beat(&[7], 1, 0), expected);
        }
        // The clock of the database is set.
        for expected in [(300, &[][..]), (0, &[]), (0, &[7])] {
            assert_eq!(fixture.beat(&[7], 1, expected.0), expected.1);
        }
        fixture.watch.restart();
        assert!(fixture.beat(&[7], 1, 0).is_empty());
    }
}
