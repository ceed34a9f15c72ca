//! The command line, one file or folder per command. Results go to standard output, everything else
//! to standard error.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments of options are help texts, in which back-ticks would be printed"
)]

// Macros are visible only after their module, so this comes first.
#[macro_use]
mod out;

mod arguments;
mod check;
#[cfg_attr(not(feature = "postgres"), path = "check_database_stub.rs")]
mod check_database;
mod client;
mod columns;
pub mod demo;
mod destination;
mod event;
mod examples;
mod explained_error;
mod home;
mod hooks;
mod i18n;
mod internal;
mod log;
mod nodes;
mod oauth;
mod preview;
mod progress;
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

use clap::Parser as _;

use crate::config::{Level, Loaded, Sources};
use crate::domain::{DeliveryId, Locale, Recipient};
use crate::telemetry::terminal::Styled;
use arguments::{Arguments, Command};

/// Exit status: success.
pub const DONE: u8 = 0;
/// Exit status: failure.
pub const FAILED: u8 = 1;
/// Exit status: usage error, the same as clap's.
pub const USAGE: u8 = 2;
/// Exit status: invalid configuration (`EX_CONFIG` of sysexits.h).
pub const CONFIG: u8 = 78;

/// Parses the arguments, runs the command and returns the exit status.
pub fn run() -> u8 {
    hide_memory();
    // The TLS provider of the whole process. It fails only if one is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
    // Untrusted input is processed by child processes of this very executable, even if the file has
    // been replaced by another version since.
    crate::sandbox::use_program("/proc/self/exe");
    let parsed = Arguments::try_parse_from(arguments(std::env::args_os()));
    let Arguments { config, command } = match parsed {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let sources = Sources::from_process(config);
    let command = command.unwrap_or(Command::Serve);
    // `run` passes on the exit status of the wrapped command.
    let is_own = !matches!(command, Command::Run(_));
    if is_own {
        // Child processes must not inherit our descriptors, except for a wrapped command, which may
        // need them.
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

/// Keeps passwords, codes and links out of core dumps and away from other processes of the same
/// user. Programs started by `jobbell run` are not affected.
fn hide_memory() {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .unwrap_or_default();
}

fn dispatch(sources: &Sources, command: Command) -> u8 {
    match command {
        Command::Serve => serve::run(sources),
        Command::Demo(options) => demo::run(options),
        Command::Check { show, json } => check::run(sources, show, json),
        Command::TestEmail(options) => test_email::run(sources, &options),
        Command::Send(options) => send::run(sources, &options),
        Command::Oauth(options) => oauth::run(sources, &options),
        Command::Event(options) => event::run(sources, &options),
        Command::Run(options) => run::run(sources, &options),
        Command::Hooks(options) => hooks::run(sources, &options),
        Command::Queue(options) => queue::run(sources, &options),
        Command::Nodes(options) => nodes::run(sources, &options),
        Command::Providers { name, json } => {
            providers::run(name.as_deref(), i18n::terminal_locale(), json)
        }
        Command::Preview(options) => preview::run(sources, &options),
        Command::Templates { action } => templates::run(sources, &action),
        Command::InternalDecode => internal::decode(),
        Command::InternalFill => internal::fill(),
    }
}

/// Treats `--test-email` in place of a command as that command, since other programs have it as an
/// option.
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

/// Headers that mark an automatic mail (RFC 3834 section 5). A mail without an event carries its
/// own ID in `X-Jobbell-Event`.
fn auto_reply_headers(delivery: DeliveryId) -> Vec<(&'static str, String)> {
    vec![
        ("X-Jobbell-Event", delivery.to_string()),
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Auto-Response-Suppress", "All".to_owned()),
    ]
}

/// Explains that a recipient is not allowed.
fn not_allowed(to: &Recipient, locale: Locale) -> String {
    let why = i18n::tr(
        locale,
        "is not in email.allowed_recipients; nothing was sent",
        "不在 email.allowed_recipients 之列；未发送",
    );
    format!("{} {why}", to.masked())
}

/// Reports a usage error.
fn usage_error(why: impl std::fmt::Display) -> u8 {
    eprintln!("jobbell: {why}");
    USAGE
}

/// Reports a failure.
fn failed(why: impl std::fmt::Display) -> u8 {
    eprintln!("jobbell: {why}");
    FAILED
}

/// Reads a JSON file, or standard input for `-`, in any encoding.
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

/// Accepts arguments that are not UTF-8, such as error messages of other programs; invalid bytes
/// become U+FFFD.
fn lossy() -> impl clap::builder::TypedValueParser<Value = String> {
    clap::builder::TypedValueParser::map(clap::builder::OsStringValueParser::new(), |text| {
        text.to_string_lossy().into_owned()
    })
}

/// Loads the configuration or prints its problems. Warns about a `config.toml` that was found but
/// not used.
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

/// Loads the configuration for a command that sends nothing, so that no mail server has to be
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

/// Runs a future to completion, for commands that talk to the daemon or read the store.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, std::io::Error> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work))
}
