//! `jobbell test-email`: each step is shown, with cause and remedy of a failure in both languages.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::peer::{Answer, HttpPeer};
use crate::support::smtp_peer::{Act, At, Builder, Certificate, SmtpPeer};
use crate::support::test_config::{Finished, TestConfig};

const PASSWORD: &str = "canary-code-7f3a";

/// A configuration with a login and English mails.
fn config(peer: &SmtpPeer, tls: &str) -> TestConfig {
    let mut config = TestConfig::new(peer);
    config
        .text("smtp.tls", tls)
        .text("smtp.username", "bell@jobbell.example")
        .text("email.locale", "en");
    config.env("SMTP_PASSWORD", PASSWORD);
    config
}

fn guarded() -> Builder {
    SmtpPeer::builder().login("bell@jobbell.example", PASSWORD)
}

/// A configuration that trusts the certificate of a server with STARTTLS.
fn trusting(peer: &SmtpPeer) -> TestConfig {
    let mut config = config(peer, "starttls");
    config.text("smtp.tls_ca_file", &peer.ca_file().display().to_string());
    config
}

/// Marks and names of the steps as printed.
fn marks(finished: &Finished) -> Vec<(char, String)> {
    let row = |line: &str| {
        let mut words = line.strip_prefix("  ")?.split_whitespace();
        let mark = words
            .next()?
            .chars()
            .next()
            .filter(|mark| "✓✗–".contains(*mark))?;
        Some((mark, words.next()?.to_owned()))
    };
    finished.out.lines().filter_map(row).collect()
}

fn crossed(finished: &Finished) -> Vec<String> {
    marks(finished)
        .into_iter()
        .filter(|(mark, _)| *mark == '✗')
        .map(|(_, name)| name)
        .collect()
}

fn step<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let steps = answer["servers"][0]["steps"].as_array().unwrap();
    steps
        .iter()
        .find(|step| step["step"] == name)
        .unwrap_or_else(|| panic!("{name}: {answer:#}"))
}

#[tokio::test]
async fn working_server_passes_every_step_and_gets_a_mail() {
    let peer = guarded().starttls().start().await;
    let tested = trusting(&peer)
        .run(&["test-email", "--to", "reader@example.org"])
        .await;
    assert_eq!(
        (tested.code, tested.err.as_str()),
        (Some(0), ""),
        "{tested:#?}"
    );
    let names = [
        "DNS", "TCP", "greeting", "EHLO", "TLS", "AUTH", "MAIL", "RCPT", "DATA",
    ];
    assert_eq!(marks(&tested), names.map(|name| ('✓', name.to_owned())));
    for line in [
        "127.0.0.1:",
        "220 peer.test ESMTP",
        "TLS 1.3 TLS13_",
        "localhost, 127.0.0.1",
        "issued by CN=peer.test CA",
        " days left",
        "AUTH PLAIN LOGIN",
        "Email sent to r***@example.org",
    ] {
        assert!(tested.out.contains(line), "{line}: {}", tested.out);
    }
    let mail = peer.mails().remove(0);
    assert_eq!(
        (mail.to.as_slice(), mail.login.as_deref(), mail.encrypted),
        (
            &["reader@example.org".to_owned()][..],
            Some("bell@jobbell.example"),
            true
        )
    );
    let parsed = mail_parser::MessageParser::default()
        .parse(&mail.data)
        .unwrap();
    assert!(
        parsed
            .subject()
            .unwrap()
            .starts_with("Test of mail server primary at "),
        "{:?}",
        parsed.subject()
    );
    assert!(parsed.date().is_some() && parsed.message_id().unwrap().ends_with("@jobbell.example"));
    let (text, html) = (parsed.body_text(0).unwrap(), parsed.body_html(0).unwrap());
    assert!(
        text.contains("someone ran `jobbell test-email`")
            && html.contains("someone ran `jobbell test-email`"),
        "{text}\n{html}"
    );
    assert_eq!(
        parsed.header("Auto-Submitted").unwrap().as_text(),
        Some("auto-generated")
    );
    assert_eq!(peer.seen().count("QUIT"), 1);
}

