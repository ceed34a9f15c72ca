//! Login with a password, and when the password is not sent.

use encoding_rs::GB18030;
use jobbell::domain::{Failure, FailureKind, Stage};
use jobbell::transport::smtp::{Depth, Settings, Tls};

use super::{PASSWORD, SERVER_UNAVAILABLE, common, context, email, smtp, with_auth, with_login};
use crate::support::smtp_peer::{Act, At, SmtpPeer};

async fn failure(peer: &SmtpPeer) -> Failure {
    let server = smtp(with_login(peer.port()));
    server.send(&email()).await.unwrap_err()
}

#[tokio::test]
async fn auth_plain_is_preferred_with_an_initial_response() {
    let peer = with_auth().start().await;
    smtp(with_login(peer.port())).send(&email()).await.unwrap();
    let seen = peer.seen();
    assert_eq!(seen.mails[0].login.as_deref(), Some("me@example.com"));
    assert_eq!(seen.count("AUTH PLAIN "), 1);
    assert_eq!(seen.count("AUTH"), 1);
}

#[tokio::test]
async fn auth_plain_waits_for_334_if_the_server_requires_it() {
    let peer = with_auth().without_initial_response().start().await;
    smtp(with_login(peer.port())).send(&email()).await.unwrap();
    assert_eq!(peer.mails()[0].login.as_deref(), Some("me@example.com"));
    for refusal in ["501 5.5.4 no", "503 5.5.1 no", "504 5.5.4 no"] {
        let peer = with_auth()
            .once(At::Auth, Act::reply(refusal))
            .start()
            .await;
        smtp(with_login(peer.port())).send(&email()).await.unwrap();
        let seen = peer.seen();
        assert_eq!(
            seen.mails[0].login.as_deref(),
            Some("me@example.com"),
            "{refusal}"
        );
        assert_eq!(seen.lines()[2], "AUTH PLAIN", "{refusal}");
    }
}

#[tokio::test]
async fn auth_login_is_used_without_plain_whatever_its_prompts() {
    for prompts in [
        ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"],
        ["", ""],
        ["not base64 \u{7528}", "dXNlcm5hbWU6"],
    ] {
        let peer = with_auth()
            .mechanisms("CRAM-MD5 LOGIN")
            .prompts(prompts[0], prompts[1])
            .start()
            .await;
        smtp(with_login(peer.port())).send(&email()).await.unwrap();
        assert_eq!(
            peer.mails()[0].login.as_deref(),
            Some("me@example.com"),
            "{prompts:?}"
        );
        assert_eq!(peer.seen().count("AUTH LOGIN"), 1);
    }
}

#[tokio::test]
async fn auth_login_is_used_if_plain_fails_with_504() {
    let peer = with_auth()
        .once(At::Auth, Act::reply("504 5.5.4 no"))
        .once(At::Auth, Act::reply("504 5.5.4 no"))
        .start()
        .await;
    smtp(with_login(peer.port())).send(&email()).await.unwrap();
    assert_eq!(peer.seen().lines()[3], "AUTH LOGIN");
}

#[tokio::test]
async fn gbk_refusal_is_decoded() {
    let text = "535 Error: 请使用授权码登录。详情请看: http://service.mail.qq.com/cgi-bin/help?subtype=1&&id=28&&no=1001256\r\n";
    let peer = with_auth()
        .always(
            At::Auth,
            Act::ReplyAndClose(GB18030.encode(text).0.into_owned()),
        )
        .start()
        .await;
    let failure = failure(&peer).await;
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Auth, FailureKind::Misconfigured)
    );
    assert!(
        failure
            .reply
            .unwrap()
            .text
            .starts_with("Error: 请使用授权码登录")
    );
}

#[tokio::test]
async fn refused_password_is_not_sent_by_another_mechanism() {
    let peer = SmtpPeer::builder()
        .login("me@example.com", "another")
        .start()
        .await;
    let failure = failure(&peer).await;
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Auth, FailureKind::Misconfigured)
    );
    assert_eq!(failure.reply.unwrap().enhanced.as_deref(), Some("5.7.8"));
    assert_eq!(
        peer.seen().count("AUTH"),
        1,
        "providers ban addresses for repeated logins"
    );
}

