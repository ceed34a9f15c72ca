//! A temporary directory with a configuration, and the program run in it without the environment of
//! this machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::daemon::Daemon;
use super::smtp_peer::SmtpPeer;

/// Maximum time that a test waits.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The result of a command.
#[derive(Debug)]
pub struct Finished {
    /// The exit status; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Finished {
    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Both outputs.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// A directory with a configuration file and an environment.
pub struct TestConfig {
    directory: Arc<tempfile::TempDir>,
    tables: BTreeMap<String, BTreeMap<String, String>>,
    env: BTreeMap<String, OsString>,
}

impl TestConfig {
    /// A configuration with only a state directory and a free port.
    pub fn bare() -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let mut config = Self {
            directory,
            tables: BTreeMap::new(),
            env: BTreeMap::new(),
        };
        let state = config.state().display().to_string();
        config.text("queue.state_dir", &state);
        config.text("server.listen", "127.0.0.1:0");
        config
    }

    /// A configuration that sends to a scripted server without TLS, by default to
    /// boss@example.org, and retries soon.
    pub fn new(peer: &SmtpPeer) -> Self {
        let mut config = Self::for_port(peer.port());
        config.text("smtp.name", "primary");
        config
    }

    /// The same for a server on this port.
    pub fn for_port(port: u16) -> Self {
        let mut config = Self::bare();
        for (key, value) in [
            ("smtp.host", "127.0.0.1"),
            ("smtp.tls", "none"),
            ("smtp.from", "Jobbell <bell@jobbell.example>"),
            ("smtp.to", "boss@example.org"),
        ] {
            config.text(key, value);
        }
        config.set("smtp.port", &port.to_string());
        config.text("smtp.cooldown", "100ms");
        config.text("smtp.cooldown_max", "100ms");
        config.text("retry.initial", "100ms");
        config
    }

    /// Sets a key of the file to a TOML value: `config.set("email.on_success", "false")`.
    pub fn set(&mut self, key: &str, value: &str) -> &mut Self {
        let (table, name) = key.rsplit_once('.').unwrap();
        self.tables
            .entry(table.to_owned())
            .or_default()
            .insert(name.to_owned(), value.to_owned());
        self.rewrite()
    }

    /// Removes a key from the file.
    pub fn unset(&mut self, key: &str) -> &mut Self {
        let (table, name) = key.rsplit_once('.').unwrap();
        self.tables.get_mut(table).unwrap().remove(name).unwrap();
        self.rewrite()
    }

    fn rewrite(&mut self) -> &mut Self {
        let mut text = String::new();
        for (table, keys) in &self.tables {
            writeln!(text, "[{table}]").unwrap();
            for (name, value) in keys {
                writeln!(text, "{name} = {value}").unwrap();
            }
        }
        self.write(&text)
    }

    /// Adds a backup server without TLS. Call it last: setting a key rewrites the file without it.
    pub fn backup(&mut self, peer: &SmtpPeer) -> &mut Self {
        let mut text = std::fs::read_to_string(self.file()).unwrap();
        write!(
            text,
            "[[smtp.backup]]\nname = \"backup\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\ncooldown = \"100ms\"\ncooldown_max = \"100ms\"\n",
            peer.port()
        )
        .unwrap();
        self.write(&text)
    }

    /// Sets a key of the file to a string.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.set(key, &format!("{value:?}"))
    }

    /// Sets an environment variable.
    pub fn env(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Writes the whole configuration file.
    pub fn write(&mut self, text: &str) -> &mut Self {
        std::fs::write(self.file(), text).unwrap();
        self
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Keeps the directory while the result exists.
    pub fn keep(&self) -> Arc<tempfile::TempDir> {
        Arc::clone(&self.directory)
    }

    /// The state directory, which the program creates.
    pub fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The configuration file.
    pub fn file(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    /// Loads the configuration like a program that embeds Jobbell.
    pub fn load(&self) -> jobbell::config::Config {
        let sources = jobbell::config::Sources {
            path: Some(self.file()),
            ..jobbell::config::Sources::default()
        };
        jobbell::config::load(&sources).unwrap().config
    }

    /// The program with this configuration and these arguments, in this directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jobbell"));
        command.args(arguments);
        self.prepare(&mut command);
        command
    }

    /// Sets a command's directory and environment, without standard input.
    pub fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.path())
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        // Coverage tools read the output path from the environment.
        command.envs(
            std::env::vars_os().filter(|(name, _)| {
                name == "PATH" || name == "TMPDIR" || name == "LLVM_PROFILE_FILE"
            }),
        );
    }

    /// Runs the program to its end.
    pub async fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments)).await
    }

    /// Runs the program to its end with this standard input.
    pub async fn run_with(&self, arguments: &[&str], input: &str) -> Finished {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).await.unwrap();
        drop(stdin);
        tokio::time::timeout(PATIENCE, child.wait_with_output())
            .await
            .expect("the program ends in time")
            .unwrap()
            .into()
    }

    /// Starts the daemon and waits until it listens.
    pub async fn start(&self) -> Daemon {
        Daemon::start(self.command(&["serve"]))
            .await
            .living_in(self.keep())
    }
}

/// Runs a command to its end.
pub async fn finish(mut command: Command) -> Finished {
    tokio::time::timeout(PATIENCE, command.output())
        .await
        .expect("the program ends in time")
        .unwrap()
        .into()
}
