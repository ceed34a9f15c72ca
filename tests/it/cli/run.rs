//! `jobbell run -- COMMAND…`: runs the command undisturbed and sends a mail about its result.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::support::daemon::Daemon;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::{Finished, PATIENCE, TestConfig};

/// A daemon, and a configuration whose commands reach it.
async fn served() -> (SmtpPeer, TestConfig, Daemon) {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    config.text("email.locale", "en");
    let daemon = config.start().await;
    config.env("JOBBELL_SERVER__LISTEN", daemon.address());
    (peer, config, daemon)
}

async fn run(config: &TestConfig, options: &[&str], command: &[&str]) -> Finished {
    config
        .run(&[&["run"], options, &["--"], command].concat())
        .await
}

async fn shell(config: &TestConfig, options: &[&str], script: &str) -> Finished {
    run(config, options, &["/bin/sh", "-c", script]).await
}

/// The event of the daemon's only delivery.
async fn only_event(daemon: &Daemon) -> Value {
    let page: Value = daemon
        .get("/v1/deliveries")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let [delivery] = page["deliveries"].as_array().unwrap().as_slice() else {
        panic!("{page}")
    };
    daemon.event(delivery["event_id"].as_str().unwrap()).await["event"].clone()
}

#[tokio::test]
async fn successful_command_is_posted_with_its_times() {
    let (peer, config, daemon) = served().await;
    let finished = shell(
        &config,
        &[
            "--id",
            "nightly-1",
            "--to",
            "a@example.org",
            "--title",
            "Nightly",
            "--locale",
            "zh-CN",
        ],
        "echo out; echo err >&2",
    )
    .await;
    assert_eq!(
        (finished.code, finished.out.as_str(), finished.err.as_str()),
        (Some(0), "out\n", "err\n")
    );
    let event = daemon.event("nightly-1").await["event"].clone();
    assert_eq!(
        (
            &event["status"],
            &event["title"],
            &event["to"],
            &event["locale"]
        ),
        (
            &json!("succeeded"),
            &json!("Nightly"),
            &json!(["a@example.org"]),
            &json!("zh-CN")
        )
    );
    assert_eq!(
        (&event["metadata"]["exit_status"], event.get("error")),
        (&json!(0), None)
    );
    let output = event["metadata"]["output"].as_str().unwrap();
    assert!(output == "out\nerr" || output == "err\nout", "{output}");
    let at = |name: &str| {
        event[name]
            .as_str()
            .unwrap()
            .parse::<jobbell::domain::Timestamp>()
            .unwrap()
    };
    assert!(at("started_at") <= at("finished_at"), "{event}");
    let mail = peer
        .until("a mail", |seen| seen.mails.len() == 1)
        .await
        .mails[0]
        .clone();
    assert_eq!(mail.to, ["a@example.org"]);
}

#[tokio::test]
async fn failed_command_is_posted_with_status_and_last_lines() {
    let (peer, config, daemon) = served().await;
    // Few enough lines to keep all: the order of two pipes is undefined.
    let finished = shell(&config, &[], "for i in $(seq 1 15); do echo line $i; done; printf 'out of \\033[31mmemory\\033[0m' >&2; exit 3").await;
    assert_eq!(
        (
            finished.code,
            finished.out.lines().count(),
            finished.err.as_str()
        ),
        (Some(3), 15, "out of \x1B[31mmemory\x1B[0m")
    );
    let event = only_event(&daemon).await;
    assert_eq!(
        (&event["status"], &event["title"], &event["error"]["code"]),
        (&json!("failed"), &json!("sh"), &json!("exit 3"))
    );
    let message = event["error"]["message"].as_str().unwrap();
    assert_eq!(
        (
            message.lines().count(),
            message.contains("line 1\n"),
            message.contains("line 15"),
            message.contains("out of memory")
        ),
        (16, true, true, true),
        "{message}"
    );
    let mail = peer
        .until("a mail", |seen| seen.mails.len() == 1)
        .await
        .mails[0]
        .clone();
    let parsed = mail_parser::MessageParser::default()
        .parse(&mail.data)
        .unwrap()
        .into_owned();
    let text = parsed.body_text(0).unwrap().replace("\r\n", "\n");
    assert!(
        text.contains("exit 3") && text.contains("line 15") && text.contains("out of memory"),
        "{text}"
    );
    let host = hostname::get().unwrap().into_string().unwrap();
    assert_eq!(
        (&event["command"], &event["host"]),
        (&json!("sh -c …"), &json!(host))
    );
    let fact = |label: &str, value: &str| {
        text.lines()
            .any(|line| line.starts_with(label) && line.ends_with(value))
    };
    assert!(
        fact("Command ", " sh -c …") && fact("Host ", &host),
        "{text}"
    );
    assert!(
        !text.to_lowercase().contains("prompt")
            && parsed
                .body_html(0)
                .unwrap()
                .contains("white-space:pre-wrap"),
        "{text}"
    );
}

