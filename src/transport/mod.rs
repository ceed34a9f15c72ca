//! One attempt on one server: composes the message, speaks the protocol, classifies the reply.
//!
//! lettre composes our mails but does not send them. [`smtp`] is our own client because of these
//! findings in lettre's (0.11.23):
//!
//! * It does not set `TCP_NODELAY` and writes message and final dot separately: 40 ms a mail,
//!   22 mails/s over one connection.
//! * If a send is dropped, for example by a timeout, the half-used connection returns to the pool,
//!   and the next mail reads the replies to the previous one.
//! * Only connecting has a time limit; the TLS handshake, the greeting and the replies have none.
//! * A reply that is not UTF-8 becomes a network error. QQ sends its refusals in GBK, so the most
//!   useful diagnosis would be lost.
//! * The stage of a refusal and its enhanced code are not reported, but the meaning of a failure
//!   depends on the stage.
//! * The pool limits idle connections only, and a refused recipient costs a reconnect, a handshake
//!   and a login.
//! * Unencrypted bytes after the reply to STARTTLS are accepted, and passwords are sent unencrypted
//!   without a warning.
//!
//! The tests compare with it: what both clients send must arrive identical.

mod allotment;
pub mod compose;
pub mod directmail;
mod encryption;
pub mod explain;
pub mod http;
#[cfg(test)]
pub(crate) mod memory;
pub mod oauth;
pub mod permits;
pub mod providers;
mod settings;
pub mod smtp;

use std::sync::Arc;

use crate::clock::{Clock, Fence};
use crate::domain::{Email, Failure, Lane, Receipt, ServerName};
use crate::telemetry::metrics::Metrics;

pub use permits::ConnectionPermit;
use permits::{AcquireError, ConnectionPermits};
pub use settings::{Common, RateLimit};

/// Settings of one mail server: `[smtp]` or one `[[smtp.backup]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Settings that every server has.
    pub common: Common,
    /// The protocol, with its own settings.
    pub kind: Kind,
}

/// The protocol that a mail server speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// SMTP.
    Smtp(smtp::Settings),
    /// The HTTP API of Aliyun DirectMail.
    DirectMail(directmail::Settings),
}

impl Settings {
    /// The SMTP settings; `None` for a server with an HTTP API.
    pub const fn as_smtp(&self) -> Option<&smtp::Settings> {
        match &self.kind {
            Kind::Smtp(settings) => Some(settings),
            Kind::DirectMail(_) => None,
        }
    }
}

/// What every mail server needs besides its settings.
#[derive(Debug, Clone)]
pub struct Context {
    /// Metrics of the protocol steps.
    pub metrics: Arc<Metrics>,
    /// The table that explains refusals.
    pub replies: Arc<explain::Table>,
    /// The clock.
    pub clock: Clock,
    /// Where refresh tokens are stored that a token server has rotated. Without it they are lost at
    /// a restart.
    pub tokens: Option<oauth::TokenHome>,
}

/// Why a mail server cannot be set up. Reported at startup, before any mail is sent.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An SMTP server.
    #[error(transparent)]
    Smtp(#[from] smtp::SetupError),
    /// An HTTP API.
    #[error(transparent)]
    DirectMail(#[from] directmail::SetupError),
}

/// A mail server, ready to send: each call makes one attempt.
#[derive(Debug)]
#[cfg_attr(
    test,
    expect(clippy::large_enum_variant, reason = "the one in memory is for tests")
)]
pub enum Transport {
    /// SMTP. Boxed because it is large.
    Smtp(Box<smtp::Smtp>),
    /// The HTTP API of Aliyun DirectMail.
    DirectMail(Box<directmail::DirectMail>),
    /// Keeps mails in memory.
    #[cfg(test)]
    Memory(memory::Memory),
}

