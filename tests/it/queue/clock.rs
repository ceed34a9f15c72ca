//! Clock steps neither expire nor delay deliveries; records show wall time.

use std::time::Duration;

use jobbell::clock::Clock;
use jobbell::domain::{DeliveryId, Lane, Outcome, Plan, State, Timestamp};
use jobbell::queue::Filter;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::fixture::{LEASE, QueueFixture, again};

const DAY: i64 = 86_400_000;

pub(crate) async fn clock_step_neither_expires_nor_delays_deliveries(fixture: &mut QueueFixture) {
    for millis in [DAY, -DAY] {
        let accepted = fixture.now();
        let waiting = fixture.one(&format!("waiting{millis}")).await;
        let lease = fixture.claim_one().await;
        fixture.settle(lease, again(fixture, 60)).await;
        let held = fixture.one(&format!("held{millis}")).await;
        let lease = fixture.claim_one().await;
        fixture.clock.set(millis);
        fixture.step(59);
        assert!(
            fixture.claim().await.is_empty(),
            "neither a retry is due nor has a lease expired"
        );
        fixture.step(1);
        let mut due = fixture.claim().await;
        due.sort_by_key(|lease| lease.id != waiting);
        let [again, lost] = <[_; 2]>::try_from(due).unwrap();
        assert_eq!((again.id, lost.id, lost.attempt), (waiting, held, 2));
        assert_eq!(again.expires_at, accepted.after(Duration::from_hours(48)));
        assert_eq!(
            fixture.settle(lease, Outcome::Sent).await,
            jobbell::queue::Settled::Stale
        );
        fixture.settle(again, Outcome::Sent).await;
        fixture.settle(lost, Outcome::Sent).await;
        assert!(LEASE <= Duration::from_mins(1));
    }
}

pub(crate) async fn records_show_wall_time_after_a_clock_step(fixture: &mut QueueFixture) {
    let id = fixture.one("e1").await;
    let lease = fixture.claim_one().await;
    fixture.settle(lease, again(fixture, 60)).await;
    let before = fixture.delivery(id).await;
    fixture.clock.set(DAY);
    let after = fixture.delivery(id).await;
    let wall = fixture.clock.wall();
    assert_eq!(before.created_at.shifted(DAY), wall);
    assert_eq!(
        (
            after.created_at,
            after.attempts[0].at,
            after.next_attempt_at.unwrap()
        ),
        (wall, wall, wall.after(Duration::from_mins(1)))
    );
    let event = fixture.queue.find(&after.event_id).await.unwrap().unwrap();
    assert_eq!(event.received_at, wall);
    assert_eq!(event.deliveries[0], after);
    for (since, found) in [(wall, 1), (wall.shifted(1), 0)] {
        let filter = Filter {
            since: Some(since),
            ..Filter::default()
        };
        let page = fixture.queue.list(&filter, None, 10).await.unwrap();
        assert_eq!(page.deliveries.len(), found);
        assert!(page.deliveries.iter().all(|record| *record == after));
    }
    fixture.clock.set(-DAY);
    assert_eq!(fixture.delivery(id).await, before);
    let lease = fixture.queue.cancel(id, fixture.now()).await.unwrap();
    assert_eq!(lease.created_at, before.created_at);
}

/// A step between the last commit and the next start of the process.
pub(crate) async fn clock_step_while_stopped_is_detected_at_start(fixture: &mut QueueFixture) {
    for millis in [DAY, -DAY] {
        let id = waits_a_minute(fixture, &format!("e{millis}")).await;
        fixture.clock.set(millis);
        fixture.crash().await;
        sent_after_a_minute(fixture, id).await;
    }
}

/// After a boot, only the last commit is known.
pub(crate) async fn start_after_a_boot_continues_from_the_last_commit(fixture: &mut QueueFixture) {
    let id = waits_a_minute(fixture, "e1").await;
    let stored = fixture.now();
    fixture.clock = Clock::manual(fixture.clock.wall().shifted(-DAY));
    fixture.crash().await;
    assert_eq!(fixture.now(), stored);
    sent_after_a_minute(fixture, id).await;
    let id = waits_a_minute(fixture, "e2").await;
    fixture.clock = Clock::manual(fixture.clock.wall().after(Duration::from_secs(45)));
    fixture.crash().await;
    assert!(fixture.claim().await.is_empty());
    fixture.step(15);
    assert_eq!(fixture.claim_one().await.id, id, "the boot took 45 s");
}

/// A machine without a clock that keeps time boots in 1970, and again after its clock is set.
pub(crate) async fn boot_with_an_unset_clock_expires_nothing_at_the_next_boot(
    fixture: &mut QueueFixture,
) {
    let id = waits_a_minute(fixture, "e1").await;
    let (wall, stored) = (fixture.clock.wall(), fixture.now());
    fixture.clock = Clock::manual(Timestamp::from_millis(0));
    fixture.crash().await;
    assert_eq!(fixture.now(), stored);
    fixture.clock = Clock::manual(wall);
    fixture.crash().await;
    assert_eq!(fixture.now(), stored);
    sent_after_a_minute(fixture, id).await;
}

