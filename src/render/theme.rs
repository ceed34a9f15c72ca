//! The configurable look of mails: name, logo, accent colour, footer.

use serde::Serialize;

use super::colour::Colour;
use super::text::{block, line};
use crate::domain::Link;

/// The brand if neither `email.brand_name` nor `smtp.from_name` is set.
const BRAND: &str = "Jobbell";
/// The default accent colour: a mid-tone that stands out on light and dark cards.
const ACCENT: Colour = Colour::new(0x4a, 0x62, 0xd2);
/// The card colour in the light and the dark scheme.
const CARDS: (Colour, Colour) = (Colour::new(0xfd, 0xfd, 0xfc), Colour::new(0x1e, 0x21, 0x28));
/// Light and dark text. Not pure white and black, because mail clients that invert colours handle
/// those badly.
const TEXTS: (Colour, Colour) = (Colour::new(0xfd, 0xfd, 0xff), Colour::new(0x16, 0x18, 0x1d));
/// Text on an accent colour on which neither of those is readable: one of these always is.
const EXTREMES: (Colour, Colour) = (Colour::new(0xff, 0xff, 0xff), Colour::new(0, 0, 0));
/// Minimum contrast of text (WCAG 2.2, 1.4.3).
const READABLE: f64 = 4.5;
/// Minimum contrast of a shape (WCAG 2.2, 1.4.11).
const VISIBLE: f64 = 3.0;
/// Maximum number of characters of the footer.
const MAX_FOOTER: usize = 1_000;

/// The sender's brand, as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brand {
    /// The name above the mail, if not that of `from`.
    pub name: Option<String>,
    /// A logo beside the name, https. It would be the mail's only remote content, so there is none
    /// by default.
    pub logo: Option<Link>,
    /// Colour of button and mark.
    pub accent: Option<Colour>,
    /// Lines below the mail.
    pub footer: Option<String>,
}

impl Brand {
    /// Problems of an accent colour: for each scheme in which it hardly stands out, a message that
    /// suggests a similar colour.
    pub fn doubts(accent: Colour) -> Vec<String> {
        let (light, dark) = CARDS;
        [("light", light, TEXTS.1), ("dark", dark, TEXTS.0)]
            .into_iter()
            .filter(|(_, card, _)| accent.contrast(*card) < VISIBLE)
            .map(|(scheme, card, end)| {
                let (ratio, near) = (accent.contrast(card), accent.towards(end, card, VISIBLE));
                format!("{accent} has low contrast ({ratio:.1}) with the mail's {scheme} background {card}; use {VISIBLE} or more, such as {near}")
            })
            .collect()
    }
}

/// The theme as templates see it. All colour pairs are readable, whatever the accent colour.
#[derive(Debug, Clone, Serialize)]
pub struct Theme {
    /// The name above the mail.
    pub brand: String,
    /// The mark beside it: the initial of the name.
    pub mark: String,
    /// An image instead of the mark.
    pub logo: Option<String>,
    /// Colour of button and mark.
    pub accent: Colour,
    /// Text on that colour.
    pub on_accent: Colour,
    /// Links in the light scheme.
    pub link: Colour,
    /// Links in the dark scheme.
    pub link_dark: Colour,
    /// Lines below the mail.
    pub footer: Option<String>,
}

impl Theme {
    /// Cleans the texts and derives the colours once for all mails.
    pub(super) fn new(brand: &Brand, from_name: Option<&str>) -> Self {
        let name = brand
            .name
            .as_deref()
            .or(from_name)
            .and_then(|name| line(name, 60));
        let mark = mark_of(name.as_deref().unwrap_or(BRAND));
        let accent = brand.accent.unwrap_or(ACCENT);
        let readable = |text: &Colour| accent.contrast(*text) >= READABLE;
        let on_accent = [TEXTS.0, TEXTS.1, EXTREMES.0]
            .into_iter()
            .find(readable)
            .unwrap_or(EXTREMES.1);
        Self {
            brand: name.map_or_else(|| BRAND.to_owned(), std::borrow::Cow::into_owned),
            mark,
            logo: brand.logo.as_ref().map(|link| link.as_str().to_owned()),
            accent,
            on_accent,
            link: accent.towards(TEXTS.1, CARDS.0, READABLE),
            link_dark: accent.towards(TEXTS.0, CARDS.1, READABLE),
            footer: brand
                .footer
                .as_deref()
                .and_then(|footer| block(footer, MAX_FOOTER))
                .map(|(footer, _)| footer.into_owned()),
        }
    }

    /// The same theme under another name.
    pub(super) fn named(&self, name: &str) -> Self {
        Self {
            brand: name.to_owned(),
            mark: mark_of(name),
            ..self.clone()
        }
    }
}

/// The initial of a name, or Jobbell's if it has none.
fn mark_of(name: &str) -> String {
    name.chars()
        .chain(BRAND.chars())
        .find(|c| c.is_alphanumeric())
        .into_iter()
        .flat_map(char::to_uppercase)
        .take(1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(accent: Colour) -> Theme {
        Theme::new(
            &Brand {
                accent: Some(accent),
                ..Brand::default()
            },
            None,
        )
    }

    #[test]
    fn text_and_links_are_readable_with_any_accent() {
        for number in (0..0x100_0000_u32).step_by(70_001) {
            let [_, red, green, blue] = number.to_be_bytes();
            let look = look(Colour::new(red, green, blue));
            let ratios = [
                look.accent.contrast(look.on_accent),
                look.link.contrast(CARDS.0),
                look.link_dark.contrast(CARDS.1),
            ];
            assert!(
                ratios.iter().all(|ratio| *ratio >= READABLE),
                "{}: {ratios:?}",
                look.accent
            );
        }
    }

    #[test]
    fn pale_or_dark_accent_gets_a_better_suggestion() {
        assert_eq!(Brand::doubts(ACCENT), Vec::<String>::new());
        let doubts = Brand::doubts(Colour::new(0xff, 0xcc, 0));
        assert!(
            doubts.len() == 1 && doubts.concat().contains("light background"),
            "{doubts:?}"
        );
        let doubts = Brand::doubts(Colour::new(0x1a, 0x1a, 0x2e)).concat();
        let near = Colour::parse(doubts.rsplit(" as ").next().unwrap().get(..7).unwrap()).unwrap();
        assert!(
            doubts.contains("dark background") && near.contrast(CARDS.1) >= VISIBLE,
            "{doubts}"
        );
    }

    #[test]
    fn mark_is_the_initial_of_the_name() {
        let mark = |name| Theme::new(&Brand::default(), name).mark;
        assert_eq!(
            [
                mark(Some("绘影")),
                mark(Some("«studio»")),
                mark(Some("…")),
                mark(None),
                mark(Some("Jobbell"))
            ],
            ["绘", "S", "J", "J", "J"]
        );
    }
}
