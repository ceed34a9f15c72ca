//! User templates: the operator's files that replace parts of a mail, filled at run time with the
//! same data as the built-in ones.
//!
//! `<folder>/<mail>/subject.txt`, `body.txt` and `body.html` each override that part; every other
//! `.html` and `.txt` file can be included or extended, and so can the built-in ones
//! (`layout.html`, `pictures.html`, …) under the names used by `jobbell templates export`. All are
//! read once, at start and at each reload, and tested with sample events in both languages. A
//! template sees only the files of its folder, has a limited amount of work, and fails on undefined
//! variables.
//!
//! Templates are filled in a child process with memory and CPU limits (`process` is the parent's
//! side, `filler` the child's), because the engine's fuel alone bounds neither. A mail whose
//! template exceeds them is sent with the built-in one.

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

/// The mails that have templates, by folder name.
pub const MAILS: [&str; 7] = [
    "success",
    "failure",
    "verification_code",
    "password_reset",
    "verify_link",
    "system_notice",
    "plain",
];
/// The parts of a mail, by file name.
const PARTS: [&str; 3] = ["subject.txt", "body.txt", "body.html"];
/// Maximum bytes of a template's output.
const MAX_OUTPUT: usize = 1_000_000;
/// Maximum characters of a subject.
const MAX_SUBJECT: usize = 500;

/// User templates, ready to be filled.
#[derive(Debug, Clone)]
pub struct UserTemplates {
    folder: Arc<Path>,
    process: Arc<Process>,
    /// The files that override a part of a mail, such as `success/body.html`.
    overrides: Arc<BTreeSet<String>>,
    unused: Arc<BTreeSet<String>>,
}

/// An error in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The message.
    pub detail: String,
}

impl std::fmt::Display for TemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.detail)
    }
}

impl UserTemplates {
    /// Reads the templates of a folder and tests each.
    ///
    /// # Errors
    /// With all faults found: files that cannot be read or compiled, and templates that fail on a
    /// sample event.
    pub fn load(folder: &Path, settings: &Settings) -> Result<Self, Vec<TemplateError>> {
        let files = files::read(folder)?;
        let unused: BTreeSet<String> = files
            .keys()
            .filter(|name| is_unused(name, &files))
            .cloned()
            .collect();
        // A file replaces the built-in one with the same name.
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
        // An error about a missing file is redundant if that file was reported as broken.
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

    /// The mails with an overridden part.
    pub fn mails(&self) -> BTreeSet<&str> {
        self.overrides
            .iter()
            .filter_map(|name| name.split('/').next())
            .collect()
    }

    /// Files that override nothing and that no other file uses, for example because of a typo.
    pub fn unused(&self) -> impl Iterator<Item = &str> {
        self.unused.iter().map(String::as_str)
    }

    /// Fills each override with the samples of its mail, one by one, so that one failure does not
    /// hide others; each fault is reported once.
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
                // Each further sample could take as long again.
                if self.process.has_died() {
                    return;
                }
            }
        }
    }

    /// Replaces the overridden parts of a mail: all of them, or none if one fails.
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

/// Whether a file overrides a part of a mail.
fn is_part(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(mail, part)| MAILS.contains(&mail) && PARTS.contains(&part))
}

/// Whether a file is unused: not part of a mail, not replacing a built-in one, and not named by
/// another file. With computed names this cannot be decided.
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

/// Whether a tag's argument is a single quoted name.
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
