//! Stub for builds without the feature `user-templates`.

use std::path::{Path, PathBuf};

use super::Settings;
use super::templates::Parts;

/// User templates; never constructed in this build.
#[derive(Debug, Clone)]
pub enum UserTemplates {}

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
    /// Always fails.
    ///
    /// # Errors
    /// Always: this build has no template engine.
    pub fn load(folder: &Path, _settings: &Settings) -> Result<Self, Vec<TemplateError>> {
        let detail =
            "this build does not support user templates; rebuild with the feature \"user-templates\""
                .to_owned();
        Err(vec![TemplateError {
            file: folder.to_owned(),
            line: 1,
            detail,
        }])
    }

    /// Files that replace nothing.
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
