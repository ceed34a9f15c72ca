//! `jobbell run -- COMMAND…`: runs a command as it is and posts how it ended.
//!
//! The command matters more than the mail: its input, output and exit status are passed on
//! unchanged, whatever becomes of the event.

mod child;
mod post;
mod report;
mod tail;

use std::ffi::OsString;

use clap::Args;

use super::i18n::terminal_locale;
use super::target;
use super::{FAILED, block_on, failed, lossy, usage_error};
use crate::config::Sources;
use child::Signals;
use post::Way;
use report::Report;

/// The command and what to tell of it.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The event's id, a new one for every run [default: made]
    #[arg(long)]
    id: Option<String>,
    /// The producer's name for the job
    #[arg(long, value_parser = lossy())]
    job_id: Option<String>,
    /// A title for people [default: the program and the words after it, up to the first option]
    #[arg(long, value_parser = lossy())]
    title: Option<String>,
    /// Who is told; may be given several times, or as a comma list
    #[arg(long)]
    to: Vec<String>,
    /// The mail's language: zh-CN or en
    #[arg(long)]
    locale: Option<String>,
    /// Post nothing when the command succeeds
    #[arg(long)]
    only_failure: bool,
    /// Leave the command the terminal: its output is not read, so the mail has none of it
    #[arg(long)]
    no_output: bool,
    #[command(flatten)]
    daemon: target::DaemonOptions,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command and posts how it ended; gives the command's exit status, 128 + N after signal
/// N.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    // What would be refused later is refused before anything runs.
    if let Err(problem) = report::try_out(options) {
        return usage_error(problem);
    }
    // A broken configuration keeps the mail back, not the command.
    let locale = terminal_locale();
    let way = Way::new(sources, &options.daemon, locale);
    let work = async {
        let ended = child::run(&options.command, options.no_output).await;
        let status = ended.exit_status();
        if let Some(way) = way.filter(|_| !(options.only_failure && ended.succeeded())) {
            let report = Report::new(
                options,
                &ended,
                options
                    .locale
                    .as_deref()
                    .and_then(|tag| tag.parse().ok())
                    .unwrap_or(way.mail_locale),
            );
            // Asked to stop while posting: the command has ended, so nothing but the mail is given
            // up.
            let mut stop = Signals::install();
            tokio::select! {
                () = post::hand_over(sources, &way, &report, locale) => {}
                () = stop.any() => post::warn(locale, "interrupted", "被中断"),
            }
        }
        status
    };
    match block_on(work) {
        Ok(status) => status,
        Err(error) => {
            failed(error);
            FAILED
        }
    }
}
