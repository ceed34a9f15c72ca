//! The script of a server: what it does at which step of the conversation.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// A step of the conversation that can be scripted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// Before the greeting.
    Greeting,
    /// EHLO came.
    Ehlo,
    /// HELO came.
    Helo,
    /// STARTTLS came.
    Starttls,
    /// AUTH came.
    Auth,
    /// After a line that answers a 334.
    AuthAnswer,
    /// MAIL came.
    Mail,
    /// RCPT came.
    Rcpt,
    /// DATA came.
    Data,
    /// After the first bytes of a message.
    Payload,
    /// After the final dot, or the last chunk.
    Dot,
    /// RSET came.
    Rset,
    /// QUIT came.
    Quit,
}

/// What the server does at a step.
#[derive(Debug, Clone)]
pub enum Act {
    /// What a correct server does.
    Usual,
    /// Writes these bytes and continues. A 354 starts a message, a 2xx accepts, in any state.
    Reply(Vec<u8>),
    /// The same, one byte at a time.
    Dribble(Vec<u8>),
    /// Writes these bytes and closes the connection.
    ReplyAndClose(Vec<u8>),
    /// Writes these bytes and drops the connection, without ending TLS properly.
    ReplyAndCut(Vec<u8>),
    /// Closes the connection without a reply.
    Close,
    /// Resets the connection (RST) without a reply; closes it if it is not TCP.
    Reset,
    /// Reads without replying until the client closes.
    Silence,
    /// At the dot: keeps the message as if it had been accepted, then acts.
    Keep(Box<Act>),
    /// Reports to the gate that it was reached, waits until it opens, then acts.
    Hold(Gate, Box<Act>),
    /// Writes these bytes, then acts.
    Then(Vec<u8>, Box<Act>),
    /// Waits, then acts.
    Wait(Duration, Box<Act>),
    /// Writes these bytes with a pause before each, and continues.
    Drip(Vec<u8>, Duration),
    /// Writes these bytes repeatedly, with a pause after each time, until the client closes.
    Endless(Vec<u8>, Duration),
}

impl Act {
    /// Replies with lines of text, without the last line end.
    pub fn reply(text: &str) -> Self {
        Self::Reply(format!("{text}\r\n").into_bytes())
    }

    /// Replies with lines of text, without the last line end, and closes.
    pub fn reply_and_close(text: &str) -> Self {
        Self::ReplyAndClose(format!("{text}\r\n").into_bytes())
    }

    /// Replies with lines of text, without the last line end, and drops the connection.
    pub fn reply_and_cut(text: &str) -> Self {
        Self::ReplyAndCut(format!("{text}\r\n").into_bytes())
    }

    /// Waits at the gate first.
    pub fn held(self, gate: &Gate) -> Self {
        Self::Hold(gate.clone(), Box::new(self))
    }

    /// Keeps the message first.
    pub fn kept(self) -> Self {
        Self::Keep(Box::new(self))
    }

    /// Replies first with lines of text, without the last line end.
    pub fn answered(self, text: &str) -> Self {
        Self::Then(format!("{text}\r\n").into_bytes(), Box::new(self))
    }

    /// Waits first.
    pub fn after(self, pause: Duration) -> Self {
        Self::Wait(pause, Box::new(self))
    }
}

/// The input of a rule.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The step that was reached.
    pub at: At,
    /// The received line; empty at the greeting, in the payload and at the dot.
    pub line: &'a str,
}

/// Decides at every step that is not scripted.
#[derive(Clone)]
pub(super) struct Rule(pub(super) Arc<dyn Fn(Moment<'_>) -> Act + Send + Sync>);

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rule")
    }
}

/// Holds a step until the test opens it.
#[derive(Debug, Clone)]
pub struct Gate {
    reached: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self {
            reached: Arc::new(Semaphore::new(0)),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    /// Waits until a step reaches it; each step counts once.
    pub async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Lets one step pass.
    pub fn open(&self) {
        self.open.add_permits(1);
    }

    pub(super) async fn pass(&self) {
        self.reached.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }
}

/// The acts by step.
#[derive(Debug, Clone, Default)]
pub(super) struct Script {
    next: HashMap<At, VecDeque<Act>>,
    every: HashMap<At, Act>,
    rule: Option<Rule>,
}

impl Script {
    pub(super) fn once(&mut self, at: At, act: Act) {
        self.next.entry(at).or_default().push_back(act);
    }

    pub(super) fn always(&mut self, at: At, act: Option<Act>) {
        match act {
            Some(act) => drop(self.every.insert(at, act)),
            None => drop(self.every.remove(&at)),
        }
    }

    pub(super) fn rule(&mut self, rule: Option<Rule>) {
        self.rule = rule;
    }

    pub(super) fn take(&mut self, moment: Moment<'_>) -> Act {
        let next = self.next.get_mut(&moment.at).and_then(VecDeque::pop_front);
        let scripted = next.or_else(|| self.every.get(&moment.at).cloned());
        scripted
            .or_else(|| self.rule.as_ref().map(|rule| rule.0(moment)))
            .unwrap_or(Act::Usual)
    }
}
