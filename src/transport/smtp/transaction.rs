//! One mail over an open session: MAIL, RCPT, DATA, the message, the verdict. The short way to a
//! far server is in [`super::chunking`].

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite};

use super::exchange::LAST_WORDS;
use super::session::Session;
use super::state::{PayloadProgress, SessionState};
use crate::domain::{Failure, Receipt, Stage};
use crate::transport::compose::WireMessage;
use crate::transport::explain::LocalError;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Hands one mail over.
    ///
    /// # Errors
    /// The step that failed, classified. Whether the session can take another mail after that is
    /// its own to say.
    pub async fn deliver(&mut self, wire: &WireMessage<'_>) -> Result<Receipt, Failure> {
        self.progress = PayloadProgress::Envelope;
        if let Some(failure) = self.unacceptable(wire) {
            return Err(failure);
        }
        if let Some(message) = self.chunk(wire) {
            return self.deliver_chunk(wire, message).await;
        }
        let envelope = if self.can.pipelining {
            self.envelope_at_once(wire).await
        } else {
            self.envelope_in_turn(wire).await
        };
        envelope?;
        // Lets the runtime see what has arrived right behind the 354.
        tokio::task::yield_now().await;
        self.check_in_step(Stage::Data).await?;
        self.progress = PayloadProgress::Payload;
        self.payload(wire).await
    }

    /// Whether the session was found dead before anything of the mail's payload was written: the
    /// mail may be tried on a fresh one.
    pub(super) const fn was_gone_beforehand(&self) -> bool {
        self.gone
            && matches!(
                (self.progress, self.state),
                (PayloadProgress::Envelope, SessionState::Broken)
            )
    }

    /// Whether another mail can go over this session.
    pub const fn is_usable(&self) -> bool {
        !matches!(self.state, SessionState::Broken)
    }

    /// What the server's EHLO rules out already; nothing is sent then.
    pub(super) fn unacceptable(&self, wire: &WireMessage<'_>) -> Option<Failure> {
        match self.can.size.flatten() {
            Some(limit) if u64::try_from(wire.size).unwrap_or(u64::MAX) > limit => {
                Some(self.classifier.local_failure(
                    Stage::Mail,
                    LocalError::TooLarge,
                    format!(
                        "the mail has {} octets, the server takes at most {limit}",
                        wire.size
                    ),
                ))
            }
            _ if wire.needs_smtputf8 && !self.can.smtputf8 => {
                let why = "an address outside ASCII needs SMTPUTF8, which the server does not offer (5.6.7): use the recipient's ASCII address";
                Some(self.classifier.local_failure(
                    Stage::Mail,
                    LocalError::Smtputf8NotOffered,
                    why,
                ))
            }
            _ => None,
        }
    }

    /// RFC 2920: the whole envelope in one write, then as many answers.
    async fn envelope_at_once(&mut self, wire: &WireMessage<'_>) -> Result<(), Failure> {
        let started = Instant::now();
        let reset = self.state == SessionState::NeedsReset;
        let group = self.group(wire, reset);
        self.write(
            if reset { Stage::Rset } else { Stage::Mail },
            group.as_bytes(),
            self.limits.envelope,
        )
        .await?;
        if reset {
            self.reset_answered(started).await?;
        }
        let mut refused: Option<Failure> = None;
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
            let outcome = self.envelope_answer(stage, wire, started).await;
            match outcome {
                // The server has opened the message although somebody was refused: it must be
                // closed, empty (RFC 2920 §3.1).
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

    async fn envelope_in_turn(&mut self, wire: &WireMessage<'_>) -> Result<(), Failure> {
        if self.state == SessionState::NeedsReset {
            self.reset().await?;
        }
        self.in_turn(&[Stage::Mail, Stage::Rcpt, Stage::Data], wire)
            .await
    }

    pub(super) async fn reset(&mut self) -> Result<(), Failure> {
        let started = Instant::now();
        self.write(Stage::Rset, b"RSET\r\n", self.limits.envelope)
            .await?;
        self.reset_answered(started).await
    }

    /// One command after the other, each with its answer.
    pub(super) async fn in_turn(
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
            self.envelope_answer(stage, wire, started).await?;
        }
        Ok(())
    }

    fn group(&self, wire: &WireMessage<'_>, reset: bool) -> String {
        let mut group =
            String::with_capacity(wire.sender.as_str().len() + wire.recipient.as_str().len() + 96);
        if reset {
            group.push_str("RSET\r\n");
        }
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
            self.command(stage, wire, &mut group);
        }
        group
    }

    pub(super) fn command(&self, stage: Stage, wire: &WireMessage<'_>, out: &mut String) {
        match stage {
            Stage::Mail => {
                push(out, &["MAIL FROM:<", wire.sender.as_str(), ">"]);
                if self.can.size.is_some() {
                    push(out, &[" SIZE=", &wire.size.to_string()]);
                }
                // Headers in UTF-8 are eight-bit octets (RFC 6531 §3.6).
                push(
                    out,
                    &[if wire.needs_smtputf8 {
                        " BODY=8BITMIME SMTPUTF8\r\n"
                    } else {
                        "\r\n"
                    }],
                );
            }
            Stage::Rcpt => push(out, &["RCPT TO:<", wire.recipient.as_str(), ">\r\n"]),
            _ => out.push_str("DATA\r\n"),
        }
    }

    /// What of the envelope a transcript shows: addresses masked.
    pub(super) fn shown(&self, stage: Stage, wire: &WireMessage<'_>) -> String {
        match stage {
            _ if !self.recorder.keeps() => String::new(),
            Stage::Mail => format!("MAIL FROM:<{}>", wire.sender.masked()),
            Stage::Rcpt => format!("RCPT TO:<{}>", wire.recipient.masked()),
            _ => "DATA".to_owned(),
        }
    }

    async fn reset_answered(&mut self, started: Instant) -> Result<(), Failure> {
        let code = self
            .answer(Stage::Rset, "RSET", self.limits.envelope, started)
            .await?;
        if code == 250 {
            self.state = SessionState::Ready;
            return Ok(());
        }
        // As good as gone: the mail belongs on a fresh connection.
        (self.state, self.gone) = (SessionState::Broken, true);
        Err(self.refusal(Stage::Rset, code, "the server does not reset the session"))
    }

    async fn envelope_answer(
        &mut self,
        stage: Stage,
        wire: &WireMessage<'_>,
        started: Instant,
    ) -> Result<(), Failure> {
        let shown = self.shown(stage, wire);
        let code = self
            .answer(stage, &shown, self.limits.envelope, started)
            .await?;
        let (welcome, detail) = match stage {
            Stage::Mail => (code / 100 == 2, "the server refused the sender"),
            Stage::Rcpt => (code / 100 == 2, "the server refused the recipient"),
            _ => (code == 354, "the server refused to take the message"),
        };
        if welcome {
            return Ok(());
        }
        if code < 400 {
            // A yes where none belongs: answers and commands are out of step, and the mail belongs
            // on a fresh connection.
            (self.state, self.gone) = (SessionState::Broken, true);
        } else if self.is_usable() {
            self.state = SessionState::NeedsReset;
        }
        Err(self.refusal(stage, code, detail))
    }

    /// Ends a message that was opened for nobody; the session goes on after it, or is broken.
    async fn close_empty(&mut self) {
        let started = Instant::now();
        let closed = self.write(Stage::Dot, b".\r\n", self.limits.envelope).await;
        if closed.is_ok()
            && self
                .answer(Stage::Dot, ".", self.limits.envelope, started)
                .await
                .is_ok()
            && self.is_usable()
        {
            self.state = SessionState::NeedsReset;
        }
    }

    async fn payload(&mut self, wire: &WireMessage<'_>) -> Result<Receipt, Failure> {
        let started = Instant::now();
        if let Err((loss, whole)) = self
            .connection
            .write_payload(&wire.payload, 0, self.limits.data)
            .await
        {
            let failure = self.lost(if whole { Stage::Dot } else { Stage::Data }, &loss);
            let reason = if whole {
                None
            } else {
                self.last_words(started).await
            };
            return Err(reason.unwrap_or(failure));
        }
        self.verdict("(the message and a dot)", started).await
    }

    /// What the server says to the whole message.
    pub(super) async fn verdict(
        &mut self,
        said: &str,
        started: Instant,
    ) -> Result<Receipt, Failure> {
        let code = self
            .answer(Stage::Dot, said, self.limits.verdict, started)
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

    /// A server that breaks off in the middle of a message has often said why. Without the final
    /// dot only a refusal can be meant.
    async fn last_words(&mut self, started: Instant) -> Option<Failure> {
        let code = self
            .answer(Stage::Data, "(the message)", LAST_WORDS, started)
            .await
            .ok()?;
        self.state = SessionState::Broken;
        (code >= 400).then(|| {
            self.refusal(
                Stage::Data,
                code,
                "the server broke off in the middle of the message",
            )
        })
    }
}

fn push(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}
