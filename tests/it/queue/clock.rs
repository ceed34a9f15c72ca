//! A clock that is set: nothing expires by it, nothing is put off by it.

use std::time::Duration;

use jobbell::domain::{Outcome, State};

use super::bench::{Bench, LEASE, PAUSE, again};

const DAY: i64 = 86_400_000;

pub(crate) async fn what_waits_moves_along_with_a_clock_that_was_set(bench: &mut Bench) {
    for millis in [DAY, -DAY] {
        let (first, second, ended) = (
            format!("first{millis}"),
            format!("second{millis}"),
            format!("ended{millis}"),
        );
        let ended = bench.one(&ended).await;
        let lease = bench.claim_one().await;
        bench.settle(lease, Outcome::Sent).await;
        let waiting = bench.one(&first).await;
        let lease = bench.claim_one().await;
        bench.settle(lease, again(bench, 60)).await;
        let held = bench.one(&second).await;
        let lease = bench.claim_one().await;
        let (before, told) = (bench.delivery(waiting).await, bench.delivery(ended).await);
        assert_eq!(
            bench
                .queue
                .shift_schedule(millis, bench.now().moved(millis))
                .await
                .unwrap(),
            2
        );
        bench.clock.follow(millis);
        let after = bench.delivery(waiting).await;
        assert_eq!(
            after.next_attempt_at,
            before.next_attempt_at.map(|at| at.moved(millis))
        );
        assert_eq!(
            (bench.delivery(ended).await, after.created_at),
            (told, before.created_at),
            "what has happened stays"
        );
        bench.step(59);
        assert!(
            bench.claim().await.is_empty(),
            "neither due at once nor a lease that ran out"
        );
        bench.step(1);
        let mut due = bench.claim().await;
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
            bench.settle(lease, Outcome::Sent).await,
            jobbell::queue::Settled::Stale
        );
        bench.settle(again, Outcome::Sent).await;
        bench.settle(lost, Outcome::Sent).await;
        assert!(LEASE <= Duration::from_mins(1));
    }
}

pub(crate) async fn what_a_clock_that_was_set_back_has_put_off_is_brought_back_by_a_start(
    bench: &mut Bench,
) {
    let (far, near) = (bench.one("far").await, bench.one("near").await);
    let mut leases = bench.claim().await;
    bench.settle(leases.pop().unwrap(), again(bench, 60)).await;
    bench
        .settle(leases.pop().unwrap(), again(bench, 86_400))
        .await;
    let longest = bench.settings().longest_pause;
    assert!(longest < Duration::from_hours(24) && longest > PAUSE);
    bench.crash();
    let due = |record: &jobbell::queue::DeliveryRecord| {
        record.next_attempt_at.unwrap().since(bench.now())
    };
    let (far, near) = (bench.delivery(far).await, bench.delivery(near).await);
    assert_eq!(
        (far.state, due(&far), due(&near)),
        (State::Queued, longest, Duration::from_mins(1))
    );
}
