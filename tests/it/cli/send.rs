//! `jobbell send`: one mail right away, from the command line alone or with the configuration; the
//! password never appears among the arguments.

use serde_json::json;

use crate::support::smtp_peer::{Act, At, Mail, SmtpPeer};
use crate::support::test_config::{Finished, TestConfig};

const PASSWORD: &str = "canary-code-7f3a";

/// The arguments of a mail that needs no configuration, plus more.
fn mail<'a>(port: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let all = [
        "send",
        "--host",
        "127.0.0.1",
        "--port",
        port,
        "--tls",
        "none",
        "--from",
        "me@example.com",
        "--to",
        "you@example.com",
        "--subject",
        "Hi",
    ];
    [&all[..], more].concat()
}

/// A configuration without a configuration file.
fn nothing() -> TestConfig {
    let config = TestConfig::bare();
    std::fs::remove_file(config.file()).unwrap();
    config
}

fn parsed(mail: &Mail) -> mail_parser::Message<'_> {
    mail_parser::MessageParser::default()
        .parse(&mail.data)
        .unwrap()
}

fn good(finished: &Finished) {
    assert_eq!(
        (finished.code, finished.err.as_str()),
        (Some(0), ""),
        "{finished:#?}"
    );
}

#[tokio::test]
async fn complete_command_line_needs_no_configuration() {
    let peer = SmtpPeer::builder().login("me", PASSWORD).start().await;
    let port = peer.port().to_string();
    let mut config = nothing();
    let sent = config
        .env("SMTP_PASSWORD", PASSWORD)
        .run(&mail(
            &port,
            &["--username", "me", "--text", "你好\n  there"],
        ))
        .await;
    good(&sent);
    assert_eq!(sent.out, "Email sent to y***@example.com\n");
    let mail = peer.mails().remove(0);
    assert_eq!(
        (
            mail.from.as_str(),
            mail.to.as_slice(),
            mail.login.as_deref()
        ),
        (
            "me@example.com",
            &["you@example.com".to_owned()][..],
            Some("me")
        )
    );
    let message = parsed(&mail);
    assert_eq!(
        (message.subject(), message.body_text(0).unwrap().trim_end()),
        (Some("Hi"), "你好\r\n  there")
    );
    assert!(
        message.body_html(0).unwrap().contains("你好\r\n  there")
            && message.date().is_some()
            && message.message_id().is_some()
    );
}

#[tokio::test]
async fn password_is_read_from_a_file_and_never_printed() {
    let peer = SmtpPeer::builder().login("me", PASSWORD).start().await;
    let port = peer.port().to_string();
    let config = nothing();
    let file = config.path().join("secret");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let arguments = [
        "--username",
        "me",
        "--password-file",
        file.to_str().unwrap(),
        "--text",
        "t",
    ];
    good(&config.run(&mail(&port, &arguments)).await);
    peer.once(
        At::Auth,
        Act::reply(&format!("535 5.7.8 what is {PASSWORD}?")),
    );
    let refused = config.run(&mail(&port, &arguments)).await;
    assert_eq!(refused.code, Some(1));
    assert!(
        !refused.all().contains(PASSWORD) && refused.err.contains("535"),
        "{}",
        refused.err
    );
    // The only option for it is the one whose name warns.
    let help = config.run(&["send", "--help"]).await.out;
    assert!(
        help.contains("--password-file")
            && !help.contains("--password ")
            && !help.contains("insecure"),
        "{help}"
    );
    assert_eq!(
        config
            .run(&mail(
                &port,
                &["--username", "me", "--password", PASSWORD, "--text", "t"]
            ))
            .await
            .code,
        Some(2)
    );
    let forced = config
        .run(&mail(
            &port,
            &[
                "--username",
                "me",
                "--insecure-password",
                PASSWORD,
                "--text",
                "t",
            ],
        ))
        .await;
    assert_eq!(
        (forced.code, peer.mails().len()),
        (Some(0), 2),
        "{forced:#?}"
    );
    assert!(
        forced.err.contains("every user of this machine can see")
            && !forced.all().contains(PASSWORD),
        "{}",
        forced.err
    );
}

