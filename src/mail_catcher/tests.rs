use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

use super::*;

const SOON: Duration = Duration::from_secs(20);
const HEAD: &str = "EHLO t\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n";

async fn mailbox(limits: Limits) -> MailCatcherHandle {
    MailCatcher::start("127.0.0.1:0".parse().unwrap(), limits, || 1_767_225_600_000)
        .await
        .unwrap()
}

/// Sends everything at once, as a pipelining client does, and returns all replies until the server
/// closes.
async fn say(mailbox: &MailCatcherHandle, words: &str) -> String {
    let mut stream = TcpStream::connect(mailbox.address()).await.unwrap();
    stream.write_all(words.as_bytes()).await.unwrap();
    let mut answers = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut answers))
        .await
        .expect("the server closes")
        .unwrap();
    answers
}

fn codes(answers: &str) -> Vec<&str> {
    answers
        .lines()
        .filter(|line| line.as_bytes().get(3) == Some(&b' '))
        .map(|line| &line[..3])
        .collect()
}

#[tokio::test]
async fn pipelined_mail_is_kept_with_dots_unstuffed() {
    let mailbox = mailbox(Limits::default()).await;
    let answers = say(
        &mailbox,
        &format!("{HEAD}Subject: x\r\n\r\n..\r\n...a\r\n.b\r\n.\r\nQUIT\r\n"),
    )
    .await;
    assert_eq!(
        codes(&answers),
        ["220", "250", "250", "250", "354", "250", "221"]
    );
    for extension in [
        "PIPELINING",
        "8BITMIME",
        "SMTPUTF8",
        "AUTH PLAIN LOGIN",
        "SIZE 10485760",
    ] {
        assert!(answers.contains(extension), "{extension} in {answers}");
    }
    assert!(mailbox.store().arrived(1, SOON).await);
    let mail = mailbox.store().get(1).unwrap();
    assert_eq!(mail.raw, b"Subject: x\r\n\r\n.\r\n..a\r\nb\r\n");
    assert_eq!(
        (mail.mail_from.as_str(), mail.rcpts.as_slice()),
        ("a@example.com", ["b@example.com".to_owned()].as_slice())
    );
    assert_eq!(mail.received_at_ms, 1_767_225_600_000);
}

#[tokio::test]
async fn bare_line_end_closes_the_connection_and_keeps_nothing() {
    let mailbox = mailbox(Limits::default()).await;
    for smuggled in [
        "one\n.\nMAIL FROM:<c@example.com>\r\n.\r\nQUIT\r\n",
        "one\r\n.\n\r\n.\r\nQUIT\r\n",
        "one\r.\r\n.\r\nQUIT\r\n",
    ] {
        let answers = say(&mailbox, &format!("{HEAD}{smuggled}")).await;
        assert_eq!(codes(&answers).last(), Some(&"521"), "{answers}");
    }
    assert_eq!(codes(&say(&mailbox, "NOOP\n").await), ["220", "521"]);
    assert_eq!(mailbox.store().total(), 0);
}

#[tokio::test]
async fn oversized_mail_is_refused_before_and_after_data() {
    let mailbox = mailbox(Limits {
        max_message: 100,
        ..Limits::default()
    })
    .await;
    let announced = say(
        &mailbox,
        "EHLO t\r\nMAIL FROM:<a@example.com> SIZE=101\r\nQUIT\r\n",
    )
    .await;
    assert_eq!(codes(&announced), ["220", "250", "552", "221"]);
    let body = "0123456789\r\n".repeat(9);
    let sent = say(&mailbox, &format!("{HEAD}{body}.\r\nNOOP\r\nQUIT\r\n")).await;
    assert_eq!(
        codes(&sent),
        ["220", "250", "250", "250", "354", "552", "250", "221"]
    );
    let fits = say(
        &mailbox,
        &format!("{HEAD}{}.\r\nQUIT\r\n", "0123456789\r\n".repeat(8)),
    )
    .await;
    assert_eq!(
        codes(&fits),
        ["220", "250", "250", "250", "354", "250", "221"]
    );
    assert_eq!(mailbox.store().total(), 1);
}

#[tokio::test]
async fn overlong_line_closes_the_connection() {
    let mailbox = mailbox(Limits::default()).await;
    assert_eq!(
        codes(&say(&mailbox, &"x".repeat(200_000)).await),
        ["220", "500"]
    );
    let long = say(&mailbox, &format!("{HEAD}{}\r\n.\r\n", "x".repeat(1200))).await;
    assert_eq!(codes(&long).last(), Some(&"500"));
    let longest = say(
        &mailbox,
        &format!(
            "{HEAD}{}\r\n.{}\r\n.\r\nQUIT\r\n",
            "x".repeat(998),
            ".".repeat(998)
        ),
    )
    .await;
    assert_eq!(
        codes(&longest),
        ["220", "250", "250", "250", "354", "250", "221"]
    );
}

