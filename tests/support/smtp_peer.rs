//! A scripted SMTP server on a real port: it takes mails as a good server does, except where its
//! script says otherwise, and remembers everything that it was told.
//!
//! ```ignore
//! let peer = SmtpPeer::builder()
//!     .starttls()                                        // or .implicit_tls(); the CA is in peer.ca_file()
//!     .login("me@example.com", "secret")                 // AUTH PLAIN LOGIN, wanted before MAIL
//!     .without("PIPELINING")
//!     .once(At::Rcpt, Act::reply("550 5.1.1 nobody"))    // the next RCPT only, then as usual
//!     .always(At::Quit, Act::Close)                      // every QUIT
//!     .start()
//!     .await;
//! // …
//! peer.until("a mail", |seen| seen.mails.len() == 1).await;
//! assert_eq!(peer.seen().max_open, 1);
//! ```
//!
//! The script can be changed while it runs ([`SmtpPeer::once`], [`SmtpPeer::always`]). A [`Gate`] lets a
//! test hold a step and learn that it was reached, so that nothing has to sleep. [`SmtpPeer::serve`]
//! talks over any stream, for tests with `tokio::io::duplex` and paused time.

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

/// One line that the server was sent, outside of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The connection, counted from 0.
    pub connection: usize,
    /// Which read brought it: commands with the same number came in one piece.
    pub arrival: usize,
    /// The line without its line end.
    pub line: String,
}

/// One message that the server took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The connection, counted from 0.
    pub connection: usize,
    /// The address of MAIL FROM.
    pub from: String,
    /// The parameters of MAIL FROM, as `SIZE=1234`.
    pub parameters: String,
    /// The addresses of RCPT TO that were accepted.
    pub to: Vec<String>,
    /// The bytes as they came: dots stuffed, ended by `CRLF . CRLF`; by BDAT the message itself.
    pub wire: Vec<u8>,
    /// The message: dots unstuffed, without the final one.
    pub data: Vec<u8>,
    /// Who was logged in.
    pub login: Option<String>,
    /// Whether it came over TLS.
    pub encrypted: bool,
}

/// Everything that the server has seen up to now.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Lines, in the order of arrival.
    pub commands: Vec<Command>,
    /// Messages taken: those answered with 2xx, and those that the script kept without saying so.
    pub mails: Vec<Mail>,
    /// Every final dot, in the order of arrival.
    pub ledger: Vec<Entry>,
    /// How often the test said that the client was started anew.
    pub life: usize,
    /// Connections accepted in all.
    pub connections: usize,
    /// Connections whose end the server has not come to yet.
    pub open: usize,
    /// The most connections open at a time; those not counted that the client had closed.
    pub max_open: usize,
    /// TLS handshakes that failed.
    pub failed_handshakes: usize,
}

impl Seen {
    /// The lines alone.
    pub fn lines(&self) -> Vec<&str> {
        self.commands
            .iter()
            .map(|command| command.line.as_str())
            .collect()
    }

    /// How many lines begin with a word, as `AUTH`.
    pub fn count(&self, word: &str) -> usize {
        self.commands
            .iter()
            .filter(|command| command.line.starts_with(word))
            .count()
    }
}

/// What the conversations share with the test.
#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Notify,
    script: Mutex<Script>,
    /// The connections that may be open.
    open: Mutex<Vec<Watched>>,
}

impl Shared {
    fn see<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let result = change(&mut self.seen.lock().unwrap());
        self.changed.notify_waiters();
        result
    }
}

/// What a server remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    Everything,
    /// The ledger and the numbers, no commands and no messages.
    Ledger,
}

/// How the server behaves by default.
#[derive(Debug, Clone)]
pub struct Builder {
    capabilities: Vec<String>,
    login: Option<(String, String)>,
    mechanisms: String,
    prompts: [String; 2],
    takes_initial_response: bool,
    starttls: bool,
    implicit: bool,
    distance: Duration,
    certificate: Certificate,
    keeps: Keeps,
    script: Script,
}

impl Builder {
    /// Announces an extension, in the place of an earlier line with the same first word:
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

    /// Announces AUTH and refuses MAIL before a login with this name and password.
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// The mechanisms announced, `PLAIN LOGIN` unless said otherwise; those not named are refused
    /// with 504.
    pub fn mechanisms(mut self, names: &str) -> Self {
        names.clone_into(&mut self.mechanisms);
        self
    }

    /// Wants a login with this access token (XOAUTH2) and no other.
    pub fn token(self, user: &str, token: &str) -> Self {
        self.login(user, token).mechanisms("XOAUTH2")
    }

    /// The words after the two 334 of AUTH LOGIN.
    pub fn prompts(mut self, user: &str, password: &str) -> Self {
        self.prompts = [user.to_owned(), password.to_owned()];
        self
    }

    /// Answers 501 to `AUTH PLAIN <response>` and wants the response after a 334.
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

