//! A scripted SMTP server on a real port. It accepts mails like a correct server, except where its
//! script says otherwise, and records everything that it receives.
//!
//! ```ignore
//! let peer = SmtpPeer::builder()
//!     .starttls()                                        // or .implicit_tls(); the CA is in peer.ca_file()
//!     .login("me@example.com", "secret")                 // AUTH PLAIN LOGIN, required before MAIL
//!     .without("PIPELINING")
//!     .once(At::Rcpt, Act::reply("550 5.1.1 nobody"))    // only the next RCPT
//!     .always(At::Quit, Act::Close)                      // every QUIT
//!     .start()
//!     .await;
//! // …
//! peer.until("a mail", |seen| seen.mails.len() == 1).await;
//! assert_eq!(peer.seen().max_open, 1);
//! ```
//!
//! The script can be changed while it runs ([`SmtpPeer::once`], [`SmtpPeer::always`]). With a [`Gate`], a
//! test waits until a step is reached and decides when it goes on, without sleeping.
//! [`SmtpPeer::serve`] serves any stream, for tests with `tokio::io::duplex` and paused time.

mod conversation;
pub mod ledger;
mod script;
mod stream;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub use ledger::Entry;
pub use script::{Act, At, Gate, Moment};
pub use tls::Certificate;

use conversation::Conversation;
use script::{Rule, Script};
use stream::{Tcp, Watched};

/// One received line outside of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The connection, from 0.
    pub connection: usize,
    /// The read that returned it: commands with the same number arrived together.
    pub arrival: usize,
    /// The line without its line end.
    pub line: String,
}

/// One message that the server kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The connection, from 0.
    pub connection: usize,
    /// The address of MAIL FROM.
    pub from: String,
    /// The parameters of MAIL FROM, such as `SIZE=1234`.
    pub parameters: String,
    /// The addresses of RCPT TO that were accepted.
    pub to: Vec<String>,
    /// The bytes as received: with stuffed dots and the final `CRLF . CRLF`; with BDAT, the message
    /// itself.
    pub wire: Vec<u8>,
    /// The message, without stuffed dots and the final dot.
    pub data: Vec<u8>,
    /// The authenticated user.
    pub login: Option<String>,
    /// Whether the connection was encrypted.
    pub encrypted: bool,
}

/// Everything that the server has received so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Lines, in the order of arrival.
    pub commands: Vec<Command>,
    /// Kept messages: those answered with 2xx, and those kept by [`Act::Keep`].
    pub mails: Vec<Mail>,
    /// Every final dot, in the order of arrival.
    pub ledger: Vec<Entry>,
    /// How often the client was restarted ([`SmtpPeer::next_life`]).
    pub life: usize,
    /// Number of accepted connections.
    pub connections: usize,
    /// Connections whose end the server has not read yet.
    pub open: usize,
    /// Maximum number of connections open at once, without those that the client had closed.
    pub max_open: usize,
    /// TLS handshakes that failed.
    pub failed_handshakes: usize,
}

impl Seen {
    /// The received lines.
    pub fn lines(&self) -> Vec<&str> {
        self.commands
            .iter()
            .map(|command| command.line.as_str())
            .collect()
    }

    /// Number of lines that start with a word, such as `AUTH`.
    pub fn count(&self, word: &str) -> usize {
        self.commands
            .iter()
            .filter(|command| command.line.starts_with(word))
            .count()
    }
}

/// State shared by the conversations and the test.
#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Notify,
    script: Mutex<Script>,
    /// Connections that may still be open.
    open: Mutex<Vec<Watched>>,
}

impl Shared {
    fn update<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let result = change(&mut self.seen.lock().unwrap());
        self.changed.notify_waiters();
        result
    }
}

/// What a server records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Record {
    Everything,
    /// The ledger and the counters, without commands and messages.
    Ledger,
}