#[tokio::test]
async fn input_and_output_bytes_pass_through_unchanged() {
    let (_peer, config, _daemon) = served().await;
    let bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let mut command = config.command(&[
        "run",
        "--only-failure",
        "--",
        "/bin/sh",
        "-c",
        "tee /dev/stderr",
    ]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout, mut stderr) = (
        child.stdin.take().unwrap(),
        child.stdout.take().unwrap(),
        child.stderr.take().unwrap(),
    );
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let write = async {
        stdin.write_all(&bytes).await.unwrap();
        drop(stdin);
    };
    let (read_out, read_err) = (stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
    let all = async { tokio::join!(write, read_out, read_err) };
    let ((), out_read, err_read) = tokio::time::timeout(PATIENCE, all).await.unwrap();
    out_read.and(err_read).unwrap();
    assert!(child.wait().await.unwrap().success());
    assert!(
        out == bytes && err == bytes,
        "{} and {} of {} bytes",
        out.len(),
        err.len(),
        bytes.len()
    );
}

#[tokio::test]
async fn output_is_immediate_and_signals_reach_the_command() {
    let (_peer, config, daemon) = served().await;
    for (signal, status, code) in [("TERM", 143, "SIGTERM"), ("INT", 7, "exit 7")] {
        let script =
            "trap 'echo bye; exit 7' INT; printf ready; printf '\\n'; while :; do sleep 0.05; done";
        let mut child = config
            .command(&["run", "--id", signal, "--", "/bin/sh", "-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(
            tokio::time::timeout(PATIENCE, lines.next_line())
                .await
                .unwrap()
                .unwrap()
                .as_deref(),
            Some("ready")
        );
        let kill = format!("kill -{signal} {}", child.id().unwrap());
        assert!(
            tokio::process::Command::new("/bin/sh")
                .args(["-c", &kill])
                .status()
                .await
                .unwrap()
                .success()
        );
        let ended = tokio::time::timeout(PATIENCE, child.wait())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(ended.code(), Some(status), "{signal}");
        assert_eq!(daemon.event(signal).await["event"]["error"]["code"], code);
    }
}

#[tokio::test]
async fn killed_command_exits_with_128_plus_the_signal() {
    let (_peer, config, daemon) = served().await;
    let finished = shell(&config, &["--locale", "zh-CN"], "kill -9 $$").await;
    assert_eq!(finished.code, Some(137));
    let event = only_event(&daemon).await;
    assert_eq!(
        (&event["error"], &event["metadata"]["signal"]),
        (
            &json!({"code": "SIGKILL", "message": "没有任何输出。"}),
            &json!(9)
        )
    );
}

#[tokio::test]
async fn command_that_cannot_start_is_posted_as_a_failure() {
    let (_peer, config, daemon) = served().await;
    let missing = run(&config, &["--id", "missing"], &["no-such-program-anywhere"]).await;
    assert!(
        missing.code == Some(127) && missing.err.contains("no-such-program-anywhere"),
        "{missing:#?}"
    );
    std::fs::write(config.path().join("plain.txt"), "text").unwrap();
    let plain = run(&config, &["--id", "plain"], &["./plain.txt"]).await;
    assert!(
        plain.code == Some(126) && plain.err.contains("./plain.txt"),
        "{plain:#?}"
    );
    for (id, code) in [("missing", "exit 127"), ("plain", "exit 126")] {
        let error = daemon.event(id).await["event"]["error"].clone();
        assert!(
            error["code"] == code && !error["message"].as_str().unwrap().is_empty(),
            "{error}"
        );
    }
}

#[tokio::test]
async fn only_failure_option_skips_successful_commands() {
    let (_peer, config, daemon) = served().await;
    assert_eq!(
        shell(&config, &["--only-failure"], "exit 0").await.code,
        Some(0)
    );
    assert_eq!(daemon.stats().await["accepted"], 0);
    assert_eq!(
        shell(&config, &["--only-failure"], "exit 1").await.code,
        Some(1)
    );
    assert_eq!(daemon.stats().await["accepted"], 1);
}

#[tokio::test]
async fn no_output_option_leaves_the_terminal_to_the_command() {
    let (_peer, config, daemon) = served().await;
    let finished = shell(&config, &["--no-output"], "echo said; exit 4").await;
    assert_eq!((finished.code, finished.out.as_str()), (Some(4), "said\n"));
    assert_eq!(
        only_event(&daemon).await["error"]["message"],
        "Output not captured."
    );
}

#[tokio::test]
async fn background_children_are_not_waited_for() {
    let (_peer, config, daemon) = served().await;
    // It holds the output open longer than any test may take.
    let finished = shell(&config, &["--id", "left"], "sleep 120 & echo $!").await;
    assert_eq!(finished.code, Some(0));
    assert_eq!(
        daemon.event("left").await["event"]["metadata"]["output"],
        finished.out.trim()
    );
    tokio::process::Command::new("/bin/sh")
        .args(["-c", &format!("kill {}", finished.out.trim())])
        .status()
        .await
        .unwrap();
}

#[tokio::test]
async fn closed_pipe_ends_the_command_with_sigpipe() {
    let (_peer, config, daemon) = served().await;
    let script = format!(
        "'{}' run --id piped -- yes | head -n 1; true",
        env!("CARGO_BIN_EXE_jobbell")
    );
    let mut command = tokio::process::Command::new("/bin/sh");
    command.args(["-c", &script]);
    config.prepare(&mut command);
    assert_eq!(
        crate::support::test_config::finish(command).await.out,
        "y\n"
    );
    assert_eq!(
        daemon.event("piped").await["event"]["error"]["code"],
        "SIGPIPE"
    );
}

#[tokio::test]
async fn invalid_options_are_reported_before_the_command_runs() {
    let (_peer, config, _daemon) = served().await;
    let ran = config.path().join("ran");
    for (options, named) in [
        (&["--to", "nobody"][..], "--to"),
        (&["--locale", "fr"], "--locale"),
        (&["--id", "two words"], "--id"),
        (&["--bogus"], "--bogus"),
    ] {
        let finished = shell(&config, options, "touch ran").await;
        assert!(
            finished.code == Some(2) && finished.err.contains(named),
            "{finished:#?}"
        );
    }
    assert_eq!(config.run(&["run"]).await.code, Some(2));
    assert!(!ran.exists());
}

#[tokio::test]
async fn event_is_queued_on_disk_without_a_daemon() {
    let (peer, mut config, mut daemon) = served().await;
    let address = daemon.address().to_owned();
    daemon.stop().await;
    let finished = shell(&config, &["--id", "stored"], "echo broken; exit 9").await;
    assert_eq!(finished.code, Some(9));
    assert!(
        finished
            .err
            .contains("no daemon is running; the event is queued"),
        "{}",
        finished.err
    );
    let mut daemon = config.env("JOBBELL_SERVER__LISTEN", &address).start().await;
    daemon.reached("stored", "sent").await;
    assert_eq!(daemon.event("stored").await["source"], "run");
    assert_eq!(peer.seen().mails.len(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn exit_status_is_the_commands_even_if_posting_fails() {
    // Nothing listens, and there is no queue.
    let mut config = TestConfig::for_port(25);
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    config
        .text("server.listen", &free)
        .text("email.locale", "en");
    let finished = shell(&config, &[], "echo done; exit 5").await;
    assert_eq!((finished.code, finished.out.as_str()), (Some(5), "done\n"));
    assert!(
        finished.err.contains("no notification can be sent") && finished.err.contains(&free),
        "{}",
        finished.err
    );
    // The configuration is broken.
    config.set("smtp.port", "0");
    let finished = shell(&config, &[], "echo done; exit 6").await;
    assert_eq!((finished.code, finished.out.as_str()), (Some(6), "done\n"));
    assert!(
        finished.err.contains("smtp.port: invalid value 0"),
        "{}",
        finished.err
    );
    // The daemon refuses.
    let (_peer, config, daemon) = served().await;
    assert_eq!(
        shell(&config, &["--id", "twice"], "exit 0").await.code,
        Some(0)
    );
    let again = shell(&config, &["--id", "twice"], "exit 1").await;
    assert!(
        again.code == Some(1) && again.err.contains("409"),
        "{again:#?}"
    );
    assert_eq!(daemon.stats().await["accepted"], 1);
}