    /// Is as late with every answer as a server far away.
    pub fn at_a_distance(mut self) -> Self {
        self.distance = Duration::from_millis(10);
        self
    }

    /// Which certificate to show; one for `localhost` and `127.0.0.1` unless said otherwise.
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// Does something else the next time that a step is reached; several wait their turn.
    pub fn once(mut self, at: At, act: Act) -> Self {
        self.script.once(at, act);
        self
    }

    /// Does something else every time that a step is reached.
    pub fn always(mut self, at: At, act: Act) -> Self {
        self.script.always(at, Some(act));
        self
    }

    /// Lets a rule decide at every step for which the script says nothing.
    pub fn ruled(mut self, rule: impl Fn(Moment<'_>) -> Act + Send + Sync + 'static) -> Self {
        self.script.rule(Some(Rule(Arc::new(rule))));
        self
    }

    /// Keeps the ledger alone, for tests with very many mails: no commands, no messages.
    pub fn counting_only(mut self) -> Self {
        self.keeps = Keeps::Ledger;
        self
    }

    /// Listens on a free port of 127.0.0.1.
    pub async fn start(self) -> SmtpPeer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = self.offline();
        peer.address = listener.local_addr().unwrap();
        let (shared, manner) = (Arc::clone(&peer.shared), Arc::clone(&peer.manner));
        peer.accepting = Some(tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let stream = Tcp::new(stream);
                let conversation = Conversation::begin(
                    Arc::clone(&shared),
                    Arc::clone(&manner),
                    Some(stream.clone()),
                );
                tokio::spawn(conversation.run(Box::new(stream)));
            }
        }));
        peer
    }

    /// Does not listen: talks only over what [`SmtpPeer::serve`] is given.
    pub fn offline(self) -> SmtpPeer {
        let tls = (self.starttls || self.implicit).then(|| self.certificate.server());
        let ca_file = tls.as_ref().map(|server| server.ca_file.clone());
        let shared = Arc::new(Shared {
            script: Mutex::new(self.script.clone()),
            ..Shared::default()
        });
        let manner = Arc::new(Manner {
            acceptor: tls.map(|server| server.acceptor),
            builder: self,
        });
        SmtpPeer {
            address: ([127, 0, 0, 1], 0).into(),
            shared,
            manner,
            ca_file,
            accepting: None,
        }
    }
}

/// The behaviour of all conversations of one server.
struct Manner {
    builder: Builder,
    acceptor: Option<tokio_rustls::TlsAcceptor>,
}

/// The server. It stops accepting when it is dropped.
pub struct SmtpPeer {
    address: SocketAddr,
    shared: Arc<Shared>,
    manner: Arc<Manner>,
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
            distance: Duration::ZERO,
            certificate: Certificate::default(),
            keeps: Keeps::Everything,
            script: Script::default(),
        }
    }

    /// A default server, listening.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The root certificate of its TLS in PEM, for `tls_ca_file`; the file goes with the peer.
    pub fn ca_file(&self) -> &Path {
        self.ca_file.as_ref().expect("the peer has TLS").path()
    }

    /// Everything seen up to now.
    pub fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The messages taken up to now.
    pub fn mails(&self) -> Vec<Mail> {
        self.seen().mails
    }

    /// Does something else the next time that a step is reached.
    pub fn once(&self, at: At, act: Act) {
        self.shared.script.lock().unwrap().once(at, act);
    }

    /// Does something else every time that a step is reached; `None` goes back to the usual.
    pub fn always(&self, at: At, act: Option<Act>) {
        self.shared.script.lock().unwrap().always(at, act);
    }

    /// Lets a rule decide at every step for which the script says nothing; `None` goes back to the
    /// usual.
    pub fn rule<R: Fn(Moment<'_>) -> Act + Send + Sync + 'static>(&self, rule: Option<R>) {
        self.shared
            .script
            .lock()
            .unwrap()
            .rule(rule.map(|rule| Rule(Arc::new(rule))));
    }

    /// Every final dot up to now.
    pub fn ledger(&self) -> Vec<Entry> {
        self.shared.seen.lock().unwrap().ledger.clone()
    }

    /// Says that the client is gone and will be started anew: what comes over connections from now
    /// on belongs to its next life.
    pub fn next_life(&self) {
        self.shared.see(|seen| seen.life += 1);
    }

    /// Waits until what was seen satisfies `enough`; fails the test, naming `what`, after 20 s.
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
            panic!(
                "waited for {what}, {elapsed}; seen up to now: {:#?}",
                self.seen()
            )
        })
    }

    /// Takes up a conversation over any stream.
    pub fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> JoinHandle<()> {
        let conversation =
            Conversation::begin(Arc::clone(&self.shared), Arc::clone(&self.manner), None);
        tokio::spawn(conversation.run(Box::new(stream)))
    }

    /// Stops listening: new connections are refused, those that are open go on.
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
