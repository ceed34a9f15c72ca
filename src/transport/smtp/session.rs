//! An SMTP session over any stream: its time limits, its state, QUIT. [`super::opening`] opens it,
//! [`super::exchange`] sends single commands, [`super::transaction`] delivers mails.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::either::Either;

use super::Settings;
use super::access::Access;
use super::classifier::Classifier;
use super::ehlo::Capabilities;
use super::framing::Connection;
use super::state::{PayloadProgress, SessionState};
use super::tls::{Channel, Trust};
use super::trace::TraceRecorder;
use crate::clock::Fence;
use crate::domain::Stage;
use crate::secret::Secret;

/// Time limits of the phases. `smtp.timeout` can shorten all of them except `verdict`, where a short
/// limit would cause duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// DNS lookup; connecting to each address.
    pub connect: Duration,
    /// Greeting, EHLO, STARTTLS, the TLS handshake, each exchange of AUTH.
    pub handshake: Duration,
    /// The replies to MAIL, RCPT, DATA and RSET.
    pub envelope: Duration,
    /// Writing the message: the longest time without progress.
    pub data: Duration,
    /// The reply to the final dot (RFC 5321 §4.5.3.2.6).
    pub verdict: Duration,
}

impl Limits {
    /// The limits with `smtp.timeout` applied.
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

/// Everything needed to open a session.
#[derive(Debug, Clone)]
pub struct SessionConfig<'a> {
    /// The server's settings.
    pub settings: &'a Settings,
    /// Trusted certificates.
    pub trust: &'a Trust,
    /// Classifies the server's replies.
    pub classifier: &'a Classifier,
    /// Login data, made from the settings' login.
    pub access: Option<&'a Access>,
    /// Our name in EHLO: a domain name or an address literal.
    pub own_name: String,
    /// Whether the server is on this machine, so that a password may be sent unencrypted.
    pub loopback: bool,
}

/// An SMTP session over any stream.
///
/// If a future of a session is dropped before it completes, the session must be dropped too, because
/// it is unknown which replies are outstanding.
#[derive(Debug)]
pub struct Session<S> {
    pub(super) connection: Connection<Channel<S>>,
    pub(super) capabilities: Capabilities,
    pub(super) limits: Limits,
    pub(super) recorder: TraceRecorder,
    pub(super) classifier: Classifier,
    pub(super) state: SessionState,
    /// Whether the last failure was that the server had closed the connection.
    pub(super) gone: bool,
    pub(super) progress: PayloadProgress,
    /// Whether the current mail may still be sent.
    pub(super) fence: Fence,
    /// The shortest time to a reply, an estimate of the network round trip.
    pub(super) round_trip: Duration,
    /// Time of the last reply.
    pub(super) last_reply_at: Instant,
    pub(super) mails: u32,
    /// Secrets to mask in replies, during a login.
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
            encrypted: matches!(channel, Either::Right(_)),
            connection: Connection::new(channel),
            capabilities: Capabilities::default(),
            limits,
            recorder,
            classifier,
            state: SessionState::Ready,
            gone: false,
            progress: PayloadProgress::Envelope,
            fence: Fence::none(),
            round_trip: Duration::MAX,
            last_reply_at: Instant::now(),
            mails: 0,
            hidden: Vec::new(),
        }
    }

    /// Sends QUIT and, with `wait`, waits for the server to close the connection. Takes at most
    /// `limit` and ignores errors.
    pub async fn quit(mut self, limit: Duration, wait: bool) {
        if self.state == SessionState::Broken {
            return;
        }
        let started = Instant::now();
        let parting = async {
            let none = Fence::none();
            let sent = self.connection.write(b"QUIT\r\n", limit, &none).await;
            let sent = sent.is_ok();
            if sent && wait {
                self.connection.drain().await.is_ok()
            } else {
                sent
            }
        };
        let parted = tokio::time::timeout(limit, parting).await.unwrap_or(false);
        let note = if parted {
            ""
        } else {
            "not answered, which does not matter"
        };
        self.recorder.record(Stage::Quit, started.elapsed(), || {
            ("QUIT".to_owned(), None, note.to_owned())
        });
    }
}
