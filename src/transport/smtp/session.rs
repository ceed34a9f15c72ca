//! One connection's conversation up to the login: greeting, EHLO, STARTTLS, AUTH. Mails follow in
//! [`super::transaction`].

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::classifier::Classifier;
use super::ehlo::Capabilities;
use super::framing::{Connection, ReadError};
use super::state::{PayloadProgress, SessionState};
use super::tls::{Channel, Trust};
use super::trace::TraceRecorder;
use super::{Access, Settings, Tls, auth};
use crate::domain::{Failure, Stage};
use crate::secret::Secret;
use crate::transport::explain::LocalError;

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

/// What a connection is opened with.
#[derive(Debug, Clone)]
pub struct SessionConfig<'a> {
    /// The server's settings.
    pub settings: &'a Settings,
    /// Whom to trust.
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
    encrypted: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Greets, encrypts and logs in, as the config demand.
    ///
    /// # Errors
    /// The step that failed, classified.
    pub async fn open(
        stream: S,
        config: &SessionConfig<'_>,
        recorder: TraceRecorder,
    ) -> Result<Self, Failure> {
        let limits = Limits::under(config.settings.timeout);
        let mut session = Self::over(
            Channel::Plain(stream),
            limits,
            recorder,
            config.classifier.clone(),
        );
        if config.settings.tls == Tls::Implicit {
            session = session.encrypt(config).await?;
        }
        session.greeting(config).await?;
        session.hello(&config.own_name).await?;
        if session.is_to_upgrade(config)? {
            session.starttls().await?;
            session = session.encrypt(config).await?;
            session.hello(&config.own_name).await?;
        }
        if let Some(access) = config.access {
            session.log_in(access, config).await?;
        }
        Ok(session)
    }

    fn over(
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

    /// What the server said that it can do.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.can
    }

    async fn greeting(&mut self, config: &SessionConfig<'_>) -> Result<(), Failure> {
        let greeted = self
            .answer(Stage::Greeting, "", self.limits.handshake, Instant::now())
            .await;
        let code = greeted.map_err(|mut failure| {
            if config.settings.tls != Tls::Implicit && !self.gone {
                failure.detail.push_str(
                    "; if this port wants TLS from the first byte, set tls = \"implicit\"",
                );
            }
            failure
        })?;
        if code == 220 {
            Ok(())
        } else {
            Err(self.refusal(
                Stage::Greeting,
                code,
                "the server does not take connections now",
            ))
        }
    }

    /// EHLO; HELO to servers that do not accept it (RFC 5321 §3.2; RFC 1869 §4.5 lists the codes).
    /// What was said before TLS is forgotten (RFC 3207 §4.2).
    async fn hello(&mut self, own_name: &str) -> Result<(), Failure> {
        self.can = Capabilities::default();
        let mut code = self
            .exchange(Stage::Ehlo, &format!("EHLO {own_name}"), None)
            .await?;
        if code == 250 {
            self.can = Capabilities::parse(self.connection.lines());
        } else if matches!(code, 500..=504 | 550) {
            code = self
                .exchange(Stage::Ehlo, &format!("HELO {own_name}"), None)
                .await?;
        }
        if code == 250 {
            Ok(())
        } else {
            Err(self.refusal(
                Stage::Ehlo,
                code,
                &format!("the server does not accept the name {own_name}"),
            ))
        }
    }

    fn is_to_upgrade(&self, config: &SessionConfig<'_>) -> Result<bool, Failure> {
        match config.settings.tls {
            Tls::Starttls if !self.can.starttls => Err(self.classifier.local_failure(
                Stage::Starttls,
                LocalError::StarttlsNotOffered,
                "the server offers no STARTTLS, which is required here; nothing was sent in clear. Port 465 with tls = \"implicit\" may be right",
            )),
            Tls::Starttls => Ok(true),
            Tls::Opportunistic => Ok(self.can.starttls),
            Tls::Implicit | Tls::None => Ok(false),
        }
    }

    async fn starttls(&mut self) -> Result<(), Failure> {
        let code = self.exchange(Stage::Starttls, "STARTTLS", None).await?;
        let refused =
            "the server offered STARTTLS and then refused it; nothing is sent in clear instead";
        match code {
            220 => {}
            400..500 => return Err(self.refusal(Stage::Starttls, code, refused)),
            _ => {
                return Err(self.classifier.local_failure_with_reply(
                    Stage::Starttls,
                    LocalError::StarttlsRefused,
                    self.reply(code),
                    format!("{refused} (it answered {code})"),
                ));
            }
        }
        if self.connection.has_unexpected_bytes() {
            // Somebody on the way could put answers there that we would take for encrypted ones.
            self.state = SessionState::Broken;
            return Err(self.lost(Stage::Starttls, &ReadError::UnexpectedBytes));
        }
        Ok(())
    }

    async fn encrypt(self, config: &SessionConfig<'_>) -> Result<Self, Failure> {
        let Self {
            connection,
            limits,
            recorder,
            classifier,
            ..
        } = self;
        let Channel::Plain(stream) = connection.into_stream() else {
            return Err(classifier.local_failure(
                Stage::Tls,
                LocalError::TlsHandshake,
                "the connection is encrypted already",
            ));
        };
        let started = Instant::now();
        let late = || {
            (
                LocalError::TlsHandshake,
                ReadError::TimedOut(limits.handshake).to_string(),
            )
        };
        let shaken =
            tokio::time::timeout(limits.handshake, config.trust.handshake(stream, &recorder))
                .await
                .unwrap_or_else(|_| Err(late()));
        match shaken {
            Ok(stream) => {
                let channel = Channel::Encrypted(Box::new(stream));
                recorder.note(Stage::Tls, started.elapsed(), || {
                    (String::new(), None, channel.describe())
                });
                Ok(Self::over(channel, limits, recorder, classifier))
            }
            Err((trouble, detail)) => {
                recorder.note(Stage::Tls, started.elapsed(), || {
                    (String::new(), None, detail.clone())
                });
                Err(classifier.local_failure(Stage::Tls, trouble, detail))
            }
        }
    }

    async fn log_in(&mut self, access: &Access, config: &SessionConfig<'_>) -> Result<(), Failure> {
        if !self.encrypted && !config.loopback && !config.settings.plain_login {
            return Err(self.classifier.local_failure(
                Stage::Auth,
                LocalError::PasswordNeedsTls,
                "the server offers no encryption, so the password was not sent; tls = \"none\" written into the configuration would allow it",
            ));
        }
        auth::log_in(self, access, config).await
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
