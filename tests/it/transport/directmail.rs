//! Aliyun DirectMail over HTTP, against an endpoint that verifies the signature independently.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use jobbell::clock::Clock;
use jobbell::domain::{
    DeliveryId, Email, Failure, FailureKind, InlinePart, Locale, Mailbox, Recipient, Stage,
    Timestamp,
};
use jobbell::secret::Secret;
use jobbell::telemetry::Metrics;
use jobbell::transport::directmail::{DEFAULT_REGION, DirectMail, Settings, SetupError, sign};
use jobbell::transport::explain::Table;
use jobbell::transport::{Common, Context};
use serde_json::{Value, json};

use crate::http::peer::{Answer, HttpPeer, Request};

const NOW: &str = "2026-03-04T08:15:37.456Z";
const SECRET: &str = "canary-key-secret";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn settings(endpoint: String) -> Settings {
    Settings {
        access_key_id: "testid".to_owned(),
        access_key_secret: Secret::new(SECRET),
        region: DEFAULT_REGION.to_owned(),
        endpoint: Some(endpoint),
        timeout: Duration::from_secs(10),
        tls_ca_file: None,
    }
}

fn common() -> Common {
    Common {
        name: "directmail".into(),
        from: Mailbox::parse("绘图通知 <notify@mail.example.com>").unwrap(),
        reply_to: Vec::new(),
        max_connections: 2,
        rate_limit: None,
        cooldown: Duration::from_secs(30),
        cooldown_max: Duration::from_mins(15),
        locale: Locale::En,
    }
}

fn sender(settings: Settings) -> DirectMail {
    DirectMail::new(common(), settings, &context()).unwrap()
}

fn context() -> Context {
    Context {
        metrics: Arc::new(Metrics::new()),
        replies: Arc::new(Table::new()),
        clock: Clock::manual(now()),
        tokens: None,
    }
}

fn email() -> Email {
    Email {
        delivery: DeliveryId::new(now()),
        message_id: "d-1@mail.example.com".to_owned(),
        date: now(),
        from: Mailbox::parse("me@example.com").unwrap(),
        reply_to: vec![Mailbox::parse("Desk <desk@example.com>").unwrap()],
        to: Recipient::parse("user@example.com").unwrap(),
        subject: "图片已生成: job 4711".to_owned(),
        text: "完成 a+b=c&d ~*'()!".to_owned(),
        html: "<p>完成</p>".to_owned(),
        inline: Vec::new(),
        headers: vec![
            ("X-Jobbell-Event", "gen-1".to_owned()),
            ("Auto-Submitted", "auto-generated".to_owned()),
        ],
    }
}

fn taken() -> Answer {
    Answer::json(200, &json!({ "EnvId": "600000001", "RequestId": "R-1" }))
}

/// The signature of a form body, computed without the crate's own code.
fn expected_signature(request: &Request) -> String {
    let encode = |text: &str| {
        let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        form.replace('+', "%20")
            .replace('*', "%2A")
            .replace("%7E", "~")
    };
    let mut pairs: Vec<_> = request
        .form()
        .into_iter()
        .filter(|(name, _)| name != "Signature")
        .collect();
    pairs.sort();
    let canonical: Vec<_> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    let text = format!("POST&%2F&{}", encode(&canonical.join("&")));
    let key = ring::hmac::Key::new(
        ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        format!("{SECRET}&").as_bytes(),
    );
    base64::engine::general_purpose::STANDARD.encode(ring::hmac::sign(&key, text.as_bytes()))
}

/// Accepts only calls with a valid signature.
async fn endpoint(answer: Answer) -> HttpPeer {
    HttpPeer::start(move |_, request| match request.field("Signature") {
        Some(signature) if signature == expected_signature(request) => answer.clone(),
        _ => Answer::json(
            400,
            &json!({ "Code": "SignatureDoesNotMatch", "Message": "no", "RequestId": "R-0" }),
        ),
    })
    .await
}

async fn refused(answer: Answer) -> Failure {
    let peer = endpoint(answer).await;
    let failure = sender(settings(peer.url("/")))
        .send(&email())
        .await
        .unwrap_err();
    assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
    failure
}

fn refusal(status: u16, code: &str) -> Answer {
    Answer::json(
        status,
        &json!({ "RequestId": "R-2", "HostId": "dm.aliyuncs.com", "Code": code, "Message": "words" }),
    )
}

#[test]
fn signature_matches_the_published_vectors() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/mail-auth.json")).unwrap();
    for vector in vectors["aliyun_rpc_hmac_sha1"].as_array().unwrap() {
        let text = |name: &str| vector[name].as_str().unwrap();
        let mut params: Vec<_> = vector["params"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        params.reverse();
        let canonical = sign::canonical(&mut params);
        assert_eq!(canonical, text("canonical_query"));
        let to_sign = sign::string_to_sign(text("method"), &canonical);
        assert_eq!(to_sign, text("string_to_sign"));
        assert_eq!(
            sign::signature(&Secret::new(text("access_key_secret")), &to_sign),
            text("signature")
        );
    }
}

