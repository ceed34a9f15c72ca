//! Colours in mails, and their contrast.

use std::fmt;

use serde::{Serialize, Serializer};

/// Red, green and blue, written `#rrggbb`: the only spelling that every mail client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

/// The text is not a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be # and six hexadecimal digits, as \"#4a62d2\"")]
pub struct InvalidColour;

impl Colour {
    /// A colour from its components.
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self([red, green, blue])
    }

    /// Parses `#rrggbb`, in upper or lower case.
    ///
    /// # Errors
    /// For any other spelling; not all mail clients understand short forms and names.
    pub fn parse(text: &str) -> Result<Self, InvalidColour> {
        let digits = text
            .strip_prefix('#')
            .filter(|digits| {
                digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
            })
            .ok_or(InvalidColour)?;
        let number = u32::from_str_radix(digits, 16).map_err(|_| InvalidColour)?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self([red, green, blue]))
    }

    /// The contrast ratio of two colours as defined by WCAG 2.2, from 1 (equal) to 21 (black and
    /// white). Text needs 4.5, shapes need 3.
    pub fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// WCAG 2.2, "relative luminance".
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126f64.mul_add(red, 0.7152f64.mul_add(green, 0.0722 * blue))
    }

    /// Moves this colour towards `end` just far enough to reach a contrast of `least` with
    /// `ground`; returns `end` if nothing closer does.
    #[must_use]
    pub fn towards(self, end: Self, ground: Self, least: f64) -> Self {
        (0..=32)
            .map(|step| self.mixed(end, step))
            .find(|colour| colour.contrast(ground) >= least)
            .unwrap_or(end)
    }

    /// Mixes in `step` parts of `end`, out of 32.
    fn mixed(self, end: Self, step: u16) -> Self {
        let Self([red, green, blue]) = self;
        let Self(end) = end;
        let mix = |one: u8, other: u8| {
            u8::try_from((u16::from(one) * (32 - step) + u16::from(other) * step) / 32)
                .unwrap_or(other)
        };
        Self([mix(red, end[0]), mix(green, end[1]), mix(blue, end[2])])
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Serialize for Colour {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHITE: Colour = Colour::new(255, 255, 255);
    const BLACK: Colour = Colour::new(0, 0, 0);

    #[test]
    fn only_six_digits_are_a_colour() {
        assert_eq!(Colour::parse("#4A62d2").unwrap().to_string(), "#4a62d2");
        for wrong in [
            "4a62d2",
            "#4a6",
            "#4a62d",
            "#4a62dg",
            "#4a62d2ff",
            "blue",
            "",
            "#+a62d2",
            "#４a62d",
        ] {
            assert_eq!(Colour::parse(wrong), Err(InvalidColour), "{wrong}");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!(
            (WHITE.contrast(BLACK) - 21.0).abs() < 0.001
                && (WHITE.contrast(WHITE) - 1.0).abs() < 0.001
        );
        // The standard's own example: #767676 is the lightest grey that passes on white.
        assert!(
            Colour::parse("#767676").unwrap().contrast(WHITE) >= 4.5
                && Colour::parse("#777777").unwrap().contrast(WHITE) < 4.5
        );
    }

    #[test]
    fn colour_moves_only_as_far_as_needed() {
        let yellow = Colour::new(255, 204, 0);
        let darker = yellow.towards(BLACK, WHITE, 4.5);
        assert!(
            darker.contrast(WHITE) >= 4.5 && darker.contrast(WHITE) < 5.5,
            "{darker}"
        );
        assert_eq!(yellow.towards(WHITE, BLACK, 4.5), yellow);
        assert_eq!(yellow.towards(WHITE, WHITE, 4.5), WHITE);
    }
}
