//! One mail in one piece: MAIL, RCPT and BDAT with the whole message in a single write, so that it
//! costs one round trip and not two (RFC 2920, RFC 3030).
//!
//! All of it is on its way before the first answer comes. A refused sender or recipient still means
//! that nothing was taken (RFC 3030 §4.2: the chunk is read and answered all the same), but a connection
//! that is lost without an answer leaves everything open, as after a final dot. So this is done
//! only where a round trip is long, and only over a session whose server has just taken a mail: a
//! connection that is new, or was idle for a while, which many servers close without a word, gets
//! its mail by DATA. There a break before the message leaves no doubt, and the next server may be
//! asked.

use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};

use super::session::Session;
use super::state::{PayloadProgress, SessionState};
use crate::domain::{Failure, Receipt, Stage};
use crate::transport::compose::WireMessage;

/// From which round trip on it is worth it; on this machine or in its house it is far below.
const FAR: Duration = Duration::from_millis(5);
/// How long ago the session's last answer may be.
const JUST_NOW: Duration = Duration::from_secs(1);
/// The largest message: of a larger one the server's no should be heard first, and its writing
/// takes longer than the round trip.
const MOST: usize = 256 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// The message, if it is to go in one piece over this session now.
    pub(super) fn chunk<'w>(&self, wire: &'w WireMessage<'_>) -> Option<&'w [u8]> {
        let fits = self.can.pipelining && self.can.chunking && self.state == SessionState::Ready;
        let worth = self.round_trip >= FAR && self.mails > 0 && self.answered.elapsed() <= JUST_NOW;
        wire.unstuffed()
            .filter(|message| fits && worth && message.len() <= MOST)
    }

    /// Hands the mail over in one piece.
    pub(super) async fn deliver_chunk(
        &mut self,
        wire: &WireMessage<'_>,
        message: &[u8],
    ) -> Result<Receipt, Failure> {
        self.check_in_step(Stage::Mail).await?;
        let started = Instant::now();
        let mut commands = String::with_capacity(256);
        for stage in [Stage::Mail, Stage::Rcpt] {
            self.command(stage, wire, &mut commands);
        }
        let bdat = format!("BDAT {} LAST", message.len());
        commands.push_str(&bdat);
        commands.push_str("\r\n");
        let mut piece = commands.into_bytes();
        piece.extend_from_slice(message);
        self.progress = PayloadProgress::Payload;
        // MAIL and RCPT may be answered while the chunk is on its way, the chunk itself may not.
        if let Err((loss, whole)) = self
            .connection
            .write_payload(&piece, 2, self.limits.data)
            .await
        {
            return Err(self.lost(if whole { Stage::Dot } else { Stage::Data }, &loss));
        }
        self.progress = PayloadProgress::All;
        self.chunk_replies(wire, &bdat, started).await
    }

    async fn chunk_replies(
        &mut self,
        wire: &WireMessage<'_>,
        bdat: &str,
        started: Instant,
    ) -> Result<Receipt, Failure> {
        for (stage, left) in [(Stage::Mail, 2), (Stage::Rcpt, 1)] {
            let shown = self.shown(stage, wire);
            match self
                .answer(stage, &shown, self.limits.envelope, started)
                .await?
            {
                200..300 => {}
                code @ 400.. => {
                    let refusal = self.refusal(
                        stage,
                        code,
                        if stage == Stage::Mail {
                            "the server refused the sender"
                        } else {
                            "the server refused the recipient"
                        },
                    );
                    // Nothing can have been taken from or for somebody whom the server does not
                    // take.
                    self.progress = PayloadProgress::Envelope;
                    self.skip_answers(left, started).await;
                    return Err(refusal);
                }
                code => {
                    self.state = SessionState::Broken;
                    return Err(self.refusal(
                        Stage::Dot,
                        code,
                        "answers and commands are out of step",
                    ));
                }
            }
        }
        self.verdict(bdat, started).await
    }

    /// Reads the answers to what followed a refused command, so that the next mail finds its own;
    /// the last of them is the chunk's.
    async fn skip_answers(&mut self, left: usize, started: Instant) {
        let gone = self.gone;
        for stage in [Stage::Rcpt, Stage::Dot].into_iter().skip(2 - left) {
            if !self.is_usable() {
                break;
            }
            let answered = self.answer(stage, "", self.limits.envelope, started).await;
            let refused = matches!(answered, Ok(400..));
            if self.is_usable() {
                // A chunk that was taken in spite of the refusal: nobody knows what the server
                // thinks.
                self.state = if refused || stage == Stage::Rcpt {
                    SessionState::NeedsReset
                } else {
                    SessionState::Broken
                };
            }
        }
        // That the server was gone afterwards is no reason to try a refused mail again.
        self.gone = gone;
    }
}
