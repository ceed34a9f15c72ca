//! The lease of a mail ends while it is sent: nothing before the final dot is written any more.

use std::sync::Arc;
use std::time::Duration;

use jobbell::clock::{Fence, FenceHandle, Reading};
use jobbell::domain::{Email, Failure, FailureKind, Lane, Receipt, Stage};
use jobbell::telemetry::Metrics;
use jobbell::transport::Transport;
use jobbell::transport::compose::compose;
use jobbell::transport::explain::Table;
use jobbell::transport::smtp::{
    Classifier, Session, SessionConfig, Settings, Tls, TraceRecorder, Trust,
};
use tokio::io::DuplexStream;

use super::{common, email, numbered, settings, smtp};
use crate::support::smtp_peer::{Act, At, Builder, Gate, Seen, SmtpPeer};

/// A lease that lasts longer than the test.
fn lease() -> (FenceHandle, Fence) {
    let handle = FenceHandle::new();
    handle.extend_to(Reading::system().since_boot + Duration::from_hours(1));
    let fence = handle.fence();
    (handle, fence)
}

fn sequential() -> Builder {
    SmtpPeer::builder().without("PIPELINING")
}

fn over_tls(builder: Builder) -> Builder {
    builder.implicit_tls()
}

/// The server, with TLS if the peer has it.
fn client(peer: &SmtpPeer, tls: bool) -> Transport {
    let settings = settings(peer.port());
    Transport::from(smtp(if tls {
        encrypted(peer, settings)
    } else {
        settings
    }))
}

fn encrypted(peer: &SmtpPeer, settings: Settings) -> Settings {
    Settings {
        tls: Tls::Implicit,
        tls_ca_file: Some(peer.ca_file().to_owned()),
        ..settings
    }
}

async fn send(server: &Transport, mail: &Email, fence: &Fence) -> Result<Receipt, Failure> {
    let permit = server.acquire(Lane::Normal).await?;
    server.send_on(permit, mail, fence).await
}

/// Sends a mail whose lease ends while the server holds a step.
async fn send_held(
    peer: &SmtpPeer,
    server: &Transport,
    at: At,
    act: Act,
    mail: &Email,
) -> Result<Receipt, Failure> {
    let (gate, (handle, fence)) = (Gate::new(), lease());
    peer.once(at, act.held(&gate));
    let end = async {
        gate.reached().await;
        // The client writes until the server's buffers are full.
        tokio::time::sleep(Duration::from_millis(20)).await;
        handle.end();
        gate.open();
    };
    tokio::join!(send(server, mail, &fence), end).0
}

fn verbs(seen: &Seen) -> Vec<&str> {
    seen.lines()
        .into_iter()
        .map(|line| line.split([' ', ':']).next().unwrap_or_default())
        .collect()
}

fn assert_over(result: &Result<Receipt, Failure>, stage: Stage, what: &str) {
    let failure = result.as_ref().expect_err(what);
    assert_eq!(
        (failure.kind, failure.stage, &failure.reply),
        (FailureKind::LeaseOver, stage, &None),
        "{what}: {failure:?}"
    );
}

/// A mail larger than the buffers of a connection.
fn large() -> Email {
    Email {
        html: "<p>more than any buffer takes</p>\n".repeat(800_000),
        ..email()
    }
}

#[tokio::test]
async fn no_command_follows_a_late_reply() {
    let cases: [(At, Stage, &[&str]); 5] = [
        (At::Greeting, Stage::Mail, &["EHLO"]),
        (At::Ehlo, Stage::Mail, &["EHLO"]),
        (At::Mail, Stage::Rcpt, &["EHLO", "MAIL"]),
        (At::Rcpt, Stage::Data, &["EHLO", "MAIL", "RCPT"]),
        (At::Data, Stage::Data, &["EHLO", "MAIL", "RCPT", "DATA"]),
    ];
    for (at, stage, lines) in cases {
        let peer = sequential().start().await;
        let server = client(&peer, false);
        let result = send_held(&peer, &server, at, Act::Usual, &numbered(1)).await;
        assert_over(&result, stage, &format!("{at:?}"));
        // Only a server that expects a message loses its connection.
        send(&server, &numbered(2), &Fence::none()).await.unwrap();
        let seen = peer.seen();
        assert_eq!(verbs(&seen)[..lines.len()], *lines, "{at:?}");
        let mut next = vec!["MAIL", "RCPT", "DATA"];
        match at {
            At::Data => next.insert(0, "EHLO"),
            At::Mail | At::Rcpt => next.insert(0, "RSET"),
            _ => {}
        }
        assert_eq!(verbs(&seen)[lines.len()..], next, "{at:?}");
        let connections = 1 + usize::from(at == At::Data);
        assert_eq!((seen.connections, seen.ledger.len()), (connections, 1));
    }
}

