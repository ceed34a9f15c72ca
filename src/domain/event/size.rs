//! Width and height of an image.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Width and height in pixels, written `1024x768`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    /// Width, 1 to 1,000,000.
    pub width: u32,
    /// Height, 1 to 1,000,000.
    pub height: u32,
}

/// The text is not a valid size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be WIDTHxHEIGHT in pixels, as in 1024x768")]
pub struct InvalidSize;

impl Size {
    /// Creates a size.
    ///
    /// # Errors
    /// If a side is 0 or more than 1,000,000.
    pub fn new(width: u32, height: u32) -> Result<Self, InvalidSize> {
        let fits = |side| (1..=1_000_000).contains(&side);
        if fits(width) && fits(height) {
            Ok(Self { width, height })
        } else {
            Err(InvalidSize)
        }
    }

    /// Parses `1024x768`. `X`, `×` and `*` are separators, too; blanks are ignored.
    ///
    /// # Errors
    /// If the text is not a size.
    pub fn parse(text: &str) -> Result<Self, InvalidSize> {
        let (width, height) = text.split_once(['x', 'X', '×', '*']).ok_or(InvalidSize)?;
        let side = |part: &str| part.trim().parse().map_err(|_| InvalidSize);
        Self::new(side(width)?, side(height)?)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl TryFrom<String> for Size {
    type Error = InvalidSize;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}
