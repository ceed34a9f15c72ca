//! Delivers one mail over an open session: envelope, message, verdict. The faster way to a distant
//! server is in [`super::chunking`].

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::exchange::REASON_TIMEOUT;
use super::framing::ReadError;
use super::session::Session;
use super::state::{PayloadProgress, SessionState};
use crate::clock::Fence;
use crate::domain::{Failure, Receipt, Stage};
use crate::transport::compose::WireMessage;
use crate::transport::explain::LocalError;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Delivers one mail. [`Session::is_usable`] then tells whether the session can take another.
    ///
    /// Once the fence is over, nothing is written any more. After the final dot, the reply is waited
    /// for in any case.
    ///
    /// # Errors
    /// The step that failed, classified.
    pub async fn deliver(
        &mut self,
        wire: &WireMessage<'_>,
        fence: &Fence,
    ) -> Result<Receipt, Failure> {
        self.progress = PayloadProgress::Envelope;
        self.fence = fence.clone();
        if let Some(failure) = self.unacceptable(wire) {
            return Err(failure);
        }
        if let Some(message) = self.chunk(wire) {
            return self.deliver_chunk(wire, message).await;
        }
        self.envelope(wire).await?;
        // Lets the runtime read anything that has arrived after the 354.
        tokio::task::yield_now().await;
        self.check_in_step(Stage::Data).await?;
        self.progress = PayloadProgress::Payload;
        self.payload(wire).await
    }

    /// Whether the session turned out to be dead before any of the payload was written, so that the
    /// mail may be sent over a new one.
    pub(super) const fn died_before_payload(&self) -> bool {
        self.gone
            && matches!(
                (self.progress, self.state),
                (PayloadProgress::Envelope, SessionState::Broken)
            )
    }

    /// Whether another mail can be sent over this session.
    pub const fn is_usable(&self) -> bool {
        !matches!(self.state, SessionState::Broken)
    }

    /// The failure of a mail that the server cannot accept according to its EHLO reply.
    pub(super) fn unacceptable(&self, wire: &WireMessage<'_>) -> Option<Failure> {
        let (error, detail) = match self.capabilities.max_size {
            Some(limit) if u64::try_from(wire.size).unwrap_or(u64::MAX) > limit => (
                LocalError::TooLarge,
                format!(
                    "the mail has {} octets, the server takes at most {limit}",
                    wire.size
                ),
            ),
            _ if wire.needs_smtputf8 && !self.capabilities.smtputf8 => (
                LocalError::Smtputf8NotOffered,
                "an address outside ASCII needs SMTPUTF8, which the server does not offer (5.6.7): use the recipient's ASCII address".to_owned(),
            ),
            _ => return None,
        };
        Some(self.classifier.local_failure(Stage::Mail, error, detail))
    }

    async fn payload(&mut self, wire: &WireMessage<'_>) -> Result<Receipt, Failure> {
        let started = Instant::now();
        if let Err((error, complete)) = self
            .connection
            .write_payload(&wire.payload, 0, self.limits.data, &self.fence)
            .await
        {
            let failure = self.lost(if complete { Stage::Dot } else { Stage::Data }, &error);
            let reason = if complete || matches!(error, ReadError::LeaseOver) {
                None
            } else {
                self.closing_reason(started).await
            };
            return Err(reason.unwrap_or(failure));
        }
        self.verdict("(the message and a dot)", started).await
    }

    /// Reads the reply to the whole message.
    pub(super) async fn verdict(
        &mut self,
        command: &str,
        started: Instant,
    ) -> Result<Receipt, Failure> {
        let code = self
            .read_reply(Stage::Dot, command, self.limits.verdict, started)
            .await?;
        if code / 100 == 2 {
            self.mails += 1;
            return Ok(Receipt {
                reply: self.reply(code),
            });
        }
        if self.is_usable() {
            self.state = if code < 400 {
                SessionState::Broken
            } else {
                SessionState::NeedsReset
            };
        }
        Err(self.refusal(Stage::Dot, code, "the server did not accept the message"))
    }

    /// Reads the reason that a server often sends before it closes the connection during the
    /// message. Without the final dot, only a refusal is possible.
    async fn closing_reason(&mut self, started: Instant) -> Option<Failure> {
        let code = self
            .read_reply(Stage::Data, "(the message)", REASON_TIMEOUT, started)
            .await
            .ok()?;
        self.state = SessionState::Broken;
        (code >= 400).then(|| {
            self.refusal(
                Stage::Data,
                code,
                "the server closed the connection during the message",
            )
        })
    }
}
