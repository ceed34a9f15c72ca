//! Problems of a newcomer's first day with the README: each command with the expected output.

use serde_json::{Value, json};

use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_config::TestConfig;

#[tokio::test]
async fn missing_configuration_error_explains_how_to_start() {
    let empty = TestConfig::bare();
    std::fs::remove_file(empty.file()).unwrap();
    for arguments in [&["check"][..], &["serve"], &["test-email"]] {
        let finished = empty.run(arguments).await;
        assert_eq!(finished.code, Some(78), "{finished:#?}");
        assert!(
            finished.err.contains(
                "no configuration found (looked at ./config.toml, /etc/jobbell/config.toml"
            ),
            "{}",
            finished.err
        );
        assert!(
            finished.err.contains("jobbell demo") && !finished.err.contains("smtp.from"),
            "{}",
            finished.err
        );
    }
    let send = empty
        .run(&[
            "send",
            "--to",
            "a@example.org",
            "--subject",
            "s",
            "--text",
            "t",
        ])
        .await;
    assert!(
        send.code == Some(78)
            && send.err.contains("--host NAME")
            && send.err.contains("--from ADDRESS"),
        "{send:#?}"
    );
    let from = empty
        .run(&[
            "send",
            "--from",
            "a@example.org",
            "--to",
            "a@example.org",
            "--subject",
            "s",
            "--text",
            "t",
        ])
        .await;
    assert!(
        from.err.contains("--host NAME") && !from.err.contains("--from"),
        "{from:#?}"
    );
}

#[tokio::test]
async fn init_sets_up_a_login_for_a_service_that_needs_it() {
    let mut config = TestConfig::bare();
    let finished = config
        .text("smtp.provider", "qq")
        .text("smtp.username", "me@qq.com")
        .run(&["check"])
        .await;
    assert_eq!(finished.code, Some(78), "{finished:#?}");
    assert!(
        finished.err.contains("qq requires a login; set password")
            && finished.err.contains("jobbell providers qq"),
        "{}",
        finished.err
    );
    assert_eq!(
        config
            .env("SMTP_PASSWORD", "qkzmvtbwplxrahdj")
            .run(&["check"])
            .await
            .code,
        Some(0)
    );
    let mut test_server = TestConfig::bare();
    let finished = test_server
        .text("smtp.provider", "mailpit")
        .text("smtp.from", "a@example.org")
        .run(&["check"])
        .await;
    assert_eq!(finished.code, Some(0), "{finished:#?}");
}

#[tokio::test]
async fn output_lines_do_not_mix_languages() {
    let mut config = TestConfig::for_port(25);
    config
        .text("smtp.username", "me@example.com")
        .unset("smtp.to");
    let is_han = |c: char| ('\u{4E00}'..='\u{9FFF}').contains(&c);
    for (lang, chinese) in [("en_US.UTF-8", false), ("C", false), ("zh_CN.UTF-8", true)] {
        let finished = config.env("LANG", lang).run(&["check"]).await;
        assert_eq!(finished.code, Some(0));
        for line in finished.all().lines() {
            assert_eq!(line.contains(is_han), chinese, "{lang}: {line}");
            assert!(!line.contains(" / "), "{line}");
        }
    }
}

#[tokio::test]
async fn queue_commands_accept_event_ids_and_short_delivery_ids() {
    let peer = SmtpPeer::builder()
        .always(At::Rcpt, Act::reply("550 5.1.1 nobody"))
        .start()
        .await;
    let config = TestConfig::new(&peer);
    let mut daemon = config.start().await;
    daemon
        .accept(&json!({"id": "gen-1", "status": "succeeded", "title": "Kitten"}))
        .await;
    daemon
        .deliveries("gen-1", "dead", |all| all[0]["state"] == "dead")
        .await;
    daemon.stop().await;
    let retried = config.run(&["queue", "retry", "gen-1"]).await;
    assert_eq!(retried.code, Some(0), "{retried:#?}");
    let record: Value = config
        .run(&["queue", "show", "gen-1", "--json"])
        .await
        .json();
    let delivery = record["deliveries"][0].clone();
    assert_eq!(delivery["state"], "queued");
    let id = delivery["id"].as_str().unwrap();
    let short = &id[id.len() - 8..];
    let cancelled = config.run(&["queue", "cancel", short]).await;
    assert!(
        cancelled.code == Some(0) && cancelled.out.contains(id),
        "{cancelled:#?}"
    );
    let again = config.run(&["queue", "cancel", "gen-1"]).await;
    assert!(
        again.code == Some(1) && again.err.contains("gen-1 is an event") && again.err.contains(id),
        "{again:#?}"
    );
    let list = config.run(&["queue", "list"]).await.out;
    let row: Vec<&str> = list.lines().nth(1).unwrap().split('\t').collect();
    assert_eq!(
        (row[0], row[1], row[3], row[5].contains("Kitten")),
        (id, "gen-1", "cancelled", true),
        "{list}"
    );
}

