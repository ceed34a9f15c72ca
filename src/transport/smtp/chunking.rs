//! Sends MAIL, RCPT and BDAT with the whole message in a single write, which takes one round trip
//! instead of two (RFC 2920, RFC 3030).
//!
//! If sender or recipient is refused, the message is not accepted either (RFC 3030 §4.2: the server
//! reads the chunk and replies to it). But if the connection is lost before the first reply, it is
//! unknown whether the mail was accepted, as after the final dot of DATA. Therefore this is used
//! only if the round trip is long, and only on a session over which a mail was accepted a moment
//! ago. On a new connection, or an idle one, which many servers close without a reply, DATA is
//! used: if the connection is lost before the message, the mail can safely go to the next server.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::envelope::refused;
use super::session::Session;
use super::state::{PayloadProgress, SessionState};
use crate::domain::{Failure, Receipt, Stage};
use crate::transport::compose::WireMessage;

/// The shortest round trip for which it is worthwhile. In a local network it is far below.
const MIN_ROUND_TRIP: Duration = Duration::from_millis(5);
/// The maximum age of the session's last reply.
const MAX_IDLE: Duration = Duration::from_secs(1);
/// The largest message. Writing a larger one takes longer than the round trip, and is wasted if the
/// server refuses the recipient.
const MAX_MESSAGE: usize = 256 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// The message, if it should be sent with BDAT over this session now.
    pub(super) fn chunk<'w>(&self, wire: &'w WireMessage<'_>) -> Option<&'w [u8]> {
        let supported = self.capabilities.pipelining
            && self.capabilities.chunking
            && self.state == SessionState::Ready;
        let worthwhile = self.round_trip >= MIN_ROUND_TRIP
            && self.mails > 0
            && self.last_reply_at.elapsed() <= MAX_IDLE;
        wire.unstuffed()
            .filter(|message| supported && worthwhile && message.len() <= MAX_MESSAGE)
    }

    /// Sends envelope and message in one write.
    pub(super) async fn deliver_chunk(
        &mut self,
        wire: &WireMessage<'_>,
        message: &[u8],
    ) -> Result<Receipt, Failure> {
        self.check_in_step(Stage::Mail).await?;
        self.check_fence(Stage::Mail)?;
        let started = Instant::now();
        let mut commands = String::with_capacity(256);
        for stage in [Stage::Mail, Stage::Rcpt] {
            self.command(stage, wire, &mut commands);
        }
        let bdat = format!("BDAT {} LAST", message.len());
        commands.push_str(&bdat);
        commands.push_str("\r\n");
        let mut bytes = commands.into_bytes();
        bytes.extend_from_slice(message);
        self.progress = PayloadProgress::Payload;
        // The replies to MAIL and RCPT may arrive during the write, the one to BDAT may not.
        if let Err((error, complete)) = self
            .connection
            .write_payload(&bytes, 2, self.limits.data, &self.fence)
            .await
        {
            return Err(self.lost(if complete { Stage::Dot } else { Stage::Data }, &error));
        }
        self.progress = PayloadProgress::All;
        self.read_chunk_replies(wire, &bdat, started).await
    }

    async fn read_chunk_replies(
        &mut self,
        wire: &WireMessage<'_>,
        bdat: &str,
        started: Instant,
    ) -> Result<Receipt, Failure> {
        for (stage, left) in [(Stage::Mail, 2), (Stage::Rcpt, 1)] {
            let shown = self.shown(stage, wire);
            match self
                .read_reply(stage, &shown, self.limits.envelope, started)
                .await?
            {
                200..300 => {}
                code @ 400.. => {
                    let refusal = self.refusal(stage, code, refused(stage));
                    // The server cannot have accepted a mail whose sender or recipient it refuses.
                    self.progress = PayloadProgress::Envelope;
                    self.skip_replies(left, started).await;
                    return Err(refusal);
                }
                code => {
                    self.state = SessionState::Broken;
                    return Err(self.refusal(
                        Stage::Dot,
                        code,
                        "replies and commands are out of step",
                    ));
                }
            }
        }
        self.verdict(bdat, started).await
    }

    /// Reads the replies to the commands after a refused one, so that the next mail is in step. The
    /// last of them is the reply to BDAT.
    async fn skip_replies(&mut self, left: usize, started: Instant) {
        let gone = self.gone;
        for stage in [Stage::Rcpt, Stage::Dot].into_iter().skip(2 - left) {
            if !self.is_usable() {
                break;
            }
            let answered = self
                .read_reply(stage, "", self.limits.envelope, started)
                .await;
            let refused = matches!(answered, Ok(400..));
            if self.is_usable() {
                // If BDAT was accepted in spite of the refusal, the state of the server is unknown.
                self.state = if refused || stage == Stage::Rcpt {
                    SessionState::NeedsReset
                } else {
                    SessionState::Broken
                };
            }
        }
        // A connection lost afterwards is no reason to repeat a refused mail.
        self.gone = gone;
    }
}
