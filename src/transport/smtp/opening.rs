//! Opens a session: greeting, EHLO, STARTTLS, login.

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::either::Either;

use super::access::Access;
use super::ehlo::Capabilities;
use super::framing::ReadError;
use super::session::{Limits, Session, SessionConfig};
use super::state::SessionState;
use super::tls::describe;
use super::trace::TraceRecorder;
use super::{Tls, auth};
use crate::domain::{Failure, Stage};
use crate::transport::explain::LocalError;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Opens a session: reads the greeting, sends EHLO, starts TLS and logs in, as configured.
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
            Either::Left(stream),
            limits,
            recorder,
            config.classifier.clone(),
        );
        if config.settings.tls == Tls::Implicit {
            session = session.encrypt(config).await?;
        }
        session.greeting(config).await?;
        session.hello(&config.own_name).await?;
        if session.needs_starttls(config)? {
            session.starttls().await?;
            session = session.encrypt(config).await?;
            session.hello(&config.own_name).await?;
        }
        if let Some(access) = config.access {
            session.log_in(access, config).await?;
        }
        Ok(session)
    }

    async fn greeting(&mut self, config: &SessionConfig<'_>) -> Result<(), Failure> {
        let greeted = self
            .read_reply(Stage::Greeting, "", self.limits.handshake, Instant::now())
            .await;
        let code = greeted.map_err(|mut failure| {
            if config.settings.tls != Tls::Implicit && !self.gone {
                failure.detail.push_str(
                    "; if this port requires TLS from the first byte, set tls = \"implicit\"",
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
                "the server does not accept connections now",
            ))
        }
    }

    /// Sends EHLO, or HELO if the server does not support it (RFC 5321 §3.2; RFC 1869 §4.5 lists the
    /// codes). Capabilities from before TLS are discarded (RFC 3207 §4.2).
    async fn hello(&mut self, own_name: &str) -> Result<(), Failure> {
        self.capabilities = Capabilities::default();
        let mut code = self
            .exchange(Stage::Ehlo, &format!("EHLO {own_name}"), None)
            .await?;
        if code == 250 {
            self.capabilities = Capabilities::parse(self.connection.lines());
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

    fn needs_starttls(&self, config: &SessionConfig<'_>) -> Result<bool, Failure> {
        match config.settings.tls {
            Tls::Starttls if !self.capabilities.starttls => Err(self.classifier.local_failure(
                Stage::Starttls,
                LocalError::StarttlsNotOffered,
                "the server offers no STARTTLS, which is required here; nothing was sent unencrypted. Port 465 with tls = \"implicit\" may be right",
            )),
            Tls::Starttls => Ok(true),
            Tls::Opportunistic => Ok(self.capabilities.starttls),
            Tls::Implicit | Tls::None => Ok(false),
        }
    }

    async fn starttls(&mut self) -> Result<(), Failure> {
        let code = self.exchange(Stage::Starttls, "STARTTLS", None).await?;
        let refused =
            "the server offered STARTTLS and then refused it; nothing was sent unencrypted";
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
            // An attacker could inject replies here that we would take for encrypted ones.
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
        let Either::Left(stream) = connection.into_stream() else {
            return Err(classifier.local_failure(
                Stage::Tls,
                LocalError::TlsHandshake,
                "the connection is already encrypted",
            ));
        };
        let started = Instant::now();
        let handshake = config.trust.handshake(stream, &recorder);
        let result = tokio::time::timeout(limits.handshake, handshake)
            .await
            .unwrap_or_else(|_| {
                let timed_out = ReadError::TimedOut(limits.handshake);
                Err((LocalError::TlsHandshake, timed_out.to_string()))
            });
        match result {
            Ok(stream) => {
                recorder.record(Stage::Tls, started.elapsed(), || {
                    (String::new(), None, describe(&stream))
                });
                Ok(Self::over(
                    Either::Right(Box::new(stream)),
                    limits,
                    recorder,
                    classifier,
                ))
            }
            Err((error, detail)) => {
                recorder.record(Stage::Tls, started.elapsed(), || {
                    (String::new(), None, detail.clone())
                });
                Err(classifier.local_failure(Stage::Tls, error, detail))
            }
        }
    }

    async fn log_in(&mut self, access: &Access, config: &SessionConfig<'_>) -> Result<(), Failure> {
        if !self.encrypted && !config.loopback && !config.settings.plain_login {
            return Err(self.classifier.local_failure(
                Stage::Auth,
                LocalError::PasswordNeedsTls,
                "the server offers no encryption, so the password was not sent; set tls = \"none\" to allow that",
            ));
        }
        auth::log_in(self, access).await
    }
}