#[tokio::test]
async fn json_output_lists_every_step_with_time_and_details() {
    let peer = guarded().implicit_tls().start().await;
    let mut config = config(&peer, "implicit");
    config.text("smtp.tls_ca_file", &peer.ca_file().display().to_string());
    let tested = config.run(&["test-email", "--json"]).await;
    let answer = tested.json();
    assert_eq!(
        (
            tested.code,
            &answer["ok"],
            &answer["enabled"],
            &answer["dry_run"]
        ),
        (Some(0), &json!(true), &json!(true), &json!(false))
    );
    let server = &answer["servers"][0];
    assert_eq!(
        (&server["name"], &server["host"], &server["tls"]),
        (&json!("primary"), &json!("127.0.0.1"), &json!("implicit"))
    );
    assert_eq!(
        (&server["port"], &server["sent"], &server["error"]),
        (&json!(peer.port()), &json!(true), &json!(null))
    );
    assert_eq!(
        (&server["to"], &server["from"]),
        (&json!("b***@example.org"), &json!("b***@jobbell.example"))
    );
    assert!(
        server["message_id"]
            .as_str()
            .unwrap()
            .ends_with("@jobbell.example")
    );
    let steps = server["steps"].as_array().unwrap();
    let names: Vec<&str> = steps
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "dns", "tcp", "tls", "greeting", "ehlo", "auth", "mail", "rcpt", "data"
        ]
    );
    assert!(
        steps
            .iter()
            .all(|step| step["status"] == "ok" && step["took_ms"].as_f64().is_some()),
        "{server:#}"
    );
    assert_eq!(step(&answer, "dns")["addresses"], json!(["127.0.0.1"]));
    let tls = step(&answer, "tls");
    assert_eq!(
        (&tls["version"], &tls["certificate"]["hosts"]),
        (&json!("TLS 1.3"), &json!(["localhost", "127.0.0.1"]))
    );
    assert!(
        tls["certificate"]["days_left"].as_i64().unwrap() > 0
            && tls["certificate"]["issuer"].is_string()
    );
    assert!(
        step(&answer, "ehlo")["offers"]
            .as_array()
            .unwrap()
            .contains(&json!("AUTH PLAIN LOGIN"))
    );
    assert_eq!(step(&answer, "auth")["mechanism"], "PLAIN");
    assert_eq!(step(&answer, "data")["reply"]["code"], 250);
}

#[tokio::test]
async fn dry_run_stops_before_data_and_sends_nothing() {
    let peer = guarded().starttls().start().await;
    let tested = trusting(&peer).run(&["test-email", "--dry-run"]).await;
    assert_eq!(tested.code, Some(0), "{tested:#?}");
    assert!(
        tested.out.contains("not sent (--dry-run)")
            && tested.out.contains("nothing was sent")
            && !tested.out.contains("Email sent"),
        "{}",
        tested.out
    );
    let seen = peer.seen();
    assert_eq!(
        (
            seen.count("RCPT"),
            seen.count("RSET"),
            seen.count("DATA"),
            seen.mails.len()
        ),
        (1, 1, 0, 0)
    );
}

