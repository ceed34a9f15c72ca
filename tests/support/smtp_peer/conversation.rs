//! One connection to a scripted server.

use std::ops::ControlFlow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::ledger::{Entry, Fate};
use super::script::{Act, At, Moment};
use super::stream::{Stream, Tcp, Watched};
use super::{Behaviour, Command, Mail, Record, Shared};

/// `Break` after the end of the connection.
type Flow = ControlFlow<()>;

const CONTINUE: Flow = ControlFlow::Continue(());
const END: Flow = ControlFlow::Break(());

pub(super) struct Conversation {
    shared: Arc<Shared>,
    behaviour: Arc<Behaviour>,
    tcp: Option<Tcp>,
    number: usize,
    life: usize,
    inbox: Vec<u8>,
    arrival: usize,
    encrypted: bool,
    login: Option<String>,
    from: Option<(String, String)>,
    to: Vec<String>,
}

impl Conversation {
    pub(super) fn begin(shared: Arc<Shared>, behaviour: Arc<Behaviour>, tcp: Option<Tcp>) -> Self {
        let open = tcp.as_ref().map_or(0, |tcp| {
            let mut open = shared.open.lock().unwrap();
            open.retain(Watched::is_open);
            open.push(tcp.watched());
            open.len()
        });
        let (number, life) = shared.update(|seen| {
            seen.connections += 1;
            seen.open += 1;
            seen.max_open = seen.max_open.max(open);
            (seen.connections - 1, seen.life)
        });
        Self {
            shared,
            behaviour,
            tcp,
            number,
            life,
            inbox: Vec::new(),
            arrival: 0,
            encrypted: false,
            login: None,
            from: None,
            to: Vec::new(),
        }
    }

    pub(super) async fn run(mut self, mut stream: Box<dyn Stream>) {
        if self.behaviour.builder.implicit {
            let Some(encrypted) = self.encrypt(stream).await else {
                return;
            };
            stream = encrypted;
        }
        if self
            .act(&mut stream, At::Greeting, "", "220 peer.test ESMTP")
            .await
            .1
            == END
        {
            return;
        }
        while let Some(line) = self.line(&mut stream).await {
            self.record(&line);
            let verb = line
                .split([' ', ':'])
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            if verb == "STARTTLS" {
                let (code, flow) = self
                    .act(&mut stream, At::Starttls, &line, "220 2.0.0 go ahead")
                    .await;
                if flow == END {
                    return;
                }
                if code == 220 {
                    let Some(encrypted) = self.encrypt(stream).await else {
                        return;
                    };
                    stream = encrypted;
                }
            } else if self.command(&mut stream, &verb, &line).await == END {
                return;
            }
        }
    }

    async fn encrypt(&mut self, stream: Box<dyn Stream>) -> Option<Box<dyn Stream>> {
        let acceptor = self.behaviour.acceptor.clone().expect("TLS was set up");
        self.inbox.clear();
        let Ok(stream) = acceptor.accept(stream).await else {
            self.shared.update(|seen| seen.failed_handshakes += 1);
            return None;
        };
        (self.encrypted, self.login, self.from) = (true, None, None);
        Some(Box::new(stream))
    }

    async fn command(&mut self, stream: &mut Box<dyn Stream>, verb: &str, line: &str) -> Flow {
        match verb {
            "EHLO" => {
                let answer = self.ehlo();
                self.act(stream, At::Ehlo, line, &answer).await.1
            }
            "HELO" => self.act(stream, At::Helo, line, "250 peer.test").await.1,
            "AUTH" => self.auth(stream, line).await,
            "MAIL" => self.mail(stream, line).await,
            "RCPT" => self.rcpt(stream, line).await,
            "DATA" => self.data(stream, line).await,
            "BDAT" => self.bdat(stream, line).await,
            "RSET" => {
                self.reset();
                self.act(stream, At::Rset, line, "250 2.0.0 reset").await.1
            }
            "NOOP" => self.write(stream, b"250 2.0.0 ok\r\n").await,
            "QUIT" => {
                let flow = self.act(stream, At::Quit, line, "221 2.0.0 bye").await.1;
                if flow == CONTINUE {
                    hang_up(stream).await;
                }
                END
            }
            _ => self.write(stream, b"500 5.5.2 what?\r\n").await,
        }
    }

    fn ehlo(&self) -> String {
        let builder = &self.behaviour.builder;
        let mut lines = vec!["peer.test greets you"];
        lines.extend(builder.capabilities.iter().map(String::as_str));
        if builder.starttls && !self.encrypted {
            lines.push("STARTTLS");
        }
        // Mechanisms that begin with `=` are printed in the old form, `AUTH=LOGIN`.
        let separator = if builder.mechanisms.starts_with('=') {
            ""
        } else {
            " "
        };
        let auth = format!("AUTH{separator}{}", builder.mechanisms);
        if builder.login.is_some() {
            lines.push(&auth);
        }
        let last = lines.pop().unwrap_or_default();
        let before = if lines.is_empty() {
            String::new()
        } else {
            format!("250-{}\r\n", lines.join("\r\n250-"))
        };
        format!("{before}250 {last}")
    }

