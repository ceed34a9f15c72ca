//! How a mail is shown: the view, the colour scheme, with or without images.

use serde::Deserialize;

/// The view of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum View {
    Html,
    Phone,
    Text,
    Headers,
    Check,
    Source,
}

impl View {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Phone => "phone",
            Self::Text => "text",
            Self::Headers => "headers",
            Self::Check => "check",
            Self::Source => "source",
        }
    }
}

/// The colour scheme of the simulated mail client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Scheme {
    /// The browser's scheme.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Scheme {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Rewrites the HTML's scheme conditions to be always or never true.
    pub(super) fn applied(self, html: &str) -> String {
        let (condition, scheme) = match self {
            Self::Auto => return html.to_owned(),
            Self::Light => ("(max-width:0)", "light"),
            Self::Dark => ("(min-width:0)", "dark"),
        };
        let html = [
            "(prefers-color-scheme:dark)",
            "(prefers-color-scheme: dark)",
        ]
        .iter()
        .fold(html.to_owned(), |html, from| html.replace(from, condition));
        html.replace("color-scheme:light dark", &format!("color-scheme:{scheme}"))
            .replace("content=\"light dark\"", &format!("content=\"{scheme}\""))
    }
}

#[derive(Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    pub(super) view: Option<View>,
    pub(super) scheme: Scheme,
    #[serde(rename = "pictures", deserialize_with = "is_off")]
    pub(super) without_pictures: bool,
}

/// Whether images are off: `pictures=off`.
fn is_off<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(String::deserialize(deserializer)? == "off")
}
