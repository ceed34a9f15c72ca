//! One SMTP server: opens sessions, keeps them for reuse, and sends mails.

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
use crate::clock::Fence;
use crate::domain::{Email, Failure, Lane, Receipt, ServerName, Stage};
use crate::telemetry::metrics::Metrics;
use crate::transport::compose::compose;
use crate::transport::explain::LocalError;
use crate::transport::oauth::TokenStore;
use crate::transport::permits::{ConnectionPermit, ConnectionPermits};
use crate::transport::{Common, Context};

/// Time limit of the QUIT that ends a trace.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);

/// An SMTP server with its pool of connections.
#[derive(Debug)]
pub struct Smtp {
    common: Common,
    settings: Settings,
    trust: Trust,
    access: Option<Access>,
    classifier: Classifier,
    host_name: Option<String>,
    metrics: Arc<Metrics>,
    recorder: TraceRecorder,
    pool: Pool,
}

/// The transcript of a session.
#[derive(Debug)]
pub struct Trace {
    /// The steps in order, with secrets and addresses masked.
    pub steps: Vec<Step>,
    /// The certificate that the server presented, trusted or not.
    pub certificate: Option<Certificate>,
    /// The result; the receipt is `None` if no mail was sent.
    pub result: Result<Option<Receipt>, Failure>,
}

/// The last step of a trace.
#[derive(Debug, Clone, Copy)]
pub enum Depth<'a> {
    /// The login.
    Login,
    /// The recipient: MAIL and RCPT for this mail, then RSET. Nothing is sent.
    Envelope(&'a Email),
    /// The reply to the message: this mail is sent.
    Mail(&'a Email),
}

impl Smtp {
    /// Prepares a server. Opens no connection.
    ///
    /// # Errors
    /// If TLS or the token server cannot be set up; see [`SetupError`].
    pub fn new(common: Common, settings: Settings, context: &Context) -> Result<Self, SetupError> {
        let store = context
            .tokens
            .as_ref()
            .map(|home| TokenStore::at(home, &common.name));
        let access = settings
            .login
            .as_ref()
            .map(|login| Access::new(login, store, context.clock.clone()))
            .transpose()?;
        let metrics = Arc::clone(&context.metrics);
        Ok(Self {
            trust: Trust::new(&settings)?,
            access,
            classifier: Classifier::new(&common, &settings, Arc::clone(&context.replies)),
            host_name: hostname::get()
                .ok()
                .and_then(|name| name.into_string().ok()),
            recorder: TraceRecorder::new(Arc::clone(&common.name), Arc::clone(&metrics)),
            pool: Pool::new(common.max_connections, settings.max_mails_per_connection),
            metrics,
            common,
            settings,
        })
    }

    /// The server's name in logs, metrics and on the status page.
    pub const fn name(&self) -> &ServerName {
        &self.common.name
    }

    /// The settings of the server.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The permits for connections to this server.
    pub(in crate::transport) fn permits(&self) -> &ConnectionPermits {
        self.pool.permits()
    }

    /// Waits for a connection as an urgent mail does, and sends one mail: see
    /// [`send_on`](Self::send_on).
    ///
    /// # Errors
    /// Why the attempt failed, and at which step.
    pub async fn send(&self, email: &Email) -> Result<Receipt, Failure> {
        let permit = self.permits().acquire(Lane::Urgent).await?;
        self.send_on(permit, email, &Fence::none()).await
    }

    /// Sends one mail over an idle connection or a new one. If an idle connection turns out to be
    /// unusable (closed by the server, 421, out of step) before any of the payload was written, the
    /// mail is sent over a new one; there is no other retry.
    ///
    /// Once the fence is over, nothing before the final dot is written any more, and the attempt
    /// fails with [`FailureKind::LeaseOver`](crate::domain::FailureKind::LeaseOver). If the dot has
    /// been written by then, its reply is waited for.
    ///
    /// Dropping the future closes the connection. If the final dot has been written by then, the
    /// server may have accepted the mail.
    ///
    /// # Errors
    /// Why the attempt failed, and at which step.
    pub async fn send_on(
        &self,
        permit: ConnectionPermit<'_>,
        email: &Email,
        fence: &Fence,
    ) -> Result<Receipt, Failure> {
        let wire = compose(email, self.common.identity())?;
        if let Some(mut kept) = self.pool.take_idle(&permit) {
            let result = kept.session.deliver(&wire, fence).await;
            if !kept.session.died_before_payload() {
                self.pool.release(permit, kept).await;
                return result;
            }
        }
        fence
            .check()
            .map_err(|_| Failure::lease_over(Stage::Connect))?;
        let mut taken = Checkout::fresh(self.open(&self.recorder).await?);
        let result = taken.session.deliver(&wire, fence).await;
        self.pool.release(permit, taken).await;
        result
    }

    /// Connects and logs in. Keeps the connection for the next mail.
    ///
    /// # Errors
    /// As [`Smtp::send`].
    pub async fn probe(&self) -> Result<(), Failure> {
        let permit = self.permits().acquire(Lane::Urgent).await?;
        self.pool.close_idle(&permit).await;
        let session = self.open(&self.recorder).await?;
        self.pool.release(permit, Checkout::fresh(session)).await;
        Ok(())
    }

    /// Runs the steps up to `depth` on a separate connection and records each.
    pub async fn trace(&self, depth: Depth<'_>) -> Trace {
        let recorder = TraceRecorder::with_transcript(
            Arc::clone(&self.common.name),
            Arc::clone(&self.metrics),
        );
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
            Depth::Envelope(email) | Depth::Mail(email) => {
                Some(compose(email, self.common.identity())?)
            }
        };
        let permit = self.permits().acquire(Lane::Urgent).await?;
        self.pool.close_idle(&permit).await;
        let mut session = self.open(recorder).await?;
        let result = match (&wire, depth) {
            (Some(wire), Depth::Mail(_)) => session.deliver(wire, &Fence::none()).await.map(Some),
            (Some(wire), _) => session.dry_run(wire).await.map(|()| None),
            (None, _) => Ok(None),
        };
        session.quit(QUIT_TIMEOUT, true).await;
        result
    }

    /// How many idle connections are kept open.
    pub(in crate::transport) fn idle(&self) -> usize {
        self.pool.idle()
    }

    /// See [`Transport::trim`](crate::transport::Transport::trim).
    pub(in crate::transport) async fn trim(&self, removed: usize) {
        self.pool.trim(removed).await;
    }

    /// Sends QUIT on all idle connections, which takes at most 3 s. Sends in progress continue;
    /// later ones fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Opens a session. Tries twice if the server has refused an access token, because the next one
    /// is new.
    ///
    /// Boxed because it is rare, and its state would make the future of each send large.
    async fn open(&self, recorder: &TraceRecorder) -> Result<Session<TcpStream>, Failure> {
        Box::pin(async {
            match self.open_once(recorder).await {
                Err(failure)
                    if self
                        .access
                        .as_ref()
                        .is_some_and(|access| access.retries_after(&failure)) =>
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
        tracing::debug!(server = %self.common.name, took_ms = started.elapsed().as_millis(), opened = session.is_ok(), "opened a connection to a mail server");
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
                format!("the connection was lost: {error}"),
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