    async fn auth(&mut self, stream: &mut Box<dyn Stream>, line: &str) -> Flow {
        let words: Vec<&str> = line.split(' ').collect();
        let name = words
            .get(1)
            .copied()
            .unwrap_or_default()
            .to_ascii_uppercase();
        let behaviour = Arc::clone(&self.behaviour);
        let builder = &behaviour.builder;
        let usual = match (name.as_str(), words.get(2)) {
            _ if !builder
                .mechanisms
                .split([' ', '='])
                .any(|known| known == name) =>
            {
                "504 5.5.4 no such mechanism".to_owned()
            }
            ("PLAIN", Some(_)) if !builder.takes_initial_response => {
                "501 5.5.4 no initial response".to_owned()
            }
            ("PLAIN", Some(response)) => self.check(plain(response)),
            ("PLAIN", None) => "334 ".to_owned(),
            // A rejected token is first answered with a challenge, as by Google and Microsoft.
            ("XOAUTH2", Some(response)) => match self.check(bearer(response)) {
                yes if yes.starts_with("235") => yes,
                _ => format!(
                    "334 {}",
                    STANDARD.encode(
                        r#"{"status":"401","schemes":"bearer","scope":"https://mail.example/"}"#
                    )
                ),
            },
            _ => format!("334 {}", builder.prompts[0]),
        };
        let (mut code, mut flow) = self.act(stream, At::Auth, line, &usual).await;
        let mut answers = Vec::new();
        while flow == CONTINUE && code == 334 {
            let Some(answer) = self.line(stream).await else {
                return END;
            };
            self.record(&answer);
            answers.push(answer);
            let usual = match answers.as_slice() {
                [response] if name == "PLAIN" => self.check(plain(response)),
                _ if name == "XOAUTH2" => "535 5.7.8 token rejected".to_owned(),
                [_] => format!("334 {}", builder.prompts[1]),
                [user, password, ..] => self.check(Some((decoded(user), decoded(password)))),
                [] => unreachable!("one was pushed"),
            };
            (code, flow) = self
                .act(
                    stream,
                    At::AuthAnswer,
                    answers.last().map_or("", String::as_str),
                    &usual,
                )
                .await;
        }
        flow
    }

    fn check(&mut self, given: Option<(String, String)>) -> String {
        let right = given.is_some() && given == self.behaviour.builder.login;
        self.login = given.filter(|_| right).map(|(user, _)| user);
        if right {
            "235 2.7.0 welcome".to_owned()
        } else {
            "535 5.7.8 wrong name or password".to_owned()
        }
    }

    async fn mail(&mut self, stream: &mut Box<dyn Stream>, line: &str) -> Flow {
        let needs_login = self.behaviour.builder.login.is_some() && self.login.is_none();
        let usual = match (needs_login, &self.from) {
            (true, _) => "530 5.7.0 log in first",
            (_, Some(_)) => "503 5.5.1 one at a time",
            (false, None) => "250 2.1.0 ok",
        };
        let (code, flow) = self.act(stream, At::Mail, line, usual).await;
        if code / 100 == 2 {
            self.from = Some(path(line));
            self.to.clear();
        }
        flow
    }

    async fn rcpt(&mut self, stream: &mut Box<dyn Stream>, line: &str) -> Flow {
        let usual = if self.from.is_some() {
            "250 2.1.5 ok"
        } else {
            "503 5.5.1 MAIL first"
        };
        let (code, flow) = self.act(stream, At::Rcpt, line, usual).await;
        if code / 100 == 2 {
            self.to.push(path(line).0);
        }
        flow
    }

    async fn data(&mut self, stream: &mut Box<dyn Stream>, line: &str) -> Flow {
        let usual = if self.to.is_empty() {
            "503 5.5.1 no valid recipients"
        } else {
            "354 go ahead"
        };
        let (code, flow) = self.act(stream, At::Data, line, usual).await;
        if code != 354 || flow == END {
            return flow;
        }
        if self.inbox.is_empty() && self.fill(stream).await == END {
            return END;
        }
        let act = waited(self.scripted(At::Payload, "")).await;
        if !matches!(act, Act::Usual) {
            let (_, flow) = self.perform(stream, act, "").await;
            if flow == END {
                return END;
            }
        }
        let Some(wire) = self.message(stream).await else {
            return END;
        };
        let data = unstuffed(&wire);
        self.verdict(stream, wire, data).await
    }