#[tokio::test]
async fn missing_password_error_explains_how_to_give_one() {
    let peer = SmtpPeer::builder().login("me", PASSWORD).start().await;
    let port = peer.port().to_string();
    let config = nothing();
    let mut command = config.command(&mail(&port, &["--username", "me", "--text", "t"]));
    // A new session has no controlling terminal.
    let mut alone = tokio::process::Command::new("setsid");
    alone
        .arg("--wait")
        .arg(command.as_std().get_program())
        .args(command.as_std().get_args());
    config.prepare(&mut alone);
    command = alone;
    let asked = crate::support::test_config::finish(command).await;
    assert_eq!(
        (asked.code, peer.seen().connections),
        (Some(2), 0),
        "{asked:#?}"
    );
    assert!(
        asked.err.contains("--password-file") && asked.err.contains("SMTP_PASSWORD"),
        "{}",
        asked.err
    );
}

#[tokio::test]
async fn command_line_overrides_the_configuration() {
    let (configured, other) = (
        SmtpPeer::builder().login("bell", PASSWORD).start().await,
        SmtpPeer::builder().login("bell", PASSWORD).start().await,
    );
    let mut config = TestConfig::new(&configured);
    config
        .text("smtp.username", "bell")
        .text("smtp.password", PASSWORD);
    good(
        &config
            .run(&["send", "--subject", "Hi", "--text", "t"])
            .await,
    );
    let mail = configured.mails().remove(0);
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("bell@jobbell.example", &["boss@example.org".to_owned()][..])
    );
    let port = other.port().to_string();
    good(
        &config
            .run(&[
                "send",
                "--port",
                &port,
                "--from",
                "绘影 <new@example.com>",
                "--to",
                "a@example.org",
                "--subject",
                "Hi",
                "--text",
                "t",
            ])
            .await,
    );
    let mail = other.mails().remove(0);
    assert_eq!(
        (mail.from.as_str(), mail.login.as_deref()),
        ("new@example.com", Some("bell"))
    );
    assert_eq!(
        parsed(&mail).from().unwrap().first().unwrap().name(),
        Some("绘影")
    );
}

#[tokio::test]
async fn every_recipient_gets_a_separate_mail() {
    let peer = SmtpPeer::builder()
        .once(At::Rcpt, Act::reply("550 5.1.1 no such user"))
        .start()
        .await;
    let port = peer.port().to_string();
    let sent = nothing()
        .run(&mail(
            &port,
            &["--to", "b@example.org，c@example.org", "--text", "t"],
        ))
        .await;
    assert_eq!(
        (sent.code, sent.out.as_str()),
        (
            Some(1),
            "Email sent to b***@example.org\nEmail sent to c***@example.org\n"
        ),
        "{sent:#?}"
    );
    assert!(
        sent.err.contains("y***@example.com") && sent.err.contains("550 5.1.1 no such user"),
        "{}",
        sent.err
    );
    let to: Vec<Vec<String>> = peer.mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, [["b@example.org"], ["c@example.org"]]);
    assert_eq!(peer.seen().connections, 1);
}

#[tokio::test]
async fn html_gets_a_text_part_and_text_may_come_from_stdin() {
    let peer = SmtpPeer::start().await;
    let port = peer.port().to_string();
    let config = nothing();
    let file = config.path().join("mail.html");
    std::fs::write(
        &file,
        "<h1>Done</h1><p>See <a href=\"https://example.com/a\">it</a>.</p>",
    )
    .unwrap();
    good(
        &config
            .run(&mail(&port, &["--html", file.to_str().unwrap()]))
            .await,
    );
    good(
        &config
            .run_with(&mail(&port, &["--text", "-"]), "from standard input\n")
            .await,
    );
    let mails = peer.mails();
    let twin = parsed(&mails[0]);
    assert!(twin.body_html(0).unwrap().contains("<h1>Done</h1>"));
    assert!(
        twin.body_text(0).unwrap().contains("https://example.com/a"),
        "{:?}",
        twin.body_text(0)
    );
    assert_eq!(
        parsed(&mails[1]).body_text(0).unwrap().trim_end(),
        "from standard input"
    );
}

