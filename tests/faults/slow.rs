//! Deliberately slow peers on either side: timeouts fire, other work continues, memory stays
//! bounded.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::oracle::{Figures, Oracle};
use crate::support::daemon::{Daemon, success};
use crate::support::figures::record;
use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_config::{PATIENCE, TestConfig};

/// Memory limit of a daemon under attack.
const MEMORY_KIB: u64 = 64 * 1024;
/// A byte now and then: the step times out long before a reply is complete.
const BYTE: Duration = Duration::from_millis(100);
const TIMEOUT: &str = "1s";

/// Two servers, the first of which is slow at one step.
async fn slow_primary(at: At, act: Act, (result, stage): (&str, &str), oracle: &Oracle) -> Figures {
    let (primary, backup) = (
        SmtpPeer::builder()
            .without("PIPELINING")
            .always(at, act)
            .start()
            .await,
        SmtpPeer::start().await,
    );
    let mut config = TestConfig::new(&primary);
    config.text("smtp.timeout", TIMEOUT);
    let mut daemon = config.backup(&backup).start().await;
    let oracle = oracle.another();
    for number in 0..2 {
        let id = oracle
            .post(&daemon, &success(&format!("reader{number}@example.org")))
            .await;
        let sent = daemon.reached(&id, "sent").await;
        let attempts = sent[0]["attempts"].as_array().unwrap();
        let last = attempts.last().unwrap();
        assert_eq!(
            (&last["server"], &last["number"]),
            (&json!("backup"), &json!(1)),
            "within the same attempt: {attempts:#?}"
        );
        assert!(
            attempts[..attempts.len() - 1]
                .iter()
                .all(|attempt| attempt["result"] == result && attempt["stage"] == stage),
            "{attempts:#?}"
        );
    }
    assert!(primary.ledger().is_empty());
    assert!(memory(&daemon).await < MEMORY_KIB);
    oracle
        .settle(&config, &mut daemon, &[&primary, &backup])
        .await
}

#[tokio::test]
async fn server_with_slow_or_endless_replies_is_skipped() {
    let oracle = Oracle::new("slow mail servers");
    let drip = |text: &str| Act::Drip(format!("{text}\r\n").into_bytes(), BYTE);
    let endless = |text: &str, pause| Act::Endless(format!("{text}\r\n").into_bytes(), pause);
    let wordy = |text: &str| {
        Act::Endless(
            format!("{text} {}\r\n", "and on".repeat(150)).into_bytes(),
            Duration::ZERO,
        )
    };
    let cases = [
        (At::Greeting, Act::Silence, ("unavailable", "greeting")),
        (
            At::Greeting,
            drip("220 peer.test ESMTP, in a moment"),
            ("unavailable", "greeting"),
        ),
        (
            At::Greeting,
            endless("220-still here", BYTE),
            ("unavailable", "greeting"),
        ),
        (
            At::Ehlo,
            drip("250 peer.test greets you"),
            ("unavailable", "ehlo"),
        ),
        // Longer than any reply of a mail server.
        (At::Ehlo, wordy("250-MORE"), ("misconfigured", "ehlo")),
        (
            At::Mail,
            endless("250-thinking about it", BYTE),
            ("unavailable", "mail"),
        ),
        (At::Rcpt, drip("250 2.1.5 perhaps"), ("unavailable", "rcpt")),
        (At::Data, wordy("354-hold on"), ("misconfigured", "data")),
        (
            At::Data,
            Act::Endless(vec![b'x'; 1024], Duration::ZERO),
            ("misconfigured", "data"),
        ),
    ];
    let mut all = Vec::new();
    for (at, act, stage) in cases {
        all.push(slow_primary(at, act, stage, &oracle).await);
    }
    record(&Figures::sum(all).to_string());
}

