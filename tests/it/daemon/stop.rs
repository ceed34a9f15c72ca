//! Shutdown and reload: mails in progress are finished, the rest is not lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jobbell::clock::Clock;
use jobbell::dispatch::{Dispatcher, Pipeline};
use jobbell::domain::{Stage, State};
use jobbell::queue::{Counts, Queue, sqlite};
use jobbell::telemetry::Metrics;
use tokio_util::sync::CancellationToken;

use crate::support::smtp_peer::{Act, At, Gate, SmtpPeer};
use crate::support::test_app::{self, NEW_YEAR, TestApp};
use crate::support::test_config::{PATIENCE, TestConfig};

async fn counted(queue: &Queue, what: &str, enough: impl Fn(Counts) -> bool) {
    let begun = Instant::now();
    loop {
        let counts = queue.counts().await.unwrap();
        if enough(counts) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "waited for {what}: {counts:?}");
        tokio::task::yield_now().await;
    }
}

fn pipeline(config: &TestConfig, metrics: &Arc<Metrics>, queue: &Queue) -> Pipeline {
    jobbell::daemon::pipeline(&config.load(), metrics, &Clock::System, queue).unwrap()
}

#[tokio::test]
async fn shutdown_requeues_mails_waiting_for_a_connection() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config.set("smtp.max_connections", "1");
    let mut app = TestApp::start(&config).await;
    app.submit("first", "a@example.org").await;
    gate.reached().await;
    app.submit("second", "b@example.org").await;
    let queue = app.jobbell.queue().clone();
    counted(&queue, "the second to be claimed", |counts| {
        counts.sending == 2
    })
    .await;
    let released = async {
        counted(&queue, "the second to be given back", |counts| {
            counts.queued == 1
        })
        .await;
        gate.open();
    };
    tokio::join!(app.jobbell.stop(), released);
    let queue = sqlite::open_to_read(&config.load().queue).unwrap();
    test_app::reached(&queue, "first", State::Sent, 1).await;
    test_app::reached(&queue, "second", State::Queued, 0).await;
    assert_eq!(peer.mails().len(), 1);
    queue.close().await;
    // The attempt does not count either.
    let app = TestApp::start(&config).await;
    assert_eq!(
        app.reached("second", State::Sent, 1).await.attempts[0].number,
        1
    );
}

#[tokio::test]
async fn mail_cut_off_at_the_grace_period_is_possibly_sent() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let config = TestConfig::new(&peer);
    let app = TestApp::start(&config).await;
    // A separate dispatcher, stopped with a grace period shorter than thirty seconds; the built-in
    // one is idle.
    let clock = Clock::manual(NEW_YEAR);
    let queue = Queue::in_memory(10, &clock).unwrap();
    let metrics = Arc::new(Metrics::new());
    let routes = Arc::clone(app.jobbell.routes());
    let intake =
        jobbell::intake::Intake::new(queue.clone(), routes, clock.clone(), Arc::clone(&metrics));
    let dispatcher = Dispatcher::new(
        queue.clone(),
        pipeline(&config, &metrics, &queue),
        clock,
        metrics,
    );
    let event = test_app::event("slow", "a@example.org");
    let source = jobbell::domain::Source::IN_PROCESS;
    intake.accept_one(&source, event).await.unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(dispatcher.run(stop.clone(), Duration::from_millis(20)));
    gate.reached().await;
    stop.cancel();
    tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap()
        .unwrap();
    let delivery = test_app::reached(&queue, "slow", State::Queued, 1).await;
    assert_eq!(
        (
            delivery.attempts[0].result.as_str(),
            delivery.attempts[0].stage
        ),
        ("uncertain", Some(Stage::Dot))
    );
    assert!(
        delivery.next_attempt_at.unwrap() > NEW_YEAR,
        "a duplicate would follow after the usual delay"
    );
}

#[tokio::test]
async fn reload_drains_old_servers_and_uses_the_new_ones() {
    let gate = Gate::new();
    let old = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let new = SmtpPeer::start().await;
    let mut config = TestConfig::new(&old);
    config.set("smtp.max_connections", "1");
    let app = TestApp::start(&config).await;
    app.submit("first", "a@example.org").await;
    gate.reached().await;
    app.submit("second", "b@example.org").await;
    counted(app.jobbell.queue(), "the second to be claimed", |counts| {
        counts.sending == 2
    })
    .await;
    config
        .set("smtp.port", &new.port().to_string())
        .text("smtp.name", "new");
    app.jobbell.reload(&config.load()).unwrap();
    let second = app.reached("second", State::Sent, 1).await;
    assert_eq!(
        (&*second.attempts[0].server, second.attempts[0].number),
        ("new", 1)
    );
    gate.open();
    let first = app.reached("first", State::Sent, 1).await;
    assert_eq!(&*first.attempts[0].server, "primary");
    assert_eq!((old.mails().len(), new.mails().len()), (1, 1));
    old.until("QUIT", |seen| seen.count("QUIT") == 1 && seen.open == 0)
        .await;
}

#[tokio::test]
async fn connections_unused_after_a_reload_are_closed() {
    let old = SmtpPeer::start().await;
    let new = SmtpPeer::start().await;
    let mut config = TestConfig::new(&old);
    let app = TestApp::start(&config).await;
    app.submit("first", "a@example.org").await;
    app.reached("first", State::Sent, 1).await;
    assert_eq!(
        old.seen().open,
        1,
        "the connection is kept for the next mail"
    );
    config.set("smtp.port", &new.port().to_string());
    app.jobbell.reload(&config.load()).unwrap();
    old.until("QUIT", |seen| seen.count("QUIT") == 1 && seen.open == 0)
        .await;
}

#[tokio::test]
async fn removed_store_stops_the_daemon_for_a_restart() {
    let peer = SmtpPeer::start().await;
    let mut app = TestApp::start(&TestConfig::new(&peer)).await;
    app.jobbell.queue().close().await;
    let broken = async {
        tokio::select! {
            ended = app.jobbell.task_failed() => ended.to_string(),
            () = async { loop { app.clock.step(Duration::from_secs(30)); tokio::task::yield_now().await; } } => unreachable!("the loop never ends"),
        }
    };
    let ended = tokio::time::timeout(PATIENCE, broken).await.unwrap();
    assert_eq!(ended, "the task \"dispatch\" ended unexpectedly");
}

#[tokio::test]
async fn mail_in_progress_for_hours_is_not_claimed_again() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let app = TestApp::start(&TestConfig::new(&peer)).await;
    app.submit("slow", "a@example.org").await;
    gate.reached().await;
    let queue = app.jobbell.queue().clone();
    for minute in 0..180 {
        app.clock.step(Duration::from_mins(1));
        queue.ping().await;
        // Its commit would also claim whatever is due.
        if minute % 60 == 0 {
            app.submit(&format!("other-{minute}"), "b@example.org")
                .await;
        }
    }
    // As after a suspend: the lease has expired before anything runs.
    app.clock.step(Duration::from_hours(5));
    app.submit("last", "c@example.org").await;
    app.reached("last", State::Sent, 1).await;
    gate.open();
    let slow = app.reached("slow", State::Sent, 1).await;
    assert_eq!(slow.attempts[0].number, 1);
    counted(&queue, "the others to be sent", |counts| counts.sent == 5).await;
    assert_eq!(peer.mails().len(), 5);
}
