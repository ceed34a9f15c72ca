//! `jobbell run -- COMMAND…`: runs a command unchanged and posts its result.
//!
//! The command matters more than the mail: its input, output and exit status are passed on
//! unchanged, whether or not the event can be posted.

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

/// The command and the event to post.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Event ID, unique for every run [default: generated]
    #[arg(long)]
    id: Option<String>,
    /// Your ID of the job
    #[arg(long, value_parser = lossy())]
    job_id: Option<String>,
    /// Human-readable title [default: the program and its plain arguments, up to the first option]
    #[arg(long, value_parser = lossy())]
    title: Option<String>,
    /// Recipients; repeatable, or a comma-separated list
    #[arg(long)]
    to: Vec<String>,
    /// Language of the email: zh-CN or en
    #[arg(long)]
    locale: Option<String>,
    /// Post nothing if the command succeeds
    #[arg(long)]
    only_failure: bool,
    /// Don't capture output; the command keeps the terminal
    #[arg(long)]
    no_output: bool,
    #[command(flatten)]
    daemon: target::DaemonOptions,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command and posts its result. Returns the command's exit status, or 128 + N after
/// signal N.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    // Options that would be refused later are refused before anything runs.
    if let Err(problem) = report::try_out(options) {
        return usage_error(problem);
    }
    // A broken configuration prevents the mail, not the command.
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
            // The command has ended, so stopping now gives up only the mail.
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
