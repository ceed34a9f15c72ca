//! One try on one server: composes the wire form, speaks the protocol, classifies what comes back.
//!
//! lettre composes our mails; it does not send them. What its transport (0.11.23) was found to do, and why [`smtp`] speaks for itself:
//!
//! * it never sets `TCP_NODELAY` and writes body and final dot apart: 40 ms a mail, 22 mails/s a connection;
//! * dropping a send half way, as a time limit from outside does, puts the half-used connection back into its pool, and the next mail reads
//!   the last one's answers;
//! * only connecting is limited in time: the TLS handshake, the greeting and every answer may take for ever;
//! * answers that are not UTF-8 become network errors, and QQ words its refusals in GBK: the most useful diagnosis would be lost;
//! * the stage of a refusal and its enhanced code are not told, and what a failure means hangs on the stage;
//! * the pool bounds parked connections only, and one refused recipient costs a reconnect, a handshake and a login;
//! * bytes that came in clear behind the answer to STARTTLS are kept, and a password goes in clear without a word.
//!
//! In the tests its transport stays as a second opinion: what both send must arrive equal.

pub mod compose;
pub mod memory;
pub mod providers;
pub mod smtp;

use crate::domain::{Email, Failure, Receipt, ServerName};

/// A way for a mail to leave: one try on one server.
#[derive(Debug)]
pub enum Transport {
    /// By SMTP; boxed, being much larger than the other.
    Smtp(Box<smtp::Smtp>),
    /// Nowhere: kept for a test to look at.
    Memory(memory::Memory),
}

impl Transport {
    /// Tries to hand one mail over, once.
    ///
    /// # Errors
    /// What it came to: data for the attempt, not a program error.
    pub async fn send(&self, email: &Email) -> Result<Receipt, Failure> {
        match self {
            Self::Smtp(server) => server.send(email).await,
            Self::Memory(memory) => memory.send(email),
        }
    }

    /// Tries whether the server can be reached and lets us in; sends nothing.
    ///
    /// # Errors
    /// As [`Transport::send`].
    pub async fn probe(&self) -> Result<(), Failure> {
        match self {
            Self::Smtp(server) => server.probe().await,
            Self::Memory(_) => Ok(()),
        }
    }

    /// What logs and the status page call the server.
    pub const fn name(&self) -> &ServerName {
        match self {
            Self::Smtp(server) => server.name(),
            Self::Memory(memory) => memory.name(),
        }
    }

    /// The longest that one try can take, all time limits together.
    pub fn longest_try(&self) -> std::time::Duration {
        match self {
            Self::Smtp(server) => server.settings().longest_try(),
            Self::Memory(_) => std::time::Duration::ZERO,
        }
    }

    /// Closes idle connections politely, within 3 s; no send begins after it.
    pub async fn close(&self) {
        match self {
            Self::Smtp(server) => server.close().await,
            Self::Memory(_) => {}
        }
    }
}

impl From<smtp::Smtp> for Transport {
    fn from(server: smtp::Smtp) -> Self {
        Self::Smtp(Box::new(server))
    }
}
