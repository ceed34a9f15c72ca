//! The command line: input, output and exit status.

mod database;
mod demo;
mod doctor;
mod hooks_try;
mod moving;
mod nodes;
mod oauth;
mod queue;
mod run;
mod send;
mod test_email;

use serde_json::{Value, json};

use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

/// Points the commands of a configuration to this daemon.
fn pointed(config: &mut TestConfig, daemon: &crate::support::daemon::Daemon) {
    config.env("JOBBELL_SERVER__LISTEN", daemon.address());
}

#[tokio::test]
async fn check_shows_effective_values_and_their_sources() {
    let mut config = TestConfig::for_port(2525);
    config
        .env("SMTP_USERNAME", "me@example.com")
        .env("SMTP_PASSWORD", "not to be seen");
    let good = config.run(&["check"]).await;
    assert_eq!(
        (good.code, good.out.as_str()),
        (Some(0), "Configuration OK (config.toml).\n"),
        "{good:#?}"
    );
    let chinese = config.env("LANG", "zh_CN.UTF-8").run(&["check"]).await;
    assert_eq!(
        (chinese.code, chinese.out.as_str()),
        (Some(0), "配置无误（config.toml）。\n"),
        "{chinese:#?}"
    );
    let english = config.env("LC_ALL", "en_US.UTF-8").run(&["check"]).await;
    assert_eq!(
        (english.code, english.out.as_str()),
        (Some(0), "Configuration OK (config.toml).\n"),
        "{english:#?}"
    );
    let shown = config.run(&["check", "--show"]).await.out;
    let line = |key: &str| {
        shown
            .lines()
            .find(|line| line.starts_with(&format!("{key} = ")))
            .unwrap_or_else(|| panic!("{key}: {shown}"))
    };
    assert!(
        line("smtp.port").contains("2525") && line("smtp.port").contains("config.toml:"),
        "{shown}"
    );
    assert!(
        line("smtp.username").ends_with("# $SMTP_USERNAME"),
        "{shown}"
    );
    assert!(
        line("smtp.password").contains("***") && !shown.contains("not to be seen"),
        "{shown}"
    );
    assert!(line("retry.max_attempts").contains("30"), "{shown}");
    let report = config.run(&["check", "--json"]).await.json();
    assert_eq!(
        (&report["ok"], &report["problems"], &report["file"]),
        (&json!(true), &json!([]), &json!("config.toml"))
    );
}

#[tokio::test]
async fn check_reads_the_file_it_is_given() {
    let mut config = TestConfig::for_port(2525);
    let other = config.path().join("other.toml");
    std::fs::write(
        &other,
        "[smtp]\nhost = \"other.example.com\"\nfrom = \"a@example.com\"\nto = \"b@example.com\"\n",
    )
    .unwrap();
    let other = other.display().to_string();
    let shown = config
        .run(&["--config", &other, "check", "--show"])
        .await
        .out;
    assert!(shown.contains("other.example.com"), "{shown}");
    let shown = config
        .env("JOBBELL_CONFIG", &other)
        .run(&["check", "--show"])
        .await
        .out;
    assert!(shown.contains("other.example.com"), "{shown}");
    let missing = config.run(&["check", "--config", "/nowhere.toml"]).await;
    assert_eq!(missing.code, Some(78));
    assert!(
        missing.err.contains("--config: ") && missing.err.contains("/nowhere.toml does not exist"),
        "{}",
        missing.err
    );
}

#[tokio::test]
async fn usage_error_exits_with_status_2() {
    let config = TestConfig::for_port(25);
    for arguments in [
        &["sing"][..],
        &["check", "--loud"],
        &["event"],
        &["queue", "show"],
        &["preview"],
        &["event", "--status", "succeeded", "-"],
    ] {
        let finished = config.run(arguments).await;
        assert_eq!(
            (finished.code, finished.out.as_str()),
            (Some(2), ""),
            "{arguments:?}: {finished:#?}"
        );
        assert!(finished.err.contains("Usage: jobbell"), "{}", finished.err);
    }
    for (arguments, allowed) in [
        (["queue", "list", "--state", "bogus"], "suppressed"),
        (["queue", "list", "--limit", "0"], "1..=200"),
        (
            ["event", "--status", "perhaps", "--json"],
            "succeeded, failed",
        ),
    ] {
        let finished = config.run(&arguments).await;
        assert_eq!(finished.code, Some(2), "{finished:#?}");
        assert!(finished.err.contains(allowed), "{}", finished.err);
    }
    for arguments in [&["--help"][..], &["event", "--help"], &["--version"]] {
        assert_eq!(config.run(arguments).await.code, Some(0), "{arguments:?}");
    }
}

