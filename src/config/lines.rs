//! The lines of the configuration file, to name places in it.

use std::ops::Range;

/// A file's text with the positions of its lines.
pub(super) struct Lines<'a> {
    text: &'a str,
    /// Where each line begins, in bytes.
    starts: Vec<usize>,
    /// The file's name.
    name: &'a str,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str, name: &'a str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self { text, starts, name }
    }

    /// The number of the line of a byte, from 1.
    pub(super) fn number(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    /// A line by its number, from 1.
    pub(super) fn line(&self, number: usize) -> Option<&'a str> {
        self.text.lines().nth(number.checked_sub(1)?)
    }

    /// The source text of a span.
    pub(super) fn source(&self, span: &Range<usize>) -> &'a str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// The place of a span: `config.toml:12:8`, with the column in characters from 1.
    pub(super) fn place(&self, span: &Range<usize>) -> String {
        let line = self.number(span.start);
        let start = self.starts.get(line.saturating_sub(1)).copied();
        let before = self.source(&(start.unwrap_or_default()..span.start));
        format!("{}:{line}:{}", self.name, before.chars().count() + 1)
    }
}
