//! What a scripted server does differently, and where.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

/// A point of the conversation that a script can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// A connection was accepted; the greeting is due.
    Greeting,
    /// EHLO came.
    Ehlo,
    /// HELO came.
    Helo,
    /// STARTTLS came.
    Starttls,
    /// AUTH came.
    Auth,
    /// A line came in answer to a 334.
    AuthAnswer,
    /// MAIL came.
    Mail,
    /// RCPT came.
    Rcpt,
    /// DATA came.
    Data,
    /// The first bytes of a message came.
    Payload,
    /// The final dot came, or the last chunk.
    Dot,
    /// RSET came.
    Rset,
    /// QUIT came.
    Quit,
}

/// What the server does instead of the usual.
#[derive(Debug, Clone)]
pub enum Act {
    /// The usual.
    Usual,
    /// Writes these bytes and goes on. A 354 opens a message, a 2xx accepts, whatever the state.
    Reply(Vec<u8>),
    /// The same, one byte at a time.
    Dribble(Vec<u8>),
    /// Writes these bytes and closes the connection.
    ReplyAndClose(Vec<u8>),
    /// Writes these bytes and drops the connection, without ending TLS properly.
    ReplyAndCut(Vec<u8>),
    /// Closes the connection without a word.
    Close,
    /// Resets the connection (RST) without a word; over anything but TCP it closes.
    Reset,
    /// Says nothing any more and takes no notice of what comes, until the client closes.
    Silence,
    /// At the dot: keeps the message as if it had been accepted, then does the other.
    Keep(Box<Act>),
    /// Tells the gate that it was reached, waits until it is opened, then does the other.
    Hold(Gate, Box<Act>),
    /// Writes these bytes, then does the other.
    Then(Vec<u8>, Box<Act>),
    /// Waits so long, then does the other.
    Wait(Duration, Box<Act>),
    /// Writes these bytes with a pause before each, and goes on.
    Drip(Vec<u8>, Duration),
    /// Writes these bytes again and again, with a pause after each time, until the client closes.
    Endless(Vec<u8>, Duration),
}

impl Act {
    /// Replies with lines of text, given without the last line end.
    pub fn reply(text: &str) -> Self {
        Self::Reply(format!("{text}\r\n").into_bytes())
    }

    /// Replies with lines of text, given without the last line end, and closes.
    pub fn reply_and_close(text: &str) -> Self {
        Self::ReplyAndClose(format!("{text}\r\n").into_bytes())
    }

    /// Replies with lines of text, given without the last line end, and drops the connection.
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

    /// Replies with lines of text first, given without the last line end.
    pub fn answered(self, text: &str) -> Self {
        Self::Then(format!("{text}\r\n").into_bytes(), Box::new(self))
    }

    /// Waits first.
    pub fn after(self, pause: Duration) -> Self {
        Self::Wait(pause, Box::new(self))
    }
}

/// What a rule may go by.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The step that was reached.
    pub at: At,
    /// The line that came; empty at the greeting, in the payload and at the dot.
    pub line: &'a str,
}

/// Decides at every step for which nothing else is written.
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

    /// Waits until a step stands before it; each step counts once.
    pub async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Lets one step through.
    pub fn open(&self) {
        self.open.add_permits(1);
    }

    pub(super) async fn pass(&self) {
        self.reached.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }
}

/// The changes, by place.
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
