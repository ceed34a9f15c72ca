//! The wrapped command as a process: starts it, passes on its output and signals, and keeps the end
//! of its output.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind};
use tokio_util::sync::CancellationToken;

use super::super::i18n::{terminal_locale, tr};
use super::tail::Tail;
use crate::clock::Clock;
use crate::domain::{Locale, Timestamp};

/// Exit status of shells for a command that does not exist.
const NOT_FOUND: u8 = 127;
/// Exit status of shells for a command that cannot be executed.
const NOT_EXECUTABLE: u8 = 126;
/// How long to wait for more output after the command has ended: a background process it left
/// behind may keep the pipe open forever.
const SILENCE: Duration = Duration::from_secs(1);
/// Maximum number of bytes passed on after the command's end: a pipe holds no more.
const MAX_REST: usize = 1 << 20;

/// The result of a command.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) how: How,
    pub(super) started_at: Timestamp,
    pub(super) finished_at: Timestamp,
    /// The last lines of its output, if it was captured.
    pub(super) output: Option<String>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum How {
    /// It exited with this status.
    Exit(u8),
    /// A signal killed it.
    Signal(i32),
    /// It did not start: exit status and reason.
    NotStarted(u8, Reason),
}

/// Why a command was not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    program: String,
    kind: ErrorKind,
    /// Whether the file exists, so that its interpreter must be missing.
    exists: bool,
    system: String,
}

impl Reason {
    pub(super) fn new(program: &OsStr, error: &std::io::Error) -> Self {
        Self {
            program: program.to_string_lossy().into_owned(),
            kind: error.kind(),
            exists: Path::new(program).exists(),
            system: error.to_string(),
        }
    }

    /// The message, worded as shells do.
    pub(super) fn said(&self, locale: Locale) -> String {
        let has_place = self.program.contains('/');
        let why = match self.kind {
            ErrorKind::NotFound if has_place && self.exists => tr(
                locale,
                "the interpreter in its first line was not found",
                "找不到首行指定的解释器",
            ),
            ErrorKind::NotFound if has_place => tr(locale, "no such file", "没有该文件"),
            ErrorKind::NotFound => tr(locale, "command not found", "找不到命令"),
            ErrorKind::PermissionDenied => tr(
                locale,
                "permission denied; is it executable?",
                "没有执行权限",
            ),
            _ => &self.system,
        };
        format!("{}{}{why}", self.program, tr(locale, ": ", "："))
    }
}

impl Ended {
    /// The exit status to pass on.
    pub(super) fn exit_status(&self) -> u8 {
        match &self.how {
            How::Exit(status) | How::NotStarted(status, _) => *status,
            How::Signal(number) => u8::try_from(number.saturating_add(128)).unwrap_or(u8::MAX),
        }
    }

    /// Whether the command succeeded.
    pub(super) fn succeeded(&self) -> bool {
        self.how == How::Exit(0)
    }
}

/// Runs a command to its end with our standard input, output and error.
///
/// Its output passes through two pipes, unchanged and unbuffered, unless `untouched`. Signals are
/// forwarded.
pub(super) async fn run(command: &[OsString], untouched: bool) -> Ended {
    let started_at = Clock::System.now();
    let tail = Tail::default();
    let how = match spawn(command, untouched) {
        Ok(child) => attend(child, &tail).await,
        Err(error) => {
            let reason = Reason::new(
                command.first().map(OsString::as_os_str).unwrap_or_default(),
                &error,
            );
            eprintln!("jobbell: {}", reason.said(terminal_locale()));
            How::NotStarted(
                if error.kind() == ErrorKind::NotFound {
                    NOT_FOUND
                } else {
                    NOT_EXECUTABLE
                },
                reason,
            )
        }
    };
    Ended {
        how,
        started_at,
        finished_at: Clock::System.now(),
        output: (!untouched).then(|| tail.text()),
    }
}

