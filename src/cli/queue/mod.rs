//! `jobbell queue`: inspects the queue, retries and cancels, through the running daemon or on the
//! store itself.

mod access;
mod access_error;
mod act;
mod doctor;
mod files;
mod list;
mod permission;
mod show;
#[cfg(feature = "postgres")]
mod transfer;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Client, ClientError};
use super::i18n::{Words, terminal_locale};
use super::target::{self, Target};
use super::{CONFIG, DONE, FAILED, block_on, failed, load_without_mail};
use crate::clock::Clock;
use crate::config::{Config, Loaded, Sources};
use crate::http::tokens::Scope;
use crate::render::Renderer;
use access::Access;
use access_error::AccessError;

/// Arguments of `jobbell queue`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    daemon: target::DaemonOptions,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List deliveries, newest first (the default)
    List(ListOptions),
    /// Show an event with its deliveries, or one delivery, with all attempts
    Show {
        /// Event ID, delivery ID, or the end of a delivery ID as listed
        id: String,
    },
    /// Retry a delivery, or the deliveries of an event
    Retry {
        /// Delivery ID, the end of one as listed, or event ID
        id: String,
    },
    /// Cancel a queued delivery, or the queued deliveries of an event
    Cancel {
        /// Delivery ID, the end of one as listed, or event ID
        id: String,
    },
    /// Count the deliveries by state and check that the counts are consistent
    Stats,
    /// Check the database for damage; works while the daemon runs
    Check {
        /// A backup to check instead of the queue
        #[arg(value_name = "BACKUP")]
        copy: Option<std::path::PathBuf>,
    },
    /// Find what slows a queue in PostgreSQL down, with what to do; exit status 1 if somebody has to
    Doctor,
    /// Back up the database to a new file, as a consistent snapshot; works while the daemon runs
    Backup {
        /// The file to create
        path: std::path::PathBuf,
    },
    /// Move the stopped queue from SQLite to PostgreSQL or back, with all records
    #[cfg(feature = "postgres")]
    Move(transfer::Ends),
}

#[derive(Debug, Default, Args)]
struct ListOptions {
    /// Only this state
    #[arg(long, value_parser = ["queued", "sending", "sent", "dead", "suppressed", "cancelled"])]
    state: Option<String>,
    /// Only this recipient
    #[arg(long)]
    to: Option<String>,
    /// Only deliveries created since this time (RFC 3339)
    #[arg(long)]
    since: Option<String>,
    /// Next page: the cursor printed below a list
    #[arg(long)]
    cursor: Option<String>,
    /// Maximum rows, 1 to 200
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

/// Runs the command, through the daemon or on the store.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    #[cfg(feature = "postgres")]
    if let Some(Verb::Move(ends)) = &options.verb {
        return transfer::run(sources, ends, options.json);
    }
    let loaded = match load_without_mail(sources) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    match block_on(act(sources, &loaded, options)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            let status = if error.is_configuration() {
                CONFIG
            } else {
                FAILED
            };
            failed(error.said(terminal_locale()));
            status
        }
        Err(error) => failed(error),
    }
}

async fn act(sources: &Sources, loaded: &Loaded, options: &Options) -> Result<u8, AccessError> {
    let (config, words) = (&loaded.config, Words::of(terminal_locale()));
    match &options.verb {
        Some(Verb::Check { copy }) => {
            return files::check(config, copy.as_deref(), options.json, words);
        }
        Some(Verb::Doctor) => return doctor::run(config, options.json).await,
        Some(Verb::Backup { path }) => return files::backup(config, path, options.json, words),
        _ => {}
    }
    let client = Target::new(
        sources,
        &options.daemon,
        loaded,
        &[Scope::Operate, Scope::Read],
    )
    .map_err(ClientError::from)
    .and_then(Client::new)?;
    let changes = matches!(options.verb, Some(Verb::Retry { .. } | Verb::Cancel { .. }));
    let access = Access::open(client, config, changes).await?;
    let status = ask(&access, config, options, words).await;
    access.close().await;
    status
}

async fn ask(
    access: &Access,
    config: &Config,
    options: &Options,
    words: &Words,
) -> Result<u8, AccessError> {
    let default = Verb::List(ListOptions {
        limit: 50,
        ..ListOptions::default()
    });
    let json = |value: &Value| {
        println!("{value}");
        Ok(DONE)
    };
    match options.verb.as_ref().unwrap_or(&default) {
        Verb::List(list) => {
            let page = access.list(list).await?;
            if options.json {
                return json(&page);
            }
            list::print(
                &page,
                access,
                &Renderer::new(config.render.clone()),
                words,
                Clock::System.now(),
            )
            .await?;
        }
        Verb::Show { id } => {
            let record = access.show(id).await?;
            if options.json {
                return json(&record);
            }
            show::record(&record, config, words);
        }
        Verb::Retry { id } => changed(&access.act(id, "retry").await?, options.json, words.retried),
        Verb::Cancel { id } => changed(
            &access.act(id, "cancel").await?,
            options.json,
            words.cancelled,
        ),
        #[cfg(feature = "postgres")]
        // It opens both queues itself.
        Verb::Move(_) => return Ok(FAILED),
        // Check, doctor and backup work by themselves, before anything is opened.
        Verb::Stats | Verb::Check { .. } | Verb::Doctor | Verb::Backup { .. } => {
            let stats = access.stats().await?;
            let balanced = stats.get("balanced") == Some(&true.into());
            if options.json {
                println!("{stats}");
            } else {
                show::stats(&stats, words);
            }
            return Ok(if balanced { DONE } else { FAILED });
        }
    }
    Ok(DONE)
}

/// Prints the changed deliveries. As JSON, one delivery is an object and the deliveries of an event
/// are an array.
fn changed(deliveries: &[Value], json: bool, what: &str) {
    match deliveries {
        [one] if json => println!("{one}"),
        many if json => println!("{}", Value::from(many)),
        many => many.iter().for_each(|delivery| {
            println!(
                "{what}: {} {}",
                show::text(delivery, "id"),
                show::text(delivery, "to")
            );
        }),
    }
}
