//! `PgBouncer` in transaction mode, in front of a server.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use tokio::net::TcpStream;

use super::{PASSWORD, Server, eventually, free_port, own, skipped};

const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A running `PgBouncer`. It ends with this value.
pub struct PgBouncer {
    process: Mutex<Option<Child>>,
    port: u16,
    home: tempfile::TempDir,
}

impl PgBouncer {
    /// One in front of a server, with at most so many connections to a database; `None` if it is not
    /// installed.
    pub async fn to(server: &Server, connections: u32) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            skipped("PgBouncer is not installed (Debian's package pgbouncer)");
            return None;
        }
        let bouncer = Self {
            process: Mutex::new(None),
            port: free_port(),
            home: tempfile::tempdir().unwrap(),
        };
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres password={PASSWORD}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 500\nserver_login_retry = 1\n",
            server.port, bouncer.port,
        );
        fs::write(bouncer.settings(), text).unwrap();
        own(bouncer.home.path());
        bouncer.start().await;
        Some(bouncer)
    }

    fn settings(&self) -> PathBuf {
        self.home.path().join("pgbouncer.ini")
    }

    /// The URL of a server on 127.0.0.1 with the port of `PgBouncer`.
    pub fn url(&self, url: &str) -> String {
        let (before, after) = url.split_once("@127.0.0.1:").unwrap();
        let database = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
        format!("{before}@127.0.0.1:{}{database}", self.port)
    }

    /// Starts it on its port and waits until it listens.
    pub async fn start(&self) {
        let log = File::create(self.home.path().join("log")).unwrap();
        let mut command = Command::new(PROGRAM);
        // It refuses root.
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "postgres"]);
        }
        let process = command
            .arg(self.settings())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // Signals to the group of the tests do not reach it.
            .process_group(0)
            .spawn();
        *self.process.lock().unwrap() = Some(process.unwrap());
        eventually("PgBouncer listens", async || {
            TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
        })
        .await;
    }

    /// Ends it and all its connections at once.
    pub fn stop(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.stop();
    }
}
