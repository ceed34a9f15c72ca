//! `jobbell hooks`: what came from services and was not understood, and what would become of a payload.

mod failed;
mod try_payload;

use clap::{Args, Subcommand};

use super::{DONE, block_on, failed, load_without_mail};
use crate::config::Sources;

/// What to do about webhooks.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Verb,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List payloads that were not understood; with ID show one of them
    Failed {
        /// A number from the list
        id: Option<i64>,
    },
    /// Show what a hook would make of a payload, and why; sends nothing
    Try(try_payload::Options),
}

/// Runs the command.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    let config = match load_without_mail(sources) {
        Ok(loaded) => loaded.config,
        Err(status) => return status,
    };
    let locale = config.render.locale;
    let id = match &options.verb {
        Verb::Failed { id } => *id,
        Verb::Try(wanted) => return try_payload::run(&config, wanted, options.json),
    };
    match block_on(failed::run(&config, id, options.json)) {
        Ok(Ok(())) => DONE,
        Ok(Err(error)) => failed(error.said(locale)),
        Err(error) => failed(error),
    }
}
