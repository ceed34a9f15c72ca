//! The connection pool: number of connections, their age, mails per connection.

use std::sync::Arc;
use std::time::Duration;

use jobbell::domain::Stage;
use jobbell::telemetry::Metrics;
use jobbell::transport::smtp::{Depth, Settings};
use jobbell::transport::{Context, Transport};
use tokio::task::JoinSet;

use super::{common, context, email, numbered, pooled, settings, smtp, to, with_auth, with_login};
use crate::support::smtp_peer::{Act, At, Gate, SmtpPeer};

#[tokio::test]
async fn connections_never_exceed_the_maximum() {
    let peer = SmtpPeer::start().await;
    let server = Arc::new(pooled(3, settings(peer.port())));
    let mut sends = JoinSet::new();
    for number in 0..60 {
        let server = Arc::clone(&server);
        sends.spawn(async move { server.send(&numbered(number)).await.map(|_| ()) });
    }
    while let Some(sent) = sends.join_next().await {
        sent.unwrap().unwrap();
    }
    let seen = peer.seen();
    assert_eq!(
        (seen.mails.len(), seen.max_open, seen.connections),
        (60, 3, 3)
    );
}

#[tokio::test]
async fn send_waits_for_a_permit_instead_of_another_connection() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let server = to(&peer);
    let (first, second) = (numbered(1), numbered(2));
    let opener = async {
        gate.reached().await;
        assert_eq!(peer.seen().connections, 1);
        gate.open();
    };
    let (first, second, ()) = tokio::join!(server.send(&first), server.send(&second), opener);
    first.unwrap();
    second.unwrap();
    assert_eq!(peer.seen().connections, 1);
}

#[tokio::test]
async fn send_fails_after_the_wait_for_a_permit_that_its_message_names() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let server = to(&peer);
    let (first, second) = (numbered(1), numbered(2));
    let second_send = async {
        gate.reached().await;
        tokio::time::pause();
        let started = tokio::time::Instant::now();
        let failure = server.send(&second).await.unwrap_err();
        let waited = started.elapsed();
        tokio::time::resume();
        gate.open();
        (failure, waited)
    };
    let (first, (failure, waited)) = tokio::join!(server.send(&first), second_send);
    first.unwrap();
    assert_eq!(waited.as_secs(), 60);
    assert_eq!(
        (failure.stage, failure.detail.as_str()),
        (
            Stage::Connect,
            "no connection to this server became free within 60 s"
        )
    );
    assert_eq!(peer.seen().connections, 1);
}

#[tokio::test]
async fn connection_is_replaced_after_its_maximum_of_mails() {
    let peer = SmtpPeer::start().await;
    let server = smtp(Settings {
        max_mails_per_connection: 5,
        ..settings(peer.port())
    });
    for number in 0..12 {
        server.send(&numbered(number)).await.unwrap();
    }
    let seen = peer
        .until("the used-up connections to be closed", |seen| {
            seen.open == 1
        })
        .await;
    assert_eq!(
        (seen.connections, seen.max_open, seen.count("QUIT")),
        (3, 1, 2)
    );
}

#[tokio::test]
async fn idle_connection_is_closed_with_quit_after_30_seconds() {
    let peer = SmtpPeer::start().await;
    let server = pooled(2, settings(peer.port()));
    server.send(&email()).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(29)).await;
    tokio::time::resume();
    server.send(&email()).await.unwrap();
    assert_eq!(peer.seen().connections, 1, "kept while it is used in time");
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    let seen = peer
        .until("the idle connection to be closed", |seen| seen.open == 0)
        .await;
    assert_eq!(seen.count("QUIT"), 1);
    server.send(&email()).await.unwrap();
    assert_eq!(peer.seen().connections, 2);
}

#[tokio::test]
async fn connection_is_replaced_after_10_minutes_even_if_busy() {
    let peer = SmtpPeer::start().await;
    let server = to(&peer);
    for _ in 0..31 {
        server.send(&email()).await.unwrap();
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(20)).await;
        tokio::time::resume();
    }
    server.send(&email()).await.unwrap();
    let seen = peer.seen();
    assert_eq!((seen.connections, seen.mails.len()), (2, 32));
}

#[tokio::test]
async fn closed_pool_sends_quit_and_accepts_no_mails() {
    let peer = SmtpPeer::start().await;
    let server = Transport::from(pooled(2, settings(peer.port())));
    let (first, second) = (numbered(1), numbered(2));
    let (first, second) = tokio::join!(server.send(&first), server.send(&second));
    first.unwrap();
    second.unwrap();
    server.close().await;
    let seen = peer
        .until("all connections to be closed", |seen| seen.open == 0)
        .await;
    assert_eq!(seen.count("QUIT"), 2);
    assert_eq!(
        server.send(&email()).await.unwrap_err().stage,
        Stage::Connect
    );
}