#[tokio::test]
async fn failing_server_is_skipped_unless_named() {
    let (down, up) = (
        SmtpPeer::builder()
            .always(At::Greeting, Act::reply_and_close("421 busy"))
            .start()
            .await,
        SmtpPeer::start().await,
    );
    let mut config = TestConfig::new(&down);
    let primary = std::fs::read_to_string(config.file()).unwrap();
    config.write(&format!("{primary}\n[[smtp.backup]]\nname = \"second\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n", up.port()));
    let sent = config
        .run(&["send", "--subject", "Hi", "--text", "t"])
        .await;
    assert_eq!(
        (sent.code, sent.out.as_str(), up.mails().len()),
        (Some(0), "Email sent to b***@example.org\n", 1),
        "{sent:#?}"
    );
    assert!(
        sent.err.contains("primary") && sent.err.contains("421"),
        "{}",
        sent.err
    );
    let result = config
        .run(&["send", "--subject", "Hi", "--text", "t", "--json"])
        .await
        .json();
    assert_eq!(
        (
            &result["ok"],
            &result["mails"][0]["tries"][0]["ok"],
            &result["mails"][0]["tries"][1]["server"]
        ),
        (&json!(true), &json!(false), &json!("second"))
    );
    assert_eq!(result["mails"][0]["to"], "b***@example.org");
    assert_eq!(
        config
            .run(&[
                "send",
                "--server",
                "primary",
                "--subject",
                "Hi",
                "--text",
                "t"
            ])
            .await
            .code,
        Some(1)
    );
    assert_eq!(
        config
            .run(&[
                "send",
                "--server",
                "second",
                "--subject",
                "Hi",
                "--text",
                "t"
            ])
            .await
            .code,
        Some(0)
    );
    assert_eq!(
        config
            .run(&[
                "send",
                "--server",
                "second",
                "--host",
                "a.example.com",
                "--subject",
                "Hi",
                "--text",
                "t"
            ])
            .await
            .code,
        Some(2)
    );
    assert_eq!(up.mails().len(), 3);
}

#[tokio::test]
async fn refusal_exits_with_1_and_names_cause_and_remedy() {
    let peer = SmtpPeer::builder()
        .always(At::Dot, Act::reply("554 DT:SPM spam"))
        .start()
        .await;
    let port = peer.port().to_string();
    let mut config = nothing();
    let refused = config
        .env("LANG", "zh_CN.UTF-8")
        .run(&mail(&port, &["--text", "t"]))
        .await;
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    assert!(
        refused.err.contains("y***@example.com")
            && refused.err.contains("原因：")
            && refused.err.contains("处理办法："),
        "{}",
        refused.err
    );
    let english = config
        .env("LANG", "en_GB.UTF-8")
        .run(&mail(&port, &["--text", "t"]))
        .await;
    assert!(
        english.err.contains("Cause:") && english.err.contains("What to do:"),
        "{}",
        english.err
    );
    let result = config.run(&mail(&port, &["--text", "t", "--json"])).await;
    let error = &result.json()["mails"][0]["tries"][0]["error"];
    assert_eq!(
        (result.code, &error["stage"], &error["reply"]["code"]),
        (Some(1), &json!("dot"), &json!(554))
    );
}

#[tokio::test]
async fn usage_errors_exit_with_2_and_setting_errors_with_78() {
    let config = nothing();
    for wrong in [
        &["send", "--to", "a@example.com", "--text", "t"][..],
        &["send", "--to", "a@example.com", "--subject", "s"],
        &["send", "--to", "nobody", "--subject", "s", "--text", "t"],
        &[
            "send",
            "--from",
            "nobody",
            "--to",
            "a@example.com",
            "--subject",
            "s",
            "--text",
            "t",
        ],
        &[
            "send",
            "--host",
            "127.0.0.1",
            "--from",
            "a@example.com",
            "--subject",
            "s",
            "--text",
            "t",
        ],
    ] {
        assert_eq!(config.run(wrong).await.code, Some(2), "{wrong:?}");
    }
    let mut arguments = mail("99999", &["--text", "t"]);
    let wrong = config.run(&arguments).await;
    assert_eq!(wrong.code, Some(78));
    assert!(wrong.err.contains("--port"), "{}", wrong.err);
    arguments = vec![
        "send",
        "--from",
        "a@example.com",
        "--to",
        "b@example.com",
        "--subject",
        "s",
        "--text",
        "t",
    ];
    assert_eq!(config.run(&arguments).await.code, Some(78));
}
