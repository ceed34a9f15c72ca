//! One mail server: opens sessions, keeps them, and hands mails over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::certificate::Certificate;
use super::classifier::Classifier;
use super::dial::dial;
use super::ehlo::own_name;
use super::pool::{Checkout, Pool};
use super::session::{Limits, Session, SessionConfig};
use super::tls::{SetupError, Trust};
use super::trace::{Step, TraceRecorder};
use super::{Access, Settings};
use crate::domain::{Email, Failure, Receipt, ServerName, Stage};
use crate::telemetry::metrics::Metrics;
use crate::transport::Context;
use crate::transport::compose::{SenderIdentity, WireMessage, compose};
use crate::transport::explain::LocalError;
use crate::transport::oauth::TokenStore;

/// How long the QUIT that ends a trace may take.
const PARTING: Duration = Duration::from_secs(2);

/// A mail server and the kept connections to it.
#[derive(Debug)]
pub struct Smtp {
    settings: Settings,
    trust: Trust,
    access: Option<Access>,
    classifier: Classifier,
    host_name: Option<String>,
    metrics: Arc<Metrics>,
    recorder: TraceRecorder,
    pool: Pool,
}

/// The transcript of a conversation, step by step.
#[derive(Debug)]
pub struct Trace {
    /// The steps in order, with secrets and addresses masked.
    pub steps: Vec<Step>,
    /// The certificate that the server showed, also one that was refused.
    pub certificate: Option<Certificate>,
    /// What it came to; `None` inside when no mail was handed over.
    pub result: Result<Option<Receipt>, Failure>,
}

