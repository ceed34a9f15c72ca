//! A conversation with a server over any stream: its limits, its state, QUIT. Opening it is in
//! [`super::opening`], single commands in [`super::exchange`], mails in [`super::transaction`].

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::Settings;
use super::access::Access;
use super::classifier::Classifier;
use super::ehlo::Capabilities;
use super::framing::Connection;
use super::state::{PayloadProgress, SessionState};
use super::tls::{Channel, Trust};
use super::trace::TraceRecorder;
use crate::domain::Stage;
use crate::secret::Secret;

/// How long each phase may take. `smtp.timeout` shortens all of them but the wait after the final
/// dot: there a short limit makes duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Looking the host up; opening the connection, each address.
    pub connect: Duration,
    /// Greeting, EHLO, STARTTLS, the TLS handshake, each exchange of AUTH.
    pub handshake: Duration,
    /// The answers to MAIL, RCPT, DATA and RSET.
    pub envelope: Duration,
    /// Writing the message, without progress.
    pub data: Duration,
    /// The answer to the final dot (RFC 5321 §4.5.3.2.6).
    pub verdict: Duration,
}

impl Limits {
    /// The limits under `smtp.timeout`.
    pub fn under(timeout: Duration) -> Self {
        let at_most = |seconds| timeout.min(Duration::from_secs(seconds));
        Self {
            connect: at_most(10),
            handshake: at_most(30),
            envelope: at_most(60),
            data: at_most(60),
            verdict: Duration::from_mins(10),
        }
    }
}

/// Everything that opening a connection needs.
#[derive(Debug, Clone)]
pub struct SessionConfig<'a> {
    /// The server's settings.
    pub settings: &'a Settings,
    /// Trusted certificates.
    pub trust: &'a Trust,
    /// What refusals mean there.
    pub classifier: &'a Classifier,
    /// What to log in with, made of the settings' login.
    pub access: Option<&'a Access>,
    /// What we call ourselves in EHLO: a domain name or an address literal.
    pub own_name: String,
    /// Whether the other end is this machine, so that a password may go in clear.
    pub loopback: bool,
}

/// A conversation with a server over any stream.
///
/// A session whose future was dropped half way must be dropped too: nobody knows which answers are
/// still to come.
#[derive(Debug)]
pub struct Session<S> {
    pub(super) connection: Connection<Channel<S>>,
    pub(super) can: Capabilities,
    pub(super) limits: Limits,
    pub(super) recorder: TraceRecorder,
    pub(super) classifier: Classifier,
    pub(super) state: SessionState,
    /// Whether the last connection failure found the server simply gone.
    pub(super) gone: bool,
    pub(super) progress: PayloadProgress,
    /// The shortest time that the server took to answer: the way there and back, and little else.
    pub(super) round_trip: Duration,
    /// When it answered last.
    pub(super) answered: Instant,
    pub(super) mails: u32,
    /// What is never to be told, not even as the server's words; while a login goes on.
    pub(super) hidden: Vec<Secret>,
    pub(super) encrypted: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn over(
        channel: Channel<S>,
        limits: Limits,
        recorder: TraceRecorder,
        classifier: Classifier,
    ) -> Self {
        Self {
            encrypted: matches!(channel, Channel::Encrypted(_)),
            connection: Connection::new(channel),
            can: Capabilities::default(),
            limits,
            recorder,
            classifier,
            state: SessionState::Ready,
            gone: false,
            progress: PayloadProgress::Envelope,
            round_trip: Duration::MAX,
            answered: Instant::now(),
            mails: 0,
            hidden: Vec::new(),
        }
    }

    /// The server's capabilities, from its EHLO reply.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.can
    }

    /// Says QUIT and, when asked to, waits for the server to close; at most `limit`, whatever comes
    /// of it.
    pub async fn quit(mut self, limit: Duration, wait: bool) {
        if self.state == SessionState::Broken {
            return;
        }
        let started = Instant::now();
        let parting = async {
            let said = self.connection.write(b"QUIT\r\n", limit).await.is_ok();
            if said && wait {
                self.connection.drain().await.is_ok()
            } else {
                said
            }
        };
        let parted = tokio::time::timeout(limit, parting).await.unwrap_or(false);
        let note = if parted {
            ""
        } else {
            "not answered, which does not matter"
        };
        self.recorder.note(Stage::Quit, started.elapsed(), || {
            ("QUIT".to_owned(), None, note.to_owned())
        });
    }
}