#[tokio::test]
async fn no_message_follows_a_late_reply_to_pipelined_commands() {
    for at in [At::Mail, At::Rcpt, At::Data] {
        for tls in [false, true] {
            let builder = SmtpPeer::builder();
            let builder = if tls { over_tls(builder) } else { builder };
            let peer = builder.start().await;
            let server = client(&peer, tls);
            let result = send_held(&peer, &server, at, Act::Usual, &email()).await;
            assert_over(&result, Stage::Data, &format!("{at:?}"));
            let seen = peer
                .until("the connection to be dropped", |seen| seen.open == 0)
                .await;
            assert_eq!(verbs(&seen), ["EHLO", "MAIL", "RCPT", "DATA"], "{at:?}");
            assert!(seen.ledger.is_empty(), "{at:?}");
        }
    }
}

#[tokio::test]
async fn pipelined_commands_do_not_follow_a_late_greeting() {
    for at in [At::Greeting, At::Ehlo] {
        let peer = SmtpPeer::start().await;
        let server = client(&peer, false);
        let result = send_held(&peer, &server, at, Act::Usual, &email()).await;
        assert_over(&result, Stage::Mail, &format!("{at:?}"));
        assert_eq!(verbs(&peer.seen()), ["EHLO"]);
    }
}

#[tokio::test]
async fn refusal_of_the_recipient_stands_without_the_dot_that_would_follow() {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("550 5.1.1 nobody"))
        .start()
        .await;
    let server = client(&peer, false);
    let late = Act::reply("354 go ahead");
    let failure = send_held(&peer, &server, At::Data, late, &email())
        .await
        .unwrap_err();
    assert_eq!(
        (failure.kind, failure.stage),
        (FailureKind::Rejected, Stage::Rcpt)
    );
    let seen = peer
        .until("the connection to be dropped", |seen| seen.open == 0)
        .await;
    assert!(seen.ledger.is_empty());
}

#[tokio::test]
async fn half_a_message_is_not_completed() {
    for tls in [false, true] {
        let builder = SmtpPeer::builder().without("SIZE");
        let builder = if tls { over_tls(builder) } else { builder };
        let peer = builder.start().await;
        let server = client(&peer, tls);
        let nothing = Act::Reply(Vec::new());
        let result = send_held(&peer, &server, At::Payload, nothing, &large()).await;
        assert_over(&result, Stage::Data, "half a message");
        let seen = peer
            .until("the connection to be dropped", |seen| seen.open == 0)
            .await;
        assert!(seen.ledger.is_empty() && seen.count("QUIT") == 0);
    }
}

#[tokio::test]
async fn reply_to_the_dot_is_waited_for() {
    for tls in [false, true] {
        let builder = SmtpPeer::builder();
        let builder = if tls { over_tls(builder) } else { builder };
        let peer = builder.start().await;
        let server = client(&peer, tls);
        let sent = send_held(&peer, &server, At::Dot, Act::Usual, &numbered(1)).await;
        assert_eq!(sent.unwrap().reply.code, 250);
        let refused = Act::reply("554 5.7.1 spam");
        let refused = send_held(&peer, &server, At::Dot, refused, &numbered(2)).await;
        assert_eq!(refused.unwrap_err().kind, FailureKind::RejectedHere);
        let lost = send_held(&peer, &server, At::Dot, Act::Close, &numbered(3)).await;
        assert_eq!(lost.unwrap_err().kind, FailureKind::Uncertain);
        assert_eq!(peer.ledger().len(), 3);
    }
}

#[tokio::test]
async fn mail_without_a_lease_reaches_no_server_and_costs_no_connection() {
    let peer = SmtpPeer::start().await;
    let server = client(&peer, false);
    let (handle, fence) = lease();
    handle.end();
    assert_over(
        &send(&server, &email(), &fence).await,
        Stage::Connect,
        "new",
    );
    assert_eq!(peer.seen().connections, 0);
    send(&server, &numbered(1), &Fence::none()).await.unwrap();
    assert_over(&send(&server, &email(), &fence).await, Stage::Mail, "idle");
    handle.extend_to(Reading::system().since_boot + Duration::from_hours(1));
    send(&server, &numbered(2), &fence).await.unwrap();
    let seen = peer.seen();
    assert_eq!((seen.connections, seen.mails.len()), (1, 2));
    assert_eq!((seen.count("MAIL"), seen.count("RSET")), (2, 0));
}

