//! `jobbell nodes`: the nodes that share the queue; drains them.

mod table;
mod words;

use clap::{Args, Subcommand};
use serde_json::json;

use super::columns::terminal_width;
use super::i18n::{Words, terminal_locale};
use super::{CONFIG, DONE, block_on, failed, load_without_mail};
use crate::config::Sources;
use crate::domain::Locale;
use crate::queue::Settings;
use crate::queue::nodes::{self, NodeRecord, NodesError};

/// Arguments of `jobbell nodes`.
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
    /// List the nodes (the default)
    List,
    /// Let a node accept and claim nothing more and end what it has begun, until it is restarted
    Drain {
        /// Name of the node (queue.node_name)
        name: String,
    },
    /// End the draining of a node
    Resume {
        /// Name of the node (queue.node_name)
        name: String,
    },
}

/// Runs the command on the database, whether or not a daemon runs on this machine.
pub(super) fn run(sources: &Sources, options: &Options) -> u8 {
    let loaded = match load_without_mail(sources) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let locale = terminal_locale();
    match block_on(act(&loaded.config.queue, options, Words::of(locale))) {
        Ok(Ok(())) => DONE,
        Ok(Err(error)) => {
            let status = failed(said(&error, locale));
            match error {
                NodesError::Open(error) if error.is_configuration() => CONFIG,
                _ => status,
            }
        }
        Err(error) => failed(error),
    }
}

async fn act(settings: &Settings, options: &Options, words: &Words) -> Result<(), NodesError> {
    match options.verb.as_ref().unwrap_or(&Verb::List) {
        Verb::List => {
            let nodes = nodes::list(settings).await?;
            if options.json {
                println!("{}", json!(nodes));
            } else {
                for line in table::lines(&nodes, words, terminal_width()) {
                    println!("{line}");
                }
            }
        }
        Verb::Drain { name } => {
            let node = nodes::drain(settings, name, true).await?;
            print(&node, &words.draining(&node), options.json);
            if node.is_silent() {
                eprintln!("jobbell: {}", words.silent(&node));
            }
            if let Ok(nodes) = nodes::list(settings).await
                && !nodes.iter().any(accepts)
            {
                eprintln!("jobbell: {}", words.none_accepts);
            }
        }
        Verb::Resume { name } => {
            let node = nodes::drain(settings, name, false).await?;
            print(&node, &words.resumed(&node), options.json);
            if node.is_silent() {
                eprintln!("jobbell: {}", words.silent(&node));
            }
        }
    }
    Ok(())
}

fn print(node: &NodeRecord, text: &str, json: bool) {
    if json {
        println!("{}", json!(node));
    } else {
        println!("{text}");
    }
}

fn accepts(node: &NodeRecord) -> bool {
    !node.draining && !node.is_silent()
}

/// The message in the operator's language.
fn said(error: &NodesError, locale: Locale) -> String {
    match (error, locale) {
        (NodesError::NotShared, Locale::ZhCn) => {
            "该队列使用 SQLite，本机的守护进程是其唯一节点；多个节点需共用 PostgreSQL 中的队列（queue.url = \"postgres://…\"）".to_owned()
        }
        (NodesError::Unknown { name, known }, Locale::ZhCn) if known.is_empty() => {
            format!("没有名为“{name}”的节点；当前没有节点在运行")
        }
        (NodesError::Unknown { name, known }, Locale::ZhCn) => {
            format!("没有名为“{name}”的节点；现有节点：{}", known.join("、"))
        }
        (error, _) => error.to_string(),
    }
}
