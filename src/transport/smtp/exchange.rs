//! Commands and their replies, in step: nothing is written while a reply is unread.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::framing::ReadError;
use super::reply;
use super::session::Session;
use super::state::{PayloadProgress, SessionState};
use crate::domain::{Failure, Reply, Stage};
use crate::secret::Secret;

/// How long to wait for the reason after the server has sent something unasked.
pub(super) const REASON_TIMEOUT: Duration = Duration::from_secs(2);

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Sends one line and returns the code of the reply. The transcript contains `shown` instead of
    /// a line with a secret.
    pub(super) async fn exchange(
        &mut self,
        stage: Stage,
        line: &str,
        shown: Option<&str>,
    ) -> Result<u16, Failure> {
        let started = Instant::now();
        let limit = self.limits.handshake;
        self.write(stage, format!("{line}\r\n").as_bytes(), limit)
            .await?;
        self.read_reply(stage, shown.unwrap_or(line), limit, started)
            .await
    }

    /// Writes one command or several, unless the fence is over. All replies to earlier ones must have
    /// been read.
    pub(super) async fn write(
        &mut self,
        stage: Stage,
        bytes: &[u8],
        limit: Duration,
    ) -> Result<(), Failure> {
        self.check_in_step(stage).await?;
        self.check_fence(stage)?;
        let written = self.connection.write(bytes, limit, &self.fence).await;
        written.map_err(|error| self.lost(stage, &error))
    }

    /// Fails if the fence is over before the command of this stage is written. The session stays
    /// usable unless the server expects a message.
    pub(super) fn check_fence(&mut self, stage: Stage) -> Result<(), Failure> {
        if !self.fence.is_over() {
            return Ok(());
        }
        match stage {
            Stage::Rcpt | Stage::Data => self.state = SessionState::NeedsReset,
            Stage::Dot => self.state = SessionState::Broken,
            _ => {}
        }
        Err(Failure::lease_over(stage))
    }

    /// Checks that no reply is unread before something is written. A server may send 421 unasked
    /// (RFC 5321 §3.8); any other reply means that commands and replies are out of step, and breaks
    /// the session.
    pub(super) async fn check_in_step(&mut self, stage: Stage) -> Result<(), Failure> {
        match self.connection.check_in_step(0).await {
            Ok(()) => Ok(()),
            Err(ReadError::OutOfStep) => {
                match self
                    .read_reply(stage, "", REASON_TIMEOUT, Instant::now())
                    .await
                {
                    Ok(421) => Err(self.refusal(stage, 421, "the server ends the session")),
                    _ => Err(self.lost(stage, &ReadError::OutOfStep)),
                }
            }
            Err(error) => Err(self.lost(stage, &error)),
        }
    }

    /// Reads the reply to `command`. A 421 or a lost connection breaks the session.
    pub(super) async fn read_reply(
        &mut self,
        stage: Stage,
        command: &str,
        limit: Duration,
        since: Instant,
    ) -> Result<u16, Failure> {
        let answer = self.connection.read_reply(limit).await;
        let took = since.elapsed();
        self.recorder.record(stage, took, || match &answer {
            Ok(code) => (command.to_owned(), Some(self.reply(*code)), String::new()),
            Err(error) => (command.to_owned(), None, error.to_string()),
        });
        self.last_reply_at = Instant::now();
        // A greeting is not a reply; it may have arrived long before it is read.
        if stage != Stage::Greeting {
            self.round_trip = self.round_trip.min(took);
        }
        if let Ok(421) = answer {
            self.state = SessionState::Broken;
            self.gone = true;
        }
        answer.map_err(|error| self.lost(stage, &error))
    }

    /// The reply read last.
    pub(super) fn reply(&self, code: u16) -> Reply {
        let mut reply = reply::reply(code, self.connection.lines());
        for secret in self
            .hidden
            .iter()
            .map(Secret::expose)
            .filter(|secret| !secret.is_empty())
        {
            reply.text = reply.text.replace(secret, "***");
        }
        reply
    }

    /// The failure that the reply read last means.
    pub(super) fn refusal(&self, stage: Stage, code: u16, detail: &str) -> Failure {
        self.classifier.refusal(
            stage,
            self.reply(code),
            format!("{detail} (it answered {code})"),
        )
    }

    pub(super) fn lost(&mut self, stage: Stage, error: &ReadError) -> Failure {
        self.state = SessionState::Broken;
        self.gone = error.is_gone() || matches!(error, ReadError::OutOfStep);
        self.classifier.read_failure(
            if self.progress == PayloadProgress::All {
                Stage::Dot
            } else {
                stage
            },
            error,
            self.progress != PayloadProgress::Envelope,
        )
    }
}
