//! The configuration: read from all its sources at once, or refused with everything that is wrong
//! with it.
//!
//! ```text
//! config.toml (compiled in) < file < environment < command line
//!        each: read (place of every value) → settle (aliases, contradictions) → a layer of canonical keys
//!        the layers, laid over each other by the `config` crate → typed reads, key by key → the Settings of every stage
//! ```
//!
//! One table, [`KEYS`], says which keys there are, and everything follows from it: variables,
//! aliases, unknown keys with the nearest name, typed reads, masking, `check --show`. The defaults
//! stand in the reference file at the top of the repository.

mod aliases;
mod brand;
mod check;
mod credentials;
mod directmail;
mod embedding;
mod environment;
mod file;
mod foreign;
mod hooks;
mod host;
mod invisible;
mod key;
mod keys;
mod layers;
mod listener;
mod login;
mod lookup;
mod mapping;
mod nearest;
mod ownership;
pub mod permissions;
mod preset;
mod reads;
mod report;
mod scalars;
mod sender;
mod server;
mod servers;
mod shown;
mod sources;
mod thumbnails;
mod tokens;
mod units;
mod values;
mod zones;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use ::config::ValueKind;

pub use embedding::ConfigBuilder;
pub use key::{Key, Kind};
pub use keys::KEYS;
pub use layers::BUILT_IN;
pub use report::{Level, Note, Problem, Report, ShownKey, in_language};
pub use sources::Sources;

use layers::{Layer, Stated};
use report::Findings;
use values::Values;

/// The reference file, which is also the layer of defaults.
pub const REFERENCE: &str = include_str!("../../config.toml");

/// The settings of every stage.
#[derive(Debug, Clone)]
pub struct Config {
    /// The mail servers, primary first; empty only while `smtp.enable` is false.
    pub smtp: Vec<crate::transport::Settings>,
    /// Recipients and the events they get mails for.
    pub routes: crate::routing::Routes,
    /// How mails look.
    pub render: crate::render::Settings,
    /// How small copies of pictures are made.
    pub thumbnails: crate::thumbnails::Settings,
    /// How mails are tried.
    pub dispatch: crate::dispatch::Settings,
    /// Where mails wait.
    pub queue: crate::queue::Settings,
    /// Where events come in.
    pub server: crate::http::Settings,
    /// The services whose webhooks are taken, by name.
    pub hooks: Vec<crate::intake::hooks::Settings>,
    /// Log level and format.
    pub log: crate::telemetry::Settings,
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Warnings, and what else is worth knowing; start-up logs each once.
    pub notes: Vec<Note>,
    /// Every key in force, for `check --show`.
    pub shown: Vec<ShownKey>,
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
}

/// Reads the configuration.
///
/// Reads the configuration file, the files that the keys ending in `_file` name, and the templates
/// in `email.templates_dir`; opens nothing else.
///
/// # Errors
/// When anything is wrong with it: the report has every problem, not just the first.
pub fn load(sources: &Sources) -> Result<Loaded, Report> {
    let mut findings = Findings::default();
    let file = sources
        .read_file(&mut findings)
        .map(|(path, name, text)| (Some(path), name, text));
    load_text(sources, file, findings)
}

/// Reads the configuration with the text of its file: path, name in places, and text.
fn load_text(
    sources: &Sources,
    file: Option<(Option<PathBuf>, String, String)>,
    mut findings: Findings,
) -> Result<Loaded, Report> {
    let (file, name, contents) = match file {
        Some((path, name, text)) => {
            let contents = file::read(&text, &name, &mut findings);
            (path, Some(name), contents)
        }
        None => (
            None,
            None,
            file::Contents {
                complete: !findings.any_problem(),
                ..file::Contents::default()
            },
        ),
    };
    let file::Contents {
        stated,
        homes,
        broken_lines,
        complete,
    } = contents;
    let mut from_file = aliases::settle(stated, &mut findings);
    for (home, place) in homes.iter().filter(|(home, _)| home != "smtp") {
        from_file.set(home.clone(), place, ValueKind::Table(::config::Map::new()));
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
        findings.problem("", "", "the sources could not be laid over each other");
        layers::Stack::default()
    });
    let mut values = Values::new(
        stack,
        values::File {
            homes,
            name: name.clone(),
            complete,
        },
        findings,
    );
    let config = check::build(&mut values, sources);
    if let Some(config) = &config {
        permissions::check(
            &mut values,
            sources,
            file.as_deref().zip(name.as_deref()),
            config,
        );
    }
    if name.is_none()
        && !KEYS
            .iter()
            .any(|key| key.table == "smtp" && values.by_hand(&key.path()))
    {
        values.findings.nothing_configured(&sources.places);
    }
    let mut shown = check::show(&values);
    if !broken_lines.is_empty() {
        // An unclosed bracket or quote makes one value of lines that belong to other keys, secret
        // ones among them.
        shown.retain(|shown| {
            !shown
                .origin
                .starts_with(&format!("{}:", name.as_deref().unwrap_or_default()))
        });
    }
    let (problems, notes) = values.findings.into_parts(name.as_deref(), &broken_lines);
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

/// The layer of defaults; a test holds the reference file to being flawless.
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
                value: ValueKind::String(value.clone()),
                place: place.clone(),
            });
        } else {
            let (table, name) = path.split_once('.').unwrap_or(("", path));
            findings.problem(place, path, nearest::key_advice(table, name));
        }
    }
    aliases::settle(stated, findings)
}

/// `$RUST_LOG` wins over everything, as in other Rust programs.
fn rust_log(sources: &Sources) -> Layer {
    let mut layer = Layer::default();
    if let Some(filter) = sources
        .variable("RUST_LOG")
        .and_then(|filter| filter.into_string().ok())
    {
        layer.set(
            "log.level".to_owned(),
            check::RUST_LOG,
            ValueKind::String(filter),
        );
    }
    layer
}