#[tokio::test]
async fn temporary_login_failure_is_server_wide() {
    let peer = with_auth()
        .always(At::Auth, Act::reply("454 4.7.0 too many login attempts"))
        .start()
        .await;
    let failure = failure(&peer).await;
    assert_eq!(
        (failure.stage, failure.kind),
        (Stage::Auth, SERVER_UNAVAILABLE)
    );
}

#[tokio::test]
async fn password_is_not_sent_if_no_login_is_offered() {
    for builder in [
        SmtpPeer::builder(),
        SmtpPeer::builder().offering("AUTH="),
        with_auth().mechanisms("CRAM-MD5 GSSAPI"),
        SmtpPeer::builder().always(At::Ehlo, Act::reply("502 no")),
    ] {
        let peer = builder.start().await;
        let failure = failure(&peer).await;
        assert_eq!(
            (failure.stage, failure.kind),
            (Stage::Auth, FailureKind::Misconfigured)
        );
        assert!(
            failure.detail.contains("password was not sent"),
            "{}",
            failure.detail
        );
        assert_eq!(
            (peer.seen().count("AUTH"), peer.seen().count("MAIL")),
            (0, 0)
        );
    }
}

/// Not every machine has a name that is not a loopback address, so the session runs over an
/// in-memory stream that is declared as remote.
#[tokio::test]
async fn password_is_not_sent_unencrypted_to_another_machine() {
    use jobbell::clock::Clock;
    use jobbell::telemetry::Metrics;
    use jobbell::transport::smtp::{
        Access, Classifier, Session, SessionConfig, TraceRecorder, Trust,
    };
    use std::sync::Arc;

    for (tls, plain_login, is_sent) in [
        (Tls::Opportunistic, false, false),
        (Tls::None, false, false),
        (Tls::None, true, true),
    ] {
        let peer = with_auth().offline();
        let settings = Settings {
            tls,
            plain_login,
            ..with_login(25)
        };
        let trust = Trust::new(&settings).unwrap();
        let access = Access::new(settings.login.as_ref().unwrap(), None, Clock::System).unwrap();
        let classifier = Classifier::new(&common(), &settings, context().replies);
        let config = SessionConfig {
            settings: &settings,
            trust: &trust,
            access: Some(&access),
            classifier: &classifier,
            own_name: "[192.0.2.1]".to_owned(),
            loopback: false,
        };
        let (ours, theirs) = tokio::io::duplex(4096);
        let serving = peer.serve(theirs);
        let opened = Session::open(
            ours,
            &config,
            TraceRecorder::new("primary".into(), Arc::new(Metrics::new())),
        )
        .await;
        assert_eq!(opened.is_ok(), is_sent, "{tls:?} {plain_login}");
        if let Err(failure) = &opened {
            assert_eq!(
                (failure.stage, failure.kind),
                (Stage::Auth, FailureKind::Misconfigured)
            );
            assert!(
                failure.detail.contains("no encryption") && failure.detail.contains("not sent"),
                "{}",
                failure.detail
            );
        }
        drop(opened);
        serving.await.unwrap();
        assert_eq!(peer.seen().count("AUTH"), usize::from(is_sent));
    }
}

#[tokio::test]
async fn password_echoed_by_the_server_is_masked() {
    use base64::Engine as _;
    let response =
        base64::engine::general_purpose::STANDARD.encode(format!("\0me@example.com\0{PASSWORD}"));
    let peer = with_auth()
        .always(
            At::Auth,
            Act::reply(&format!("535 5.7.8 what is {response}, or {PASSWORD}?")),
        )
        .start()
        .await;
    let server = smtp(with_login(peer.port()));
    let failure = server.send(&email()).await.unwrap_err();
    assert_eq!(failure.reply.as_ref().unwrap().text, "what is ***, or ***?");
    let trace = server.trace(Depth::Login).await;
    let shown = format!("{failure:?} {failure} {trace:?} {server:?}");
    assert!(
        !shown.contains(PASSWORD) && !shown.contains(&response),
        "{shown}"
    );
}
