//! One try on one server: composes the wire form, speaks the protocol, classifies what comes back.
//!
//! lettre composes our mails; it does not send them. What its transport (0.11.23) was found to do,
//! and why [`smtp`] speaks for itself:
//!
//! * it never sets `TCP_NODELAY` and writes body and final dot apart: 40 ms a mail, 22 mails/s a
//!   connection;
//! * dropping a send half way, as a time limit from outside does, puts the half-used connection
//!   back into its pool, and the next mail reads the last one's answers;
//! * only connecting is limited in time: the TLS handshake, the greeting and every answer may take
//!   for ever;
//! * answers that are not UTF-8 become network errors, and QQ words its refusals in GBK: the most
//!   useful diagnosis would be lost;
//! * the stage of a refusal and its enhanced code are not told, and what a failure means hangs on
//!   the stage;
//! * the pool bounds parked connections only, and one refused recipient costs a reconnect, a
//!   handshake and a login;
//! * bytes that came in clear behind the answer to STARTTLS are kept, and a password goes in clear
//!   without a word.
//!
//! In the tests its transport stays as a second opinion: what both send must arrive equal.

pub mod compose;
pub mod directmail;
pub mod explain;
pub mod http;
pub mod memory;
pub mod oauth;
pub mod providers;
mod settings;
pub mod smtp;

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::domain::{Email, Failure, Receipt, ServerName};
use crate::telemetry::metrics::Metrics;

pub use settings::Settings;

/// What all ways share.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where steps are counted.
    pub metrics: Arc<Metrics>,
    /// What refusals mean.
    pub replies: Arc<explain::Table>,
    /// The time.
    pub clock: Clock,
    /// Where refresh tokens that a token server replaces are kept (`queue.state_dir`); without it a
    /// restart loses them.
    pub state_dir: Option<PathBuf>,
}

/// Why a mail server cannot be set up. Found at start, before anything is sent.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Its SMTP cannot.
    #[error(transparent)]
    Smtp(#[from] smtp::SetupError),
    /// Its HTTP API cannot.
    #[error(transparent)]
    DirectMail(#[from] directmail::SetupError),
}

/// A way for a mail to leave: one try on one server.
#[derive(Debug)]
pub enum Transport {
    /// By SMTP; boxed, as the next one, being much larger than the last.
    Smtp(Box<smtp::Smtp>),
    /// By Aliyun DirectMail's HTTP API.
    DirectMail(Box<directmail::DirectMail>),
    /// Nowhere: kept for a test to look at.
    Memory(memory::Memory),
}

impl Transport {
    /// Prepares a server; opens no connection.
    ///
    /// # Errors
    /// When its settings do not work: a root certificate that cannot be read, an address that
    /// secrets must not go to.
    pub fn new(settings: &Settings, context: &Context) -> Result<Self, SetupError> {
        Ok(match settings {
            Settings::Smtp(settings) => Self::from(smtp::Smtp::new(settings.clone(), context)?),
            Settings::DirectMail(settings) => Self::DirectMail(Box::new(
                directmail::DirectMail::new(settings.clone(), context)?,
            )),
        })
    }

    /// Tries to hand one mail over, once.
    ///
    /// # Errors
    /// What it came to: data for the attempt, not a program error.
    pub async fn send(&self, email: &Email) -> Result<Receipt, Failure> {
        match self {
            Self::Smtp(server) => server.send(email).await,
            Self::DirectMail(account) => account.send(email).await,
            Self::Memory(memory) => memory.send(email),
        }
    }

    /// Tries whether the server can be reached and, as far as that shows without a mail, lets us
    /// in; sends nothing.
    ///
    /// # Errors
    /// As [`Transport::send`].
    pub async fn probe(&self) -> Result<(), Failure> {
        match self {
            Self::Smtp(server) => server.probe().await,
            Self::DirectMail(account) => account.probe().await,
            Self::Memory(_) => Ok(()),
        }
    }

    /// What logs and the status page call the server.
    pub fn name(&self) -> &ServerName {
        match self {
            Self::Smtp(server) => server.name(),
            Self::DirectMail(account) => account.name(),
            Self::Memory(memory) => memory.name(),
        }
    }

    /// Closes idle connections politely, within 3 s; no send begins after it.
    pub async fn close(&self) {
        match self {
            Self::Smtp(server) => server.close().await,
            Self::DirectMail(_) | Self::Memory(_) => {}
        }
    }
}

impl From<smtp::Smtp> for Transport {
    fn from(server: smtp::Smtp) -> Self {
        Self::Smtp(Box::new(server))
    }
}
