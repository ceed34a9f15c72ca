//! Clock steps: they neither expire nor delay deliveries.

use std::time::Duration;

use jobbell::domain::{Outcome, State};

use super::fixture::{LEASE, PAUSE, QueueFixture, again};

const DAY: i64 = 86_400_000;

pub(crate) async fn pending_deliveries_shift_with_a_clock_step(fixture: &mut QueueFixture) {
    for millis in [DAY, -DAY] {
        let (first, second, ended) = (
            format!("first{millis}"),
            format!("second{millis}"),
            format!("ended{millis}"),
        );
        let ended = fixture.one(&ended).await;
        let lease = fixture.claim_one().await;
        fixture.settle(lease, Outcome::Sent).await;
        let waiting = fixture.one(&first).await;
        let lease = fixture.claim_one().await;
        fixture.settle(lease, again(fixture, 60)).await;
        let held = fixture.one(&second).await;
        let lease = fixture.claim_one().await;
        let (before, told) = (
            fixture.delivery(waiting).await,
            fixture.delivery(ended).await,
        );
        assert_eq!(
            fixture
                .queue
                .shift_schedule(millis, fixture.now().moved(millis))
                .await
                .unwrap(),
            2
        );
        fixture.clock.follow(millis);
        let after = fixture.delivery(waiting).await;
        assert_eq!(
            after.next_attempt_at,
            before.next_attempt_at.map(|at| at.moved(millis))
        );
        assert_eq!(
            (fixture.delivery(ended).await, after.created_at),
            (told, before.created_at),
            "the history does not shift"
        );
        fixture.step(59);
        assert!(
            fixture.claim().await.is_empty(),
            "neither due at once nor a lease that ran out"
        );
        fixture.step(1);
        let mut due = fixture.claim().await;
        due.sort_by_key(|lease| lease.id != waiting);
        let [again, lost] = <[_; 2]>::try_from(due).unwrap();
        assert_eq!(
            (again.id, lost.id, lost.attempt),
            (waiting, held, 2),
            "and the lease runs out when it should"
        );
        assert_eq!(
            again.expires_at,
            before
                .created_at
                .after(Duration::from_hours(48))
                .moved(millis)
        );
        assert_eq!(
            fixture.settle(lease, Outcome::Sent).await,
            jobbell::queue::Settled::Stale
        );
        fixture.settle(again, Outcome::Sent).await;
        fixture.settle(lost, Outcome::Sent).await;
        assert!(LEASE <= Duration::from_mins(1));
    }
}

pub(crate) async fn start_clamps_due_times_after_a_backward_clock_step(fixture: &mut QueueFixture) {
    let (far, near) = (fixture.one("far").await, fixture.one("near").await);
    let mut leases = fixture.claim().await;
    fixture
        .settle(leases.pop().unwrap(), again(fixture, 60))
        .await;
    fixture
        .settle(leases.pop().unwrap(), again(fixture, 86_400))
        .await;
    let longest = fixture.settings().longest_pause;
    assert!(longest < Duration::from_hours(24) && longest > PAUSE);
    fixture.crash();
    let due = |record: &jobbell::queue::DeliveryRecord| {
        record.next_attempt_at.unwrap().since(fixture.now())
    };
    let (far, near) = (fixture.delivery(far).await, fixture.delivery(near).await);
    assert_eq!(
        (far.state, due(&far), due(&near)),
        (State::Queued, longest, Duration::from_mins(1))
    );
}
