//! The envelope of a mail: MAIL, RCPT and DATA, in one write if the server allows it (RFC 2920).

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::session::Session;
use super::state::SessionState;
use crate::domain::{Failure, Stage};
use crate::transport::compose::WireMessage;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Sends the envelope. Afterwards the server expects the message.
    pub(super) async fn envelope(&mut self, wire: &WireMessage<'_>) -> Result<(), Failure> {
        if self.capabilities.pipelining {
            return self.pipelined_envelope(wire).await;
        }
        if self.state == SessionState::NeedsReset {
            self.reset().await?;
        }
        self.sequential_envelope(&[Stage::Mail, Stage::Rcpt, Stage::Data], wire)
            .await
    }

    /// Checks whether the server would accept the mail: sends MAIL and RCPT, then RSET.
    ///
    /// # Errors
    /// The step that failed, classified as for a mail.
    pub async fn dry_run(&mut self, wire: &WireMessage<'_>) -> Result<(), Failure> {
        if let Some(failure) = self.unacceptable(wire) {
            return Err(failure);
        }
        self.sequential_envelope(&[Stage::Mail, Stage::Rcpt], wire)
            .await?;
        self.reset().await
    }

    /// Sends all commands in one write, then reads their replies.
    async fn pipelined_envelope(&mut self, wire: &WireMessage<'_>) -> Result<(), Failure> {
        let started = Instant::now();
        let reset = self.state == SessionState::NeedsReset;
        let mut commands = String::with_capacity(256);
        if reset {
            commands.push_str("RSET\r\n");
        }
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
            self.command(stage, wire, &mut commands);
        }
        self.write(
            if reset { Stage::Rset } else { Stage::Mail },
            commands.as_bytes(),
            self.limits.envelope,
        )
        .await?;
        if reset {
            self.read_reset_reply(started).await?;
        }
        let mut refused: Option<Failure> = None;
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
            let outcome = self.read_envelope_reply(stage, wire, started).await;
            match outcome {
                // The server expects the message although it has refused sender or recipient, so
                // an empty one must be sent (RFC 2920 §3.1).
                Ok(()) if stage == Stage::Data && refused.is_some() => self.close_empty().await,
                Ok(()) => {}
                Err(failure) => {
                    refused.get_or_insert(failure);
                    if !self.is_usable() {
                        break;
                    }
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Sends one command after the other, and reads the reply to each.
    async fn sequential_envelope(
        &mut self,
        stages: &[Stage],
        wire: &WireMessage<'_>,
    ) -> Result<(), Failure> {
        for stage in stages.iter().copied() {
            let started = Instant::now();
            let mut line = String::new();
            self.command(stage, wire, &mut line);
            self.write(stage, line.as_bytes(), self.limits.envelope)
                .await?;
            self.read_envelope_reply(stage, wire, started).await?;
        }
        Ok(())
    }

    /// Appends the command of a stage to `out`.
    pub(super) fn command(&self, stage: Stage, wire: &WireMessage<'_>, out: &mut String) {
        let mut push = |parts: &[&str]| parts.iter().for_each(|part| out.push_str(part));
        match stage {
            Stage::Mail => {
                push(&["MAIL FROM:<", wire.sender.as_str(), ">"]);
                if self.capabilities.size {
                    push(&[" SIZE=", &wire.size.to_string()]);
                }
                // Headers in UTF-8 are eight-bit octets (RFC 6531 §3.6).
                push(&[if wire.needs_smtputf8 {
                    " BODY=8BITMIME SMTPUTF8\r\n"
                } else {
                    "\r\n"
                }]);
            }
            Stage::Rcpt => push(&["RCPT TO:<", wire.recipient.as_str(), ">\r\n"]),
            _ => push(&["DATA\r\n"]),
        }
    }

    /// The command of a stage for the transcript, with addresses masked.
    pub(super) fn shown(&self, stage: Stage, wire: &WireMessage<'_>) -> String {
        match stage {
            _ if !self.recorder.has_transcript() => String::new(),
            Stage::Mail => format!("MAIL FROM:<{}>", wire.sender.masked()),
            Stage::Rcpt => format!("RCPT TO:<{}>", wire.recipient.masked()),
            _ => "DATA".to_owned(),
        }
    }

    async fn reset(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        self.write(Stage::Rset, b"RSET\r\n", self.limits.envelope)
            .await?;
        self.read_reset_reply(started).await
    }

    async fn read_reset_reply(&mut self, started: Instant) -> Result<(), Failure> {
        let code = self
            .read_reply(Stage::Rset, "RSET", self.limits.envelope, started)
            .await?;
        if code == 250 {
            self.state = SessionState::Ready;
            return Ok(());
        }
        // The session is of no use, so the mail is sent over a new connection.
        (self.state, self.gone) = (SessionState::Broken, true);
        Err(self.refusal(Stage::Rset, code, "the server does not reset the session"))
    }

    async fn read_envelope_reply(
        &mut self,
        stage: Stage,
        wire: &WireMessage<'_>,
        started: Instant,
    ) -> Result<(), Failure> {
        let shown = self.shown(stage, wire);
        let code = self
            .read_reply(stage, &shown, self.limits.envelope, started)
            .await?;
        let accepted = match stage {
            Stage::Mail | Stage::Rcpt => code / 100 == 2,
            _ => code == 354,
        };
        if accepted {
            return Ok(());
        }
        if code < 400 {
            // An unexpected success: replies and commands are out of step, so the mail is sent over
            // a new connection.
            (self.state, self.gone) = (SessionState::Broken, true);
        } else if self.is_usable() {
            self.state = SessionState::NeedsReset;
        }
        Err(self.refusal(stage, code, refused(stage)))
    }

    /// Sends an empty message, which is not delivered because sender or recipient was refused. The
    /// session remains usable if the server answers.
    async fn close_empty(&mut self) {
        let started = Instant::now();
        let closed = self.write(Stage::Dot, b".\r\n", self.limits.envelope).await;
        if closed.is_ok()
            && self
                .read_reply(Stage::Dot, ".", self.limits.envelope, started)
                .await
                .is_ok()
            && self.is_usable()
        {
            self.state = SessionState::NeedsReset;
        }
    }
}

/// The failure of a command of the envelope in a few words.
pub(super) const fn refused(stage: Stage) -> &'static str {
    match stage {
        Stage::Mail => "the server refused the sender",
        Stage::Rcpt => "the server refused the recipient",
        _ => "the server refused to take the message",
    }
}