#[tokio::test]
async fn event_posts_the_values_of_its_options() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let daemon = config.start().await;
    pointed(&mut config, &daemon);
    let arguments = "event --status failed --id cli-1 --job-id 42 --title T --prompt P --model M --size 640x480 --format png \
        --image https://img.example.com/1.png --image https://img.example.com/2.png --error broken --error-code E7 --to a@example.org --to b@example.org,c@example.org --locale en --sensitive";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let posted = config.run(&arguments).await;
    assert_eq!(
        (posted.code, posted.err.as_str()),
        (Some(0), ""),
        "{posted:#?}"
    );
    assert!(posted.out.contains("cli-1"), "{}", posted.out);
    let record = daemon.event("cli-1").await;
    let event = &record["event"];
    let expected = json!({"status": "failed", "job_id": "42", "title": "T", "prompt": "P", "model": "M", "format": "png", "locale": "en", "sensitive": true});
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&event[key], value, "{key}: {event}");
    }
    assert_eq!(
        (event["images"].as_array().unwrap().len(), &event["error"]),
        (2, &json!({"code": "E7", "message": "broken"}))
    );
    assert_eq!(daemon.reached("cli-1", "sent").await.len(), 3);
    // The same event again is a duplicate; with other content it is refused.
    let again = config.run(&[&arguments[..], &["--json"]].concat()).await;
    assert_eq!(
        (again.code, &again.json()["duplicate"]),
        (Some(0), &json!(true))
    );
    let other = config
        .run(&["event", "--status", "succeeded", "--id", "cli-1"])
        .await;
    assert_eq!((other.code, other.out.as_str()), (Some(1), ""));
    assert!(other.err.contains("409"), "{}", other.err);
    let wrong = config
        .run(&["event", "--status", "succeeded", "--size", "huge"])
        .await;
    assert!(
        wrong.code == Some(1) && wrong.err.contains("#/size"),
        "{wrong:#?}"
    );
}

#[tokio::test]
async fn client_commands_need_no_configured_mail_server() {
    let peer = SmtpPeer::start().await;
    let daemon = TestConfig::new(&peer).start().await;
    let mut config = TestConfig::bare();
    config.env("JOBBELL_SERVER__LISTEN", daemon.address());
    std::fs::write(
        config.path().join("one.json"),
        r#"{"status": "failed", "id": "from-afar", "error": "oom", "to": "a@example.org"}"#,
    )
    .unwrap();
    for arguments in [
        &["event", "--file", "one.json"][..],
        &["queue", "list"],
        &["queue", "show", "from-afar"],
        &["queue", "stats"],
        &["preview", "--file", "one.json"],
    ] {
        let finished = config.run(arguments).await;
        assert_eq!(
            (finished.code, finished.err.as_str()),
            (Some(0), ""),
            "{arguments:?}: {finished:#?}"
        );
    }
    daemon.reached("from-afar", "sent").await;
}

#[tokio::test]
async fn event_reads_one_or_many_events_from_files_and_stdin() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    config.set("server.tokens", r#"["a-token-for-the-command-line"]"#);
    let daemon = config.start().await;
    pointed(&mut config, &daemon);
    config.env("JOBBELL_TOKEN", "a-token-for-the-command-line");
    std::fs::write(
        config.path().join("one.json"),
        "{\n  \"status\": \"succeeded\",\n  \"id\": \"one\"\n}\n",
    )
    .unwrap();
    std::fs::write(
        config.path().join("many.ndjson"),
        "{\"status\":\"succeeded\",\"id\":\"m-1\"}\n{\"status\":\"failed\",\"id\":\"m-2\"}\n",
    )
    .unwrap();
    assert_eq!(
        config.run(&["event", "--file", "one.json"]).await.code,
        Some(0)
    );
    let many = config
        .run(&["event", "--file", "many.ndjson", "--json"])
        .await;
    let ids: Vec<_> = many
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["id"].clone())
        .collect();
    assert_eq!(
        (many.code, ids),
        (Some(0), vec![json!("m-1"), json!("m-2")])
    );
    let piped = config
        .run_with(
            &["event", "-"],
            "{\"status\":\"succeeded\",\"id\":\"piped\",\"clour\":1}",
        )
        .await;
    assert!(
        piped.code == Some(0) && piped.out.contains("piped") && piped.out.contains("clour"),
        "{piped:#?}"
    );
    let bad = config
        .run_with(
            &["event", "-"],
            "{\"status\":\"succeeded\"}\n{\"status\":\"maybe\"}\n",
        )
        .await;
    assert!(
        bad.code == Some(1) && bad.err.contains("line 2") && bad.err.contains("#/1/status"),
        "{bad:#?}"
    );
    let missing = config.run(&["event", "--file", "nowhere.json"]).await;
    assert!(
        missing.code == Some(1) && missing.err.contains("nowhere.json"),
        "{missing:#?}"
    );
    peer.until("four mails", |seen| seen.mails.len() == 4).await;
}

#[tokio::test]
async fn event_without_a_daemon_explains_how_to_start_one() {
    let mut config = TestConfig::for_port(25);
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let finished = config
        .text("server.listen", &free)
        .run(&["event", "--status", "succeeded"])
        .await;
    assert_eq!((finished.code, finished.out.as_str()), (Some(1), ""));
    assert!(
        finished.err.contains(&free) && finished.err.contains("jobbell serve"),
        "{}",
        finished.err
    );
}

