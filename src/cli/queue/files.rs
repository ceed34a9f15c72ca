//! Commands on the store's files: check and backup. They work whether or not a daemon is running.

use std::path::Path;

use serde_json::{Value, json};

use super::super::i18n::Words;
use super::super::progress::Bar;
use super::super::{DONE, FAILED};
use super::access_error::AccessError;
use super::permission::permitted;
use super::show;
use crate::config::Config;
use crate::queue::sqlite::{self, CheckReport};

/// Checks the store or a backup. A file that cannot be opened is reported as damaged.
pub(super) fn check(
    config: &Config,
    copy: Option<&Path>,
    json: bool,
    words: &Words,
) -> Result<u8, AccessError> {
    let path = (copy.or(config.queue.location.file())).ok_or(AccessError::NoFile {
        instead: "jobbell queue doctor",
    })?;
    permitted(path)?;
    let mut bar = Bar::new();
    let checked = sqlite::check_showing(&config.queue, copy, &mut |done, all| {
        bar.show(words.checking, done, Some(all));
    });
    drop(bar);
    let found = checked.unwrap_or_else(|error| CheckReport {
        path: path.to_owned(),
        schema: 0,
        events: 0,
        counts: None,
        problems: vec![error.to_string()],
    });
    if json {
        println!("{}", as_json(&found));
    } else {
        tell(&found, words);
    }
    Ok(if found.is_sound() { DONE } else { FAILED })
}

/// Backs up the store.
pub(super) fn backup(
    config: &Config,
    to: &Path,
    json: bool,
    words: &Words,
) -> Result<u8, AccessError> {
    let file = config.queue.location.file();
    permitted(file.ok_or(AccessError::NoFile { instead: "pg_dump" })?)?;
    let mut bar = Bar::new();
    let made = sqlite::backup_showing(&config.queue, to, &mut |done, all| {
        bar.show(words.backing_up, done, Some(all));
    });
    drop(bar);
    let made = made?;
    if json {
        println!("{}", as_json(&made));
    } else {
        println!("{} {}", words.backed_up, made.path.display());
    }
    Ok(DONE)
}

fn as_json(found: &CheckReport) -> Value {
    json!({
        "path": found.path,
        "sound": found.is_sound(),
        "schema": found.schema,
        "events": found.events,
        "counts": found.counts.map(|counts| counts.kept),
        "found": found.counts.map(|counts| counts.found),
        "balanced": found.counts.map(|counts| counts.agrees()),
        "problems": found.problems,
    })
}

fn tell(found: &CheckReport, words: &Words) {
    println!("{}", found.path.display());
    if let Some(counts) = found.counts {
        show::counts(&json!(counts.found), words);
    }
    for problem in &found.problems {
        println!("✗ {problem}");
    }
    if found.is_sound() {
        println!("{}", words.sound);
    } else if found.path.exists() || found.path.with_extension("db-wal").exists() {
        println!("{}", words.not_sound);
    }
}
