//! Templates of the operator's own: files that stand in for a part of a mail, filled at run time
//! with what the built-in ones are filled with.
//!
//! `<folder>/<mail>/subject.txt`, `body.txt` and `body.html` each override that part; every other
//! `.html` and `.txt` file can be included or extended, and so can the built-in ones
//! (`layout.html`, `pictures.html`, …) under the names that `jobbell templates export` writes them
//! with. All are read once, at start and at each reload, and tried out with sample events in both
//! languages. A template sees files of its folder and nothing else, has a bounded amount of work,
//! and no variable that is not there passes as empty.
//!
//! Filling happens in a child process with limits on memory and CPU time (`process` asks, `filler`
//! answers), for the engine's fuel does not bound either in every case. A template that goes over
//! them costs its mail the look and nothing else.

mod engine;
mod export;
mod files;
mod filler;
mod process;
mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::export::exported;
#[cfg(feature = "cli")]
pub use self::filler::{BUDGET, Filler};
pub use self::samples::{Sample, samples};

use super::templates::Parts;
use super::{Renderer, Settings};
use process::Process;

/// The mails that templates make, by the names of their folders.
pub const MAILS: [&str; 7] = [
    "success",
    "failure",
    "verification_code",
    "password_reset",
    "verify_link",
    "system_notice",
    "plain",
];
/// The parts of a mail, by file.
const PARTS: [&str; 3] = ["subject.txt", "body.txt", "body.html"];
/// The most bytes of what a template makes.
const MAX_OUTPUT: usize = 1_000_000;
/// The most characters of a subject.
const MAX_SUBJECT: usize = 500;

/// Templates of the operator's own, ready to be filled.
#[derive(Debug, Clone)]
pub struct UserTemplates {
    folder: Arc<Path>,
    process: Arc<Process>,
    /// The files that stand in for a part of a mail, as `success/body.html`.
    overrides: Arc<BTreeSet<String>>,
    unused: Arc<BTreeSet<String>>,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: usize,
    /// What is wrong.
    pub detail: String,
}

impl std::fmt::Display for TemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.detail)
    }
}

impl UserTemplates {
    /// Reads the templates of a folder and tries each out.
    ///
    /// # Errors
    /// With everything found that is wrong: a file that cannot be read or compiled, one that fails
    /// on a sample event.
    pub fn load(folder: &Path, settings: &Settings) -> Result<Self, Vec<TemplateError>> {
        let files = files::read(folder)?;
        let unused: BTreeSet<String> = files
            .keys()
            .filter(|name| is_unused(name, &files))
            .cloned()
            .collect();
        // A file stands in for the built-in one of its name.
        let mut all: BTreeMap<String, String> = exported()
            .into_iter()
            .filter(|(name, _)| !is_part(name))
            .collect();
        all.extend(files.clone());
        let (process, faults) = Process::start(all);
        let broken: Vec<String> = faults
            .iter()
            .filter_map(|fault| fault.name.clone())
            .collect();
        let is_lost = faults.len() > broken.len();
        let overrides: BTreeSet<String> = files
            .keys()
            .filter(|name| is_part(name) && !broken.contains(name))
            .cloned()
            .collect();
        let mut faults: Vec<TemplateError> = faults
            .into_iter()
            .map(|fault| fault.in_folder(folder))
            .collect();
        let own = Self {
            folder: folder.into(),
            process: Arc::new(process),
            overrides: Arc::new(overrides),
            unused: Arc::new(unused),
        };
        // Where another file is missing only because it is broken itself, that has been said.
        let mut further = Vec::new();
        if !is_lost {
            own.try_out(settings, &mut further);
        }
        faults.extend(further.into_iter().filter(|fault| {
            !broken
                .iter()
                .any(|name| fault.detail.contains(name.as_str()))
        }));
        if faults.is_empty() {
            Ok(own)
        } else {
            Err(faults)
        }
    }

    /// The mails of which a part is overridden.
    pub fn mails(&self) -> BTreeSet<&str> {
        self.overrides
            .iter()
            .filter_map(|name| name.split('/').next())
            .collect()
    }

    /// The files that stand in for nothing and that no other one names, as after a slip in a name.
    pub fn unused(&self) -> impl Iterator<Item = &str> {
        self.unused.iter().map(String::as_str)
    }

    /// Fills each override with the samples of its mail, one by one, so that one that fails hides
    /// no other; each fault is told once.
    fn try_out(&self, settings: &Settings, faults: &mut Vec<TemplateError>) {
        let samples = samples();
        for name in self.overrides.iter() {
            let alone = Self {
                overrides: Arc::new(BTreeSet::from([name.clone()])),
                ..self.clone()
            };
            let renderer = Renderer::new(Settings {
                user_templates: Some(alone),
                ..settings.clone()
            });
            let mail = name.split('/').next().unwrap_or_default();
            for sample in samples.iter().filter(|sample| sample.mail == mail) {
                if let Ok((_, Some(fault))) =
                    renderer.render_checked(&sample.event, &sample.context())
                    && !faults.contains(&fault)
                {
                    faults.push(fault);
                }
                // Each further sample may take as long again.
                if self.process.has_died() {
                    return;
                }
            }
        }
    }

    /// Puts what the overrides of a mail make in the place of its parts: all of them or, when one
    /// fails, none.
    pub(super) fn overlay(
        &self,
        mail: &'static str,
        view: &impl serde::Serialize,
        parts: &mut Parts,
    ) -> Result<(), TemplateError> {
        let names = PARTS
            .map(|part| [mail, "/", part].concat())
            .map(|name| self.overrides.get(&name));
        if names.iter().all(Option::is_none) {
            return Ok(());
        }
        let fill = |name: &String| {
            self.process
                .fill(name, view)
                .map_err(|wrong| wrong.in_folder(&self.folder))
        };
        let [subject, text, html] = names.map(|name| name.map(fill).transpose());
        let (subject, text, html) = (subject?, text?, html?);
        parts.subject = subject.unwrap_or_else(|| std::mem::take(&mut parts.subject));
        parts.text = text.unwrap_or_else(|| std::mem::take(&mut parts.text));
        parts.html = html.unwrap_or_else(|| std::mem::take(&mut parts.html));
        Ok(())
    }
}

/// Whether a file stands in for a part of a mail.
fn is_part(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(mail, part)| MAILS.contains(&mail) && PARTS.contains(&part))
}

/// Whether a file is of no use: no part of a mail, none in the place of a built-in one, and no
/// other file names it. Where names are put together when a template is filled nobody can tell.
fn is_unused(name: &str, files: &BTreeMap<String, String>) -> bool {
    let put_together = |source: &String| {
        ["include ", "extends ", "import "]
            .iter()
            .any(|tag| source.split(tag).skip(1).any(|rest| !is_literal(rest)))
    };
    let named = || {
        files.values().any(put_together)
            || files
                .iter()
                .any(|(other, source)| other != name && source.contains(name))
    };
    !is_part(name) && !export::is_built_in(name) && !named()
}

/// Whether what follows a tag's word is one name in quotes.
fn is_literal(rest: &str) -> bool {
    let rest = rest.trim_start();
    let Some(quote) = rest
        .chars()
        .next()
        .filter(|quote| matches!(quote, '"' | '\''))
    else {
        return false;
    };
    rest.split(quote)
        .nth(2)
        .is_some_and(|after| !after.trim_start().starts_with('~'))
}
