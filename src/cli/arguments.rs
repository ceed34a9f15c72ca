//! The commands and the options that all of them have.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::{
    demo, event, examples, hooks, nodes, oauth, preview, queue, run, send, templates, test_email,
};

/// Reliable email notifications for finished jobs
#[derive(Debug, Parser)]
#[command(name = "jobbell", version, about, max_term_width = 100)]
pub(super) struct Arguments {
    /// Configuration file [default: $JOBBELL_CONFIG, ./config.toml, /etc/jobbell/config.toml]
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon (the default)
    Serve,
    /// Run a daemon with a built-in inbox and sample emails; needs no configuration
    Demo(demo::Options),
    /// Validate the configuration and list every problem
    #[command(after_long_help = examples::CHECK)]
    Check {
        /// Print the effective configuration with the source of each value
        #[arg(long)]
        show: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Send a test email and show each step from DNS to DATA, with advice if one fails
    #[command(after_long_help = examples::TEST_EMAIL)]
    TestEmail(test_email::Options),
    /// Send one email now; options override the configuration
    #[command(after_long_help = examples::SEND)]
    Send(Box<send::Options>),
    /// Post an event to the daemon
    #[command(after_long_help = examples::EVENT)]
    Event(Box<event::Options>),
    /// Run a command and post its result: duration, exit status and last lines of output
    #[command(after_long_help = examples::RUN)]
    Run(Box<run::Options>),
    /// Inspect the queue; retry or cancel deliveries
    #[command(after_long_help = examples::QUEUE)]
    Queue(queue::Options),
    /// List the nodes that share a queue in PostgreSQL; drain one
    #[command(after_long_help = examples::NODES)]
    Nodes(nodes::Options),
    /// Inspect webhook payloads that couldn't be parsed; test a hook
    #[command(after_long_help = examples::HOOKS)]
    Hooks(hooks::Options),
    /// List the presets of mail services; with NAME, show how to get its authorization code
    #[command(after_long_help = examples::PROVIDERS)]
    Providers {
        /// A mail service, such as qq, 163 or gmail
        name: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Authorize an OAuth 2.0 mail server in your browser
    #[command(after_long_help = examples::OAUTH)]
    Oauth(oauth::Options),
    /// Show the email for an event without sending it
    #[command(after_long_help = examples::PREVIEW)]
    Preview(preview::Options),
    /// Export, check and preview your own email templates
    #[command(after_long_help = examples::TEMPLATES)]
    Templates {
        #[command(subcommand)]
        action: templates::Action,
    },
    /// Decode an image; used internally
    #[command(hide = true)]
    InternalDecode,
    /// Fill templates; used internally
    #[command(hide = true)]
    InternalFill,
}
