//! Processes untrusted data in a child process of the `jobbell` program.
//!
//! ```text
//!  parent: Worker::ask ──▶ stdin  ─▶ child: inside::serve, under RLIMIT_AS and RLIMIT_CPU
//!          bounded, timed ◀─ stdout ◀─
//! ```
//!
//! The memory and time of image decoders and the template engine depend on their input, and a process
//! that must survive cannot bound them. They run in a process that may die: it has no environment, no
//! sockets, only its three standard streams, and limits that it sets before it reads input. The
//! parent bounds the size of an answer, and kills the child after a timeout.
//!
//! A program that embeds the library names an installed `jobbell` with [`use_program`]; without one,
//! [`Worker::start`] fails.

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

/// The hidden command that decodes an image.
pub const DECODE: &str = "internal-decode";
/// The hidden command that renders templates.
pub const FILL: &str = "internal-fill";

/// First byte of an answer: the result follows.
const DONE: u8 = b'+';
/// First byte of an answer: the limits could not be set; the reason follows.
const UNCONFINED: u8 = b'-';

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Sets the `jobbell` program to start as a child process; only the first call has an effect. The
/// program itself passes `/proc/self/exe`, which refers to the running version even after the file
/// was replaced.
pub fn use_program(path: impl Into<PathBuf>) {
    // Fails on the second and later calls.
    drop(PROGRAM.set(path.into()));
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// [`use_program`] was not called.
    #[error("no jobbell program is configured to run as a child process")]
    NoProgram,
    /// The child could not be started.
    #[error("cannot start a child process: {0}")]
    Start(#[source] io::Error),
    /// The child could not set its limits, so it processed nothing.
    #[error("a child process cannot set its limits: {0}")]
    Unconfined(String),
    /// The child died: it exceeded its memory or CPU limit, or crashed.
    #[error("its process exceeded its memory or CPU limit, or crashed")]
    Died,
    /// The child did not answer in time.
    #[error("it took too long")]
    Slow,
}

impl Lost {
    /// Whether the input is the cause, and not this machine or its settings.
    pub const fn blames_input(&self) -> bool {
        matches!(self, Self::Died | Self::Slow)
    }
}

/// A child process that answers one request at a time. Killed on drop.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    requests: mpsc::Sender<Vec<u8>>,
    answers: mpsc::Receiver<io::Result<Vec<u8>>>,
}

impl Worker {
    /// Starts a child with a hidden command; its answers have at most `most` bytes. Blocks for some
    /// milliseconds.
    ///
    /// # Errors
    /// [`Lost::NoProgram`] and [`Lost::Start`].
    pub fn start(command: &str, most: usize) -> Result<Self, Lost> {
        let program: &Path = PROGRAM.get().ok_or(Lost::NoProgram)?;
        // A separate process group, so that Ctrl-C in a terminal does not kill the child while the
        // daemon finishes its mails.
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
        // Pipes have no timeouts, so a thread reads and writes them; it ends with the child.
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

    /// Sends a request and waits at most `time` for the answer. After an error the child is unusable.
    /// Blocks.
    ///
    /// # Errors
    /// All except [`Lost::NoProgram`] and [`Lost::Start`].
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
        // Killing fails only if the child has exited; waiting reaps it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