#[tokio::test]
async fn event_reaches_the_daemon_on_its_unix_socket() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let address = format!("unix:{}", config.path().join("jobbell.sock").display());
    let daemon = config.text("server.listen", &address).start().await;
    let posted = config
        .run(&["event", "--status", "succeeded", "--id", "by-socket"])
        .await;
    assert_eq!(posted.code, Some(0), "{posted:#?}");
    daemon.reached("by-socket", "sent").await;
}

#[tokio::test]
async fn preview_shows_three_views_and_sends_nothing() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let event = json!({"status": "failed", "id": "seen-before", "title": "海报", "prompt": "一只可爱的小猫", "locale": "zh-CN", "to": "a@example.org",
        "error": {"code": "NSFW", "message": "被过滤"}, "finished_at": "2026-01-01T00:00:09Z"});
    std::fs::write(config.path().join("event.json"), event.to_string()).unwrap();
    let view = async |view: &[&str]| {
        let finished = config
            .run(&[&["preview", "--file", "event.json"], view].concat())
            .await;
        assert_eq!(
            (finished.code, finished.err.as_str()),
            (Some(0), ""),
            "{finished:#?}"
        );
        finished.out
    };
    let (text, html, eml) = (
        view(&[]).await,
        view(&["--html"]).await,
        view(&["--eml"]).await,
    );
    assert_eq!(text, view(&["--text"]).await);
    assert!(text.contains("被过滤") && !text.contains("<html"), "{text}");
    assert!(html.contains("被过滤") && html.contains("<html"), "{html}");
    let mail = mail_parser::MessageParser::default().parse(&eml).unwrap();
    assert_eq!(
        (
            mail.header_raw("X-Jobbell-Event").map(str::trim),
            mail.to().unwrap().first().unwrap().address()
        ),
        (Some("seen-before"), Some("a@example.org"))
    );
    assert_eq!(
        mail.body_html(0).unwrap().replace("\r\n", "\n").trim_end(),
        html.replace("\r\n", "\n").trim_end()
    );
    assert_eq!(text.lines().next(), mail.subject());
    let piped = config
        .run_with(&["preview", "--file", "-"], &event.to_string())
        .await;
    assert_eq!(piped.out, text);
    let wrong = config
        .run_with(&["preview", "--file", "-"], "{\"status\": 7}")
        .await;
    assert!(
        wrong.code == Some(1) && wrong.err.contains("#/status"),
        "{wrong:#?}"
    );
    assert_eq!(
        (peer.seen().connections, config.state().exists()),
        (0, false)
    );
}

#[tokio::test]
async fn closed_output_pipe_does_not_crash_a_command() {
    let config = TestConfig::for_port(25);
    drop(config.run(&["check"]).await);
    let commands = [
        &["check", "--show"][..],
        &["providers"],
        &["queue"],
        &["queue", "stats"],
        &["hooks", "failed"],
        &["hooks", "failed", "--json"],
        &["--help"],
        &["providers", "--json"],
    ];
    for arguments in commands {
        let usual = config.run(arguments).await;
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_jobbell"));
        config.prepare(&mut command);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command
            .args(arguments)
            .stdout(writer)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .await
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !errors.contains("panicked") && output.status.code() == usual.code,
            "{arguments:?}: {:?} instead of {:?}: {errors}",
            output.status,
            usual.code
        );
    }
}

#[tokio::test]
async fn unwritable_output_is_reported_as_a_failure() {
    let config = TestConfig::for_port(25);
    for arguments in [
        &["check", "--show"][..],
        &["providers"],
        &["providers", "qq"],
    ] {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_jobbell"));
        config.prepare(&mut command);
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = command
            .args(arguments)
            .stdout(full)
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
            .wait_with_output()
            .await
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(1) && errors.matches("cannot write output").count() == 1,
            "{arguments:?}: {:?}: {errors}",
            output.status
        );
    }
}

#[tokio::test]
async fn invalid_configuration_exits_every_command_with_78() {
    let mut config = TestConfig::for_port(25);
    config.set("smtp.port", "0");
    std::fs::write(
        config.path().join("event.json"),
        "{\"status\":\"succeeded\"}",
    )
    .unwrap();
    let commands = [
        &["check"][..],
        &["serve"],
        &["event", "--status", "succeeded"],
        &["queue"],
        &["queue", "stats", "--json"],
        &["preview", "--file", "event.json"],
    ];
    for arguments in commands {
        let finished = config.run(arguments).await;
        assert_eq!(finished.code, Some(78), "{arguments:?}: {finished:#?}");
        assert!(
            finished.err.contains("smtp.port: invalid value 0"),
            "{arguments:?}: {}",
            finished.err
        );
    }
    let report: Value = config.run(&["check", "--json"]).await.json();
    assert_eq!(
        (&report["ok"], &report["problems"][0]["key"]),
        (&json!(false), &json!("smtp.port"))
    );
}