#[tokio::test]
async fn running_send_completes_while_the_pool_closes() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .start()
        .await;
    let server = to(&peer);
    let mail = email();
    let closing = async {
        gate.reached().await;
        server.close().await;
        gate.open();
    };
    let (sent, ()) = tokio::join!(server.send(&mail), closing);
    sent.unwrap();
    peer.until("the connection to be closed", |seen| {
        seen.open == 0 && seen.count("QUIT") == 1
    })
    .await;
}

#[tokio::test]
async fn server_that_ignores_quit_does_not_delay_the_close() {
    let peer = SmtpPeer::builder()
        .always(At::Quit, Act::Silence)
        .start()
        .await;
    let server = to(&peer);
    server.send(&email()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(4), server.close())
        .await
        .unwrap();
}

#[tokio::test]
async fn probe_logs_in_and_keeps_the_connection() {
    let peer = with_auth().start().await;
    let server = Transport::from(smtp(with_login(peer.port())));
    server.probe().await.unwrap();
    server.send(&email()).await.unwrap();
    assert_eq!((peer.seen().connections, peer.seen().count("AUTH")), (1, 1));
}

#[tokio::test]
async fn probe_and_trace_close_an_idle_connection_before_they_open_one() {
    let peer = SmtpPeer::start().await;
    let server = pooled(1, settings(peer.port()));
    server.send(&email()).await.unwrap();
    server.probe().await.unwrap();
    server.trace(Depth::Login).await.result.unwrap();
    let seen = peer.seen();
    assert_eq!((seen.connections, seen.max_open), (3, 1));
}

#[tokio::test]
async fn trace_shows_each_step_without_secrets_and_addresses() {
    let peer = with_auth().start().await;
    let server = smtp(with_login(peer.port()));
    let trace = server.trace(Depth::Mail(&email())).await;
    assert_eq!(trace.result.unwrap().unwrap().reply.code, 250);
    let told: Vec<(Stage, String)> = trace
        .steps
        .iter()
        .map(|step| (step.stage, step.command.clone()))
        .collect();
    let said = |stage: Stage| {
        told.iter()
            .find(|(at, _)| *at == stage)
            .map(|(_, said)| said.as_str())
            .unwrap()
    };
    let stages: Vec<Stage> = told.iter().map(|(stage, _)| *stage).collect();
    let expected = [
        Stage::Dns,
        Stage::Connect,
        Stage::Greeting,
        Stage::Ehlo,
        Stage::Auth,
        Stage::Mail,
        Stage::Rcpt,
        Stage::Data,
        Stage::Dot,
        Stage::Quit,
    ];
    assert_eq!(stages, expected);
    assert_eq!(
        (said(Stage::Auth), said(Stage::Mail), said(Stage::Rcpt)),
        (
            "AUTH PLAIN ***",
            "MAIL FROM:<n***@example.com>",
            "RCPT TO:<r***@example.org>"
        )
    );
    assert_eq!(
        trace.steps[3].reply.as_ref().unwrap().text.lines().next(),
        Some("peer.test greets you")
    );

    let refused = SmtpPeer::builder()
        .always(At::Greeting, Act::reply("554 no"))
        .start()
        .await;
    let trace = to(&refused).trace(Depth::Login).await;
    assert_eq!(trace.result.unwrap_err().stage, Stage::Greeting);
    assert_eq!(
        trace.steps.last().unwrap().reply.as_ref().unwrap().code,
        554
    );
}

#[tokio::test]
async fn each_step_is_measured() {
    let peer = SmtpPeer::start().await;
    let metrics = Arc::new(Metrics::new());
    let server = jobbell::transport::smtp::Smtp::new(
        common(),
        settings(peer.port()),
        &Context {
            metrics: Arc::clone(&metrics),
            ..context()
        },
    )
    .unwrap();
    server.send(&numbered(1)).await.unwrap();
    server.send(&numbered(2)).await.unwrap();
    let text = metrics.encode().unwrap();
    for (step, times) in [
        ("dns", 1),
        ("connect", 1),
        ("greeting", 1),
        ("ehlo", 1),
        ("mail", 2),
        ("rcpt", 2),
        ("data", 2),
        ("dot", 2),
    ] {
        let line = format!(
            "jobbell_smtp_step_seconds_count{{server=\"primary\",step=\"{step}\"}} {times}"
        );
        assert!(text.contains(&line), "{line}\n{text}");
    }
}
