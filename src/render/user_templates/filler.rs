//! The child process: compiles the templates once, then fills them on request.

use std::collections::BTreeMap;
use std::path::PathBuf;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::{Deserialize, Serialize};

use super::TemplateError;
use super::engine;
use super::{MAX_OUTPUT, MAX_SUBJECT};
use crate::render::text::line;
#[cfg(feature = "cli")]
use crate::sandbox::inside::Budget;

/// Limits of the child process. The engine's fuel stops most templates much earlier, but it bounds
/// neither the memory of long texts nor the time to compare deeply nested lists.
#[cfg(feature = "cli")]
pub const BUDGET: Budget = Budget {
    memory: 160 * 1_024 * 1_024,
    seconds: 2,
    request: 24 * 1_024 * 1_024,
};

/// A request of the parent.
#[derive(Serialize, Deserialize)]
pub(super) enum Ask<V> {
    /// Compile these files. Answered by a list of [`Wrong`].
    Load(BTreeMap<String, String>),
    /// Fill this template. Answered by its output, or the error.
    Fill(String, V),
}

/// An error in a template.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Wrong {
    /// The file's path in the folder, if known.
    pub(super) name: Option<String>,
    pub(super) line: usize,
    pub(super) detail: String,
}

impl Wrong {
    pub(super) fn new(name: &str, detail: impl std::fmt::Display) -> Self {
        Self {
            name: Some(name.to_owned()),
            line: 1,
            detail: detail.to_string(),
        }
    }

    /// The error for the operator.
    pub(super) fn in_folder(self, folder: &std::path::Path) -> TemplateError {
        let file = self
            .name
            .map_or_else(|| PathBuf::from(folder), |name| folder.join(name));
        TemplateError {
            file,
            line: self.line,
            detail: self.detail,
        }
    }
}

impl From<minijinja::Error> for Wrong {
    fn from(error: minijinja::Error) -> Self {
        let mut detail = error.to_string();
        // File and line are reported separately.
        if let Some(at) = detail.rfind(" (in ") {
            detail.truncate(at);
        }
        if error.kind() == minijinja::ErrorKind::UndefinedError
            && !detail.contains('`')
            && let Some(words) = error
                .range()
                .and_then(|range| error.template_source()?.get(range))
        {
            detail.push_str(": ");
            detail.push_str(&words.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        Self {
            name: error.name().map(str::to_owned),
            line: error.line().unwrap_or(1),
            detail,
        }
    }
}

/// Answers the requests of the parent.
#[derive(Debug)]
pub struct Filler {
    engine: Environment<'static>,
}

impl Default for Filler {
    fn default() -> Self {
        Self {
            engine: engine::new(),
        }
    }
}

impl Filler {
    /// One answer as JSON; empty for an unreadable request.
    pub fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let answer = match serde_json::from_slice::<Ask<serde_json::Value>>(request) {
            Ok(Ask::Load(files)) => serde_json::to_vec(&self.load(files)),
            Ok(Ask::Fill(name, mail)) => serde_json::to_vec(&self.fill(&name, &mail)),
            Err(_) => Ok(Vec::new()),
        };
        answer.unwrap_or_default()
    }

    fn load(&mut self, files: BTreeMap<String, String>) -> Vec<Wrong> {
        let faults = files
            .into_iter()
            .filter_map(|(name, source)| self.engine.add_template_owned(name, source).err());
        faults.map(Wrong::from).collect()
    }

    fn fill(&self, name: &str, mail: &serde_json::Value) -> Result<String, Wrong> {
        let made = self
            .engine
            .get_template(name)?
            .render(context! { mail => Value::from(Serde(mail)) })?;
        if made.len() > MAX_OUTPUT {
            return Err(Wrong::new(
                name,
                format_args!("produces {} bytes; at most {MAX_OUTPUT}", made.len()),
            ));
        }
        let made = match name.rsplit('/').next() {
            // A subject is always a single line: line ends would start new headers.
            Some("subject.txt") => line(&made, MAX_SUBJECT).map(std::borrow::Cow::into_owned),
            _ => Some(
                made.chars()
                    .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
                    .collect::<String>(),
            )
            .filter(|made| !made.trim().is_empty()),
        };
        made.ok_or_else(|| Wrong::new(name, "makes nothing"))
    }
}