fn spawn(command: &[OsString], untouched: bool) -> std::io::Result<Child> {
    let (program, arguments) = command.split_first().ok_or(ErrorKind::InvalidInput)?;
    let output = || {
        if untouched {
            Stdio::inherit()
        } else {
            Stdio::piped()
        }
    };
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .stdout(output())
        .stderr(output())
        .spawn()
}

async fn attend(mut child: Child, tail: &Tail) -> How {
    // Installed after the start, so that the command inherits the signals to ignore (nohup).
    let mut signals = Signals::install();
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let over = CancellationToken::new();
    let pass_out = async {
        if let Some(pipe) = out {
            pass_on(pipe, tokio::io::stdout(), tail, &over).await;
        }
    };
    let pass_err = async {
        if let Some(pipe) = err {
            pass_on(pipe, tokio::io::stderr(), tail, &over).await;
        }
    };
    let wait = async {
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                signal = signals.next() => hand_on(&child, signal),
            }
        };
        over.cancel();
        status
    };
    let (status, (), ()) = tokio::join!(wait, pass_out, pass_err);
    status.map_or_else(
        |error| How::NotStarted(NOT_EXECUTABLE, Reason::new(OsStr::new(""), &error)),
        how,
    )
}

fn how(status: ExitStatus) -> How {
    match (status.code(), status.signal()) {
        (Some(code), _) => How::Exit(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => How::Signal(signal.unwrap_or_default()),
    }
}

/// Passes on a pipe's bytes as they arrive and keeps the last ones. If the reader goes away, the
/// pipe is closed so that the command notices.
async fn pass_on(
    mut pipe: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    tail: &Tail,
    over: &CancellationToken,
) {
    let mut line = tail.line();
    let mut buffer = vec![0; 64 * 1024];
    let mut rest = 0;
    while rest < MAX_REST {
        let read = tokio::select! {
            read = pipe.read(&mut buffer) => read,
            () = silence(over) => return,
        };
        let Some(bytes) = read
            .ok()
            .and_then(|count| buffer.get(..count))
            .filter(|bytes| !bytes.is_empty())
        else {
            return;
        };
        line.push(bytes);
        if to.write_all(bytes).await.is_err() || to.flush().await.is_err() {
            return;
        }
        rest += if over.is_cancelled() { bytes.len() } else { 0 };
    }
}

/// Returns once the command has ended and the output has been silent for a while.
async fn silence(over: &CancellationToken) {
    over.cancelled().await;
    tokio::time::sleep(SILENCE).await;
}

/// The signals that are forwarded instead of ending this process. A signal that cannot be caught
/// keeps its usual effect.
pub(super) struct Signals(Vec<(Signal, unix::Signal)>);

impl Signals {
    /// Installs the handlers.
    pub(super) fn install() -> Self {
        let all = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];
        Self(
            all.into_iter()
                .filter_map(|signal| {
                    Some((
                        signal,
                        unix::signal(SignalKind::from_raw(signal.as_raw())).ok()?,
                    ))
                })
                .collect(),
        )
    }

    /// The next signal.
    async fn next(&mut self) -> Signal {
        std::future::poll_fn(|cx| {
            let come = self
                .0
                .iter_mut()
                .find_map(|(signal, stream)| stream.poll_recv(cx).is_ready().then_some(*signal));
            come.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
        })
        .await
    }

    /// Returns on any signal.
    pub(super) async fn any(&mut self) {
        self.next().await;
    }
}

/// Forwards a signal, unless the terminal has sent it to the command already: Ctrl-C and Ctrl-\ go
/// to every process in the foreground.
fn hand_on(child: &Child, signal: Signal) {
    let from_keyboard = matches!(signal, Signal::INT | Signal::QUIT) && in_foreground();
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid.filter(|_| !from_keyboard) {
        // Fails only if the command has just ended.
        kill_process(pid, signal).unwrap_or_default();
    }
}

/// Whether keys pressed at the terminal are sent to this process.
fn in_foreground() -> bool {
    let terminal = std::fs::File::open("/dev/tty");
    terminal.is_ok_and(|terminal| {
        rustix::termios::tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp())
    })
}