#[tokio::test]
async fn refused_step_is_explained_in_both_languages() {
    let refusals = [
        (At::Greeting, "554 5.7.1 go away", "greeting", "问候"),
        (At::Auth, "535 5.7.8 bad credentials", "AUTH", "AUTH"),
        (At::Mail, "553 5.7.1 not yours", "MAIL", "MAIL"),
        (At::Rcpt, "550 5.1.1 no such user", "RCPT", "RCPT"),
        (At::Data, "451 4.3.0 later", "DATA", "DATA"),
        (At::Dot, "554 DT:SPM looks like spam", "DATA", "DATA"),
    ];
    for (at, reply, en, zh) in refusals {
        let peer = guarded().always(at, Act::reply(reply)).start().await;
        let mut config = config(&peer, "none");
        let tested = config.run(&["test-email"]).await;
        assert_eq!(
            (tested.code, crossed(&tested)),
            (Some(1), vec![en.to_owned()]),
            "{tested:#?}"
        );
        let marks = marks(&tested);
        let cross = marks.iter().position(|(mark, _)| *mark == '✗').unwrap();
        assert!(
            marks[cross + 1..].iter().all(|(mark, _)| *mark == '–'),
            "{}",
            tested.out
        );
        assert!(
            tested.out.contains(reply)
                && tested.out.contains("\nCause:      ")
                && tested.out.contains("\nWhat to do: "),
            "{}",
            tested.out
        );
        let tested = config
            .env("LC_MESSAGES", "zh_CN.UTF-8")
            .run(&["test-email"])
            .await;
        assert_eq!(crossed(&tested), [zh]);
        assert!(
            tested.out.contains(reply)
                && tested.out.contains("\n原因：     ")
                && tested.out.contains("\n处理办法： "),
            "{}",
            tested.out
        );
        let answer = config.run(&["test-email", "--json"]).await.json();
        let error = &answer["servers"][0]["error"];
        assert!(
            error["cause"].is_string()
                && error["advice"].is_string()
                && error["reply"]["code"].is_u64(),
            "{error:#}"
        );
        assert!(peer.mails().is_empty());
    }
}

/// Checks the failure of one server in English and in Chinese.
async fn named(mut config: TestConfig, step: &str, en: [&str; 2], zh: [&str; 2]) -> String {
    let english = config.run(&["test-email"]).await;
    assert_eq!(
        (english.code, crossed(&english)),
        (Some(1), vec![step.to_owned()]),
        "{english:#?}"
    );
    let chinese = config
        .env("LC_MESSAGES", "zh_CN.UTF-8")
        .run(&["test-email"])
        .await;
    for (tested, words) in [(&english, en), (&chinese, zh)] {
        for word in words {
            assert!(tested.out.contains(word), "{word}: {}", tested.out);
        }
        assert!(!tested.all().contains(PASSWORD), "{tested:#?}");
    }
    english.out
}

#[tokio::test]
async fn expired_certificate_is_shown_with_a_remedy() {
    let peer = guarded()
        .implicit_tls()
        .certificate(Certificate::expired())
        .start()
        .await;
    let mut config = config(&peer, "implicit");
    config.text("smtp.tls_ca_file", &peer.ca_file().display().to_string());
    let out = named(
        config,
        "TLS",
        ["expired on 2000-01-01", "must renew the certificate"],
        ["已于 2000-01-01 过期", "更新证书"],
    )
    .await;
    assert!(
        out.contains("certificate for ")
            && out.contains("localhost, 127.0.0.1")
            && out.contains("issued by "),
        "{out}"
    );
    assert_eq!(peer.seen().count("AUTH"), 0);
}

#[tokio::test]
async fn untrusted_certificate_is_shown_with_a_remedy() {
    let peer = guarded().starttls().start().await;
    named(
        config(&peer, "starttls"),
        "TLS",
        ["certificate for ", "tls_ca_file"],
        ["证书主体：", "tls_ca_file"],
    )
    .await;
    let peer = guarded()
        .starttls()
        .certificate(Certificate::self_signed(true))
        .start()
        .await;
    named(
        config(&peer, "starttls"),
        "TLS",
        ["itself (self-signed)", "tls_ca_file"],
        ["自签名", "tls_ca_file"],
    )
    .await;
    assert_eq!(peer.seen().count("AUTH"), 0);
}

#[tokio::test]
async fn certificate_for_another_name_is_shown_with_its_names() {
    let peer = guarded()
        .starttls()
        .certificate(Certificate::named("mail.example.net"))
        .start()
        .await;
    named(
        trusting(&peer),
        "TLS",
        ["mail.example.net", "Set host to the name"],
        ["mail.example.net", "host 设为证书中的域名"],
    )
    .await;
}

#[tokio::test]
async fn server_without_tls_gets_no_password() {
    let peer = guarded().start().await;
    named(
        config(&peer, "starttls"),
        "TLS",
        ["STARTTLS", "465"],
        ["STARTTLS", "465"],
    )
    .await;
    assert_eq!(peer.seen().count("AUTH"), 0);
}

