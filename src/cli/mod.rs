//! The command line: one file per command. Results go to standard output, everything else to
//! standard error.

#![expect(
    clippy::doc_markdown,
    reason = "the comments of options are the help, where back-ticks would be printed"
)]

// First of all: macros are visible only after their module.
#[macro_use]
mod out;

pub mod check;
mod client;
mod columns;
pub mod demo;
mod event;
mod explained_error;
mod home;
mod hooks;
mod i18n;
mod internal;
mod log;
mod oauth;
mod preview;
mod providers;
mod queue;
mod run;
mod send;
mod serve;
mod servers;
mod target;
mod templates;
mod test_email;
mod thumbnails;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{Level, Loaded, Sources};
use crate::domain::{DeliveryId, Locale, Recipient};
use crate::telemetry::terminal::Styled;

/// Exit status: done.
pub const DONE: u8 = 0;
/// Exit status: it did not work.
pub const FAILED: u8 = 1;
/// Exit status: wrong usage, as for every argument that is not one of those allowed.
pub const USAGE: u8 = 2;
/// Exit status: the configuration is wrong (`EX_CONFIG` of sysexits.h).
pub const CONFIG: u8 = 78;

/// Jobbell rings when a job is done: completion events in, good mails out, nothing lost.
#[derive(Debug, Parser)]
#[command(name = "jobbell", version, about, max_term_width = 100)]
struct Arguments {
    /// The configuration file [default: $JOBBELL_CONFIG, ./config.toml, /etc/jobbell/config.toml]
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon (the default)
    Serve,
    /// Run the daemon with a mailbox of its own, post sample events, show the mails; needs no
    /// configuration
    Demo(demo::Options),
    /// Read the configuration and say everything that is wrong with it
    Check {
        /// Print the effective configuration with the source of each value
        #[arg(long)]
        show: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send a test mail and tell each step: DNS, TCP, TLS, EHLO, AUTH, MAIL, RCPT, DATA; with
    /// advice where it sticks
    TestEmail(test_email::Options),
    /// Send one mail, at once; settings on the command line win over the configuration
    Send(Box<send::Options>),
    /// Post an event to the daemon
    Event(Box<event::Options>),
    /// Run a command and post how it ended, with its duration, its exit status and its last lines
    Run(Box<run::Options>),
    /// Look into the queue, retry or cancel deliveries
    Queue(queue::Options),
    /// Look at what services posted that was not understood
    Hooks(hooks::Options),
    /// List the presets of mail services; with NAME how to get its authorization code
    Providers {
        /// A service, as qq, 163, gmail
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Get the permission to send for a server with auth = "xoauth2", by a code to enter in a
    /// browser
    Oauth(oauth::Options),
    /// Show what the mail for an event would look like
    Preview(preview::Options),
    /// Write, check and preview templates of your own
    Templates {
        #[command(subcommand)]
        action: templates::Action,
    },
    /// Decode a picture; run by this program itself
    #[command(hide = true)]
    InternalDecode,
    /// Fill templates; run by this program itself
    #[command(hide = true)]
    InternalFill,
}

/// Reads the arguments, does what they say, returns the exit status.
pub fn run() -> u8 {
    hide_memory();
    // The one TLS provider of the process, for the HTTP client; a second call would only say that
    // it is there.
    drop(rustls::crypto::ring::default_provider().install_default());
    // What strangers wrote is worked on by child processes of this very file, even after it was
    // replaced by another version.
    crate::sandbox::use_program("/proc/self/exe");
    let parsed = Arguments::try_parse_from(arguments(std::env::args_os()));
    let Arguments { config, command } = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let sources = Sources::from_process(config);
    let command = command.unwrap_or(Command::Serve);
    // The status of a command that was wrapped is its own.
    let is_own = !matches!(command, Command::Run(_));
    if is_own {
        // Child processes must not inherit our descriptors, except a wrapped command, which may be
        // meant to have them.
        close_fds::CloseFdsBuilder::new().cloexecfrom(3);
    }
    let status = dispatch(&sources, command);
    if status == DONE && is_own && out::is_lost() {
        FAILED
    } else {
        status
    }
}

/// Prints help or a usage error, which may repeat arguments that steer the terminal.
fn usage(error: &clap::Error) -> u8 {
    let text = error.render().ansi().to_string();
    let (mut out, mut err) = (Styled(anstream::stdout()), Styled(anstream::stderr()));
    let written = if error.use_stderr() {
        write!(err, "{text}")
    } else {
        write!(out, "{text}")
    };
    if let Err(error) = written {
        out::lost(&error);
    }
    u8::try_from(error.exit_code()).unwrap_or(FAILED)
}

/// Passwords, codes and links are in this memory: no core dump shows them, and no other process of
/// the same user reads them. Programs started by `jobbell run` are not concerned.
fn hide_memory() {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .unwrap_or_default();
}

fn dispatch(sources: &Sources, command: Command) -> u8 {
    match command {
        Command::Serve => serve::run(sources),
        Command::Demo(options) => demo::run(options),
        Command::Check { show, json } => {
            u8::try_from(check::run(sources, show, json)).unwrap_or(CONFIG)
        }
        Command::TestEmail(options) => test_email::run(sources, &options),
        Command::Send(options) => send::run(sources, &options),
        Command::Oauth(options) => oauth::run(sources, &options),
        Command::Event(options) => event::run(sources, &options),
        Command::Run(options) => run::run(sources, &options),
        Command::Hooks(options) => hooks::run(sources, &options),
        Command::Queue(options) => queue::run(sources, &options),
        Command::Providers { name, json } => {
            providers::run(name.as_deref(), i18n::terminal_locale(), json)
        }
        Command::Preview(options) => preview::run(sources, &options),
        Command::Templates { action } => templates::run(sources, &action),
        Command::InternalDecode => internal::decode(),
        Command::InternalFill => internal::fill(),
    }
}

/// The arguments, with `--test-email` in the place of a command understood as that command: other
/// programs have it as an option.
fn arguments(given: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    let mut before_command = true;
    let mut value_follows = false;
    given.enumerate().map(move |(at, argument)| {
        let text = argument.to_string_lossy();
        let option = at == 0 || value_follows || text.starts_with("--config");
        value_follows = before_command && !value_follows && text == "--config";
        let replaced = before_command && text == "--test-email";
        before_command &= option;
        if replaced {
            OsString::from("test-email")
        } else {
            argument
        }
    })
}

/// The headers that mark a mail as a program's (RFC 3834 §5); it belongs to no event and carries
/// its own id in that place.
fn auto_reply_headers(delivery: DeliveryId) -> Vec<(&'static str, String)> {
    vec![
        ("X-Jobbell-Event", delivery.to_string()),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Auto-Response-Suppress", "All".to_owned()),
    ]
}

/// Why a recipient is left out.
fn not_allowed(to: &Recipient, locale: Locale) -> String {
    let why = i18n::tr(
        locale,
        "is not among email.allowed_recipients; nothing was sent",
        "不在 email.allowed_recipients 之列；未发送",
    );
    format!("{} {why}", to.masked())
}

/// Says what is wrong with the arguments.
fn usage_error(why: impl std::fmt::Display) -> u8 {
    eprintln!("jobbell: {why}");
    USAGE
}

/// Says why something did not work, and how that ends the program.
fn failed(why: impl std::fmt::Display) -> u8 {
    eprintln!("jobbell: {why}");
    FAILED
}

/// Reads a file of JSON, `-` for standard input, in whichever encoding it is.
fn read_json(file: &std::path::Path) -> Result<serde_json::Value, String> {
    let place = file.display();
    let bytes = if file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    let bytes = bytes.map_err(|error| format!("{place}: {error}"))?;
    let bytes = crate::encoding::to_utf8(bytes, i18n::terminal_encoding());
    crate::domain::json::read(&bytes).map_err(|error| format!("{place}: {error}"))
}

/// Texts among the arguments may hold bytes that are not UTF-8, as an error message from elsewhere
/// does: each becomes U+FFFD.
fn lossy() -> impl clap::builder::TypedValueParser<Value = String> {
    clap::builder::TypedValueParser::map(clap::builder::OsStringValueParser::new(), |text| {
        text.to_string_lossy().into_owned()
    })
}

/// Reads the configuration or prints what is wrong with it; names a file that lay there and was not
/// used.
fn load(sources: &Sources) -> Result<Loaded, u8> {
    let locale = i18n::terminal_locale();
    let loaded = crate::config::load(sources);
    let notes = loaded
        .as_ref()
        .map_or_else(|report| &report.notes, |loaded| &loaded.notes);
    for note in notes
        .iter()
        .filter(|note| note.level == Level::Warning && note.concerns_a_file())
    {
        eprintln!("jobbell: {}", note.said(locale));
    }
    loaded.map_err(|report| {
        for problem in &report.problems {
            eprintln!("{}", problem.said(locale));
        }
        CONFIG
    })
}

/// The same for a command that sends nothing: it needs no mail server, so none has to be
/// configured.
fn load_without_mail(sources: &Sources) -> Result<Loaded, u8> {
    let mut sources = sources.clone();
    sources.overrides.push((
        "smtp.enable".to_owned(),
        "false".to_owned(),
        "this command".to_owned(),
    ));
    load(&sources)
}

/// A runtime for a command that talks to the daemon or reads the store, then ends.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, std::io::Error> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work))
}