/// Configures a server.
#[derive(Debug, Clone)]
pub struct Builder {
    capabilities: Vec<String>,
    login: Option<(String, String)>,
    mechanisms: String,
    prompts: [String; 2],
    takes_initial_response: bool,
    starttls: bool,
    implicit: bool,
    latency: Duration,
    certificate: Certificate,
    record: Record,
    script: Script,
}

impl Builder {
    /// Announces an extension; replaces an earlier line with the same first word:
    /// `.offering("SIZE 1000")`.
    pub fn offering(mut self, line: &str) -> Self {
        self = self.without(line.split(' ').next().unwrap());
        self.capabilities.push(line.to_owned());
        self
    }

    /// Does not announce an extension.
    pub fn without(mut self, keyword: &str) -> Self {
        self.capabilities
            .retain(|line| line.split(' ').next() != Some(keyword));
        self
    }

    /// Announces AUTH and rejects MAIL before a login with this name and password.
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// The announced mechanisms, `PLAIN LOGIN` by default; others are rejected with 504.
    pub fn mechanisms(mut self, names: &str) -> Self {
        names.clone_into(&mut self.mechanisms);
        self
    }

    /// Accepts only a login with this access token (XOAUTH2).
    pub fn token(self, user: &str, token: &str) -> Self {
        self.login(user, token).mechanisms("XOAUTH2")
    }

    /// The prompts of AUTH LOGIN.
    pub fn prompts(mut self, user: &str, password: &str) -> Self {
        self.prompts = [user.to_owned(), password.to_owned()];
        self
    }

    /// Answers `AUTH PLAIN <response>` with 501; the response must follow a 334.
    pub fn without_initial_response(mut self) -> Self {
        self.takes_initial_response = false;
        self
    }

    /// Offers STARTTLS.
    pub fn starttls(mut self) -> Self {
        self.starttls = true;
        self
    }

    /// Speaks TLS from the first byte.
    pub fn implicit_tls(mut self) -> Self {
        self.implicit = true;
        self
    }

    /// Delays every reply by the latency of a distant server.
    pub fn with_latency(mut self) -> Self {
        self.latency = Duration::from_millis(10);
        self
    }

    /// The certificate; one for `localhost` and `127.0.0.1` by default.
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// Scripts the next time that a step is reached; several acts are used in order.
    pub fn once(mut self, at: At, act: Act) -> Self {
        self.script.once(at, act);
        self
    }

    /// Scripts every time that a step is reached.
    pub fn always(mut self, at: At, act: Act) -> Self {
        self.script.always(at, Some(act));
        self
    }

    /// Sets a rule that decides at every step that is not scripted.
    pub fn ruled(mut self, rule: impl Fn(Moment<'_>) -> Act + Send + Sync + 'static) -> Self {
        self.script.rule(Some(Rule(Arc::new(rule))));
        self
    }

    /// Records only the ledger, for tests with many mails.
    pub fn counting_only(mut self) -> Self {
        self.record = Record::Ledger;
        self
    }

    /// Listens on a free port of 127.0.0.1.
    pub async fn start(self) -> SmtpPeer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = self.offline();
        peer.address = listener.local_addr().unwrap();
        let (shared, behaviour) = (Arc::clone(&peer.shared), Arc::clone(&peer.behaviour));
        peer.accepting = Some(tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let stream = Tcp::new(stream);
                let conversation = Conversation::begin(
                    Arc::clone(&shared),
                    Arc::clone(&behaviour),
                    Some(stream.clone()),
                );
                tokio::spawn(conversation.run(Box::new(stream)));
            }
        }));
        peer
    }

    /// Does not listen; only serves the streams given to [`SmtpPeer::serve`].
    pub fn offline(self) -> SmtpPeer {
        let tls = (self.starttls || self.implicit).then(|| self.certificate.server());
        let ca_file = tls.as_ref().map(|server| server.ca_file.clone());
        let shared = Arc::new(Shared {
            script: Mutex::new(self.script.clone()),
            ..Shared::default()
        });
        let behaviour = Arc::new(Behaviour {
            acceptor: tls.map(|server| server.acceptor),
            builder: self,
        });
        SmtpPeer {
            address: ([127, 0, 0, 1], 0).into(),
            shared,
            behaviour,
            ca_file,
            accepting: None,
        }
    }
}

