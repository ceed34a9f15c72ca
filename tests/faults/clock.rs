//! The system clock is set by a day while mails wait, rest and are under way: none expires, none is
//! put off, none is sent twice.

use std::time::Duration;

use jobbell::domain::State;

use crate::support::figures::record;
use crate::support::smtp_peer::{Act, At, Gate, SmtpPeer};
use crate::support::test_app::TestApp;
use crate::support::test_config::{PATIENCE, TestConfig};

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn clock_step_of_a_day_neither_expires_nor_delays_mails() {
    for set in [DAY, -DAY] {
        let gate = Gate::new();
        let peer = SmtpPeer::builder()
            .once(At::Rcpt, Act::reply("451 4.7.1 greylisted"))
            .start()
            .await;
        let mut config = TestConfig::new(&peer);
        config
            .text("retry.initial", "10m")
            .text("retry.expire_after", "12h");
        let mut inside = TestApp::start(&config).await;
        inside.submit("waiting", "a@example.org").await;
        let waiting = inside.reached("waiting", State::Queued, 1).await;
        peer.once(At::Dot, Act::Usual.held(&gate));
        inside.submit("held", "b@example.org").await;
        gate.reached().await;

        let before = inside.clock.now();
        inside.clock.set(set);
        inside.submit("meanwhile", "c@example.org").await;
        inside.reached("meanwhile", State::Sent, 1).await;
        let begun = std::time::Instant::now();
        while inside.clock.set_by() != 0 {
            assert!(begun.elapsed() < PATIENCE, "it should have noticed");
            tokio::task::yield_now().await;
        }
        assert_eq!(inside.clock.now(), before.moved(set));
        inside.submit("after", "d@example.org").await;
        inside.reached("after", State::Sent, 1).await;
        // Whatever is due by the new time was claimed before that one.
        let moved = inside.delivery("waiting").await;
        assert_eq!(
            (moved.state, moved.next_attempt_at),
            (
                State::Queued,
                waiting.next_attempt_at.map(|at| at.moved(set))
            )
        );
        assert_eq!(
            inside.delivery("held").await.state,
            State::Sending,
            "its lease has not run out"
        );
        gate.open();
        inside.reached("held", State::Sent, 1).await;

        inside
            .clock
            .step(moved.next_attempt_at.unwrap().since(inside.clock.now()));
        inside.reached("waiting", State::Sent, 2).await;
        assert_eq!(peer.mails().len(), 4, "each once");
        let counts = inside.jobbell.queue().counts().await.unwrap();
        record(&format!(
            "conservation clock_step_of_a_day_neither_expires_nor_delays_mails: set by {set} ms, {counts:?}, ledger mails {}",
            peer.mails().len()
        ));
        assert!(
            counts.balanced() && counts.sent == 4 && counts.accepted == 4,
            "{counts:?}"
        );
        inside.jobbell.stop().await;
    }
}

#[tokio::test]
async fn clock_step_during_an_attempt_keeps_the_retry_delay() {
    for set in [DAY, -DAY] {
        let gate = Gate::new();
        let peer = SmtpPeer::builder()
            .once(At::Rcpt, Act::reply("451 4.7.1 greylisted").held(&gate))
            .start()
            .await;
        let mut config = TestConfig::new(&peer);
        config
            .text("retry.initial", "10m")
            .text("retry.expire_after", "12h");
        let mut inside = TestApp::start(&config).await;
        inside.submit("held", "a@example.org").await;
        gate.reached().await;
        inside.clock.set(set);
        inside.submit("meanwhile", "b@example.org").await;
        inside.reached("meanwhile", State::Sent, 1).await;
        gate.open();
        let waiting = inside.reached("held", State::Queued, 1).await;
        let pause = waiting.next_attempt_at.unwrap().since(inside.clock.now());
        assert!(
            (Duration::from_mins(8)..=Duration::from_mins(12)).contains(&pause),
            "{set}: {pause:?}"
        );
        inside.clock.step(pause);
        inside.reached("held", State::Sent, 2).await;
        let counts = inside.jobbell.queue().counts().await.unwrap();
        record(&format!(
            "conservation clock_step_during_an_attempt_keeps_the_retry_delay: set by {set} ms, {counts:?}, ledger mails {}",
            peer.mails().len()
        ));
        assert!(
            counts.balanced() && counts.sent == 2 && peer.mails().len() == 2,
            "{counts:?}"
        );
        inside.jobbell.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_received_during_a_clock_step_are_sent_on_time() {
    const EVENTS: usize = 300;
    let peer = SmtpPeer::builder().start().await;
    let inside = std::sync::Arc::new(TestApp::start(&TestConfig::new(&peer)).await);
    let producer = tokio::spawn({
        let inside = std::sync::Arc::clone(&inside);
        async move {
            for number in 0..EVENTS {
                inside
                    .submit(&format!("event-{number}"), "a@example.org")
                    .await;
            }
        }
    });
    let mut set = 0;
    while !producer.is_finished() {
        let (before, by) = (
            inside.clock.followed(),
            if set % 2 == 0 { DAY } else { -DAY },
        );
        inside.clock.set(by);
        while inside.clock.followed() == before && !producer.is_finished() {
            tokio::task::yield_now().await;
        }
        set += u32::from(inside.clock.followed() == before + by);
    }
    producer.await.unwrap();
    assert!(set > 1, "followed {set} times");
    // The clock stands still but for what was set, so whatever was put off would never go.
    for number in 0..EVENTS {
        inside
            .reached(&format!("event-{number}"), State::Sent, 1)
            .await;
    }
    let counts = inside.jobbell.queue().counts().await.unwrap();
    record(&format!(
        "conservation events_received_during_a_clock_step_are_sent_on_time: followed {set} times, {counts:?}, ledger mails {}",
        peer.mails().len()
    ));
    assert!(
        counts.balanced() && counts.sent == EVENTS as u64 && peer.mails().len() == EVENTS,
        "{counts:?}"
    );
}
