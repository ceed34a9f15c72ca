//! The configuration: read from all sources, with a report of all problems.
//!
//! ```text
//! config.toml (compiled in) < file < environment < command line
//!        each: read (every value with its place) → settle (aliases, contradictions) → a layer of canonical keys
//!        layers → merged by the `config` crate → typed reads, key by key → the settings of every module
//! ```
//!
//! [`Config::builder`], [`Config::from_toml`] and [`Config::from_env`] create a [`Config`]. The
//! reference file `config.toml` documents all keys and contains their defaults.
//!
//! The table `KEYS` defines all keys; variables, aliases, suggestions for unknown keys, masking and
//! `check --show` are derived from it.

mod aliases;
mod brand;
mod check;
mod credentials;
#[cfg(feature = "postgres")]
mod database;
mod directmail;
mod embedding;
mod environment;
mod expected;
mod file;
mod files;
mod foreign;
mod hooks;
mod host;
mod invisible;
mod key;
mod keys;
mod layers;
mod lines;
mod listener;
mod login;
mod lookup;
mod mapping;
mod message;
mod nearest;
mod ownership;
#[doc(hidden)]
pub mod permissions;
mod preset;
mod queue;
mod reads;
mod report;
mod scalars;
mod sender;
mod server;
mod servers;
mod shown;
mod sources;
mod syntax;
mod thumbnails;
mod tokens;
mod units;
mod value;
mod values;
mod verification;
mod zones;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use embedding::ConfigBuilder;
pub use layers::BUILT_IN;
pub use message::Message;
pub use report::{Level, Note, Problem, Report, ShownKey};
pub use sources::Sources;

use keys::KEYS;
use layers::{Layer, Stated};
use report::Findings;
use value::{Placed, Value};
use values::Values;

/// The reference file, which contains the defaults.
pub const REFERENCE: &str = include_str!("../../config.toml");

/// The settings of every module.
#[derive(Debug, Clone)]
pub struct Config {
    /// The mail servers, primary first; empty only if `smtp.enable` is false.
    pub smtp: Vec<crate::transport::Settings>,
    /// Recipients, and the events for which they get mails.
    pub routes: crate::routing::Routes,
    /// The look of mails.
    pub render: crate::render::Settings,
    /// Thumbnails.
    pub thumbnails: crate::thumbnails::Settings,
    /// Retries and concurrency.
    pub dispatch: crate::dispatch::Settings,
    /// The queue.
    pub queue: crate::queue::Settings,
    /// The HTTP server.
    pub server: crate::http::Settings,
    /// The webhooks, by name.
    pub hooks: Vec<crate::intake::hooks::Settings>,
    /// Log level and format.
    pub log: crate::telemetry::Settings,
}

/// A usable configuration.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Warnings and notes; the daemon logs them at start.
    pub notes: Vec<Note>,
    /// All effective keys, for `check --show`.
    pub shown: Vec<ShownKey>,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
}

/// Reads the configuration, including the files named by keys that end in `_file` and the templates in
/// `email.templates_dir`.
///
/// # Errors
/// If there is a problem; the report contains all of them.
pub fn load(sources: &Sources) -> Result<Loaded, Report> {
    let mut findings = Findings::default();
    if let Some((path, name, text)) = sources.read_file(&mut findings) {
        return load_text(sources, Some(path), &name, &text, findings);
    }
    let contents = file::Contents {
        complete: !findings.any_problem(),
        ..file::Contents::default()
    };
    assemble(sources, None, None, contents, findings)
}

/// Reads the configuration with the text of a file.
fn load_text(
    sources: &Sources,
    path: Option<PathBuf>,
    name: &str,
    text: &str,
    mut findings: Findings,
) -> Result<Loaded, Report> {
    let contents = file::read(text, name, &mut findings);
    assemble(sources, path, Some(name), contents, findings)
}

/// Merges all sources and builds the settings. `name` is the name of the file in places.
fn assemble(
    sources: &Sources,
    file: Option<PathBuf>,
    name: Option<&str>,
    contents: file::Contents,
    mut findings: Findings,
) -> Result<Loaded, Report> {
    let file::Contents {
        stated,
        homes,
        broken_lines,
        complete,
    } = contents;
    let mut from_file = aliases::settle(stated, &mut findings);
    for (home, place) in homes.iter().filter(|(home, _)| home != "smtp") {
        let (value, place) = (Value::Table, place.clone());
        from_file.insert(home.clone(), Placed { value, place });
    }
    let mut variables = environment::read(&sources.env, &mut findings);
    environment::name_hooks_as_the_file_does(&mut variables, &homes);
    let environment = aliases::settle(variables, &mut findings);
    let command_line = command_line(sources, &mut findings);
    let stack = layers::stack(
        &defaults(),
        vec![from_file, environment, command_line, rust_log(sources)],
    )
    .unwrap_or_else(|| {
        findings.problem(
            "",
            "",
            ["the sources cannot be merged", "无法合并各配置来源"],
        );
        layers::Stack::default()
    });
    let file_facts = values::File {
        homes,
        name: name.map(str::to_owned),
        complete,
    };
    let mut values = Values::new(stack, file_facts, findings);
    let config = check::build(&mut values, sources);
    if let Some(config) = &config {
        permissions::check(&mut values, sources, file.as_deref().zip(name), config);
    }
    let is_smtp_set = |key: &key::Key| key.table == "smtp" && values.is_set(&key.path());
    if name.is_none() && !KEYS.iter().any(is_smtp_set) {
        values.findings.nothing_configured(&sources.places);
    }
    let mut shown = check::show(&values);
    if !broken_lines.is_empty() {
        // After an unclosed bracket or quote, a value may contain other keys, and passwords.
        let start = format!("{}:", name.unwrap_or_default());
        shown.retain(|shown| !shown.origin.starts_with(&start));
    }
    let (problems, notes) = values.findings.into_parts(name, &broken_lines);
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded {
            config,
            notes,
            shown,
            file,
        }),
        _ => Err(Report {
            problems,
            notes,
            shown,
            file,
        }),
    }
}

/// The layer of defaults; a test checks that the reference file has no problems.
fn defaults() -> Layer {
    let contents = file::read(REFERENCE, BUILT_IN, &mut Findings::default());
    let stated = contents.stated.into_iter().map(|one| Stated {
        place: BUILT_IN.to_owned(),
        ..one
    });
    aliases::settle(stated.collect(), &mut Findings::default())
}

fn command_line(sources: &Sources, findings: &mut Findings) -> Layer {
    let mut stated = Vec::new();
    for (path, value, place) in &sources.overrides {
        if lookup::meaning(path).is_some() {
            stated.push(Stated {
                path: path.clone(),
                written: place.clone(),
                value: Value::Text(value.clone()),
                place: place.clone(),
            });
        } else {
            let (table, name) = path.split_once('.').unwrap_or(("", path));
            findings.problem(place, path, nearest::key_advice(table, name, table));
        }
    }
    aliases::settle(stated, findings)
}

/// `$RUST_LOG` overrides all other sources, as in other Rust programs.
fn rust_log(sources: &Sources) -> Layer {
    let filter = sources
        .variable("RUST_LOG")
        .and_then(|filter| filter.into_string().ok());
    let placed = filter.map(|filter| Placed {
        value: Value::Text(filter),
        place: check::RUST_LOG.to_owned(),
    });
    placed
        .map(|placed| ("log.level".to_owned(), placed))
        .into_iter()
        .collect()
}