#[tokio::test]
async fn wrong_command_order_is_refused_and_many_errors_close() {
    let mailbox = mailbox(Limits {
        max_recipients: 1,
        login: false,
        ..Limits::default()
    })
    .await;
    let answers = say(
        &mailbox,
        "MAIL FROM:<a@example.com>\r\nHELO t\r\nRCPT TO:<b@example.com>\r\nMAIL FROM:<>\r\nDATA\r\nMAIL FROM:<a@example.com>\r\n\
         RCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nRSET\r\nDATA\r\nAUTH PLAIN AGEAYg==\r\nVRFY b\r\nQUIT\r\n",
    )
    .await;
    assert_eq!(
        codes(&answers),
        [
            "220", "503", "250", "503", "250", "503", "503", "250", "452", "250", "503", "502",
            "252", "221"
        ]
    );
    assert!(!answers.contains("AUTH"));
    let babble = say(&mailbox, &"GET / HTTP/1.1\r\n".repeat(50)).await;
    assert_eq!(codes(&babble).last(), Some(&"421"));
    assert_eq!(codes(&babble).len(), 22);
}

#[tokio::test]
async fn any_well_formed_login_is_accepted() {
    let mailbox = mailbox(Limits::default()).await;
    let plain = say(
        &mailbox,
        "EHLO t\r\nAUTH PLAIN\r\nAGEAYg==\r\nAUTH PLAIN AGEAYg==\r\nQUIT\r\n",
    )
    .await;
    assert_eq!(codes(&plain), ["220", "250", "334", "235", "503", "221"]);
    let login = say(
        &mailbox,
        "EHLO t\r\nAUTH LOGIN\r\n*\r\nAUTH LOGIN\r\nYQ==\r\nYg==\r\nQUIT\r\n",
    )
    .await;
    assert_eq!(
        codes(&login),
        ["220", "250", "334", "501", "334", "334", "235", "221"]
    );
    let half = say(&mailbox, "EHLO t\r\nAUTH PLAIN YQ==\r\nQUIT\r\n").await;
    assert_eq!(codes(&half), ["220", "250", "501", "221"]);
}

#[tokio::test]
async fn client_above_the_connection_limit_gets_421() {
    let mailbox = mailbox(Limits {
        max_connections: 1,
        ..Limits::default()
    })
    .await;
    let mut first = TcpStream::connect(mailbox.address()).await.unwrap();
    let mut greeting = [0; 3];
    first.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"220");
    assert_eq!(codes(&say(&mailbox, "EHLO t\r\n").await), ["421"]);
    mailbox.stop().await;
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, first.read_to_end(&mut rest))
        .await
        .expect("stopping closes sessions")
        .ok();
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_let_go() {
    let (near, mut far) = tokio::io::duplex(1024);
    let store = Store::new(1, 1, || 0);
    let session = tokio::spawn(session::Session::new(near, store, Limits::default()).run());
    let mut answers = String::new();
    far.read_to_string(&mut answers).await.unwrap();
    assert_eq!(codes(&answers), ["220", "421"]);
    drop(far);
    session.await.unwrap();
}

#[tokio::test]
async fn lettre_delivers_with_login() {
    let mailbox = mailbox(Limits::default()).await;
    let client = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(mailbox.address().port())
        .credentials(Credentials::new("me".into(), "any".into()))
        .build();
    let message = lettre::Message::builder()
        .from("绘影 <notify@example.com>".parse().unwrap())
        .to("b@example.com".parse().unwrap())
        .subject("图像已生成")
        .body("词".repeat(400))
        .unwrap();
    client.send(message).await.unwrap();
    assert!(mailbox.store().arrived(1, SOON).await);
    let mail = Mail::read(&mailbox.store().get(1).unwrap().raw);
    assert_eq!(
        (mail.subject.as_str(), mail.from.as_str()),
        ("图像已生成", "绘影 <notify@example.com>")
    );
    assert_eq!(mail.text.unwrap().trim_end(), "词".repeat(400));
}