impl Transport {
    /// Prepares a server. Opens no connection.
    ///
    /// # Errors
    /// If the settings are unusable, for example a root certificate that cannot be read, or an
    /// endpoint that would receive secrets unencrypted.
    pub fn new(settings: &Settings, context: &Context) -> Result<Self, SetupError> {
        let common = settings.common.clone();
        Ok(match &settings.kind {
            Kind::Smtp(own) => Self::from(smtp::Smtp::new(common, own.clone(), context)?),
            Kind::DirectMail(own) => Self::DirectMail(Box::new(directmail::DirectMail::new(
                common,
                own.clone(),
                context,
            )?)),
        })
    }

    /// Waits for a connection that mails of this lane may use.
    ///
    /// # Errors
    /// As [`ConnectionPermits::acquire`].
    pub async fn acquire(&self, lane: Lane) -> Result<ConnectionPermit<'_>, AcquireError> {
        self.permits().acquire(lane).await
    }

    /// Its connection permits.
    pub fn permits(&self) -> &ConnectionPermits {
        match self {
            Self::Smtp(server) => server.permits(),
            Self::DirectMail(account) => account.permits(),
            #[cfg(test)]
            Self::Memory(memory) => memory.permits(),
        }
    }

    /// Makes one attempt to send a mail, with a permit of [`acquire`](Self::acquire). Once the fence is
    /// over, it writes nothing any more that makes the server deliver the mail.
    ///
    /// # Errors
    /// Why the attempt failed. The caller records it; it is not a program error.
    pub async fn send_on(
        &self,
        permit: ConnectionPermit<'_>,
        email: &Email,
        fence: &Fence,
    ) -> Result<Receipt, Failure> {
        match self {
            Self::Smtp(server) => server.send_on(permit, email, fence).await,
            Self::DirectMail(account) => account.send_on(permit, email, fence).await,
            #[cfg(test)]
            Self::Memory(memory) => memory.send(email, fence),
        }
    }

    /// Waits for a connection as an urgent mail does, and makes one attempt to send a mail.
    ///
    /// # Errors
    /// As [`send_on`](Self::send_on), or because no connection became free.
    pub async fn send(&self, email: &Email) -> Result<Receipt, Failure> {
        let permit = self.acquire(Lane::Urgent).await?;
        self.send_on(permit, email, &Fence::none()).await
    }

    /// Checks that the server can be reached and accepts the login, as far as possible without
    /// sending a mail.
    ///
    /// # Errors
    /// As [`Transport::send`].
    pub async fn probe(&self) -> Result<(), Failure> {
        match self {
            Self::Smtp(server) => server.probe().await,
            Self::DirectMail(account) => account.probe().await,
            #[cfg(test)]
            Self::Memory(_) => Ok(()),
        }
    }

    /// The server's name in logs, metrics and on the status page.
    pub fn name(&self) -> &ServerName {
        match self {
            Self::Smtp(server) => server.name(),
            Self::DirectMail(account) => account.name(),
            #[cfg(test)]
            Self::Memory(memory) => memory.name(),
        }
    }

    /// How many idle connections are kept open.
    pub fn idle(&self) -> usize {
        match self {
            Self::Smtp(server) => server.idle(),
            Self::DirectMail(_) => 0,
            #[cfg(test)]
            Self::Memory(_) => 0,
        }
    }

    /// Closes idle connections for which there is no permit any more: at most `removed`, the number
    /// of permits that were removed and not given to another node yet.
    pub async fn trim(&self, removed: usize) {
        if let Self::Smtp(server) = self {
            server.trim(removed).await;
        }
    }

    /// Refuses further permits and closes idle connections with QUIT, which takes at most 3 s.
    pub async fn close(&self) {
        match self {
            Self::Smtp(server) => server.close().await,
            Self::DirectMail(account) => account.permits().close(),
            #[cfg(test)]
            Self::Memory(memory) => memory.permits().close(),
        }
    }
}

impl From<smtp::Smtp> for Transport {
    fn from(server: smtp::Smtp) -> Self {
        Self::Smtp(Box::new(server))
    }
}