#[tokio::test]
async fn request_has_the_message_id_and_a_new_nonce_each_time() {
    let peer = endpoint(taken()).await;
    let sender = sender(settings(peer.url("/")));
    let receipt = sender.send(&email()).await.unwrap();
    assert_eq!(receipt.reply.text, "EnvId 600000001 RequestId R-1");
    sender.send(&email()).await.unwrap();

    let requests = peer.requests();
    let request = &requests[0];
    for (name, value) in [
        ("Action", "SingleSendMail"),
        ("Version", "2015-11-23"),
        ("Format", "JSON"),
        ("AccountName", "notify@mail.example.com"),
        ("AddressType", "1"),
        ("ReplyToAddress", "false"),
        ("ReplyAddress", "desk@example.com"),
        ("ReplyAddressAlias", "Desk"),
        ("FromAlias", "绘图通知"),
        ("ToAddress", "user@example.com"),
        ("Subject", "图片已生成: job 4711"),
        ("TextBody", "完成 a+b=c&d ~*'()!"),
        ("HtmlBody", "<p>完成</p>"),
        ("ClickTrace", "0"),
        ("RegionId", "cn-hangzhou"),
        ("Timestamp", "2026-03-04T08:15:37Z"),
    ] {
        assert_eq!(request.field(name).as_deref(), Some(value), "{name}");
    }
    let headers: Value = serde_json::from_str(&request.field("Headers").unwrap()).unwrap();
    assert_eq!(
        headers,
        json!({ "Message-ID": "<d-1@mail.example.com>", "X-User-Jobbell-Event": "gen-1" })
    );
    assert_ne!(
        requests[0].field("SignatureNonce"),
        requests[1].field("SignatureNonce")
    );
    assert!(!request.body.contains(SECRET));
}

#[tokio::test]
async fn long_fields_are_truncated_and_inline_images_left_out() {
    let peer = endpoint(taken()).await;
    let from = Mailbox::parse("A sender with quite a long name <notify@mail.example.com>").unwrap();
    let common = Common { from, ..common() };
    let sender = DirectMail::new(common, settings(peer.url("/")), &context()).unwrap();
    let inline = vec![InlinePart {
        content_id: "p1".to_owned(),
        file_name: "p.png".to_owned(),
        media_type: "image/png",
        bytes: vec![1],
    }];
    let html = "<p>一</p><img alt=\"picture\" src=\"cid:p1\">".to_owned();
    sender
        .send(&Email {
            subject: "题".repeat(101),
            html,
            inline,
            ..email()
        })
        .await
        .unwrap();
    let request = peer.requests().remove(0);
    assert_eq!(
        request.field("Subject"),
        Some(format!("{}…", "题".repeat(99)))
    );
    assert_eq!(
        request.field("FromAlias").as_deref(),
        Some("A sender with…")
    );
    assert_eq!(
        request.field("HtmlBody").as_deref(),
        Some("<p>一</p>picture")
    );

    let long = "x".repeat(80_001);
    sender
        .send(&Email {
            html: long.clone(),
            ..email()
        })
        .await
        .unwrap();
    let request = peer.requests().remove(1);
    assert_eq!(
        (request.field("HtmlBody"), request.field("TextBody")),
        (None, Some(email().text))
    );

    let failure = sender
        .send(&Email {
            html: long.clone(),
            text: long,
            ..email()
        })
        .await
        .unwrap_err();
    assert_eq!(
        (failure.kind, failure.stage),
        (FailureKind::Rejected, Stage::Compose)
    );
    assert_eq!(peer.requests().len(), 2, "nothing was sent");
}

