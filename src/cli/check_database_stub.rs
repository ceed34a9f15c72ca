//! In builds without PostgreSQL, a queue is in a file.

use std::io::{self, Write};

use serde_json::Value;

use crate::config::Config;
use crate::domain::Locale;

/// Has no values.
pub(super) enum Checked {}

pub(super) fn check(_: &Config) -> Option<Checked> {
    None
}

impl Checked {
    pub(super) fn is_good(&self) -> bool {
        match *self {}
    }

    pub(super) fn print(
        &self,
        _: Locale,
        _: &mut impl Write,
        _: &mut impl Write,
    ) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn as_json(&self) -> Value {
        match *self {}
    }
}