#[tokio::test]
async fn disabled_mails_are_reported_by_every_command() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    config.env("SMTP_ENABLE", "false");
    let daemon = config.start().await;
    daemon.says("mails are OFF").await;
    let health: Value = daemon
        .get("/health")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(health["smtp_enabled"], false);
    assert!(
        daemon
            .get("/metrics")
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("jobbell_smtp_enabled 0")
    );
    let log = daemon.log();
    let start = log
        .lines()
        .find(|line| line.contains("listening on"))
        .unwrap();
    assert!(
        start.contains("config.toml") && start.contains("primary") && start.contains("waiting"),
        "{start}"
    );
    config.text("email.subject_prefix", "[x] ");
    daemon.signal("HUP").await;
    daemon.says("configuration reloaded").await;
    let log = daemon.log();
    let reload = log
        .lines()
        .find(|line| line.contains("configuration reloaded"))
        .unwrap();
    assert!(reload.contains("email.subject_prefix"), "{reload}");
}

#[tokio::test]
async fn queue_reports_a_server_paused_by_a_refused_login() {
    let peer = SmtpPeer::builder()
        .login("me@example.com", "another")
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config
        .text("smtp.username", "me@example.com")
        .text("smtp.password", "wrong-password")
        .text("smtp.cooldown_max", "15m");
    let mut daemon = config.start().await;
    daemon
        .accept(&json!({"id": "r2", "status": "succeeded"}))
        .await;
    daemon
        .deliveries("r2", "a refused login", |all| {
            !all[0]["attempts"].as_array().unwrap().is_empty()
        })
        .await;
    daemon.stop().await;
    let shown = config.run(&["queue", "show", "r2"]).await;
    assert!(
        shown.out.contains("is paused until") && shown.out.contains("reload"),
        "{}",
        shown.out
    );
    let chinese = config
        .env("LANG", "zh_CN.UTF-8")
        .run(&["queue", "show", "r2"])
        .await;
    assert!(chinese.out.contains("暂停至"), "{}", chinese.out);
}

#[tokio::test]
async fn small_mistakes_get_specific_messages() {
    let mut config = TestConfig::for_port(25);
    for (written, hint) in [
        (
            "[smtp]\nhost = “smtp.qq.com”\n",
            "“ is not a TOML character; write \"",
        ),
        (
            "[smtp]\nhost ＝ \"smtp.qq.com\"\n",
            "＝ is not a TOML character; write =",
        ),
        (
            "[smtp]\nhost = ‘smtp.qq.com’\n",
            "‘ is not a TOML character; write '",
        ),
        (
            "【smtp】\nhost = \"smtp.qq.com\"\n[smtp]\n",
            "【 is not a TOML character; write [",
        ),
    ] {
        let finished = config
            .write(written)
            .run(&["--config", "config.toml", "check"])
            .await;
        assert!(
            finished.code == Some(78) && finished.err.contains(hint),
            "{written}: {finished:#?}"
        );
    }
    let far = config.write("[server]\nbogus = 1\n").run(&["check"]).await;
    assert!(
        far.err
            .contains("server.bogus: unknown key; [server] has listen")
            && !far.err.contains("nearest"),
        "{}",
        far.err
    );
    let missing = config.run(&["run", "--", "nosuchcmd"]).await;
    assert!(
        missing.code == Some(127) && missing.err.contains("nosuchcmd: command not found"),
        "{missing:#?}"
    );
}

