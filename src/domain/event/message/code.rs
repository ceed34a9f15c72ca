//! Verification codes, shown only in their mail.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A code to type in: 1 to 64 printable ASCII characters, without surrounding spaces.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Code(String);

/// The text is not a valid code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a text of 1 to 64 printable ASCII characters")]
pub struct InvalidCode;

impl Code {
    /// Maximum number of characters of a code.
    pub const MAX_LEN: usize = 64;

    /// Parses a code, ignoring surrounding white space.
    ///
    /// # Errors
    /// If it is empty, longer than 64 characters, or contains a character outside 0x20 to 0x7E,
    /// which a mail would have to encode.
    pub fn parse(text: &str) -> Result<Self, InvalidCode> {
        let text = text.trim_matches(' ');
        let fits = !text.is_empty()
            && text.len() <= Self::MAX_LEN
            && text.bytes().all(|byte| (0x20..0x7F).contains(&byte));
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidCode)
        }
    }

    /// The code itself, for its mail.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The placeholder shown in records.
    pub(super) fn masked() -> Self {
        Self("***".to_owned())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl TryFrom<String> for Code {
    type Error = InvalidCode;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.0
    }
}
