//! A code that opens a door: shown in its mail and nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A code to type in: 1 to 64 printable ASCII characters, no blank at either end.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Code(String);

/// The text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a text of 1 to 64 printable ASCII characters")]
pub struct InvalidCode;

impl Code {
    /// The most characters that a code may have.
    pub const MAX_LEN: usize = 64;

    /// Takes a code as it was given, blanks at its ends aside.
    ///
    /// # Errors
    /// When it is empty, longer than 64 characters, or has a character outside 0x20 to 0x7E: one
    /// that a mail would have to change.
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

    /// What stands in its place where people read records.
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