/// A session over a stream that buffers `capacity` bytes in each direction.
async fn session(peer: &SmtpPeer, tls: bool, capacity: usize) -> Session<DuplexStream> {
    let (ours, theirs) = tokio::io::duplex(capacity);
    peer.serve(theirs);
    let settings = settings(25);
    let settings = if tls {
        encrypted(peer, settings)
    } else {
        settings
    };
    let trust = Trust::new(&settings).unwrap();
    let config = SessionConfig {
        settings: &settings,
        trust: &trust,
        access: None,
        classifier: &Classifier::new(&common(), &settings, Arc::new(Table::new())),
        own_name: "[127.0.0.1]".to_owned(),
        loopback: true,
    };
    let recorder = TraceRecorder::new("primary".into(), Arc::new(Metrics::new()));
    Session::open(ours, &config, recorder).await.unwrap()
}

/// The message fits into the buffer of TLS, so that all of it is accepted for writing long before the
/// dot can reach the server.
#[tokio::test]
async fn dot_that_tls_holds_back_is_not_sent_after_the_end() {
    let peer = over_tls(SmtpPeer::builder()).offline();
    let mut session = session(&peer, true, 4096).await;
    let mail = Email {
        html: "<p>a line of the message</p>\n".repeat(1_000),
        ..email()
    };
    let (gate, (handle, fence)) = (Gate::new(), lease());
    peer.once(At::Payload, Act::Reply(Vec::new()).held(&gate));
    let common = common();
    let wire = compose(&mail, common.identity()).unwrap();
    assert!(wire.payload.len() < 64 * 1024);
    let end = async {
        gate.reached().await;
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        handle.end();
        gate.open();
    };
    let (result, ()) = tokio::join!(session.deliver(&wire, &fence), end);
    assert_over(&result, Stage::Data, "held back by TLS");
    assert!(!session.is_usable());
    drop(session);
    let seen = peer
        .until("the connection to be dropped", |seen| seen.open == 0)
        .await;
    assert!(seen.ledger.is_empty());
}

fn distant() -> Builder {
    SmtpPeer::builder().offering("CHUNKING").with_latency()
}

/// A mail without stuffed dots.
fn chunk(number: u8, lines: usize) -> Email {
    Email {
        text: "done\n".repeat(lines),
        ..numbered(number)
    }
}

#[tokio::test]
async fn half_a_chunk_is_not_completed() {
    for tls in [false, true] {
        let builder = distant();
        let builder = if tls { over_tls(builder) } else { builder };
        let peer = builder.offline();
        let mut session = session(&peer, tls, 4096).await;
        let common = common();
        let (first, second) = (chunk(1, 1), chunk(2, 30_000));
        let first = compose(&first, common.identity()).unwrap();
        session.deliver(&first, &Fence::none()).await.unwrap();
        let (gate, (handle, fence)) = (Gate::new(), lease());
        peer.once(At::Payload, Act::Reply(Vec::new()).held(&gate));
        let second = compose(&second, common.identity()).unwrap();
        let end = async {
            gate.reached().await;
            handle.end();
            gate.open();
        };
        let (result, ()) = tokio::join!(session.deliver(&second, &fence), end);
        assert_over(&result, Stage::Data, "half a chunk");
        assert!(!session.is_usable());
        drop(session);
        let seen = peer
            .until("the connection to be dropped", |seen| seen.open == 0)
            .await;
        assert_eq!((seen.count("BDAT"), seen.ledger.len()), (1, 1));
    }
}

#[tokio::test]
async fn chunk_does_not_begin_after_the_end_and_its_late_reply_counts() {
    let peer = distant().start().await;
    let server = client(&peer, false);
    send(&server, &chunk(1, 1), &Fence::none()).await.unwrap();
    let (handle, fence) = lease();
    handle.end();
    let result = send(&server, &chunk(2, 1), &fence).await;
    assert_over(&result, Stage::Mail, "a chunk");
    assert_eq!(
        (peer.seen().count("MAIL"), peer.seen().count("BDAT")),
        (1, 0)
    );
    for at in [At::Mail, At::Rcpt, At::Dot] {
        let sent = send_held(&peer, &server, at, Act::Usual, &chunk(3, 1)).await;
        assert_eq!(sent.unwrap().reply.text, "kept", "{at:?}");
    }
    let seen = peer.seen();
    assert_eq!(
        (seen.connections, seen.count("BDAT"), seen.mails.len()),
        (1, 3, 4)
    );
}
