//! The buttons of a job's mail: to an image or to the job's own page.

use std::borrow::Cow;

use serde::Serialize;

use super::links::host;
use super::locale::{Words, fill};

/// The button to the first image, or to the job's own page.
#[derive(Debug, Serialize)]
pub struct Button<'a> {
    /// The link, http or https, not yet escaped.
    pub href: Cow<'a, str>,
    /// Its text.
    pub label: &'static str,
    /// The host that the link leads to, as text.
    pub host: String,
    /// A secondary link beside it.
    pub second: Option<SecondLink<'a>>,
}

/// A secondary link beside the button.
#[derive(Debug, Serialize)]
pub struct SecondLink<'a> {
    /// The link, http or https, not yet escaped.
    pub href: Cow<'a, str>,
    /// Its text.
    pub label: &'static str,
}

/// The button for an image, with a secondary link to the job's own page or to the image file.
pub(super) fn picture_button<'a>(
    first: &Cow<'a, str>,
    page: Option<&'a str>,
    visible: bool,
    several: bool,
    words: &'static Words,
) -> Button<'a> {
    let label = match (visible, several) {
        (false, _) => words.open_file,
        (true, false) => words.open_image,
        (true, true) => words.open_first,
    };
    let file = || {
        (visible && !several).then(|| SecondLink {
            href: first.clone(),
            label: words.download,
        })
    };
    let second = page
        .map(|page| SecondLink {
            href: page.into(),
            label: words.open_run,
        })
        .or_else(file);
    Button {
        href: first.clone(),
        label,
        host: fill(words.opens, host(first)),
        second,
    }
}

pub(super) fn page_button<'a>(page: &'a str, words: &'static Words) -> Button<'a> {
    Button {
        href: page.into(),
        label: words.open_run,
        host: fill(words.opens, host(page)),
        second: None,
    }
}