#[tokio::test]
async fn refusal_is_classified_by_its_code_not_its_status() {
    let unavailable = |seconds: Option<u64>, server_wide| FailureKind::Unavailable {
        retry_after: seconds.map(Duration::from_secs),
        server_wide,
    };
    let misconfigured = [
        "InvalidAccessKeyId.NotFound",
        "IncompleteSignature",
        "Forbidden",
        "Forbidden.RAM",
        "InvalidMailAddress.NotFound",
        "InvalidMailAddressStatus.Malformed",
        "InvalidMailAddressDomain.Malformed",
        "InvalidMailAddressSendType.Malformed",
        "InvalidIP.NotFound",
    ];
    let rejected = [
        "InvalidToAddress.Spam",
        "InvalidToAddress",
        "InvalidReceiverName.Malformed",
        "InvalidBody",
        "InvalidSubject.Malformed",
        "InvalidFromAlias.Malformed",
        "InvalidFromALias.Malformed",
        "MissingParameter",
    ];
    let others = [
        ("InvalidSendMail.Spam", FailureKind::RejectedHere),
        ("SignatureNonceUsed", unavailable(None, false)),
        ("InternalError", unavailable(None, false)),
        ("ServiceUnavailable", unavailable(None, false)),
        ("InvalidQuota", unavailable(Some(600), true)),
        ("Throttling.User", unavailable(Some(60), true)),
        ("NobodyHasSeenThis", unavailable(None, false)),
    ];
    let rows = misconfigured
        .map(|code| (code, FailureKind::Misconfigured))
        .into_iter();
    for (code, kind) in rows
        .chain(rejected.map(|code| (code, FailureKind::Rejected)))
        .chain(others)
    {
        for status in [400, 404] {
            let failure = refused(refusal(status, code)).await;
            assert_eq!((failure.kind, failure.stage), (kind, Stage::Api), "{code}");
            assert_eq!(
                failure.reply.unwrap().text,
                format!("{code}: words (RequestId R-2)")
            );
        }
    }
    assert_eq!(
        refused(refusal(400, "Throttling").header("retry-after", "7"))
            .await
            .kind,
        unavailable(Some(7), true)
    );
}

#[tokio::test]
async fn wrong_key_is_reported_without_the_echoed_request() {
    let peer = endpoint(taken()).await;
    let wrong = Settings {
        access_key_secret: Secret::new("canary-wrong"),
        ..settings(peer.url("/"))
    };
    assert_eq!(
        sender(wrong).send(&email()).await.unwrap_err().kind,
        FailureKind::Misconfigured
    );

    let echo = "Signature is not matched. server string to sign is:POST&%2F&ToAddress%3Duser%2540example.com";
    let body = json!({ "Code": "SignatureDoesNotMatch", "Message": echo, "RequestId": "R" });
    let failure = refused(Answer::json(400, &body)).await;
    assert!(!format!("{failure:?}").contains("ToAddress"), "{failure:?}");
    let body = json!({ "Code": "InvalidToAddress", "Message": "user@example.com is bad", "RequestId": "R" });
    let failure = refused(Answer::json(400, &body)).await;
    assert_eq!(
        failure.detail,
        "DirectMail refused the mail: InvalidToAddress: u***@example.com is bad"
    );
}

#[tokio::test]
async fn wrong_clock_is_reported_with_both_times_in_both_languages() {
    let answer =
        refusal(400, "InvalidTimeStamp.Expired").header("date", "Wed, 04 Mar 2026 08:45:42 GMT");
    let failure = refused(answer.clone()).await;
    assert_eq!(failure.kind, FailureKind::Misconfigured);
    let line = "this machine says 2026-03-04T08:15:37.456Z, Aliyun 2026-03-04T08:45:42Z: 30 min 4 s behind";
    assert!(failure.detail.ends_with(line), "{}", failure.detail);
    assert_eq!(failure.explanation.unwrap().cause, line);

    let peer = endpoint(answer).await;
    let common = Common {
        locale: Locale::ZhCn,
        ..common()
    };
    let chinese = DirectMail::new(common, settings(peer.url("/")), &context()).unwrap();
    let cause = chinese
        .send(&email())
        .await
        .unwrap_err()
        .explanation
        .unwrap()
        .cause;
    assert_eq!(
        cause,
        "本机时间 2026-03-04T08:15:37.456Z，阿里云时间 2026-03-04T08:45:42Z：本机慢 30 分 4 秒"
    );
}

#[tokio::test]
async fn foreign_response_is_classified_by_its_status() {
    let server_wide = |seconds: Option<u64>| FailureKind::Unavailable {
        retry_after: seconds.map(Duration::from_secs),
        server_wide: true,
    };
    let page = |status| Answer::text(status, "text/html", "<html>");
    for (answer, kind) in [
        (page(200), FailureKind::Misconfigured),
        (page(404), FailureKind::Misconfigured),
        (page(302), FailureKind::Misconfigured),
        (page(429), server_wide(Some(60))),
        (page(503).header("retry-after", "9"), server_wide(Some(9))),
        (page(504), FailureKind::Uncertain),
        (
            Answer::text(200, "application/json", "{\"EnvId\":"),
            FailureKind::Uncertain,
        ),
        (
            Answer::text(200, "application/json", &"1".repeat(70_000)),
            FailureKind::Uncertain,
        ),
    ] {
        let failure = refused(answer.clone()).await;
        assert_eq!(failure.kind, kind, "{answer:.80?}");
    }
}

