//! Templates of the operator's own in a build without the feature `user-templates`: there are none.

use std::path::{Path, PathBuf};

use super::Settings;
use super::templates::Parts;

/// Templates of the operator's own; this build cannot have any.
#[derive(Debug, Clone)]
pub enum UserTemplates {}

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
    /// Reads nothing.
    ///
    /// # Errors
    /// Always: the build has no engine for them.
    pub fn load(folder: &Path, _settings: &Settings) -> Result<Self, Vec<TemplateError>> {
        let detail =
            "this build has no templates of one's own; it needs the feature \"user-templates\""
                .to_owned();
        Err(vec![TemplateError {
            file: folder.to_owned(),
            line: 1,
            detail,
        }])
    }

    /// The files that stand in for nothing.
    pub fn unused(&self) -> std::iter::Empty<&str> {
        match *self {}
    }

    pub(super) fn overlay(
        &self,
        _mail: &'static str,
        _view: &impl serde::Serialize,
        _parts: &mut Parts,
    ) -> Result<(), TemplateError> {
        match *self {}
    }
}
