//! Contrast of each text with its background, in the light and the dark scheme.

use super::css::{Rule, Scheme, declarations, rules};
use crate::domain::html::{Tag, Token, TokenKind};
use crate::render::colour::Colour;

/// Below this contrast, spam filters treat text as hidden.
const CONCEALED: f64 = 1.5;
/// Minimum contrast of text and of large text (WCAG 2.2, 1.4.3).
const LEAST: (f64, f64) = (4.5, 3.0);

/// A text with insufficient contrast.
#[derive(Debug, PartialEq)]
pub(super) struct LowContrast {
    pub(super) line: usize,
    pub(super) scheme: Scheme,
    pub(super) colour: Colour,
    pub(super) ground: Colour,
    pub(super) ratio: f64,
    pub(super) text: String,
    /// Whether mail clients hide it, so that only filters see it.
    pub(super) is_hidden: bool,
}

/// Inherited style. A colour in an unsupported notation is `None`.
#[derive(Debug, Clone, Copy)]
struct Style {
    colour: Option<Colour>,
    ground: Option<Colour>,
    size: f64,
    bold: bool,
    hidden: bool,
}

/// Texts with low contrast, each pair of colours once per scheme. A mail without rules for the dark
/// scheme has only the light one.
pub(super) fn low_contrast(tokens: &[Token]) -> Vec<LowContrast> {
    let sheets = tokens.iter().filter_map(|token| match &token.kind {
        TokenKind::Raw(name, sheet) if name == "style" => Some(sheet.as_str()),
        _ => None,
    });
    let rules: Vec<Rule<'_>> = sheets.flat_map(rules).collect();
    let mut found = Vec::new();
    walk(tokens, &rules, Scheme::Light, &mut found);
    if rules.iter().any(|rule| rule.scheme == Scheme::Dark) {
        walk(tokens, &rules, Scheme::Dark, &mut found);
    }
    found
}

fn walk(tokens: &[Token], rules: &[Rule<'_>], scheme: Scheme, found: &mut Vec<LowContrast>) {
    let (ink, paper) = if scheme == Scheme::Dark {
        (255, 0x12)
    } else {
        (0, 255)
    };
    let canvas = Style {
        colour: Some(Colour::new(ink, ink, ink)),
        ground: Some(Colour::new(paper, paper, paper)),
        size: 16.0,
        bold: false,
        hidden: false,
    };
    let mut stack: Vec<(&Tag, Style)> = Vec::new();
    for token in tokens {
        let around = stack.last().map_or(canvas, |(_, style)| *style);
        match &token.kind {
            TokenKind::Open(tag) => {
                let parents: Vec<&Tag> = stack.iter().map(|(tag, _)| *tag).collect();
                let style = styled(tag, &parents, around, rules, scheme);
                match tag.attribute("alt") {
                    Some(alt) if tag.name == "img" => note(token.line, style, alt, scheme, found),
                    _ if tag.is_void() => {}
                    _ => stack.push((tag, style)),
                }
            }
            TokenKind::Close(name) => {
                if let Some(at) = stack.iter().rposition(|(tag, _)| tag.name == *name) {
                    stack.truncate(at);
                }
            }
            TokenKind::Text(text) => note(token.line, around, text, scheme, found),
            _ => {}
        }
    }
}

fn note(line: usize, style: Style, text: &str, scheme: Scheme, found: &mut Vec<LowContrast>) {
    let text = text.replace(['\u{A0}', '\u{200C}'], " ");
    let (Some(colour), Some(ground)) = (style.colour, style.ground) else {
        return;
    };
    let is_large = style.size >= 24.0 || (style.bold && style.size >= 18.66);
    let ratio = colour.contrast(ground);
    let known = found
        .iter()
        .any(|one| (one.scheme, one.colour, one.ground) == (scheme, colour, ground));
    let is_hidden = style.hidden || style.size <= 0.0;
    let least = match (is_hidden, is_large) {
        (true, _) => CONCEALED,
        (false, true) => LEAST.1,
        (false, false) => LEAST.0,
    };
    // Spam filters know only the light scheme.
    let does_not_count = (is_hidden && scheme == Scheme::Dark) || text.trim().is_empty();
    if !does_not_count && !known && ratio < least {
        found.push(LowContrast {
            line,
            scheme,
            colour,
            ground,
            ratio,
            text: text.trim().chars().take(40).collect(),
            is_hidden,
        });
    }
}

/// The cascade for the properties used here: rules in order, then the inline style, then important
/// declarations.
fn styled(tag: &Tag, parents: &[&Tag], around: Style, rules: &[Rule<'_>], scheme: Scheme) -> Style {
    let mut style = Style {
        bold: around.bold
            || matches!(
                tag.name.as_str(),
                "b" | "strong" | "th" | "h1" | "h2" | "h3"
            ),
        ..around
    };
    if let Some(ground) = tag.attribute("bgcolor") {
        style.ground = Colour::parse(ground).ok();
    }
    let own = tag.attribute("style").unwrap_or_default();
    for important in [false, true] {
        for rule in rules
            .iter()
            .filter(|rule| rule.scheme == Scheme::Light || rule.scheme == scheme)
            .filter(|rule| rule.matches(tag, parents))
        {
            apply(&mut style, rule.body, important);
        }
        apply(&mut style, own, important);
    }
    style
}

fn apply(style: &mut Style, body: &str, wanted: bool) {
    for (name, value, _) in declarations(body).filter(|(_, _, important)| *important == wanted) {
        match name.to_ascii_lowercase().as_str() {
            "color" => style.colour = colour(value, style.colour),
            "background-color" => style.ground = colour(value, style.ground),
            "background" => {
                style.ground = colour(
                    value.split_ascii_whitespace().next().unwrap_or_default(),
                    style.ground,
                );
            }
            "font-size" => style.size = pixels(value).unwrap_or(style.size),
            "font" => {
                style.size = value
                    .split(['/', ' '])
                    .find_map(pixels)
                    .unwrap_or(style.size);
            }
            "font-weight" => {
                style.bold =
                    value == "bold" || value.parse::<u16>().is_ok_and(|weight| weight >= 700);
            }
            "display" | "visibility" => style.hidden |= matches!(value, "none" | "hidden"),
            _ => {}
        }
    }
}

fn pixels(value: &str) -> Option<f64> {
    if value == "0" {
        Some(0.0)
    } else {
        value.strip_suffix("px")?.trim().parse().ok()
    }
}

/// Parses a colour; keywords such as `inherit` give the surrounding colour.
fn colour(value: &str, around: Option<Colour>) -> Option<Colour> {
    let value = value.to_ascii_lowercase();
    match value.as_str() {
        "inherit" | "transparent" | "none" | "currentcolor" => around,
        "white" => Some(Colour::new(255, 255, 255)),
        "black" => Some(Colour::new(0, 0, 0)),
        short if short.len() == 4 && short.starts_with('#') => {
            let long: String = short
                .chars()
                .flat_map(|c| std::iter::repeat_n(c, if c == '#' { 1 } else { 2 }))
                .collect();
            Colour::parse(&long).ok()
        }
        other => Colour::parse(other).ok(),
    }
}
