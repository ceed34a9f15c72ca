//! The system clock is set by a day while mails wait, are deferred and are being sent: none
//! expires, is delayed or is sent twice.

use std::time::Duration;

use jobbell::domain::State;

use crate::support::figures::record;
use crate::support::smtp_peer::{Act, At, Gate, SmtpPeer};
use crate::support::test_app::TestApp;
use crate::support::test_config::TestConfig;

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
        let mut app = TestApp::start(&config).await;
        app.submit("waiting", "a@example.org").await;
        let waiting = app.reached("waiting", State::Queued, 1).await;
        peer.once(At::Dot, Act::Usual.held(&gate));
        app.submit("held", "b@example.org").await;
        gate.reached().await;

        app.clock.set(set);
        app.submit("during", "c@example.org").await;
        app.reached("during", State::Sent, 1).await;
        app.submit("after", "d@example.org").await;
        app.reached("after", State::Sent, 1).await;
        // Everything due by the new time is claimed before that delivery.
        let moved = app.delivery("waiting").await;
        assert_eq!(
            (moved.state, moved.next_attempt_at),
            (
                State::Queued,
                waiting.next_attempt_at.map(|at| at.shifted(set))
            )
        );
        assert_eq!(
            app.delivery("held").await.state,
            State::Sending,
            "its lease is still valid"
        );
        gate.open();
        app.reached("held", State::Sent, 1).await;

        app.clock
            .step(moved.next_attempt_at.unwrap().since(app.clock.wall()));
        app.reached("waiting", State::Sent, 2).await;
        assert_eq!(peer.mails().len(), 4, "each mail is sent once");
        let counts = app.jobbell.queue().counts().await.unwrap();
        record(&format!(
            "conservation clock_step_of_a_day_neither_expires_nor_delays_mails: set by {set} ms, {counts:?}, ledger mails {}",
            peer.mails().len()
        ));
        assert!(
            counts.balanced() && counts.sent == 4 && counts.accepted == 4,
            "{counts:?}"
        );
        app.jobbell.stop().await;
    }
}

#[tokio::test]
async fn clock_step_while_stopped_neither_expires_nor_delays_mails() {
    for set in [DAY, -DAY] {
        let peer = SmtpPeer::builder()
            .once(At::Rcpt, Act::reply("451 4.7.1 greylisted"))
            .start()
            .await;
        let mut config = TestConfig::new(&peer);
        config
            .text("retry.initial", "10m")
            .text("retry.expire_after", "12h");
        let mut app = TestApp::start(&config).await;
        app.submit("waiting", "a@example.org").await;
        let waiting = app.reached("waiting", State::Queued, 1).await;
        app.jobbell.stop().await;
        app.clock.set(set);
        let mut app = TestApp::start_at(&config, app.clock.clone()).await;
        let next = app.delivery("waiting").await.next_attempt_at.unwrap();
        assert_eq!(next, waiting.next_attempt_at.unwrap().shifted(set));
        let pause = next.since(app.clock.wall());
        app.clock
            .step(pause.checked_sub(Duration::from_secs(1)).unwrap());
        app.submit("before", "b@example.org").await;
        app.reached("before", State::Sent, 1).await;
        app.reached("waiting", State::Queued, 1).await;
        app.clock.step(Duration::from_secs(1));
        app.reached("waiting", State::Sent, 2).await;
        let counts = app.jobbell.queue().counts().await.unwrap();
        record(&format!(
            "conservation clock_step_while_stopped_neither_expires_nor_delays_mails: set by {set} ms, {counts:?}, ledger mails {}",
            peer.mails().len()
        ));
        assert!(
            counts.balanced() && counts.sent == 2 && peer.mails().len() == 2,
            "{counts:?}"
        );
        app.jobbell.stop().await;
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
        let mut app = TestApp::start(&config).await;
        app.submit("held", "a@example.org").await;
        gate.reached().await;
        app.clock.set(set);
        app.submit("during", "b@example.org").await;
        app.reached("during", State::Sent, 1).await;
        gate.open();
        let waiting = app.reached("held", State::Queued, 1).await;
        let pause = waiting.next_attempt_at.unwrap().since(app.clock.wall());
        assert!(
            (Duration::from_mins(8)..=Duration::from_mins(12)).contains(&pause),
            "{set}: {pause:?}"
        );
        app.clock.step(pause);
        app.reached("held", State::Sent, 2).await;
        let counts = app.jobbell.queue().counts().await.unwrap();
        record(&format!(
            "conservation clock_step_during_an_attempt_keeps_the_retry_delay: set by {set} ms, {counts:?}, ledger mails {}",
            peer.mails().len()
        ));
        assert!(
            counts.balanced() && counts.sent == 2 && peer.mails().len() == 2,
            "{counts:?}"
        );
        app.jobbell.stop().await;
    }
}

/// As when the process is stopped or the machine is suspended: the lease expires while the server
/// withholds its reply.
#[tokio::test]
async fn lease_that_expires_in_a_suspend_causes_no_second_copy() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let mut app = TestApp::start(&TestConfig::new(&peer)).await;
    app.submit("held", "a@example.org").await;
    gate.reached().await;
    for number in 0..3 {
        app.clock.step(Duration::from_mins(5));
        let id = format!("after-{number}");
        app.submit(&id, "b@example.org").await;
        // The commit of this event tries the claim, for which the expired lease is due first.
        app.reached(&id, State::Sent, 1).await;
        assert_eq!(app.delivery("held").await.state, State::Sending);
    }
    gate.open();
    app.reached("held", State::Sent, 1).await;
    let counts = app.jobbell.queue().counts().await.unwrap();
    record(&format!(
        "conservation lease_that_expires_in_a_suspend_causes_no_second_copy: {counts:?}, ledger mails {}",
        peer.mails().len()
    ));
    assert!(
        counts.balanced() && counts.sent == 4 && peer.mails().len() == 4,
        "{counts:?}"
    );
    app.jobbell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_received_during_a_clock_step_are_sent_on_time() {
    const EVENTS: usize = 300;
    let peer = SmtpPeer::builder().start().await;
    let app = std::sync::Arc::new(TestApp::start(&TestConfig::new(&peer)).await);
    let producer = tokio::spawn({
        let app = std::sync::Arc::clone(&app);
        async move {
            for number in 0..EVENTS {
                app.submit(&format!("event-{number}"), "a@example.org")
                    .await;
            }
        }
    });
    let mut set = 0;
    while !producer.is_finished() {
        app.clock.set(if set % 2 == 0 { DAY } else { -DAY });
        set += 1;
        tokio::task::yield_now().await;
    }
    producer.await.unwrap();
    assert!(set > 1, "set {set} times");
    // The clock only moves by steps, so a delayed delivery would never be sent.
    for number in 0..EVENTS {
        app.reached(&format!("event-{number}"), State::Sent, 1)
            .await;
    }
    let counts = app.jobbell.queue().counts().await.unwrap();
    record(&format!(
        "conservation events_received_during_a_clock_step_are_sent_on_time: set {set} times, {counts:?}, ledger mails {}",
        peer.mails().len()
    ));
    assert!(
        counts.balanced() && counts.sent == EVENTS as u64 && peer.mails().len() == EVENTS,
        "{counts:?}"
    );
}