async fn fetch(store: &Store, path: &str, language: &str) -> (StatusCode, String, String) {
    let request = Request::get(path)
        .header("accept-language", language)
        .body(Body::empty())
        .unwrap();
    let answer = pages::router(store.clone(), tools())
        .oneshot(request)
        .await
        .unwrap();
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let (status, policy) = (answer.status(), header("content-security-policy"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, policy, String::from_utf8_lossy(&body).into_owned())
}

fn tools() -> pages::Tools {
    pages::Tools {
        guard: Some(Arc::new(|parts| parts.headers.get("origin").is_none())),
        linter: Some(|mail, _| {
            vec![pages::Finding {
                is_error: true,
                text: format!("<b>{}", mail.subject),
            }]
        }),
        samples: &[pages::Sample {
            path: "/demo/sample/code",
            label: ("Code", "验证码"),
        }],
        api: "http://127.0.0.1:8000".to_owned(),
    }
}

const HOSTILE: &[u8] = b"From: <script>alert(1)</script> <a@example.com>\r\nTo: b@example.com\r\nSubject: <script>alert(2)</script>\r\n\
    Content-Type: multipart/related; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n<script>alert(3)</script><img src=\"cid:p@x\">\r\n\
    --x\r\nContent-Type: image/png\r\nContent-ID: <p@x>\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw==\r\n\
    --x\r\nContent-Type: image/svg+xml\r\nContent-ID: <s@x>\r\n\r\n<svg onload=alert(4)>\r\n--x--\r\n";

#[tokio::test]
async fn hostile_mail_is_inert_on_every_page() {
    let store = Store::new(10, 10_000, || 0);
    store.keep(
        "a@example.com".into(),
        vec!["b@example.com".into()],
        HOSTILE.to_vec(),
    );
    for path in [
        "/mailbox",
        "/mailbox/1",
        "/mailbox/1?view=source",
        "/mailbox/1?view=phone",
        "/mailbox/1?view=headers",
        "/mailbox/1?view=check",
        "/mailbox?q=script",
        "/mailbox/1?view=nonsense",
    ] {
        let (status, policy, page) = fetch(&store, path, "en").await;
        assert_eq!(status, StatusCode::OK, "{path}");
        // The only script is ours, and the policy allows no other.
        assert_eq!(page.matches("<script").count(), 1, "{path}: {page}");
        assert!(
            page.contains("<script src=\"/mailbox/script.js\" defer></script>")
                && !page.contains("<b><script"),
            "{path}: {page}"
        );
        assert!(
            policy.contains("default-src 'none'")
                && policy.contains("script-src 'self';")
                && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    let (_, _, page) = fetch(&store, "/mailbox/1", "en").await;
    assert!(
        page.contains("sandbox=\"allow-same-origin allow-popups allow-popups-to-escape-sandbox\""),
        "{page}"
    );
    let (_, policy, html) = fetch(&store, "/mailbox/1/html", "en").await;
    assert!(
        policy.contains("; sandbox ")
            && !policy.contains("allow-scripts")
            && !policy.contains("script-src")
            && policy.starts_with("default-src 'none'; img-src *; style-src 'unsafe-inline'"),
        "{policy}"
    );
    assert!(
        html.contains("<img src=\"/mailbox/1/picture/0\">"),
        "{html}"
    );
    assert_eq!(
        fetch(&store, "/mailbox/1/picture/0", "en").await.0,
        StatusCode::OK
    );
    // An image type that can carry scripts is not shown.
    assert_eq!(
        fetch(&store, "/mailbox/1/picture/1", "en").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn list_shows_newest_mails_first_in_the_readers_language() {
    let ticks = AtomicUsize::new(0);
    let store = Store::new(10, 10_000, move || {
        i64::try_from(ticks.fetch_add(1, Ordering::Relaxed)).unwrap() * 60_000
    });
    assert!(
        fetch(&store, "/mailbox", "zh-CN,zh;q=0.9")
            .await
            .2
            .contains("还没有邮件")
    );
    for subject in ["first", "second"] {
        store.keep(
            "a@example.com".into(),
            vec!["b@example.com".into()],
            format!("Subject: {subject}\r\n\r\nhello\r\n").into_bytes(),
        );
    }
    assert!(
        fetch(&store, "/mailbox/1", "en")
            .await
            .2
            .contains("<pre class=\"sheet text\">hello")
    );
    let (_, _, page) = fetch(&store, "/mailbox", "en").await;
    assert!(page.find(">second<").unwrap() < page.find(">first<").unwrap());
    assert_eq!(
        page.matches("class=\"dot\"").count(),
        1,
        "the opened mail is no longer new: {page}"
    );
    assert!(
        page.contains("1 min ago") && page.contains("b@example.com"),
        "{page}"
    );
    assert_eq!(
        fetch(&store, "/mailbox/1/text", "en").await.2.trim_end(),
        "hello"
    );
    assert_eq!(
        fetch(&store, "/mailbox/1/source", "en").await.2,
        "Subject: first\r\n\r\nhello\r\n"
    );
    for missing in [
        "/mailbox/1/html",
        "/mailbox/3",
        "/mailbox/x",
        "/mailbox/3/html",
        "/mailbox/1/picture/0",
    ] {
        assert_eq!(
            fetch(&store, missing, "en").await.0,
            StatusCode::NOT_FOUND,
            "{missing}"
        );
    }
}

/// A mail of one kind as the daemon sends it.
fn of_kind(kind: &str, subject: &str) -> Vec<u8> {
    format!(
        "From: Studio <s@example.com>\r\nTo: b@example.com\r\nSubject: {subject}\r\nX-Jobbell-Kind: {kind}\r\nContent-Type: text/html\r\n\r\n\
         <html><head><meta name=\"color-scheme\" content=\"light dark\"><style>@media (prefers-color-scheme:dark){{p{{color:#fff}}}}</style></head>\
         <body><div style=\"display:none\">the preheader &amp; more</div><p>Hello</p></body></html>\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn list_shows_kind_sender_and_preheader_and_is_searchable() {
    let store = Store::new(10, 10_000, || 0);
    for (kind, subject) in [
        ("success", "Kitten"),
        ("failure", "Harbour"),
        ("verification_code", "Code"),
    ] {
        store.keep(
            "a@example.com".into(),
            vec!["b@example.com".into()],
            of_kind(kind, subject),
        );
    }
    let (_, _, page) = fetch(&store, "/mailbox", "en").await;
    for part in [
        "<span class=\"success\">✓</span> Kitten",
        "<span class=\"failure\">✕</span> Harbour",
        "Studio &#60;s@example.com&#62;",
        "the preheader &#38; more",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for part in [
        "action=\"/demo/sample/code\"",
        "href=\"/openapi.json\"",
        "curl http://127.0.0.1:8000/v1/events",
        "action=\"/mailbox/clear\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let (_, _, found) = fetch(&store, "/mailbox?q=HARB", "en").await;
    assert!(
        found.contains("Harbour")
            && !found.contains("✓</span> Kitten")
            && found.contains("value=\"HARB\""),
        "{found}"
    );
    assert!(
        fetch(&store, "/mailbox?q=nothing", "zh-CN")
            .await
            .2
            .contains("没有匹配的邮件")
    );
    assert!(
        fetch(&store, "/mailbox/1?view=check", "en")
            .await
            .2
            .contains("&#60;b&#62;Kitten")
    );
    assert!(
        fetch(&store, "/mailbox/1?view=headers", "en")
            .await
            .2
            .contains("<dt>X-Jobbell-Kind</dt><dd>success</dd>")
    );
}

#[tokio::test]
async fn mail_is_shown_in_both_schemes_and_without_images() {
    let store = Store::new(10, 10_000, || 0);
    store.keep(
        "a@example.com".into(),
        vec!["b@example.com".into()],
        of_kind("success", "Kitten"),
    );
    let (_, _, page) = fetch(
        &store,
        "/mailbox/1?view=phone&scheme=dark&pictures=off",
        "en",
    )
    .await;
    assert!(
        page.contains("src=\"/mailbox/1/html?scheme=dark&#38;pictures=off\"")
            && page.contains("class=\"handset\""),
        "{page}"
    );
    let (_, policy, dark) = fetch(&store, "/mailbox/1/html?scheme=dark&pictures=off", "en").await;
    assert!(
        dark.contains("@media (min-width:0)")
            && dark.contains("content=\"dark\"")
            && !policy.contains("img-src"),
        "{policy} {dark}"
    );
    let (_, policy, light) = fetch(&store, "/mailbox/1/html?scheme=light", "en").await;
    assert!(
        light.contains("@media (max-width:0)")
            && policy.contains("img-src *")
            && light.contains("<base target=\"_blank\">"),
        "{policy} {light}"
    );
    assert!(
        fetch(&store, "/mailbox/1/html", "en")
            .await
            .2
            .contains("@media (prefers-color-scheme:dark)")
    );
}

#[tokio::test]
async fn mails_are_cleared_only_from_the_own_page() {
    let store = Store::new(10, 10_000, || 0);
    let clear = async |origin: Option<&str>| {
        let mut request = Request::post("/mailbox/clear");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        pages::router(store.clone(), tools())
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap()
            .status()
    };
    store.keep(
        "a@example.com".into(),
        vec!["b@example.com".into()],
        b"Subject: x\r\n\r\n".to_vec(),
    );
    assert_eq!(
        (clear(Some("http://evil.example")).await, store.list().len()),
        (StatusCode::FORBIDDEN, 1)
    );
    assert_eq!(
        (clear(None).await, store.list().len(), store.total()),
        (StatusCode::SEE_OTHER, 0, 1)
    );
    store.keep(
        "a@example.com".into(),
        vec!["b@example.com".into()],
        b"Subject: y\r\n\r\n".to_vec(),
    );
    let without_tools = pages::router(store.clone(), pages::Tools::default());
    let answer = without_tools
        .oneshot(Request::post("/mailbox/clear").body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(
        (answer.status(), store.list()[0].number),
        (StatusCode::FORBIDDEN, 2)
    );
}