#[tokio::test]
async fn missing_response_is_uncertain() {
    let silent = endpoint(Answer::silence()).await;
    let impatient = sender(Settings {
        timeout: Duration::from_millis(300),
        ..settings(silent.url("/"))
    });
    let failure = impatient.send(&email()).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.stage),
        (FailureKind::Uncertain, Stage::Api)
    );
    assert_eq!(silent.requests().len(), 1, "and it is not sent twice");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cut = tokio::spawn(async move {
        use tokio::io::AsyncReadExt as _;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
    });
    let failure = sender(settings(format!("http://{address}/")))
        .send(&email())
        .await
        .unwrap_err();
    cut.await.unwrap();
    assert_eq!(failure.kind, FailureKind::Uncertain, "{failure:?}");
}

#[tokio::test]
async fn connection_failure_allows_failover() {
    let unavailable = FailureKind::Unavailable {
        retry_after: None,
        server_wide: true,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stalled = sender(Settings {
        timeout: Duration::from_millis(400),
        ..settings(format!("https://{address}/"))
    });
    let failure = stalled.send(&email()).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.stage),
        (unavailable, Stage::Connect),
        "a TLS handshake that stalls: {failure:?}"
    );

    drop(listener);
    let failure = sender(settings(format!("http://{address}/")))
        .send(&email())
        .await
        .unwrap_err();
    assert_eq!(
        (failure.kind, failure.stage),
        (unavailable, Stage::Connect),
        "a closed port: {failure:?}"
    );
}

#[tokio::test]
async fn concurrent_calls_are_limited_by_max_connections() {
    let peer = HttpPeer::start(|_, _| taken().held()).await;
    let sender = Arc::new(sender(settings(peer.url("/"))));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let sender = Arc::clone(&sender);
        calls.spawn(async move { sender.send(&email()).await.unwrap() });
    }
    peer.arrived(2).await;
    for done in 1..=5 {
        assert!(peer.requests().len() <= done + 1, "more than two at a time");
        peer.release();
        calls.join_next().await.unwrap().unwrap();
    }
    assert_eq!(peer.requests().len(), 5);
}

#[test]
fn invalid_settings_are_rejected_at_start() {
    let new = |settings| DirectMail::new(common(), settings, &context());
    let good = settings("dm.ap-southeast-1.aliyuncs.com".to_owned());
    assert_eq!(
        new(good.clone()).unwrap().endpoint().as_str(),
        "https://dm.ap-southeast-1.aliyuncs.com/"
    );
    let regional = Settings {
        endpoint: None,
        region: "us-east-1".to_owned(),
        ..good.clone()
    };
    assert_eq!(
        new(regional).unwrap().endpoint().as_str(),
        "https://dm.us-east-1.aliyuncs.com/"
    );
    assert_eq!(
        new(Settings {
            endpoint: None,
            ..good.clone()
        })
        .unwrap()
        .endpoint()
        .as_str(),
        "https://dm.aliyuncs.com/"
    );
    assert!(matches!(
        new(Settings {
            region: "evil.example/".to_owned(),
            ..good.clone()
        }),
        Err(SetupError::Region)
    ));
    assert!(matches!(
        new(Settings {
            endpoint: Some("http://dm.example.com".to_owned()),
            ..good.clone()
        }),
        Err(SetupError::Endpoint(_))
    ));
    assert!(matches!(
        new(Settings {
            access_key_secret: Secret::new(""),
            ..good
        }),
        Err(SetupError::NoKey)
    ));
}

#[tokio::test]
async fn probe_sends_no_mail_and_detects_a_wrong_key() {
    let lacking = Answer::json(
        400,
        &json!({ "Code": "MissingToAddress", "Message": "ToAddress is mandatory for this action.", "RequestId": "R" }),
    );
    let peer = endpoint(lacking).await;
    sender(settings(peer.url("/"))).probe().await.unwrap();
    let request = peer.requests().remove(0);
    assert_eq!(
        (
            request.field("Action").as_deref(),
            request.field("ToAddress"),
            request.field("HtmlBody")
        ),
        (Some("SingleSendMail"), None, None)
    );
    let wrong = Settings {
        access_key_secret: Secret::new("another"),
        ..settings(peer.url("/"))
    };
    let failure = sender(wrong).probe().await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.stage),
        (FailureKind::Misconfigured, Stage::Api)
    );
    assert!(failure.explanation.is_some());
    let silent = HttpPeer::start(|_, _| Answer::silence()).await;
    let hasty = Settings {
        timeout: Duration::from_millis(300),
        ..settings(silent.url("/"))
    };
    let failure = sender(hasty).probe().await.unwrap_err();
    assert_eq!(
        failure.kind,
        FailureKind::Unavailable {
            retry_after: None,
            server_wide: true
        },
        "nothing was sent, so nothing is uncertain"
    );
}