/// Times of a database of an earlier version are wall times.
pub(crate) async fn times_of_an_earlier_version_stay_right(fixture: &mut QueueFixture) {
    for wall in [0, -DAY] {
        let id = waits_a_minute(fixture, &format!("e{wall}")).await;
        let before = fixture.delivery(id).await;
        fixture.queue.close().await;
        let earlier =
            rusqlite::Connection::open(fixture.settings().location.file().unwrap()).unwrap();
        earlier
            .execute_batch(
                "DROP TABLE clock; ALTER TABLE counts DROP COLUMN as_of; \
                 DELETE FROM migrations WHERE version = 9; PRAGMA user_version = 8",
            )
            .unwrap();
        drop(earlier);
        fixture.clock = Clock::manual(fixture.now().shifted(wall));
        fixture.crash().await;
        let after = fixture.delivery(id).await;
        assert_eq!(after.created_at, before.created_at.shifted(wall));
        sent_after_a_minute(fixture, id).await;
    }
}

/// Enqueues a delivery that is due a minute later.
async fn waits_a_minute(fixture: &QueueFixture, id: &str) -> DeliveryId {
    let due = fixture.now().after(Duration::from_mins(1));
    let new = fixture
        .event(id)
        .planned("user@example.com", Lane::Normal, Plan::Send(due))
        .new;
    let delivery = new.deliveries[0].id;
    fixture.enqueue(new).await;
    delivery
}

async fn sent_after_a_minute(fixture: &QueueFixture, id: DeliveryId) {
    fixture.step(59);
    assert!(fixture.claim().await.is_empty());
    fixture.step(1);
    let lease = fixture.claim_one().await;
    fixture.settle(lease, Outcome::Sent).await;
    let record = fixture.delivery(id).await;
    assert_eq!(
        (record.state, record.sent_at),
        (State::Sent, Some(fixture.clock.wall()))
    );
}

#[derive(Debug, Clone)]
enum Change {
    Sleep { millis: u64 },
    SetClock { millis: i64 },
    Restart,
    Boot { millis: u64 },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0..7_200_000u64).prop_map(|millis| Change::Sleep { millis }),
        2 => (-2 * DAY..2 * DAY).prop_map(|millis| Change::SetClock { millis }),
        2 => (-12_000..12_000i64).prop_map(|millis| Change::SetClock { millis }),
        2 => Just(Change::Restart),
        1 => (0..600_000u64).prop_map(|millis| Change::Boot { millis }),
    ]
}

/// A queue, and the time that has passed in truth.
struct Run {
    fixture: QueueFixture,
    millis: i64,
    boots: i64,
    /// Each waiting delivery, and when it is due in truth.
    waiting: Vec<(DeliveryId, i64)>,
    stored: Timestamp,
}

impl Run {
    async fn apply(&mut self, number: usize, change: Change, delay: u64) {
        match change {
            Change::Sleep { millis } => {
                self.fixture.clock.step(Duration::from_millis(millis));
                self.millis += i64::try_from(millis).unwrap();
            }
            Change::SetClock { millis } => self.fixture.clock.set(millis),
            Change::Restart => self.fixture.crash().await,
            Change::Boot { millis } => {
                let (before, offset) = (self.fixture.now(), self.fixture.clock.offset());
                let wall = self.fixture.clock.wall();
                self.fixture.clock = Clock::manual(wall.after(Duration::from_millis(millis)));
                let millis = i64::try_from(millis).unwrap();
                self.millis += millis;
                self.boots += 1;
                self.fixture.crash().await;
                // A negative offset ends once the wall clock has passed the last commit.
                let lost = millis - (self.fixture.now().as_millis() - before.as_millis());
                if offset < 0 && (lost + offset).abs() <= 10_000 {
                    (self.waiting.iter_mut()).for_each(|(_, due)| *due -= offset);
                }
            }
        }
        // Smaller steps than the detector's count as time, once in each boot.
        let allowed = 10_000 * (1 + self.boots);
        for lease in self.fixture.claim().await {
            let index = (self.waiting.iter()).position(|(id, _)| *id == lease.id);
            let (_, due) = self.waiting.remove(index.unwrap());
            assert!(self.millis >= due - allowed, "early: {due}");
            self.fixture.settle(lease, Outcome::Sent).await;
        }
        for (_, due) in &self.waiting {
            assert!(self.millis <= due + allowed, "late: {due}");
        }
        let due = self.fixture.now().after(Duration::from_millis(delay));
        let new = self
            .fixture
            .event(&format!("e{number}"))
            .planned("user@example.com", Lane::Normal, Plan::Send(due))
            .new;
        let (id, event) = (new.deliveries[0].id, new.event.id().clone());
        self.fixture.enqueue(new).await;
        self.waiting
            .push((id, self.millis + i64::try_from(delay).unwrap()));
        let record = self.fixture.queue.find(&event).await.unwrap().unwrap();
        let stored = self.fixture.clock.to_store(record.received_at);
        assert!(stored >= self.stored, "{stored} after {}", self.stored);
        self.stored = stored;
    }
}

pub(crate) async fn random_clock_steps_neither_expire_nor_delay(fixture: &mut QueueFixture) {
    let changes = proptest::collection::vec((change(), 0..10_800_000u64), 1..30);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let (runtime, kind) = (Handle::current(), &*fixture);
    let run = |changes: Vec<_>| {
        runtime.block_on(async {
            let fixture = kind.another().await;
            let mut run = Run {
                stored: fixture.now(),
                fixture,
                millis: 0,
                boots: 0,
                waiting: Vec::new(),
            };
            for (number, (change, delay)) in changes.into_iter().enumerate() {
                run.apply(number, change, delay).await;
            }
        });
        Ok(())
    };
    if let Err(failed) = block_in_place(|| runner.run(&changes, run)) {
        panic!("{failed}");
    }
}
