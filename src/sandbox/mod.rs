//! Work on data that nobody vouches for, done by a child process of our own program.
//!
//! ```text
//!  parent: Worker::ask ──▶ stdin  ─▶ child: inside::serve, under RLIMIT_AS and RLIMIT_CPU
//!          bounded, timed ◀─ stdout ◀─
//! ```
//!
//! Picture decoders and the template engine take as much memory and time as their input asks for,
//! and neither can be bounded from within a process that must live on. So they run in a process
//! that may die: it has no environment, no sockets, nothing but its three standard streams, and
//! limits that it sets itself before it reads its input. The parent bounds what it reads back, and
//! kills the child when its time is over.
//!
//! A program that embeds the library has no such child. It may name an installed `jobbell` with
//! [`use_program`]; otherwise the work is refused.

mod frame;
#[cfg(feature = "cli")]
pub mod inside;

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

/// The hidden command that decodes one picture.
pub const DECODE: &str = "internal-decode";
/// The hidden command that fills templates.
pub const FILL: &str = "internal-fill";

/// The first byte of an answer: the rest is the answer.
const DONE: u8 = b'+';
/// The first byte of an answer: the limits could not be set, and the rest says why.
const UNCONFINED: u8 = b'-';

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Names the `jobbell` program whose child processes do the work; the first call counts. The
/// program itself says `/proc/self/exe`, which still leads to the running version after the file
/// was replaced by another one.
pub fn use_program(path: impl Into<PathBuf>) {
    // The second and later calls change nothing.
    drop(PROGRAM.set(path.into()));
}

/// Why a child gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// No program was named with [`use_program`].
    #[error("this program has no jobbell program to run as a child process")]
    NoProgram,
    /// The child could not be started.
    #[error("a child process cannot be started: {0}")]
    Start(#[source] io::Error),
    /// The child could not set its limits, so it refused to work.
    #[error("a child process cannot limit itself: {0}")]
    Unconfined(String),
    /// The child died: it wanted more memory or CPU time than it may have, or crashed.
    #[error("its process died, for want of memory or CPU time, or by a crash")]
    Died,
    /// The child did not answer in time and was killed.
    #[error("it took too long")]
    Slow,
}

impl Lost {
    /// Whether the input is to blame, and not this machine or its settings.
    pub const fn blames_input(&self) -> bool {
        matches!(self, Self::Died | Self::Slow)
    }
}

/// A child process that answers one request after the other. Killed when dropped.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    requests: mpsc::Sender<Vec<u8>>,
    answers: mpsc::Receiver<io::Result<Vec<u8>>>,
}

impl Worker {
    /// Starts a child with one of the hidden commands; its answers have at most `most` bytes.
    /// Blocks for some milliseconds.
    ///
    /// # Errors
    /// [`Lost::NoProgram`] and [`Lost::Start`].
    pub fn start(command: &str, most: usize) -> Result<Self, Lost> {
        let program: &Path = PROGRAM.get().ok_or(Lost::NoProgram)?;
        // A process group of its own, so that Ctrl-C in a terminal reaches the daemon alone, which
        // then finishes its mails.
        let spawned = Command::new(program)
            .arg0("jobbell")
            .arg(command)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = spawned.map_err(Lost::Start)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (requests, inbox) = mpsc::channel::<Vec<u8>>();
        let (outbox, answers) = mpsc::channel();
        // Pipes have no timeouts, so a thread waits for them; it ends with the child.
        let talk = move || {
            let Some((mut stdin, mut stdout)) = pipes else {
                return;
            };
            for request in inbox {
                let answer = frame::write(&mut stdin, &request).and_then(|()| {
                    drop(request);
                    frame::read(&mut stdout, most)?
                        .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
                });
                let over = answer.is_err();
                if outbox.send(answer).is_err() || over {
                    return;
                }
            }
        };
        let worker = Self {
            child,
            requests,
            answers,
        };
        thread::Builder::new()
            .name("jobbell-child".to_owned())
            .stack_size(128 * 1_024)
            .spawn(talk)
            .map_err(Lost::Start)?;
        Ok(worker)
    }

    /// Asks the child and waits for its answer, at most `time`. After an error the child is of no
    /// further use. Blocks.
    ///
    /// # Errors
    /// All but [`Lost::NoProgram`] and [`Lost::Start`].
    pub fn ask(&mut self, request: Vec<u8>, time: Duration) -> Result<Vec<u8>, Lost> {
        self.requests.send(request).map_err(|_| Lost::Died)?;
        let mut answer = match self.answers.recv_timeout(time) {
            Ok(answer) => answer.map_err(|_| Lost::Died)?,
            Err(mpsc::RecvTimeoutError::Timeout) => return Err(Lost::Slow),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Lost::Died),
        };
        match answer.first() {
            Some(&DONE) => {
                answer.remove(0);
                Ok(answer)
            }
            Some(&UNCONFINED) => Err(Lost::Unconfined(
                String::from_utf8_lossy(answer.get(1..).unwrap_or_default()).into_owned(),
            )),
            _ => Err(Lost::Died),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Killing fails only when it has ended; waiting takes it off the list of processes.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
