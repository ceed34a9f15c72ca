//! `jobbell queue`: looks into the queue, retries and cancels; through the running daemon, or on the store itself when none runs.

mod access;
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
    let access = Access::open(config).await?;
    let words = Words::of(config.render.locale);
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
        Verb::Stats => (access.stats().await?, |stats, words| if show::stats(stats, words) { DONE } else { FAILED }),
    };
    access.close().await;
    if options.json {
        println!("{value}");
        return Ok(if value.get("balanced") == Some(&false.into()) { FAILED } else { DONE });
    }
    Ok(print(&value, words))
}
