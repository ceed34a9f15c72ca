//! Timeouts, over an in-memory stream with paused time.

use std::sync::Arc;
use std::time::Duration;

use jobbell::clock::Fence;
use jobbell::domain::{Failure, FailureKind, Receipt, Stage};
use jobbell::telemetry::Metrics;
use jobbell::transport::compose::compose;
use jobbell::transport::explain::Table;
use jobbell::transport::smtp::{
    Classifier, Session, SessionConfig, Settings, TraceRecorder, Trust,
};
use tokio::time::Instant;

use super::{MAIL_DEFERRED, SERVER_UNAVAILABLE, common, email, settings};
use crate::support::smtp_peer::{Act, At, Gate, SmtpPeer};

/// Sends one mail over an in-memory stream that buffers `capacity` bytes in each direction.
async fn send(peer: &SmtpPeer, settings: &Settings, capacity: usize) -> Result<Receipt, Failure> {
    let (ours, theirs) = tokio::io::duplex(capacity);
    peer.serve(theirs);
    let (common, trust) = (common(), Trust::new(settings).unwrap());
    let config = SessionConfig {
        settings,
        trust: &trust,
        access: None,
        classifier: &Classifier::new(&common, settings, Arc::new(Table::new())),
        own_name: "[127.0.0.1]".to_owned(),
        loopback: true,
    };
    let mut session = Session::open(
        ours,
        &config,
        TraceRecorder::new("primary".into(), Arc::new(Metrics::new())),
    )
    .await?;
    let mail = email();
    let wire = compose(&mail, common.identity())?;
    let result = session.deliver(&wire, &Fence::none()).await;
    assert_eq!(session.is_usable(), result.is_ok());
    result
}

#[tokio::test(start_paused = true)]
async fn silent_server_fails_after_the_timeout_of_each_step() {
    let steps = [
        (At::Greeting, Stage::Greeting),
        (At::Ehlo, Stage::Ehlo),
        (At::Mail, Stage::Mail),
        (At::Rcpt, Stage::Rcpt),
        (At::Data, Stage::Data),
    ];
    for (timeout, patience) in [(7, [7, 7]), (300, [30, 60])] {
        for (at, stage) in steps {
            let peer = SmtpPeer::builder()
                .without("PIPELINING")
                .always(at, Act::Silence)
                .offline();
            let settings = Settings {
                timeout: Duration::from_secs(timeout),
                ..settings(25)
            };
            let started = Instant::now();
            let failure = send(&peer, &settings, 4096).await.unwrap_err();
            assert_eq!(
                (failure.stage, failure.kind),
                (stage, SERVER_UNAVAILABLE),
                "{at:?}"
            );
            let envelope = matches!(at, At::Mail | At::Rcpt | At::Data);
            assert_eq!(
                started.elapsed().as_secs(),
                patience[usize::from(envelope)],
                "{at:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn late_reply_to_the_final_dot_is_awaited() {
    let gate = Gate::new();
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Usual.held(&gate))
        .offline();
    let settings = Settings {
        timeout: Duration::from_secs(5),
        ..settings(25)
    };
    let late = async {
        gate.reached().await;
        tokio::time::sleep(Duration::from_mins(9)).await;
        gate.open();
    };
    let (result, ()) = tokio::join!(send(&peer, &settings, 4096), late);
    assert_eq!(result.unwrap().reply.code, 250);
}

#[tokio::test(start_paused = true)]
async fn missing_reply_to_the_final_dot_is_uncertain_after_10_minutes() {
    let peer = SmtpPeer::builder().once(At::Dot, Act::Silence).offline();
    let settings = Settings {
        timeout: Duration::from_secs(5),
        ..settings(25)
    };
    let started = Instant::now();
    let failure = send(&peer, &settings, 4096).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Dot, FailureKind::Uncertain)
    );
    assert_eq!(started.elapsed(), Duration::from_mins(10));
}

#[tokio::test(start_paused = true)]
async fn stalled_payload_fails_after_its_timeout() {
    let started = Instant::now();
    // Behind the closed gate nothing is read, and the stream buffers only 200 octets.
    let stuck = SmtpPeer::builder()
        .once(At::Payload, Act::Usual.held(&Gate::new()))
        .offline();
    let failure = send(&stuck, &settings(25), 200).await.unwrap_err();
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Data, MAIL_DEFERRED),
        "{failure:?}"
    );
    assert!(
        started.elapsed() >= Duration::from_secs(30) && started.elapsed() < Duration::from_secs(40),
        "{:?}",
        started.elapsed()
    );
}
