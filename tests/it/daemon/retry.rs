//! Retries: when they happen and when they end, with a real mail server, a real store and a test
//! clock.

use std::time::Duration;

use jobbell::domain::{Stage, State, Timestamp};
use jobbell::queue::DeliveryRecord;

use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_app::TestApp;
use crate::support::test_config::TestConfig;

const MILLISECOND: Duration = Duration::from_millis(1);

async fn start(peer: &SmtpPeer, set: impl FnOnce(&mut TestConfig)) -> (TestConfig, TestApp) {
    let mut config = TestConfig::new(peer);
    config.text("retry.initial", "10s");
    set(&mut config);
    let app = TestApp::start(&config).await;
    (config, app)
}

fn results(delivery: &DeliveryRecord) -> Vec<(u32, &str)> {
    delivery
        .attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.result.as_str()))
        .collect()
}

/// Moves the clock to a point in time.
fn step_to(app: &TestApp, moment: Timestamp) {
    app.clock.step(moment.since(app.clock.now()));
}

fn message_ids(peer: &SmtpPeer) -> Vec<String> {
    let message_id = |line: &str| line.strip_prefix("Message-ID: ").map(str::to_owned);
    peer.mails()
        .iter()
        .map(|mail| {
            String::from_utf8_lossy(&mail.data)
                .lines()
                .find_map(message_id)
                .unwrap()
        })
        .collect()
}

#[tokio::test]
async fn deferred_mail_is_retried_exactly_when_due() {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("451 4.3.0 come back later"))
        .start()
        .await;
    let (_home, mut app) = start(&peer, |_| {}).await;
    app.submit("put-off", "a@example.org").await;
    let waiting = app.reached("put-off", State::Queued, 1).await;
    assert_eq!(
        (
            waiting.attempts[0].stage,
            waiting.attempts[0].reply.as_ref().unwrap().code
        ),
        (Some(Stage::Rcpt), 451)
    );
    let again = waiting.next_attempt_at.unwrap();
    let pause = again.since(app.clock.now());
    assert!(
        (8..=12).contains(&pause.as_secs()),
        "10 s ± 20 %: {pause:?}"
    );
    step_to(&app, again.before(MILLISECOND));
    // Everything due by now is claimed before this delivery.
    app.submit("fence", "b@example.org").await;
    app.reached("fence", State::Sent, 1).await;
    assert_eq!(app.delivery("put-off").await, waiting);
    app.clock.step(MILLISECOND);
    let sent = app.reached("put-off", State::Sent, 2).await;
    assert_eq!(results(&sent), [(1, "unavailable"), (2, "sent")]);
    assert_eq!(
        (sent.sent_at, &sent.message_id),
        (Some(again), &waiting.message_id)
    );
    app.jobbell.stop().await;
}

#[tokio::test]
async fn mail_fails_after_its_last_attempt() {
    let peer = SmtpPeer::builder()
        .always(At::Dot, Act::reply("451 4.3.0 not now"))
        .start()
        .await;
    let (_home, app) = start(&peer, |config| {
        config.set("retry.max_attempts", "3");
    })
    .await;
    app.submit("full", "a@example.org").await;
    for tries in 1..3 {
        let waiting = app.reached("full", State::Queued, tries).await;
        step_to(&app, waiting.next_attempt_at.unwrap());
    }
    let dead = app.reached("full", State::Dead, 3).await;
    assert_eq!(
        (dead.reason.as_deref(), results(&dead)),
        (
            Some("attempts"),
            vec![(1, "unavailable"), (2, "unavailable"), (3, "unavailable")]
        )
    );
    assert!(peer.mails().is_empty());
}

