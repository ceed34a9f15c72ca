//! `jobbell queue`: looks into the queue, retries and cancels; through the running daemon, or on the store itself when none runs.

mod access;
mod files;
mod show;

use clap::{Args, Subcommand};

use super::words::Words;
use super::{DONE, FAILED, block_on, failed, load_without_mail};
use crate::config::{Config, Sources};
use access::{Access, AccessError};

/// What to do with the queue.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List deliveries, the newest first (the default)
    List(ListOptions),
    /// Show an event and its deliveries, or one delivery, with every attempt
    Show {
        /// An event's or a delivery's id
        id: String,
    },
    /// Queue a delivery again
    Retry {
        /// The delivery's id
        id: String,
    },
    /// Take a delivery back that waits
    Cancel {
        /// The delivery's id
        id: String,
    },
    /// Count the deliveries by state, and check that the states add up
    Stats,
    /// Examine the store itself: pages, references, numbers, events; also while the daemon runs
    Check {
        /// A backup to examine in the place of the queue
        #[arg(value_name = "BACKUP")]
        copy: Option<std::path::PathBuf>,
    },
    /// Copy the store to a new file, complete as of one moment; also while the daemon runs
    Backup {
        /// The file to make
        path: std::path::PathBuf,
    },
}

#[derive(Debug, Default, Args)]
struct ListOptions {
    /// Only this state
    #[arg(long, value_parser = ["queued", "sending", "sent", "dead", "suppressed", "cancelled"])]
    state: Option<String>,
    /// Only this recipient
    #[arg(long)]
    to: Option<String>,
    /// Only those created since this time (RFC 3339)
    #[arg(long)]
    since: Option<String>,
    /// Go on where an earlier list ended
    #[arg(long)]
    cursor: Option<String>,
    /// The most lines, 1 to 200
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

/// Does it, on the daemon or on the store.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    let config = match load_without_mail(sources) {
        Ok(loaded) => loaded.config,
        Err(status) => return status,
    };
    match block_on(act(&config, options)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => failed(error.said(config.render.locale)),
        Err(error) => failed(error),
    }
}

async fn act(config: &Config, options: &Options) -> Result<u8, AccessError> {
    let words = Words::of(config.render.locale);
    match &options.verb {
        Some(Verb::Check { copy }) => return Ok(files::check(config, copy.as_deref(), options.json, words)),
        Some(Verb::Backup { path }) => return files::backup(config, path, options.json, words),
        _ => {}
    }
    let access = Access::open(config).await?;
    let default = Verb::List(ListOptions { limit: 50, ..ListOptions::default() });
    let (value, print): (_, fn(&serde_json::Value, &Words) -> u8) = match options.verb.as_ref().unwrap_or(&default) {
        Verb::List(list) => (access.list(list).await?, |page, words| {
            show::list(page, words);
            DONE
        }),
        Verb::Show { id } => (access.show(id).await?, |record, words| {
            show::record(record, words);
            DONE
        }),
        Verb::Retry { id } => (access.act(id, "retry").await?, |delivery, words| {
            println!("{}: {}", words.retried, show::text(delivery, "id"));
            DONE
        }),
        Verb::Cancel { id } => (access.act(id, "cancel").await?, |delivery, words| {
            println!("{}: {}", words.cancelled, show::text(delivery, "id"));
            DONE
        }),
        // Check and backup were done above, on the files.
        Verb::Stats | Verb::Check { .. } | Verb::Backup { .. } => (access.stats().await?, |stats, words| if show::stats(stats, words) { DONE } else { FAILED }),
    };
    access.close().await;
    if options.json {
        println!("{value}");
        return Ok(if value.get("balanced") == Some(&false.into()) { FAILED } else { DONE });
    }
    Ok(print(&value, words))
}
