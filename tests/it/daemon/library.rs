//! Jobbell as a library: no HTTP, the same guarantees.

use jobbell::Jobbell;
use jobbell::domain::State;
use jobbell::intake::Refusal;
use jobbell::queue::EnqueueError;
use jobbell::queue::sqlite;

use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_app::{event, reached};
use crate::support::test_config::TestConfig;

#[tokio::test]
async fn submitted_event_is_stored_and_mailed() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let mut jobbell = Jobbell::start(&config.load()).await.unwrap();
    let accepted = jobbell
        .submit(event("mine", "a@example.org"))
        .await
        .unwrap();
    assert_eq!((accepted.id.as_str(), accepted.duplicate), ("mine", false));
    assert!(
        jobbell
            .submit(event("mine", "a@example.org"))
            .await
            .unwrap()
            .duplicate
    );
    let other = jobbell.submit(event("mine", "b@example.org")).await;
    assert!(
        matches!(other, Err(Refusal::Queue(EnqueueError::Conflict { .. }))),
        "{other:?}"
    );
    reached(jobbell.queue(), "mine", State::Sent, 1).await;
    assert_eq!(peer.mails().len(), 1);
    jobbell.stop().await;
}

#[tokio::test]
async fn shutdown_commits_every_event_in_the_channel() {
    let mut config = TestConfig::for_port(25);
    config
        .set("smtp.enable", "false")
        .text("email.disabled", "hold");
    let mut jobbell = Jobbell::start(&config.load()).await.unwrap();
    let bell = jobbell.events();
    let mut sent = 0;
    // Fills the channel without yielding to another task.
    while bell
        .try_send(event(&format!("event-{sent}"), "a@example.org"))
        .is_ok()
    {
        sent += 1;
    }
    assert_eq!(sent, 1_024);
    jobbell.stop().await;
    assert!(
        bell.send(event("late", "a@example.org")).await.is_err(),
        "late events are refused"
    );
    let queue = sqlite::open_existing(&config.load().queue).unwrap();
    let counts = queue.counts().await.unwrap();
    assert_eq!(
        (counts.accepted, counts.queued, counts.balanced()),
        (1_024, 1_024, true)
    );
    queue.close().await;
}

#[tokio::test]
async fn open_sender_does_not_delay_shutdown() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let mut jobbell = Jobbell::start(&config.load()).await.unwrap();
    let bell = jobbell.events();
    bell.send(event("dropped-in", "a@example.org"))
        .await
        .unwrap();
    jobbell.stop().await;
    let mut jobbell = Jobbell::start(&config.load()).await.unwrap();
    reached(jobbell.queue(), "dropped-in", State::Sent, 1).await;
    assert_eq!(peer.mails().len(), 1, "sent once, before or after shutdown");
    jobbell.stop().await;
    drop(bell);
}

#[tokio::test]
async fn second_instance_in_one_directory_does_not_start() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let mut first = Jobbell::start(&config.load()).await.unwrap();
    let second = Jobbell::start(&config.load()).await.unwrap_err();
    assert!(
        second
            .to_string()
            .contains("another jobbell already works on this queue"),
        "{second}"
    );
    first.stop().await;
    Jobbell::start(&config.load()).await.unwrap().stop().await;
}

#[tokio::test]
async fn finished_events_are_removed_after_retention() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let app = crate::support::test_app::TestApp::start(config.text("queue.retention", "1h")).await;
    app.submit("old", "a@example.org").await;
    app.reached("old", State::Sent, 1).await;
    let id = jobbell::domain::EventId::parse("old").unwrap();
    let begun = std::time::Instant::now();
    while app.jobbell.queue().find(&id).await.unwrap().is_some() {
        assert!(
            begun.elapsed() < crate::support::test_config::PATIENCE,
            "the event is removed"
        );
        app.clock.step(std::time::Duration::from_mins(10));
        tokio::task::yield_now().await;
    }
    let counts = app.jobbell.queue().counts().await.unwrap();
    assert_eq!((counts.accepted, counts.balanced()), (0, true));
}
