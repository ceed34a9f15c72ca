//! `jobbell hooks`: inspects webhook payloads that could not be parsed, and tests a hook on a
//! payload.

mod failed;
mod try_payload;

use clap::{Args, Subcommand};

use super::client::Client;
use super::i18n::terminal_locale;
use super::target::{self, Target};
use super::{DONE, block_on, failed, load_without_mail};
use crate::config::Sources;
use crate::http::tokens::Scope;

/// Arguments of `jobbell hooks`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Verb,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    daemon: target::DaemonOptions,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List payloads that could not be parsed; with ID, show one
    Failed {
        /// A number from the list
        id: Option<i64>,
    },
    /// Show the events that a hook makes of a payload, and why; sends nothing
    Try(try_payload::Options),
}

/// Runs the command.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    let loaded = match load_without_mail(sources) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let locale = terminal_locale();
    let id = match &options.verb {
        Verb::Failed { id } => *id,
        Verb::Try(wanted) => return try_payload::run(&loaded.config, wanted, options.json),
    };
    let client = match Target::new(sources, &options.daemon, &loaded, &[Scope::Operate])
        .map_err(Into::into)
        .and_then(Client::new)
    {
        Ok(client) => client,
        Err(error) => return failed(error.said(locale)),
    };
    match block_on(failed::run(&client, &loaded.config, id, options.json)) {
        Ok(Ok(())) => DONE,
        Ok(Err(error)) => failed(error.said(locale)),
        Err(error) => failed(error),
    }
}