#[tokio::test]
async fn check_show_prints_values_with_their_types() {
    let mut config = TestConfig::for_port(2525);
    config
        .text("email.allowed_recipients", "*@example.com, a@example.org")
        .text("smtp.password", "s3cret-canary");
    let answer = config.run(&["check", "--show", "--json"]).await.json();
    let value = |key: &str| {
        answer["settings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|shown| shown["key"] == key)
            .unwrap()["value"]
            .clone()
    };
    assert_eq!(value("smtp.host"), json!("127.0.0.1"));
    assert_eq!(value("smtp.port"), json!(2525));
    assert_eq!(value("smtp.enable"), json!(true));
    assert_eq!(value("smtp.password"), json!("***"));
    assert_eq!(
        value("email.allowed_recipients"),
        json!(["*@example.com", "a@example.org"])
    );
}

#[tokio::test]
async fn templates_can_be_previewed_checked_and_exported() {
    let config = TestConfig::for_port(25);
    let built_in = config
        .run(&["templates", "preview", "success", "--html"])
        .await;
    assert!(
        built_in.code == Some(0) && built_in.out.contains("<html"),
        "{built_in:#?}"
    );
    assert_eq!(
        config.run(&["templates", "export", "tpl"]).await.code,
        Some(0)
    );
    let again = config.run(&["templates", "export", "tpl"]).await;
    assert_eq!(
        (again.code, again.err.lines().count()),
        (Some(1), 1),
        "{again:#?}"
    );
    assert!(again.err.contains("--force"), "{again:#?}");
    assert_eq!(
        config
            .run(&["templates", "export", "tpl", "--force"])
            .await
            .code,
        Some(0)
    );
    let fine = config.run(&["templates", "check", "tpl"]).await;
    assert!(
        fine.code == Some(0) && fine.out.contains("mails × 2 languages: no findings"),
        "{fine:#?}"
    );
    std::fs::write(config.path().join("tpl/success/subject.txt"), "{% if %}").unwrap();
    std::fs::write(
        config.path().join("tpl/success/body.txt"),
        "{{ mail.nonsense.more }}",
    )
    .unwrap();
    std::fs::write(config.path().join("tpl/failure/body.html"), "{{ nowhere }}").unwrap();
    let broken = config.run(&["templates", "check", "tpl"]).await;
    for file in [
        "success/subject.txt",
        "success/body.txt",
        "failure/body.html",
    ] {
        assert!(
            broken.code == Some(1) && broken.err.contains(file),
            "{file}: {}",
            broken.err
        );
    }
}

#[tokio::test]
async fn help_texts_contain_no_backticks() {
    let config = TestConfig::bare();
    for arguments in [
        &["--help"][..],
        &["event", "--help"],
        &["run", "--help"],
        &["send", "--help"],
        &["hooks", "try", "--help"],
        &["templates", "check", "--help"],
        &["preview", "--help"],
        &["demo", "--help"],
    ] {
        let help = config.run(arguments).await;
        assert!(
            help.code == Some(0) && !help.out.contains('`'),
            "{arguments:?}: {}",
            help.out
        );
    }
}

#[tokio::test]
async fn queue_of_another_user_is_reported() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let mut daemon = config.start().await;
    daemon
        .accept(&json!({"id": "x", "status": "succeeded"}))
        .await;
    daemon.stop().await;
    let mut command = config.command(&["queue", "list"]);
    let program = std::path::PathBuf::from(command.as_std().get_program());
    // Only root can switch to another user, who must be able to read the program and the
    // configuration.
    let reachable = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "test", "-x"])
        .arg(&program)
        .status()
        .is_ok_and(|status| status.success());
    if !reachable {
        eprintln!("left out: this user cannot run the program as another one");
        return;
    }
    std::fs::set_permissions(
        config.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    command = tokio::process::Command::new("setpriv");
    command
        .args(["--reuid=65534", "--clear-groups"])
        .arg(&program)
        .args(["--config", "config.toml", "queue", "list"]);
    config.prepare(&mut command);
    let finished = crate::support::test_config::finish(command).await;
    assert!(
        finished.code == Some(1)
            && finished.err.contains("permission denied")
            && finished.err.contains("sudo -u root"),
        "{finished:#?}"
    );
}
