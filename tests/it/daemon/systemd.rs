//! systemd: notifications and inherited sockets, tested without systemd itself.

use std::os::fd::OwnedFd;
use std::process::Stdio;

use tokio::net::UnixDatagram;
use tokio::process::Command;

use crate::support::daemon::{Daemon, success};
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::{PATIENCE, TestConfig};

/// The socket on which systemd listens.
struct Manager(UnixDatagram);

impl Manager {
    fn bind(config: &mut TestConfig) -> Self {
        let path = config.path().join("notify.sock");
        config.env("NOTIFY_SOCKET", &path);
        Self(UnixDatagram::bind(path).unwrap())
    }

    /// The next message other than a watchdog ping.
    async fn hears(&self) -> Vec<String> {
        loop {
            let words = self.next().await;
            if words != ["WATCHDOG=1"] {
                return words;
            }
        }
    }

    async fn next(&self) -> Vec<String> {
        let mut bytes = [0; 4_096];
        let read = tokio::time::timeout(PATIENCE, self.0.recv(&mut bytes))
            .await
            .expect("systemd should receive a notification")
            .unwrap();
        String::from_utf8_lossy(&bytes[..read])
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

#[tokio::test]
async fn systemd_is_notified_of_ready_reloading_and_stopping() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let manager = Manager::bind(&mut config);
    let mut daemon = config.start().await;
    assert_eq!(manager.hears().await, ["READY=1"]);
    for (broken, end) in [(true, "reload failed"), (false, "configuration reloaded")] {
        if broken {
            config.text("smtp.prot", "25")
        } else {
            config.unset("smtp.prot")
        };
        daemon.signal("HUP").await;
        let reloading = manager.hears().await;
        assert_eq!(reloading[0], "RELOADING=1");
        let since: u64 = reloading[1]
            .strip_prefix("MONOTONIC_USEC=")
            .unwrap()
            .parse()
            .unwrap();
        assert!(since > 0);
        assert_eq!(
            manager.hears().await,
            ["READY=1"],
            "READY=1 follows every reload"
        );
        daemon.says(end).await;
    }
    daemon.signal("TERM").await;
    assert_eq!(manager.hears().await, ["STOPPING=1"]);
    assert_eq!(daemon.ended().await.code(), Some(0));
}

#[tokio::test]
async fn watchdog_is_notified_while_the_daemon_runs() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let manager = Manager::bind(&mut config);
    let mut daemon = config.env("WATCHDOG_USEC", "100000").start().await;
    let mut fed = 0;
    while fed < 3 {
        fed += usize::from(manager.next().await == ["WATCHDOG=1"]);
    }
    daemon.stop().await;
}

#[tokio::test]
async fn daemon_runs_without_a_systemd_notify_socket() {
    let peer = SmtpPeer::start().await;
    let mut daemon = TestConfig::new(&peer).start().await;
    daemon.stop().await;
    assert!(!daemon.log().contains("systemd"), "{}", daemon.log());
}

/// Starts the daemon with `socket` as file descriptor 3, as systemd does.
async fn activated(config: &TestConfig, socket: OwnedFd) -> Daemon {
    Daemon::start(activation(config, socket)).await
}

fn activation(config: &TestConfig, socket: OwnedFd) -> Command {
    let mut shell = Command::new("/bin/sh");
    // Only the shell can assign that descriptor, and only it knows the process id before `exec`.
    shell.args([
        "-c",
        "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" serve 3<&0 </dev/null",
        env!("CARGO_BIN_EXE_jobbell"),
    ]);
    config.prepare(&mut shell);
    shell.stdin(Stdio::from(socket));
    shell
}

#[tokio::test]
async fn inherited_public_socket_requires_tokens() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let open = || OwnedFd::from(std::net::TcpListener::bind("0.0.0.0:0").unwrap());
    let refused = activation(&config, open())
        .stderr(Stdio::piped())
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(78), "{errors}");
    assert!(
        errors.contains("can be reached from other machines") && errors.contains("server.tokens"),
        "{errors}"
    );
    config.set("server.tokens", "[\"0123456789abcdef\"]");
    let mut daemon = activated(&config, open()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn inherited_socket_replaces_the_configured_one() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    config.text("server.listen", "127.0.0.1:1");
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    // A producer that connects before the daemon starts waits for it.
    let early = std::net::TcpStream::connect(&address).unwrap();
    let mut daemon = activated(&config, socket.into()).await;
    assert_eq!(daemon.address(), address);
    let id = daemon.accept(&success("a@example.org")).await;
    daemon.reached(&id, "sent").await;
    drop(early);
    daemon.stop().await;
}

#[tokio::test]
async fn inherited_unix_socket_is_served_and_its_file_remains() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let path = config.path().join("handed.sock");
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut daemon = activated(&config, socket.into()).await;
    assert_eq!(daemon.address(), format!("unix:{}", path.display()));
    daemon.accept(&success("a@example.org")).await;
    daemon.stop().await;
    assert!(path.exists(), "systemd owns the socket file");
}

#[tokio::test]
async fn inherited_socket_that_does_not_listen_is_refused() {
    let config = TestConfig::new(&SmtpPeer::start().await);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (paired, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    for socket in [OwnedFd::from(connected), OwnedFd::from(paired)] {
        let refused = activation(&config, socket)
            .stderr(Stdio::piped())
            .output()
            .await
            .unwrap();
        let errors = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{errors}");
        assert!(
            errors.contains("does not listen") && errors.contains("ListenStream="),
            "{errors}"
        );
    }
}
