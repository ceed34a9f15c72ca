//! What mails look like by configuration alone: name, logo, accent colour, footer.

use serde::Serialize;

use super::colour::Colour;
use super::text::{block, line};
use crate::domain::Link;

/// Who is said to send, where neither `email.brand_name` nor `smtp.from_name` is set.
const BRAND: &str = "Jobbell";
/// The accent colour where none is set: a mid-tone, so that it stands out from a light card and
/// from a dark one.
const ACCENT: Colour = Colour::new(0x4a, 0x62, 0xd2);
/// The card of the layout in the light and in the dark scheme.
const CARDS: (Colour, Colour) = (Colour::new(0xfd, 0xfd, 0xfc), Colour::new(0x1e, 0x21, 0x28));
/// Light and dark text. Neither is pure, since mail programs that turn colours around by themselves
/// do it badly with those.
const TEXTS: (Colour, Colour) = (Colour::new(0xfd, 0xfd, 0xff), Colour::new(0x16, 0x18, 0x1d));
/// What stands on an accent colour that neither text can be read on: on any colour, one of these
/// can.
const EXTREMES: (Colour, Colour) = (Colour::new(0xff, 0xff, 0xff), Colour::new(0, 0, 0));
/// Contrast that a text needs (WCAG 2.2, 1.4.3).
const READABLE: f64 = 4.5;
/// Contrast that a shape needs (WCAG 2.2, 1.4.11).
const VISIBLE: f64 = 3.0;
/// The most characters of the footer.
const MAX_FOOTER: usize = 1_000;

/// The sender's own look, as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Brand {
    /// The name over the mail, where it is not that of `from`.
    pub name: Option<String>,
    /// A picture beside that name, https. The mail's only remote part of its own, so there is none
    /// by default.
    pub logo: Option<Link>,
    /// The colour of button and mark.
    pub accent: Option<Colour>,
    /// Lines under the mail.
    pub footer: Option<String>,
}

impl Brand {
    /// What is wrong with an accent colour: one line for each scheme in which it hardly stands out,
    /// with a colour near it that does.
    pub fn doubts(accent: Colour) -> Vec<String> {
        let (light, dark) = CARDS;
        [("light", light, TEXTS.1), ("dark", dark, TEXTS.0)]
            .into_iter()
            .filter(|(_, card, _)| accent.contrast(*card) < VISIBLE)
            .map(|(scheme, card, end)| {
                let (ratio, near) = (accent.contrast(card), accent.towards(end, card, VISIBLE));
                format!("{accent} hardly stands out from the mail's {scheme} background {card}: contrast {ratio:.1}, better {VISIBLE} or more, as {near} has")
            })
            .collect()
    }
}

/// The look that templates see. Every pair of colours in it can be read, whatever the accent colour
/// is.
#[derive(Debug, Clone, Serialize)]
pub struct Theme {
    /// The name over the mail.
    pub brand: String,
    /// The mark beside it: the name's first letter.
    pub mark: String,
    /// A picture in the place of the mark.
    pub logo: Option<String>,
    /// The colour of button and mark.
    pub accent: Colour,
    /// Text on it.
    pub on_accent: Colour,
    /// Links in the light scheme.
    pub link: Colour,
    /// Links in the dark scheme.
    pub link_dark: Colour,
    /// Lines under the mail.
    pub footer: Option<String>,
}

impl Theme {
    /// Cleans the texts and derives the colours once, for all mails.
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

    /// The same look under another name.
    pub(super) fn named(&self, name: &str) -> Self {
        Self {
            brand: name.to_owned(),
            mark: mark_of(name),
            ..self.clone()
        }
    }
}

/// What stands for a name: its first letter, or Jobbell's where it has none.
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
    fn whatever_the_accent_is_texts_on_it_and_links_can_be_read() {
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
    fn a_pale_or_dark_accent_is_doubted_with_a_better_one() {
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
    fn the_mark_is_the_first_letter_of_the_name() {
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