#[tokio::test]
async fn tls_mode_that_does_not_fit_the_port_is_explained() {
    let plain = guarded().start().await;
    named(
        config(&plain, "implicit"),
        "TLS",
        ["587", "tls"],
        ["587", "tls"],
    )
    .await;
    let encrypted = guarded().implicit_tls().start().await;
    let mut config = config(&encrypted, "starttls");
    config.text("smtp.timeout", "300ms");
    named(config, "greeting", ["465", "implicit"], ["465", "implicit"]).await;
}

#[tokio::test]
async fn connection_failures_are_distinguished() {
    let mut peer = SmtpPeer::start().await;
    let mut nowhere = config(&peer, "none");
    nowhere.text("smtp.host", "no-such-host.invalid");
    named(
        nowhere,
        "DNS",
        ["no-such-host.invalid", "host"],
        ["no-such-host.invalid", "host"],
    )
    .await;
    peer.stop_listening().await;
    named(
        config(&peer, "none"),
        "TCP",
        ["Connection refused", "port"],
        ["Connection refused", "端口"],
    )
    .await;
    // A socket with a full backlog neither accepts nor refuses connections.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(connected) = tokio::time::timeout(
        Duration::from_millis(300),
        tokio::net::TcpStream::connect(address),
    )
    .await
    {
        queue.push(connected.unwrap());
    }
    let mut hole = config(&peer, "none");
    hole.set("smtp.port", &address.port().to_string())
        .text("smtp.timeout", "300ms");
    named(
        hole,
        "TCP",
        ["no answer within 0.3 s", "Set port = 465 or 587"],
        ["no answer within 0.3 s", "改为 465 或 587"],
    )
    .await;
}

#[tokio::test]
async fn gbk_refusal_is_decoded_and_explained() {
    let mut reply = b"535 Error: ".to_vec();
    reply.extend_from_slice(&encoding_rs::GB18030.encode("请使用授权码登录").0);
    reply.extend_from_slice(b"\r\n");
    let peer = guarded()
        .always(At::Auth, Act::ReplyAndClose(reply))
        .start()
        .await;
    let mut config = config(&peer, "none");
    config.text("smtp.provider", "qq");
    named(
        config,
        "AUTH",
        ["请使用授权码登录", "jobbell providers qq"],
        ["请使用授权码登录", "jobbell providers qq"],
    )
    .await;
}

#[tokio::test]
async fn every_server_is_tested_unless_one_is_chosen() {
    let (good, bad) = (
        SmtpPeer::start().await,
        SmtpPeer::builder()
            .always(At::Rcpt, Act::reply("550 5.1.1 no such user"))
            .start()
            .await,
    );
    let mut config = TestConfig::new(&good);
    let primary = std::fs::read_to_string(config.file()).unwrap();
    config.write(&format!(
        "{primary}\n[[smtp.backup]]\nname = \"备用\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n[email]\nlocale = \"en\"\n",
        bad.port()
    ));
    let all = config.run(&["test-email", "--all"]).await;
    assert_eq!(all.code, Some(1), "{all:#?}");
    assert!(
        all.out.contains("primary  127.0.0.1 port")
            && all.out.contains("备用  127.0.0.1 port")
            && all.out.contains("1 of 2 servers work."),
        "{}",
        all.out
    );
    let answer = config.run(&["test-email", "--all", "--json"]).await.json();
    assert_eq!(
        (
            &answer["ok"],
            &answer["servers"][0]["ok"],
            &answer["servers"][1]["ok"]
        ),
        (&json!(false), &json!(true), &json!(false))
    );
    assert_eq!(good.mails().len(), 2);
    let second = config.run(&["test-email", "--server", "备用"]).await;
    assert_eq!(
        (second.code, crossed(&second)),
        (Some(1), vec!["RCPT".to_owned()])
    );
    let unknown = config.run(&["test-email", "--server", "third"]).await;
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.err.contains("\"primary\", \"备用\""),
        "{}",
        unknown.err
    );
    assert_eq!(
        config
            .run(&["test-email", "--all", "--server", "primary"])
            .await
            .code,
        Some(2)
    );
}

