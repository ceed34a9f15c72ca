//! One SMTP session, from greeting to close.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::command::{self, Command, Mechanism, Refusal};
use super::wire::{Content, Wire, WireError};
use super::{Limits, Store};

/// After this many refused commands the connection is closed.
const MAX_MISTAKES: u32 = 20;

const ORDER: Refusal = "503 5.5.1 Bad sequence of commands: expected EHLO, MAIL, RCPT, DATA";

/// Sends 421 to a client above the connection limit.
pub(super) async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(stream: S) {
    let mut wire = Wire::new(stream, std::time::Duration::from_secs(5));
    wire.say("421 4.3.2 mailbox.localhost Too many connections");
    wire.close().await;
}

/// A session and its state.
#[derive(Debug)]
pub(super) struct Session<S> {
    wire: Wire<S>,
    store: Store,
    limits: Limits,
    greeted: bool,
    logged_in: bool,
    envelope: Option<Envelope>,
    mistakes: u32,
}

#[derive(Debug, Default)]
struct Envelope {
    from: String,
    to: Vec<String>,
    utf8: bool,
}

/// Whether the session continues after a command.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Listen,
    Close,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) fn new(stream: S, store: Store, limits: Limits) -> Self {
        Self {
            wire: Wire::new(stream, limits.idle),
            store,
            limits,
            greeted: false,
            logged_in: false,
            envelope: None,
            mistakes: 0,
        }
    }

    /// Runs until the client quits, disconnects, violates the protocol or times out.
    pub(super) async fn run(mut self) {
        self.wire
            .say("220 mailbox.localhost ESMTP Jobbell mail catcher");
        if let Err(fault) = self.listen().await {
            self.wire.say(match fault {
                WireError::Closed => return,
                WireError::Silent => "421 4.4.2 mailbox.localhost Timeout",
                WireError::BareLineEnd => {
                    "521 5.5.2 mailbox.localhost Bare CR or LF; lines end with CR LF"
                }
                WireError::LongLine => "500 5.5.6 mailbox.localhost Line too long",
            });
        }
        self.wire.close().await;
    }

    async fn listen(&mut self) -> Result<(), WireError> {
        loop {
            let line = self.wire.command().await?;
            let utf8 = self.envelope.as_ref().is_some_and(|envelope| envelope.utf8);
            let next = match command::parse(&line, utf8) {
                Ok(command) => self.answer(command).await?,
                Err(refusal) => self.refuse(refusal),
            };
            if next == Next::Close || self.mistakes > MAX_MISTAKES {
                return Ok(());
            }
            if self.wire.is_full() {
                self.wire.flush().await?;
            }
        }
    }

    async fn answer(&mut self, command: Command) -> Result<Next, WireError> {
        let done = match command {
            Command::Hello { extended } => Ok(self.hello(extended)),
            Command::Mail { from, size, utf8 } => self.mail(from, size, utf8),
            Command::Recipient { to } => self.recipient(to),
            Command::Data => self.data().await?,
            Command::Reset => {
                self.envelope = None;
                Ok("250 2.0.0 Forgotten".to_owned())
            }
            Command::Nothing => Ok("250 2.0.0 Here".to_owned()),
            Command::Verify => Ok("252 2.1.5 Cannot verify; send the mail".to_owned()),
            Command::Login { mechanism, initial } => self.login(mechanism, initial).await?,
            Command::Quit => {
                self.wire.say("221 2.0.0 mailbox.localhost Bye");
                return Ok(Next::Close);
            }
        };
        match done {
            Ok(answer) => self.wire.say(&answer),
            Err(refusal) => return Ok(self.refuse(refusal)),
        }
        Ok(Next::Listen)
    }

    fn refuse(&mut self, refusal: Refusal) -> Next {
        self.mistakes += 1;
        if self.mistakes > MAX_MISTAKES {
            self.wire.say("421 4.7.0 mailbox.localhost Too many errors");
            return Next::Close;
        }
        self.wire.say(refusal);
        Next::Listen
    }

    fn hello(&mut self, extended: bool) -> String {
        self.greeted = true;
        self.envelope = None;
        if !extended {
            return "250 mailbox.localhost".to_owned();
        }
        let login = if self.limits.login {
            "250-AUTH PLAIN LOGIN\r\n"
        } else {
            ""
        };
        format!(
            "250-mailbox.localhost\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n{login}250 SIZE {}",
            self.limits.max_message
        )
    }

    fn mail(&mut self, from: String, size: Option<u64>, utf8: bool) -> Result<String, Refusal> {
        if !self.greeted || self.envelope.is_some() {
            return Err(ORDER);
        }
        if size.is_some_and(|size| size > self.limits.max_message as u64) {
            return Err("552 5.3.4 Message too large");
        }
        self.envelope = Some(Envelope {
            from,
            to: Vec::new(),
            utf8,
        });
        Ok("250 2.1.0 Sender noted".to_owned())
    }

    fn recipient(&mut self, to: String) -> Result<String, Refusal> {
        let envelope = self.envelope.as_mut().ok_or(ORDER)?;
        if envelope.to.len() >= self.limits.max_recipients {
            return Err("452 4.5.3 Too many recipients");
        }
        envelope.to.push(to);
        Ok("250 2.1.5 Recipient noted".to_owned())
    }

    async fn data(&mut self) -> Result<Result<String, Refusal>, WireError> {
        let Some(envelope) = self.envelope.take_if(|envelope| !envelope.to.is_empty()) else {
            return Ok(Err(ORDER));
        };
        self.wire
            .say("354 Start mail input; end with <CRLF>.<CRLF>");
        let content = timeout(self.limits.data, self.wire.content(self.limits.max_message))
            .await
            .map_err(|_| WireError::Silent)??;
        Ok(match content {
            Content::Whole(raw) => Ok(format!(
                "250 2.0.0 Kept as number {}",
                self.store.keep(envelope.from, envelope.to, raw)
            )),
            Content::TooLarge => Err("552 5.3.4 Message too large"),
        })
    }

    async fn login(
        &mut self,
        mechanism: Mechanism,
        initial: Option<String>,
    ) -> Result<Result<String, Refusal>, WireError> {
        if !self.limits.login {
            return Ok(Err("502 5.5.1 Login not supported"));
        }
        if !self.greeted || self.logged_in || self.envelope.is_some() {
            return Ok(Err(ORDER));
        }
        let first = match (initial, mechanism) {
            (Some(initial), _) => STANDARD.decode(initial).ok(),
            (None, Mechanism::Plain) => self.ask("334 ").await?,
            (None, Mechanism::Login) => self.ask("334 VXNlcm5hbWU6").await?,
        };
        let complete = match (first, mechanism) {
            // Authorization identity (may be empty), user name and password, separated by NULs (RFC
            // 4616).
            (Some(first), Mechanism::Plain) => first.split(|byte| *byte == 0).count() == 3,
            (Some(_), Mechanism::Login) => self.ask("334 UGFzc3dvcmQ6").await?.is_some(),
            (None, _) => false,
        };
        if !complete {
            return Ok(Err("501 5.5.2 Invalid base64"));
        }
        self.logged_in = true;
        Ok(Ok("235 2.7.0 Authenticated".to_owned()))
    }

    /// Sends a challenge and returns the decoded response; `None` if it is not base64 or cancels
    /// the login (`*`).
    async fn ask(&mut self, question: &str) -> Result<Option<Vec<u8>>, WireError> {
        self.wire.say(question);
        let line = self.wire.command().await?;
        Ok(STANDARD.decode(line).ok())
    }
}