    /// One chunk, which must be the last. It is read even if it will be rejected (RFC 3030 §4.2).
    async fn bdat(&mut self, stream: &mut Box<dyn Stream>, line: &str) -> Flow {
        let size: usize = line
            .split(' ')
            .nth(1)
            .and_then(|size| size.parse().ok())
            .expect("BDAT has a size");
        assert!(line.ends_with(" LAST"), "{line}");
        if self.inbox.is_empty() && self.fill(stream).await == END {
            return END;
        }
        let act = waited(self.scripted(At::Payload, "")).await;
        if !matches!(act, Act::Usual) {
            let (_, flow) = self.perform(stream, act, "").await;
            if flow == END {
                return END;
            }
        }
        while self.inbox.len() < size {
            if self.fill(stream).await == END {
                return END;
            }
        }
        let chunk: Vec<u8> = self.inbox.drain(..size).collect();
        self.verdict(stream, chunk.clone(), chunk).await
    }

    /// Reads up to the final dot, inclusive.
    async fn message(&mut self, stream: &mut Box<dyn Stream>) -> Option<Vec<u8>> {
        let mut searched = 0usize;
        loop {
            let from = searched.saturating_sub(4);
            let end = if self.inbox.starts_with(b".\r\n") {
                Some(3)
            } else {
                self.inbox[from..]
                    .windows(5)
                    .position(|window| window == b"\r\n.\r\n")
                    .map(|offset| from + offset + 5)
            };
            if let Some(end) = end {
                return Some(self.inbox.drain(..end).collect());
            }
            searched = self.inbox.len();
            if self.fill(stream).await == END {
                return None;
            }
        }
    }

    async fn verdict(
        &mut self,
        stream: &mut Box<dyn Stream>,
        wire: Vec<u8>,
        data: Vec<u8>,
    ) -> Flow {
        let act = self.scripted(At::Dot, "");
        let (from, parameters) = self.from.take().unwrap_or_default();
        let to = std::mem::take(&mut self.to);
        let mail = Mail {
            connection: self.number,
            from,
            parameters,
            to,
            data,
            wire,
            login: self.login.clone(),
            encrypted: self.encrypted,
        };
        let (act, kept) = match waited(act).await {
            Act::Keep(then) => (*then, true),
            act => {
                let kept = fate(&act, &mail.to) == Fate::Taken;
                (act, kept)
            }
        };
        let usual = if mail.to.is_empty() {
            "554 5.5.1 no valid recipients"
        } else {
            "250 2.0.0 kept"
        };
        let entry = Entry::of(
            &mail,
            self.life,
            if kept {
                fate(&act, &mail.to).kept()
            } else {
                fate(&act, &mail.to)
            },
        );
        self.shared.update(|seen| {
            seen.ledger.push(entry);
            if kept && self.behaviour.builder.record == Record::Everything {
                seen.mails.push(mail);
            }
        });
        self.perform(stream, act, usual).await.1
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    fn record(&self, line: &str) {
        if self.behaviour.builder.record == Record::Everything {
            let command = Command {
                connection: self.number,
                arrival: self.arrival,
                line: line.to_owned(),
            };
            self.shared.update(|seen| seen.commands.push(command));
        }
    }

    fn scripted(&self, at: At, line: &str) -> Act {
        self.shared.script.lock().unwrap().take(Moment { at, line })
    }

    /// Acts as scripted, or replies as usual; returns the code of the reply.
    async fn act(
        &mut self,
        stream: &mut Box<dyn Stream>,
        at: At,
        line: &str,
        usual: &str,
    ) -> (u16, Flow) {
        let act = self.scripted(at, line);
        self.perform(stream, act, usual).await
    }

    async fn perform(
        &mut self,
        stream: &mut Box<dyn Stream>,
        mut act: Act,
        usual: &str,
    ) -> (u16, Flow) {
        act = waited(act).await;
        match act {
            Act::Usual => (
                code(usual.as_bytes()),
                self.write(stream, format!("{usual}\r\n").as_bytes()).await,
            ),
            Act::Reply(bytes) => (code(&bytes), self.write(stream, &bytes).await),
            Act::Dribble(bytes) => {
                for byte in &bytes {
                    if self.write(stream, std::slice::from_ref(byte)).await == END {
                        return (0, END);
                    }
                    tokio::task::yield_now().await;
                }
                (code(&bytes), CONTINUE)
            }
            Act::ReplyAndClose(bytes) => {
                if self.write(stream, &bytes).await == CONTINUE {
                    hang_up(stream).await;
                }
                (code(&bytes), END)
            }
            Act::ReplyAndCut(bytes) => {
                let _either_way = self.write(stream, &bytes).await;
                (code(&bytes), END)
            }
            Act::Close => {
                hang_up(stream).await;
                (0, END)
            }
            Act::Reset => {
                if let Some(tcp) = &self.tcp {
                    tcp.reset_on_close();
                }
                (0, END)
            }
            Act::Silence => {
                let mut ignored = [0; 4096];
                while stream.read(&mut ignored).await.is_ok_and(|read| read > 0) {}
                (0, END)
            }
            Act::Then(bytes, next) => match self.write(stream, &bytes).await {
                CONTINUE => (
                    code(&bytes),
                    Box::pin(self.perform(stream, *next, usual)).await.1,
                ),
                END => (code(&bytes), END),
            },
            Act::Drip(bytes, pause) => {
                for byte in &bytes {
                    tokio::time::sleep(pause).await;
                    if self.write(stream, std::slice::from_ref(byte)).await == END {
                        return (0, END);
                    }
                }
                (code(&bytes), CONTINUE)
            }
            Act::Endless(bytes, pause) => {
                while self.write(stream, &bytes).await == CONTINUE {
                    tokio::time::sleep(pause).await;
                }
                (0, END)
            }
            Act::Keep(_) | Act::Hold(..) | Act::Wait(..) => {
                panic!("Keep is only for the dot; Hold and Wait inside it are not supported")
            }
        }
    }

    async fn write(&mut self, stream: &mut Box<dyn Stream>, bytes: &[u8]) -> Flow {
        if !self.behaviour.builder.latency.is_zero() {
            tokio::time::sleep(self.behaviour.builder.latency).await;
        }
        let written = stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok();
        if written { CONTINUE } else { END }
    }

    async fn line(&mut self, stream: &mut Box<dyn Stream>) -> Option<String> {
        loop {
            if let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.inbox.drain(..=end).collect();
                return Some(
                    String::from_utf8_lossy(&line)
                        .trim_end_matches(['\r', '\n'])
                        .to_owned(),
                );
            }
            if self.fill(stream).await == END {
                return None;
            }
        }
    }

