//! The daemon as a process. Its log is kept line by line, and it is killed when the handle is
//! dropped.

use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::test_config::PATIENCE;

/// Interval at which a record is polled, since the API does not report changes.
const POLL: Duration = Duration::from_millis(5);

/// The lines of a stream, read as they arrive.
#[derive(Default)]
struct Lines {
    kept: Mutex<Vec<String>>,
    ended: AtomicBool,
    changed: Notify,
}

/// A running daemon.
pub struct Daemon {
    child: Child,
    pid: u32,
    address: String,
    client: Client,
    log: Arc<Lines>,
    out: Arc<Lines>,
    /// Ends at the end of the log.
    reading: JoinHandle<()>,
    #[expect(dead_code, reason = "removed when dropped")]
    home: Option<Arc<tempfile::TempDir>>,
}

impl Daemon {
    /// Starts it and waits until it logs its address.
    pub async fn start(command: Command) -> Self {
        let mut daemon = Self::spawn(command);
        let line = daemon
            .logged("the address", |line| {
                message(line).starts_with("listening on ")
            })
            .await;
        message(&line)
            .strip_prefix("listening on ")
            .unwrap()
            .clone_into(&mut daemon.address);
        if let Some(path) = daemon.address.strip_prefix("unix:") {
            daemon.client = builder().unix_socket(path).build().unwrap();
        }
        daemon
    }

    /// Starts it.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id().unwrap();
        let (log, out) = (Arc::<Lines>::default(), Arc::<Lines>::default());
        tokio::spawn(read(child.stdout.take().unwrap(), Arc::clone(&out)));
        let reading = tokio::spawn(read(child.stderr.take().unwrap(), Arc::clone(&log)));
        let client = builder().build().unwrap();
        Self {
            child,
            pid,
            address: String::new(),
            client,
            log,
            out,
            reading,
            home: None,
        }
    }

    /// Its address: `127.0.0.1:PORT` or `unix:PATH`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends requests to this address instead of the logged one.
    pub fn at(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }

    /// Keeps its directory until the daemon ends.
    pub fn living_in(self, home: Arc<tempfile::TempDir>) -> Self {
        Self {
            home: Some(home),
            ..self
        }
    }

    fn url(&self, path: &str) -> String {
        let host = if self.address.starts_with("unix:") {
            "localhost"
        } else {
            &self.address
        };
        format!("http://{host}{path}")
    }

    /// A GET request.
    pub fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(self.url(path))
    }

    /// A POST request.
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(self.url(path))
    }

    /// Posts an event; returns the status and the response.
    pub async fn answer(&self, event: &Value) -> (u16, Value) {
        body(self.post("/v1/events").json(event)).await
    }

    /// Posts an event that must be accepted; returns its ID.
    pub async fn accept(&self, event: &Value) -> String {
        let (status, answer) = self.answer(event).await;
        assert_eq!(status, 202, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// An event's record.
    pub async fn event(&self, id: &str) -> Value {
        let (status, record) = body(self.get(&format!("/v1/events/{id}"))).await;
        assert_eq!(status, 200, "{record}\n{}", self.log());
        record
    }

    /// Waits until `enough` holds for an event's deliveries; returns them in the order of its
    /// recipients.
    pub async fn deliveries(
        &self,
        id: &str,
        what: &str,
        enough: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let deliveries = self.event(id).await["deliveries"]
                .as_array()
                .unwrap()
                .clone();
            if enough(&deliveries) {
                return deliveries;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited for {what}: {deliveries:#?}\n{}",
                self.log()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until all deliveries of an event are in this state; returns them.
    pub async fn reached(&self, id: &str, state: &str) -> Vec<Value> {
        self.deliveries(id, state, |all| {
            all.iter().all(|delivery| delivery["state"] == state)
        })
        .await
    }

    /// The counts by state.
    pub async fn stats(&self) -> Value {
        body(self.get("/v1/stats")).await.1
    }

    /// Waits until `enough` holds for the counts by state.
    pub async fn counted(&self, what: &str, enough: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let stats = self.stats().await;
            if enough(&stats) {
                return stats;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited for {what}: {stats}\n{}",
                self.log()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Everything logged so far.
    pub fn log(&self) -> String {
        self.log.kept.lock().unwrap().join("\n")
    }

    /// Everything printed so far.
    pub fn out(&self) -> String {
        self.out.kept.lock().unwrap().join("\n")
    }

    /// Waits for a matching log line; returns the first one. Fails if the daemon ends without it.
    pub async fn logged(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let parse = |line: &String| serde_json::from_str::<Value>(line).ok();
        self.line(&self.log, what, |lines| {
            lines.iter().filter_map(parse).find(&wanted)
        })
        .await
    }

    /// Waits for a log line with this text in its message.
    pub async fn says(&self, text: &str) -> Value {
        self.logged(text, |line| message(line).contains(text)).await
    }

    /// Waits for a printed line with this text; returns the line.
    pub async fn prints(&self, text: &str) -> String {
        self.line(&self.out, text, |lines| {
            lines.iter().find(|line| line.contains(text)).cloned()
        })
        .await
    }

    async fn line<T>(&self, lines: &Lines, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = lines.changed.notified();
                let ended = lines.ended.load(Ordering::SeqCst);
                if let Some(found) = find(&lines.kept.lock().unwrap()) {
                    return Some(found);
                }
                if ended {
                    return None;
                }
                changed.await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.ok().flatten().unwrap_or_else(|| {
            panic!(
                "waited for {what}; the daemon's output:\n{}\n{}",
                self.log(),
                self.out()
            )
        })
    }

    /// Sends a signal, such as `TERM`.
    pub async fn signal(&self, name: &str) {
        // The shell's `kill`, because the program may be missing.
        let status = Command::new("/bin/sh")
            .args(["-c", &format!("kill -{name} {}", self.pid)])
            .status()
            .await
            .unwrap();
        assert!(status.success(), "kill -{name} {}", self.pid);
    }

    /// Waits until it has ended and its log is complete.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended
            .unwrap_or_else(|_| panic!("the daemon has not ended; its log:\n{}", self.log()))
            .unwrap();
        tokio::time::timeout(PATIENCE, &mut self.reading)
            .await
            .expect("the log ends with the daemon")
            .unwrap();
        status
    }

    /// Stops it with SIGTERM; it must exit with 0.
    pub async fn stop(&mut self) {
        self.signal("TERM").await;
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// Kills it with SIGKILL and waits until it has ended.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}

async fn read(stream: impl AsyncRead + Unpin, into: Arc<Lines>) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        into.kept.lock().unwrap().push(line);
        into.changed.notify_waiters();
    }
    into.ended.store(true, Ordering::SeqCst);
    into.changed.notify_waiters();
}

fn builder() -> reqwest::ClientBuilder {
    // The client needs a crypto provider even without TLS. A second installation fails and changes
    // nothing.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    Client::builder().no_proxy().timeout(PATIENCE)
}

/// The message of a log line.
pub fn message(line: &Value) -> &str {
    line["message"].as_str().unwrap_or_default()
}

/// The status and the JSON body of a response.
pub async fn body(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// A success for one recipient.
pub fn success(to: &str) -> Value {
    json!({ "status": "succeeded", "prompt": "A cute little kitten", "image_url": "https://img.example.com/kitten.png", "to": to })
}
