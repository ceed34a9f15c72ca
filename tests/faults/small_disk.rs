//! Disk faults: failing writes, no space, read-only, or failing fsync, on the real daemon and
//! switched by the test.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::support::daemon::Daemon;
use crate::support::test_config::TestConfig;

/// Size of the small disk in bytes.
const SIZE: &str = "size=4m";

/// The kind of disk fault.
pub(super) enum Disk {
    /// Files cannot grow: every write beyond the first page fails (`prlimit --fsize`).
    Refusing,
    /// A small tmpfs, filled to the last page by this file.
    Full { mounted: PathBuf, filler: PathBuf },
    /// Some system calls fail, injected by `strace`.
    Failing {
        fault: &'static str,
        tracer: Option<Child>,
    },
}

/// Whether a command works on this machine.
fn works(program: &str, arguments: &[&str]) -> bool {
    let tried = std::process::Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

impl Disk {
    /// A disk whose writes fail; `None` where that is not possible.
    pub(super) fn refusing() -> Option<Self> {
        works("prlimit", &["--fsize"]).then_some(Self::Refusing)
    }

    /// A disk that can be filled; `None` where mounting is not permitted.
    pub(super) fn full(config: &TestConfig) -> Option<Self> {
        let mounted = config.state();
        fs::create_dir(&mounted).unwrap();
        let path = mounted.to_str().unwrap();
        works("mount", &["-t", "tmpfs", "-o", SIZE, "tmpfs", path]).then(|| Self::Full {
            filler: mounted.join("filler"),
            mounted,
        })
    }

    /// A disk whose fsync fails; `None` where tracing is not permitted.
    pub(super) fn unsynced() -> Option<Self> {
        Self::failing("fsync,fdatasync:error=EIO")
    }

    /// A disk that becomes read-only, like one remounted by the kernel after errors; `None` where
    /// tracing is not permitted.
    pub(super) fn read_only() -> Option<Self> {
        Self::failing("pwrite64,ftruncate,?unlink,unlinkat:error=EROFS")
    }

    fn failing(fault: &'static str) -> Option<Self> {
        let [trace, inject] = traced(fault);
        works("strace", &["-f", "-e", &trace, "-e", &inject, "true"]).then_some(Self::Failing {
            fault,
            tracer: None,
        })
    }

    /// Starts the daemon on this disk while it works.
    pub(super) async fn start(&self, config: &TestConfig) -> Daemon {
        let mut command = Command::new("/bin/sh");
        // A write beyond the limit must fail rather than kill the process.
        command.args([
            "-c",
            "trap '' XFSZ; exec \"$0\" serve",
            env!("CARGO_BIN_EXE_jobbell"),
        ]);
        config.prepare(&mut command);
        Daemon::start(command).await.living_in(config.keep())
    }

    /// Switches the fault on.
    pub(super) async fn breaks(&mut self, daemon: &Daemon) {
        match self {
            Self::Refusing => limit(daemon, "4096").await,
            Self::Full { filler, .. } => fill(filler),
            Self::Failing { fault, tracer } => {
                let mut command = Command::new("strace");
                let [trace, inject] = traced(fault);
                command.args([
                    "-f",
                    "-e",
                    &trace,
                    "-e",
                    &inject,
                    "-p",
                    &daemon.pid().to_string(),
                ]);
                let mut child = command
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()
                    .unwrap();
                let mut messages = BufReader::new(child.stderr.take().unwrap()).lines();
                // `strace` reports when it is attached to every thread.
                while let Some(line) = messages.next_line().await.unwrap() {
                    if line.contains("attached") {
                        break;
                    }
                }
                tokio::spawn(async move { while let Ok(Some(_)) = messages.next_line().await {} });
                *tracer = Some(child);
            }
        }
    }

    /// Switches the fault off.
    pub(super) async fn mends(&mut self, daemon: &Daemon) {
        match self {
            Self::Refusing => limit(daemon, "unlimited").await,
            Self::Full { filler, .. } => fs::remove_file(filler).unwrap(),
            Self::Failing { tracer, .. } => {
                let mut child = tracer.take().unwrap();
                let status = Command::new("/bin/sh")
                    .args(["-c", &format!("kill -INT {}", child.id().unwrap())])
                    .status()
                    .await
                    .unwrap();
                assert!(status.success());
                child.wait().await.unwrap();
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Full { mounted, .. } = self {
            works("umount", &["-l", mounted.to_str().unwrap()]);
        }
    }
}

/// The options of `strace` that trace and fail only these calls.
fn traced(fault: &str) -> [String; 2] {
    let (calls, _) = fault.split_once(':').unwrap();
    [format!("trace={calls}"), format!("inject={fault}")]
}

async fn limit(daemon: &Daemon, bytes: &str) {
    let status = Command::new("prlimit")
        .args([
            format!("--pid={}", daemon.pid()),
            format!("--fsize={bytes}:"),
        ])
        .status()
        .await
        .unwrap();
    assert!(status.success());
}

fn fill(filler: &Path) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(filler)
        .unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
}
