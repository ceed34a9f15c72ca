//! A TCP proxy in front of a server, which delays and blocks connections as a test wants, and loses
//! the answer to a chosen statement after its commit.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::eventually;

/// The server is ready for the next statement: the last message of every answer.
const READY: &[u8] = b"Z\0\0\0\x05I";

/// What happens to the bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// They pass.
    Pass,
    /// Each piece waits this long, in both directions.
    Delay(Duration),
    /// Connections are accepted, and bytes vanish. A connection that lost bytes stays dead
    /// afterwards, and neither end learns of the other's close.
    BlackHole,
}

/// A proxy on a port of its own. Its connections end with it.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    accepting: JoinHandle<()>,
}

struct Shared {
    server: Mutex<u16>,
    mode: watch::Sender<Mode>,
    /// The answer to the next statement with one of these texts is lost.
    losing: Mutex<Vec<String>>,
    lost: Mutex<usize>,
    /// Connections end when it changes.
    reset: watch::Sender<u64>,
}

impl Proxy {
    /// A proxy that passes everything to this port of 127.0.0.1.
    pub async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server: Mutex::new(server),
            mode: watch::Sender::new(Mode::Pass),
            losing: Mutex::default(),
            lost: Mutex::default(),
            reset: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(Arc::clone(&shared), listener));
        Self {
            shared,
            port,
            accepting,
        }
    }

    /// The URL of a server on 127.0.0.1 with the port of the proxy.
    pub fn url(&self, url: &str) -> String {
        let (before, after) = url.split_once("@127.0.0.1:").unwrap();
        let database = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
        format!("{before}@127.0.0.1:{}{database}", self.port)
    }

    /// Leads new connections to another server, and ends those there are.
    pub fn lead_to(&self, server: u16) {
        *self.shared.server.lock().unwrap() = server;
        self.reset();
    }

    /// Sets the mode.
    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// The next statement that contains `text` is run and committed, and its connection is reset in
    /// place of the answer.
    pub fn lose_answer(&self, text: &str) {
        self.shared.losing.lock().unwrap().push(text.to_owned());
    }

    /// How many answers were lost.
    pub fn lost(&self) -> usize {
        *self.shared.lost.lock().unwrap()
    }

    /// Waits until so many answers were lost.
    pub async fn until_lost(&self, number: usize) {
        eventually("the answers are lost", async || self.lost() >= number).await;
    }

    /// Resets all connections.
    pub fn reset(&self) {
        self.shared.reset.send_modify(|round| *round += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.reset();
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        let mut reset = shared.reset.subscribe();
        tokio::spawn(async move {
            let server = *shared.server.lock().unwrap();
            // Dropping the client tells it that there is no server.
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
                return;
            };
            client.set_nodelay(true).unwrap();
            server.set_nodelay(true).unwrap();
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let losing = Mutex::new(false);
            let (mut forth, mut back) = (
                Way::new(&shared, &losing, from_client, to_server),
                Way::new(&shared, &losing, from_server, to_client),
            );
            let both = async { tokio::try_join!(forth.run(true), back.run(false)) };
            tokio::select! {
                ended = both => drop(ended),
                _ = reset.changed() => {}
            }
            // A reset, not an orderly end.
            for way in [&forth, &back] {
                way.to.as_ref().set_zero_linger().ok();
            }
        });
    }
}

/// One direction of a connection.
struct Way<'a> {
    shared: &'a Shared,
    /// Whether the answer to the statement that runs is lost.
    losing: &'a Mutex<bool>,
    mode: watch::Receiver<Mode>,
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    is_dead: bool,
}

impl<'a> Way<'a> {
    fn new(
        shared: &'a Shared,
        losing: &'a Mutex<bool>,
        from: OwnedReadHalf,
        to: OwnedWriteHalf,
    ) -> Self {
        Self {
            shared,
            losing,
            mode: shared.mode.subscribe(),
            from,
            to,
            is_dead: false,
        }
    }

    /// Passes bytes on. Fails when the connection must be reset.
    async fn run(&mut self, is_forth: bool) -> io::Result<()> {
        let mut bytes = vec![0; 1 << 16];
        let mut seen = Vec::new();
        loop {
            let read = self.from.read(&mut bytes).await?;
            if read == 0 {
                if self.is_swallowed() {
                    return std::future::pending().await;
                }
                return self.to.shutdown().await;
            }
            let piece = &bytes[..read];
            self.pause().await;
            if self.is_swallowed() {
                continue;
            }
            seen.extend_from_slice(piece);
            if is_forth {
                self.watch(&mut seen);
            } else if *self.losing.lock().unwrap() {
                if seen.ends_with(READY) {
                    *self.shared.lost.lock().unwrap() += 1;
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                continue;
            } else {
                seen.clear();
            }
            self.to.write_all(piece).await?;
        }
    }

    /// Notices a statement whose answer is to be lost. A client has one statement at a time.
    fn watch(&mut self, seen: &mut Vec<u8>) {
        let mut losing = self.shared.losing.lock().unwrap();
        let found = losing.iter().position(|text| {
            let text = text.as_bytes();
            seen.windows(text.len()).any(|window| window == text)
        });
        if let Some(place) = found {
            losing.remove(place);
            *self.losing.lock().unwrap() = true;
        }
        // The text may be in two pieces.
        let end = seen.len().saturating_sub(100);
        seen.drain(..end);
    }

    /// Whether bytes vanish, now and from now on.
    fn is_swallowed(&mut self) -> bool {
        self.is_dead |= *self.mode.borrow() == Mode::BlackHole;
        self.is_dead
    }

    /// Waits as the mode wants, at most until it changes.
    async fn pause(&mut self) {
        let begun = Instant::now();
        loop {
            let Mode::Delay(time) = *self.mode.borrow_and_update() else {
                return;
            };
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero()
                || tokio::time::timeout(left, self.mode.changed())
                    .await
                    .is_err()
            {
                return;
            }
        }
    }
}