#[tokio::test]
async fn test_email_works_while_mails_are_disabled() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    config
        .set("smtp.enable", "false")
        .text("email.locale", "en");
    let tested = config.run(&["test-email"]).await;
    assert_eq!(
        (tested.code, peer.mails().len()),
        (Some(0), 1),
        "{tested:#?}"
    );
    assert!(
        tested.err.contains("smtp.enable is false"),
        "{}",
        tested.err
    );
    assert_eq!(
        config.run(&["test-email", "--json"]).await.json()["enabled"],
        false
    );
}

#[tokio::test]
async fn missing_server_or_invalid_address_is_a_usage_error() {
    let config = TestConfig::bare();
    let tested = config.run(&["test-email"]).await;
    assert_eq!(tested.code, Some(78), "{tested:#?}");
    assert!(tested.err.contains("smtp.host"), "{}", tested.err);
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    assert_eq!(
        config.run(&["test-email", "--to", "nobody"]).await.code,
        Some(2)
    );
    config.set("email.allowed_recipients", "[\"*@example.com\"]");
    let refused = config
        .run(&["test-email", "--to", "reader@example.org"])
        .await;
    assert_eq!(
        (refused.code, peer.seen().connections),
        (Some(1), 0),
        "{refused:#?}"
    );
    assert!(
        refused.err.contains("r***@example.org") && !refused.all().contains("reader@"),
        "{}",
        refused.err
    );
}

#[tokio::test]
async fn test_email_is_accepted_as_an_option() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let path = config.file().display().to_string();
    for arguments in [
        &["--test-email"][..],
        &[
            "--config",
            &path,
            "--test-email",
            "--to",
            "reader@example.org",
        ],
        &["--test-email", "--json"],
    ] {
        let tested = config.run(arguments).await;
        assert_eq!(tested.code, Some(0), "{tested:#?}");
    }
    assert_eq!(peer.mails().len(), 3);
}

#[tokio::test]
async fn colours_are_used_only_on_terminals() {
    let peer = SmtpPeer::start().await;
    let tested = TestConfig::new(&peer).run(&["test-email"]).await;
    assert!(!tested.all().contains('\x1b'), "{tested:#?}");
}

#[tokio::test]
async fn http_mail_service_is_tested_in_one_step() {
    let good =
        json!({ "EnvId": "600000012345678", "RequestId": "12D086F6-8F31-4658-84C1-006DED011A85" });
    let bad = json!({ "Code": "SignatureDoesNotMatch", "Message": "Specified signature is not matched with our calculation.", "RequestId": "R" });
    let peer = HttpPeer::start(move |number, _| {
        if number == 0 {
            Answer::json(200, &good)
        } else {
            Answer::json(400, &bad)
        }
    })
    .await;
    let mut config = TestConfig::bare();
    for (key, value) in [
        ("smtp.provider", "directmail"),
        ("smtp.endpoint", &peer.url("/")),
        ("smtp.access_key_id", "key"),
        ("smtp.access_key_secret", PASSWORD),
        ("smtp.from", "bell@jobbell.example"),
        ("email.locale", "en"),
    ] {
        config.text(key, value);
    }
    config.set("smtp.api", "true");
    let tested = config
        .run(&["test-email", "--to", "reader@example.org"])
        .await;
    assert_eq!(
        (tested.code, marks(&tested)),
        (Some(0), vec![('✓', "API".to_owned())]),
        "{tested:#?}"
    );
    assert!(
        tested.out.contains("Aliyun DirectMail")
            && tested.out.contains("Email sent to r***@example.org"),
        "{}",
        tested.out
    );
    assert!(
        peer.requests()[0]
            .field("Subject")
            .unwrap()
            .starts_with("Test of mail server")
    );
    let refused = config
        .run(&["test-email", "--to", "reader@example.org"])
        .await;
    assert_eq!(
        (refused.code, crossed(&refused)),
        (Some(1), vec!["API".to_owned()]),
        "{refused:#?}"
    );
    assert!(
        refused.out.contains("Cause:")
            && refused.out.contains("What to do:")
            && !refused.all().contains(PASSWORD),
        "{}",
        refused.out
    );
}