#[tokio::test]
async fn mail_past_its_maximum_age_is_not_sent() {
    let peer = SmtpPeer::builder()
        .always(At::Rcpt, Act::reply("451 4.3.0 come back later"))
        .start()
        .await;
    let (_home, app) = start(&peer, |config| {
        config.text("retry.expire_after", "15s");
    })
    .await;
    app.submit("old", "a@example.org").await;
    let waiting = app.reached("old", State::Queued, 1).await;
    step_to(&app, waiting.next_attempt_at.unwrap());
    let waiting = app.reached("old", State::Queued, 2).await;
    assert_eq!(
        waiting.next_attempt_at,
        Some(waiting.created_at.after(Duration::from_secs(15))),
        "the retry is not due after expiry"
    );
    peer.always(At::Rcpt, None);
    step_to(&app, waiting.next_attempt_at.unwrap());
    let dead = app.reached("old", State::Dead, 2).await;
    assert_eq!(dead.reason.as_deref(), Some("expired"));
    assert!(peer.mails().is_empty());
}

#[tokio::test]
async fn failing_server_does_not_consume_attempts() {
    let peer = SmtpPeer::builder()
        .always(
            At::Greeting,
            Act::reply_and_close("421 4.3.2 closing for maintenance"),
        )
        .start()
        .await;
    let (_home, app) = start(&peer, |config| {
        config.set("retry.max_attempts", "1");
    })
    .await;
    app.submit("patient", "a@example.org").await;
    for tries in 1..=4 {
        let waiting = app.reached("patient", State::Queued, tries).await;
        if tries == 4 {
            peer.always(At::Greeting, None);
        }
        step_to(&app, waiting.next_attempt_at.unwrap());
    }
    let sent = app.reached("patient", State::Sent, 5).await;
    assert_eq!(
        results(&sent),
        [
            (1, "unavailable"),
            (1, "unavailable"),
            (1, "unavailable"),
            (1, "unavailable"),
            (1, "sent")
        ]
    );
}

#[tokio::test]
async fn unreachable_server_does_not_consume_attempts() {
    let mut peer = SmtpPeer::start().await;
    peer.stop_listening().await;
    let (_home, app) = start(&peer, |config| {
        config.set("retry.max_attempts", "1");
    })
    .await;
    app.submit("patient", "a@example.org").await;
    for tries in 1..=3 {
        let waiting = app.reached("patient", State::Queued, tries).await;
        let last = waiting.attempts.last().unwrap();
        assert_eq!(
            (last.number, last.stage, last.reply.as_ref()),
            (1, Some(Stage::Connect), None)
        );
        step_to(&app, waiting.next_attempt_at.unwrap());
    }
}

#[tokio::test]
async fn possibly_sent_mail_is_retried_with_the_same_message_id() {
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Close.kept())
        .start()
        .await;
    let (_home, app) = start(&peer, |_| {}).await;
    app.submit("doubt", "a@example.org").await;
    let waiting = app.reached("doubt", State::Queued, 1).await;
    assert_eq!(
        (waiting.attempts[0].stage, results(&waiting)),
        (Some(Stage::Dot), vec![(1, "uncertain")])
    );
    step_to(&app, waiting.next_attempt_at.unwrap().before(MILLISECOND));
    app.submit("fence", "b@example.org").await;
    let fence = app.reached("fence", State::Sent, 1).await;
    assert_eq!(
        message_ids(&peer),
        [waiting.message_id.clone(), fence.message_id.clone()],
        "no duplicate before the retry is due"
    );
    app.clock.step(MILLISECOND);
    let sent = app.reached("doubt", State::Sent, 2).await;
    assert_eq!(results(&sent), [(1, "uncertain"), (2, "sent")]);
    assert_eq!(
        message_ids(&peer),
        [
            waiting.message_id.clone(),
            fence.message_id,
            waiting.message_id
        ],
        "the duplicate is identical"
    );
}

#[tokio::test]
async fn manually_retried_mail_starts_over() {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("550 5.2.1 mailbox disabled"))
        .start()
        .await;
    let (_home, app) = start(&peer, |_| {}).await;
    app.submit("refused", "a@example.org").await;
    let dead = app.reached("refused", State::Dead, 1).await;
    let now = app.clock.now();
    app.jobbell
        .queue()
        .retry(dead.id, now.after(Duration::from_hours(1)), now)
        .await
        .unwrap();
    let sent = app.reached("refused", State::Sent, 2).await;
    assert_eq!(
        (sent.reason.as_deref(), results(&sent)),
        (None, vec![(1, "rejected"), (1, "sent")])
    );
}
