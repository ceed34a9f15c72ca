//! The command line: one file per command. Results go to standard output, everything else to standard error.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the room that talks to a person")]

pub mod check;
mod client;
pub mod demo;
mod event;
mod log;
mod preview;
mod providers;
mod queue;
mod serve;
mod words;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Exit status: done.
pub const DONE: u8 = 0;
/// Exit status: it did not work.
pub const FAILED: u8 = 1;
/// Exit status: the configuration is wrong (`EX_CONFIG` of sysexits.h).
pub const CONFIG: u8 = 78;

/// Jobbell rings when a job is done: completion events in, good mails out, nothing lost.
#[derive(Debug, Parser)]
#[command(name = "jobbell", version, about, max_term_width = 100)]
struct Arguments {
    /// The configuration file [default: `$JOBBELL_CONFIG`, ./config.toml, /etc/jobbell/config.toml]
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon (the default)
    Serve,
    /// Run the daemon with a mailbox of its own, post sample events, show the mails; needs no configuration
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
    /// Post an event to the daemon
    Event(Box<event::Options>),
    /// Look into the queue, retry or cancel deliveries
    Queue(queue::Options),
    /// List the presets of mail services; with NAME how to get its authorization code
    Providers {
        /// A service, as qq, 163, gmail
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what the mail for an event would look like
    Preview(preview::Options),
}

/// Reads the arguments, does what they say, returns the exit status.
pub fn run() -> u8 {
    // The one TLS provider of the process, for the HTTP client; a second call would only say that it is there.
    drop(rustls::crypto::ring::default_provider().install_default());
    let Arguments { config, command } = Arguments::parse();
    let sources = crate::config::Sources::from_process(config);
    match command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&sources),
        Command::Demo(options) => demo::run(options),
        Command::Check { show, json } => u8::try_from(check::run(&sources, show, json)).unwrap_or(CONFIG),
        Command::Event(options) => event::run(&sources, &options),
        Command::Queue(options) => queue::run(&sources, &options),
        Command::Providers { name, json } => providers::run(name.as_deref(), words::terminal_locale(), json),
        Command::Preview(options) => preview::run(&sources, &options),
    }
}

/// Says why something did not work, and how that ends the program.
fn failed(why: impl std::fmt::Display) -> u8 {
    eprintln!("jobbell: {why}");
    FAILED
}

/// Reads the configuration or prints what is wrong with it.
fn load(sources: &crate::config::Sources) -> Result<crate::config::Loaded, u8> {
    crate::config::load(sources).map_err(|report| {
        eprintln!("{report}");
        CONFIG
    })
}

/// The same for a command that sends nothing: it needs no mail server, so none has to be configured.
fn load_without_mail(sources: &crate::config::Sources) -> Result<crate::config::Loaded, u8> {
    let mut sources = sources.clone();
    sources.overrides.push(("smtp.enable".to_owned(), "false".to_owned(), "this command".to_owned()));
    load(&sources)
}

/// A runtime for a command that talks to the daemon or reads the store, then ends.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, std::io::Error> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}
