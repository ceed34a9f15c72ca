//! Fixtures of the configuration tests.

mod bad_input;
mod brand;
#[cfg(feature = "postgres")]
mod database;
mod hooks;
mod layering;
mod reference;
mod secrets;
mod servers;
mod services;
mod tokens;

use std::path::Path;

use super::*;
use crate::transport::smtp::{Credentials, Login};

/// The settings of an SMTP server.
pub(super) fn smtp(config: &Config, index: usize) -> &crate::transport::smtp::Settings {
    config.smtp[index].as_smtp().unwrap()
}

/// The settings that every server has.
pub(super) fn common(config: &Config, index: usize) -> &crate::transport::Common {
    &config.smtp[index].common
}

/// The password login of a server.
pub(super) fn credentials(settings: &crate::transport::smtp::Settings) -> &Credentials {
    match settings.login.as_ref().unwrap() {
        Login::Password(credentials) => credentials,
        Login::Xoauth2 { .. } => panic!("a login by token"),
    }
}

/// Sources in a temporary directory.
pub(super) struct Scene {
    directory: tempfile::TempDir,
    env: Vec<(String, String)>,
    overrides: Vec<(String, String, String)>,
}

impl Scene {
    pub(super) fn file(text: &str) -> Self {
        let scene = Self::empty();
        std::fs::write(scene.path().join("config.toml"), text).unwrap();
        scene
    }

    pub(super) fn empty() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            env: Vec::new(),
            overrides: Vec::new(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn var(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn option(mut self, key: &str, value: &str, option: &str) -> Self {
        self.overrides
            .push((key.to_owned(), value.to_owned(), option.to_owned()));
        self
    }

    pub(super) fn sources(&self) -> Sources {
        Sources {
            // Named, so that parent directories are not checked.
            path: self
                .path()
                .join("config.toml")
                .exists()
                .then(|| "config.toml".into()),
            env: self
                .env
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            overrides: self.overrides.clone(),
            places: vec!["config.toml".into()],
            can_ask_password: false,
            working_dir: self.path().to_owned(),
        }
    }

    pub(super) fn load(&self) -> Result<Loaded, Report> {
        load(&self.sources())
    }

    pub(super) fn good(&self) -> Loaded {
        self.load().unwrap_or_else(|report| panic!("{report}"))
    }

    /// The problems, one per line.
    pub(super) fn bad(&self) -> Vec<String> {
        match self.load() {
            Ok(loaded) => panic!("no problem found; notes: {:?}", loaded.notes),
            Err(report) => report.problems.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A minimal valid file.
pub(super) const SMALL: &str =
    "[smtp]\nhost = \"mail.example.com\"\nfrom = \"me@example.com\"\nto = \"you@example.com\"\n";

pub(super) fn assert_one(problems: &[String], parts: &[&str]) {
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert_in(problems, parts);
}

/// Asserts that one of the lines contains all parts.
pub(super) fn assert_in(lines: &[String], parts: &[&str]) {
    assert!(
        lines
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part))),
        "{parts:?} not in {lines:#?}"
    );
}

pub(super) fn notes(loaded: &Loaded) -> Vec<String> {
    loaded
        .notes
        .iter()
        .map(|note| format!("{:?} {note}", note.level))
        .collect()
}