/// How far a trace goes.
#[derive(Debug, Clone, Copy)]
pub enum Depth<'a> {
    /// Up to the login.
    Login,
    /// Up to the recipient: MAIL and RCPT as for this mail, then RSET. Nothing is sent.
    Envelope(&'a Email),
    /// Up to the reply to the message: this mail is sent.
    Mail(&'a Email),
}

impl Smtp {
    /// Prepares a server; opens no connection.
    ///
    /// # Errors
    /// When its TLS or its token server cannot be set up: see [`SetupError`].
    pub fn new(settings: Settings, context: &Context) -> Result<Self, SetupError> {
        let store = context
            .state_dir
            .as_deref()
            .map(|directory| TokenStore::new(directory, &settings.name));
        let access = settings
            .login
            .as_ref()
            .map(|login| Access::new(login, store, context.clock.clone()))
            .transpose()?;
        let metrics = Arc::clone(&context.metrics);
        Ok(Self {
            trust: Trust::new(&settings)?,
            access,
            classifier: Classifier::new(&settings, Arc::clone(&context.replies)),
            host_name: hostname::get()
                .ok()
                .and_then(|name| name.into_string().ok()),
            recorder: TraceRecorder::new(Arc::clone(&settings.name), Arc::clone(&metrics)),
            pool: Pool::new(settings.max_connections, settings.max_mails_per_connection),
            metrics,
            settings,
        })
    }

    /// What logs and the status page call it.
    pub const fn name(&self) -> &ServerName {
        &self.settings.name
    }

    /// The settings that it was made with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends one mail over a kept connection, or a new one. One try: no retry but the one on a
    /// fresh connection when a kept one turns out to be of no use (closed by the server, 421, out
    /// of step) before anything of the payload was written, or when the server has answered that it
    /// takes nothing.
    ///
    /// Dropping the future closes the connection; a mail whose final dot had been written by then
    /// may have been taken.
    ///
    /// # Errors
    /// What went wrong, at which step, and what it means.
    pub async fn send(&self, email: &Email) -> Result<Receipt, Failure> {
        let wire = compose(email, self.identity())?;
        let seat = self.pool.seat().await?;
        if let Some(mut kept) = seat.take_idle() {
            let result = kept.session.deliver(&wire).await;
            if !kept.session.was_gone_beforehand() {
                seat.release(kept).await;
                return result;
            }
        }
        let mut taken = Checkout::fresh(self.open(&self.recorder).await?);
        let result = taken.session.deliver(&wire).await;
        seat.release(taken).await;
        result
    }

    /// Connects and logs in, and keeps the connection for the next mail.
    ///
    /// # Errors
    /// As [`Smtp::send`].
    pub async fn probe(&self) -> Result<(), Failure> {
        let seat = self.pool.seat().await?;
        let session = self.open(&self.recorder).await?;
        seat.release(Checkout::fresh(session)).await;
        Ok(())
    }

    /// Goes through every step on a connection of its own and tells of each.
    pub async fn trace(&self, depth: Depth<'_>) -> Trace {
        let recorder =
            TraceRecorder::keeping(Arc::clone(&self.settings.name), Arc::clone(&self.metrics));
        let result = self.run_trace(depth, &recorder).await;
        Trace {
            steps: recorder.steps(),
            certificate: recorder.certificate(),
            result,
        }
    }

    async fn run_trace(
        &self,
        depth: Depth<'_>,
        recorder: &TraceRecorder,
    ) -> Result<Option<Receipt>, Failure> {
        let wire = match depth {
            Depth::Login => None,
            Depth::Envelope(email) | Depth::Mail(email) => Some(compose(email, self.identity())?),
        };
        let _seat = self.pool.seat().await?;
        let mut session = self.open(recorder).await?;
        let result = match (&wire, depth) {
            (Some(wire), Depth::Mail(_)) => session.deliver(wire).await.map(Some),
            (Some(wire), _) => session.dry_run(wire).await.map(|()| None),
            (None, _) => Ok(None),
        };
        session.quit(PARTING, true).await;
        result
    }

    /// Says QUIT on all idle connections, for at most 3 s; sends under way end as they would, later
    /// ones are refused.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The mail's wire form as this server would get it.
    ///
    /// # Errors
    /// As [`compose`].
    pub fn wire<'a>(&'a self, email: &'a Email) -> Result<WireMessage<'a>, Failure> {
        compose(email, self.identity())
    }

    const fn identity(&self) -> SenderIdentity<'_> {
        SenderIdentity {
            from: &self.settings.from,
            reply_to: self.settings.reply_to.as_slice(),
        }
    }

    /// Opens a session; once more when the server refused an access token, since the next one is
    /// new.
    ///
    /// Boxed: rare beside the mails, and its state would make every send's future large.
    async fn open(&self, recorder: &TraceRecorder) -> Result<Session<TcpStream>, Failure> {
        Box::pin(async {
            match self.open_once(recorder).await {
                Err(failure)
                    if self
                        .access
                        .as_ref()
                        .is_some_and(|access| access.renews_after(&failure)) =>
                {
                    self.open_once(recorder).await
                }
                opened => opened,
            }
        })
        .await
    }

    async fn open_once(&self, recorder: &TraceRecorder) -> Result<Session<TcpStream>, Failure> {
        let Settings {
            host,
            port,
            timeout,
            ..
        } = &self.settings;
        let started = Instant::now();
        let stream = dial(
            host,
            *port,
            Limits::under(*timeout).connect,
            recorder,
            &self.classifier,
        )
        .await?;
        let config = self.config(&stream)?;
        let session = Session::open(stream, &config, recorder.clone()).await;
        tracing::debug!(server = %self.settings.name, took_ms = started.elapsed().as_millis(), opened = session.is_ok(), "connection to a mail server");
        session
    }

    fn config(&self, stream: &TcpStream) -> Result<SessionConfig<'_>, Failure> {
        let addresses = stream
            .local_addr()
            .and_then(|local| Ok((local, stream.peer_addr()?)));
        let lost = |error| {
            self.classifier.local_failure(
                Stage::Connect,
                LocalError::ClosedWithoutReply,
                format!("the connection was lost at once: {error}"),
            )
        };
        let (local, peer) = addresses.map_err(lost)?;
        Ok(SessionConfig {
            settings: &self.settings,
            trust: &self.trust,
            classifier: &self.classifier,
            access: self.access.as_ref(),
            own_name: self
                .settings
                .helo_name
                .clone()
                .unwrap_or_else(|| own_name(self.host_name.as_deref(), local)),
            loopback: peer.ip().to_canonical().is_loopback(),
        })
    }
}