/// What all conversations of one server have in common.
struct Behaviour {
    builder: Builder,
    acceptor: Option<tokio_rustls::TlsAcceptor>,
}

/// The server. It stops accepting when it is dropped.
pub struct SmtpPeer {
    address: SocketAddr,
    shared: Arc<Shared>,
    behaviour: Arc<Behaviour>,
    ca_file: Option<Arc<tempfile::NamedTempFile>>,
    accepting: Option<JoinHandle<()>>,
}

impl SmtpPeer {
    /// A server with PIPELINING, SIZE, 8BITMIME, SMTPUTF8 and ENHANCEDSTATUSCODES; no TLS, no
    /// login.
    pub fn builder() -> Builder {
        Builder {
            capabilities: [
                "PIPELINING",
                "SIZE 10485760",
                "8BITMIME",
                "SMTPUTF8",
                "ENHANCEDSTATUSCODES",
            ]
            .map(str::to_owned)
            .to_vec(),
            login: None,
            mechanisms: "PLAIN LOGIN".to_owned(),
            prompts: ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"].map(str::to_owned),
            takes_initial_response: true,
            starttls: false,
            implicit: false,
            latency: Duration::ZERO,
            certificate: Certificate::default(),
            record: Record::Everything,
            script: Script::default(),
        }
    }

    /// A default server, listening.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The root certificate in PEM, for `tls_ca_file`; removed with the peer.
    pub fn ca_file(&self) -> &Path {
        self.ca_file.as_ref().expect("the peer has TLS").path()
    }

    /// Everything received so far.
    pub fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The messages kept so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.seen().mails
    }

    /// Scripts the next time that a step is reached.
    pub fn once(&self, at: At, act: Act) {
        self.shared.script.lock().unwrap().once(at, act);
    }

    /// Scripts every time that a step is reached; `None` restores the default.
    pub fn always(&self, at: At, act: Option<Act>) {
        self.shared.script.lock().unwrap().always(at, act);
    }

    /// Sets a rule that decides at every step that is not scripted; `None` removes it.
    pub fn rule<R: Fn(Moment<'_>) -> Act + Send + Sync + 'static>(&self, rule: Option<R>) {
        self.shared
            .script
            .lock()
            .unwrap()
            .rule(rule.map(|rule| Rule(Arc::new(rule))));
    }

    /// Every final dot so far.
    pub fn ledger(&self) -> Vec<Entry> {
        self.shared.seen.lock().unwrap().ledger.clone()
    }

    /// The client was stopped and will be restarted: entries of connections from now on belong to
    /// its next life.
    pub fn next_life(&self) {
        self.shared.update(|seen| seen.life += 1);
    }

    /// Waits until `enough` holds; fails the test with `what` after 20 s.
    pub async fn until(&self, what: &str, enough: impl Fn(&Seen) -> bool) -> Seen {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                let seen = self.seen();
                if enough(&seen) {
                    return seen;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        waited.unwrap_or_else(|elapsed| {
            panic!("waited for {what}, {elapsed}; received: {:#?}", self.seen())
        })
    }

    /// Serves one client over any stream.
    pub fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> JoinHandle<()> {
        let conversation =
            Conversation::begin(Arc::clone(&self.shared), Arc::clone(&self.behaviour), None);
        tokio::spawn(conversation.run(Box::new(stream)))
    }

    /// Stops listening: new connections are refused, open ones continue.
    pub async fn stop_listening(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            assert!(accepting.await.unwrap_err().is_cancelled());
        }
    }
}

impl Drop for SmtpPeer {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}
