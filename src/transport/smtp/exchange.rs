//! Commands and their answers, in step: nothing is written while an answer stands unread.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::framing::ReadError;
use super::reply;
use super::session::Session;
use super::state::{PayloadProgress, SessionState};
use crate::domain::{Failure, Reply, Stage};
use crate::secret::Secret;

/// How long to listen for the reason when the server breaks off without being asked.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// Sends one line and reads the answer's code; `shown` stands in the transcript where the line
    /// holds a secret.
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
        self.answer(stage, shown.unwrap_or(line), limit, started)
            .await
    }

    /// Writes one command, or a group of them. All answers to earlier ones must have been read.
    pub(super) async fn write(
        &mut self,
        stage: Stage,
        bytes: &[u8],
        limit: Duration,
    ) -> Result<(), Failure> {
        self.check_in_step(stage).await?;
        let written = self.connection.write(bytes, limit).await;
        written.map_err(|loss| self.lost(stage, &loss))
    }

    /// Makes sure that no answer stands unread before something is written. A 421 may come unasked
    /// (RFC 5321 §3.8); any other answer shows that the two ends are out of step, and the
    /// connection is given up.
    pub(super) async fn check_in_step(&mut self, stage: Stage) -> Result<(), Failure> {
        match self.connection.check_in_step(0).await {
            Ok(()) => Ok(()),
            Err(ReadError::OutOfStep) => {
                match self.answer(stage, "", LAST_WORDS, Instant::now()).await {
                    Ok(421) => Err(self.refusal(stage, 421, "the server ends the session")),
                    _ => Err(self.lost(stage, &ReadError::OutOfStep)),
                }
            }
            Err(loss) => Err(self.lost(stage, &loss)),
        }
    }

    /// Reads the answer to `said`; a 421 or a lost connection breaks the session.
    pub(super) async fn answer(
        &mut self,
        stage: Stage,
        said: &str,
        limit: Duration,
        since: Instant,
    ) -> Result<u16, Failure> {
        let answer = self.connection.answer(limit).await;
        let took = since.elapsed();
        self.recorder.note(stage, took, || match &answer {
            Ok(code) => (said.to_owned(), Some(self.reply(*code)), String::new()),
            Err(loss) => (said.to_owned(), None, loss.to_string()),
        });
        self.answered = Instant::now();
        // A greeting answers nothing: it may have come long before anybody waited for it.
        if stage != Stage::Greeting {
            self.round_trip = self.round_trip.min(took);
        }
        if let Ok(421) = answer {
            self.state = SessionState::Broken;
            self.gone = true;
        }
        answer.map_err(|loss| self.lost(stage, &loss))
    }

    /// The answer read last, as text.
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

    /// The failure that the answer read last stands for.
    pub(super) fn refusal(&self, stage: Stage, code: u16, detail: &str) -> Failure {
        self.classifier.refusal(
            stage,
            self.reply(code),
            format!("{detail} (it answered {code})"),
        )
    }

    pub(super) fn lost(&mut self, stage: Stage, loss: &ReadError) -> Failure {
        self.state = SessionState::Broken;
        self.gone = loss.is_gone() || matches!(loss, ReadError::OutOfStep);
        self.classifier.read_failure(
            if self.progress == PayloadProgress::All {
                Stage::Dot
            } else {
                stage
            },
            loss,
            self.progress != PayloadProgress::Envelope,
        )
    }
}