#[tokio::test]
async fn slow_connection_delays_no_other_mail() {
    let peer = SmtpPeer::builder()
        .without("PIPELINING")
        .once(At::Mail, Act::Silence)
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config
        .text("smtp.timeout", "3s")
        .set("smtp.max_connections", "4");
    let mut daemon = config.start().await;
    let oracle = Oracle::new("one slow connection");
    let slow = oracle.post(&daemon, &success("slow@example.org")).await;
    peer.until("the slow one", |seen| seen.count("MAIL") == 1)
        .await;
    for number in 0..20 {
        let id = oracle
            .post(&daemon, &success(&format!("reader{number}@example.org")))
            .await;
        daemon.reached(&id, "sent").await;
    }
    assert!(
        daemon.reached(&slow, "sent").await[0]["attempts"]
            .as_array()
            .unwrap()
            .len()
            == 2
    );
    oracle.close(&config, &mut daemon, &[&peer]).await;
}

#[tokio::test]
async fn slow_final_reply_is_awaited_until_the_timeout() {
    let slow = Act::Drip(b"250 2.0.0 kept\r\n".to_vec(), BYTE);
    let endless = Act::Endless(
        format!("250-still writing {}\r\n", "and on".repeat(150)).into_bytes(),
        Duration::ZERO,
    );
    let peer = SmtpPeer::builder()
        .once(At::Dot, slow)
        .once(At::Dot, endless)
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config.text("smtp.timeout", TIMEOUT);
    let mut daemon = config.start().await;
    let oracle = Oracle::new("slow after the dot");
    for results in [&["sent"][..], &["uncertain", "sent"]] {
        let id = oracle.post(&daemon, &success("reader@example.org")).await;
        let sent = daemon.reached(&id, "sent").await;
        let found: Vec<_> = sent[0]["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attempt| attempt["result"].as_str().unwrap())
            .collect();
        assert_eq!(found, results);
    }
    oracle.close(&config, &mut daemon, &[&peer]).await;
}

#[tokio::test]
async fn missing_reply_to_quit_does_not_delay_shutdown() {
    let peer = SmtpPeer::builder()
        .always(At::Quit, Act::Silence)
        .start()
        .await;
    let config = TestConfig::new(&peer);
    let mut daemon = config.start().await;
    let oracle = Oracle::new("no answer to QUIT");
    let id = oracle.post(&daemon, &success("reader@example.org")).await;
    daemon.reached(&id, "sent").await;
    // Stops gracefully, or panics after the test timeout.
    oracle.close(&config, &mut daemon, &[&peer]).await;
    assert_eq!(peer.seen().count("QUIT"), 1);
}

/// A daemon with this limit of open files.
async fn start_with_files(config: &TestConfig, files: u32) -> Daemon {
    let mut command = Command::new("/bin/sh");
    command.args([
        "-c",
        &format!("ulimit -n {files}; exec \"$0\" serve"),
        env!("CARGO_BIN_EXE_jobbell"),
    ]);
    config.prepare(&mut command);
    Daemon::start(command).await.living_in(config.keep())
}

/// Peak memory of the daemon, in KiB.
async fn memory(daemon: &Daemon) -> u64 {
    let status = tokio::fs::read_to_string(format!("/proc/{}/status", daemon.pid()))
        .await
        .unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends `bytes` one by one until the peer closes; returns its response.
async fn dripped(mut stream: TcpStream, head: &str, bytes: &[u8]) -> String {
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let writing = async {
        for byte in bytes.iter().cycle() {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut response = Vec::new();
    let reading = reader.read_to_end(&mut response);
    let read = timeout(PATIENCE * 3, async {
        tokio::select! {
            read = reading => read,
            () = writing => unreachable!("the loop never ends"),
        }
    });
    // A reset counts as the end.
    drop(read.await.expect("no timeout fired"));
    String::from_utf8_lossy(&response).into_owned()
}

#[tokio::test]
async fn slow_http_clients_are_cut_off_and_delay_no_others() {
    const CLIENTS: usize = 150;
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let mut daemon = start_with_files(&config, 1024).await;
    let oracle = Oracle::new("slow HTTP clients");
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let stream = TcpStream::connect(daemon.address()).await.unwrap();
        let with_body = number % 2 == 0;
        clients.spawn(async move {
            if with_body {
                let head = "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n";
                let response = dripped(stream, head, b" ").await;
                assert!(response.starts_with("HTTP/1.1 408"), "{response}");
            } else {
                assert_eq!(dripped(stream, "POST /v1/events HTTP/1.1\r\nx-slow: ", b"z").await, "");
            }
        });
    }
    while let Err(_open) = timeout(Duration::from_millis(200), clients.join_next()).await {
        let id = oracle.post(&daemon, &success("reader@example.org")).await;
        daemon.reached(&id, "sent").await;
    }
    clients.join_all().await;
    assert!(memory(&daemon).await < MEMORY_KIB);
    oracle.close(&config, &mut daemon, &[&peer]).await;
}

/// Bytes that are not HTTP.
fn garbage(dice: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = vec![0; dice.usize(1..4_000)];
    dice.fill(&mut bytes);
    match dice.u8(..4) {
        0 => bytes.splice(..0, *b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").for_each(drop),
        1 => bytes.splice(..0, *b"POST /v1/events HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n").for_each(drop),
        2 => bytes.splice(..0, *b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n").for_each(drop),
        _ => {}
    }
    bytes
}

#[tokio::test]
async fn events_are_accepted_beside_five_thousand_idle_clients() {
    let oracle = Oracle::new("5,000 idle connections, garbage");
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let mut daemon = start_with_files(&config, 1024).await;
    let mut idle = Vec::new();
    for _ in 0..5_000 {
        match timeout(PATIENCE, TcpStream::connect(daemon.address()))
            .await
            .expect("the listener accepts connections")
        {
            Ok(stream) => idle.push(stream),
            // This process has reached its limit of open files.
            Err(error) => {
                println!("{} connections, {error}", idle.len());
                break;
            }
        }
    }
    assert!(idle.len() >= 800, "ulimit -n is too low for this test");
    let address = daemon.address().to_owned();
    let mut dice = oracle.dice(0);
    let noise = tokio::spawn(async move {
        for _ in 0..500 {
            if let Ok(mut stream) = TcpStream::connect(&address).await {
                drop(stream.write_all(&garbage(&mut dice)).await);
                drop(timeout(Duration::from_millis(5), stream.read(&mut [0; 64])).await);
            }
        }
    });
    for number in 0..50 {
        let id = oracle
            .post(&daemon, &success(&format!("reader{number}@example.org")))
            .await;
        daemon.reached(&id, "sent").await;
    }
    noise.await.unwrap();
    let (connections, memory) = (idle.len(), memory(&daemon).await);
    assert!(memory < MEMORY_KIB, "{memory} KiB");
    drop(idle);
    let figures = oracle.close(&config, &mut daemon, &[&peer]).await;
    assert_eq!(
        (figures.of("sent"), figures.mails, figures.extra),
        (50, 50, 0),
        "{figures}"
    );
    record(&format!(
        "{connections} idle connections and garbage: {memory} KiB of memory at most"
    ));
}

/// Reconnects whenever the connection is closed.
async fn keep_idle(address: String) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(&address).await {
            // Wait for the end, however it comes.
            drop(stream.read(&mut [0]).await);
        }
    }
}

#[tokio::test]
async fn idle_clients_leave_file_descriptors_for_mails() {
    let oracle = Oracle::new("128 files, 300 idlers");
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    // Each mail needs a file descriptor.
    config.set("smtp.max_mails_per_connection", "1");
    let mut daemon = start_with_files(&config, 128).await;
    let mut idlers = tokio::task::JoinSet::new();
    for _ in 0..300 {
        idlers.spawn(keep_idle(daemon.address().to_owned()));
    }
    for number in 0..100 {
        let id = oracle
            .post(&daemon, &success(&format!("reader{number}@example.org")))
            .await;
        let sent = daemon.reached(&id, "sent").await;
        assert_eq!(
            sent[0]["attempts"].as_array().unwrap().len(),
            1,
            "idle clients used the mail's file descriptor: {sent:#?}"
        );
    }
    idlers.shutdown().await;
    assert!(
        !daemon.log().contains("could not be accepted"),
        "{}",
        daemon.log()
    );
    let figures = oracle.close(&config, &mut daemon, &[&peer]).await;
    assert_eq!(figures.of("sent"), 100);
}
