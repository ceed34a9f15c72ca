//! Languages of mails and of messages to the operator.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A language: simplified Chinese or English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Locale {
    /// Simplified Chinese, the default.
    #[default]
    #[serde(rename = "zh-CN")]
    ZhCn,
    /// English.
    #[serde(rename = "en")]
    En,
}

impl Locale {
    /// The BCP 47 tag: `zh-CN` or `en`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::ZhCn => "zh-CN",
            Self::En => "en",
        }
    }
}

impl fmt::Display for Locale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

/// The text is not a supported language.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a known language; write \"zh-CN\" or \"en\"")]
pub struct UnknownLocale;

impl FromStr for Locale {
    type Err = UnknownLocale;

    /// Parses a tag in any case, with `-` or `_`, and with any region (`zh_CN`, `zh`, `en-GB`).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let language = text.split(['-', '_', '.']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("zh") {
            Ok(Self::ZhCn)
        } else if language.eq_ignore_ascii_case("en") {
            Ok(Self::En)
        } else {
            Err(UnknownLocale)
        }
    }
}