    async fn fill(&mut self, stream: &mut Box<dyn Stream>) -> Flow {
        self.inbox.reserve(64 * 1024);
        match stream.read_buf(&mut self.inbox).await {
            Ok(read) if read > 0 => {
                self.arrival += 1;
                CONTINUE
            }
            _ => END,
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.shared.update(|seen| seen.open -= 1);
    }
}

/// Waits as the act says; returns what to do then.
async fn waited(mut act: Act) -> Act {
    loop {
        act = match act {
            Act::Hold(gate, then) => {
                gate.pass().await;
                *then
            }
            Act::Wait(pause, then) => {
                tokio::time::sleep(pause).await;
                *then
            }
            act => return act,
        }
    }
}

/// The result for a message, from the act at its dot.
fn fate(act: &Act, to: &[String]) -> Fate {
    match act {
        Act::Usual if to.is_empty() => Fate::Refused,
        Act::Usual => Fate::Taken,
        Act::Reply(bytes)
        | Act::Dribble(bytes)
        | Act::Drip(bytes, _)
        | Act::Then(bytes, _)
        | Act::ReplyAndClose(bytes)
        | Act::ReplyAndCut(bytes) => {
            if bytes.starts_with(b"2") {
                Fate::Taken
            } else {
                Fate::Refused
            }
        }
        _ => Fate::Dropped,
    }
}

/// Ends TLS properly. An error means that the client has already gone.
async fn hang_up(stream: &mut Box<dyn Stream>) {
    drop(stream.shutdown().await);
}

fn code(answer: &[u8]) -> u16 {
    answer
        .get(..3)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

/// The address between the angle brackets, and the parameters after it.
fn path(line: &str) -> (String, String) {
    let (_, rest) = line.split_once('<').unwrap_or_default();
    let (address, parameters) = rest.split_once('>').unwrap_or_default();
    (address.to_owned(), parameters.trim().to_owned())
}

fn decoded(text: &str) -> String {
    STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

fn plain(response: &str) -> Option<(String, String)> {
    let text = decoded(response);
    let mut parts = text.split('\0').skip(1);
    Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
}

/// User and token of an XOAUTH2 response.
fn bearer(response: &str) -> Option<(String, String)> {
    let text = decoded(response);
    let (user, rest) = text.strip_prefix("user=")?.split_once("\x01auth=Bearer ")?;
    Some((user.to_owned(), rest.strip_suffix("\x01\x01")?.to_owned()))
}

/// The message without stuffed dots and the final dot.
fn unstuffed(wire: &[u8]) -> Vec<u8> {
    let body = wire.strip_suffix(b".\r\n").unwrap_or(wire);
    let lines = body.split_inclusive(|byte| *byte == b'\n');
    lines
        .flat_map(|line| line.strip_prefix(b".").unwrap_or(line))
        .copied()
        .collect()
}
