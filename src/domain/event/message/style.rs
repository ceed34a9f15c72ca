//! The policy for styles in mails: no links that run or load something, and no scripts in styles
//! for old browsers.

use icu_normalizer::ComposingNormalizerBorrowed;

use super::link_policy::{is_allowed_link, is_font_sheet};

/// The violation in a style, such as `a data: link`; `None` if it is acceptable.
pub(super) fn fault(style: &str) -> Option<&'static str> {
    let style = unescaped(style);
    // Checked without comments, as browsers read it, and with them: an unclosed comment hides
    // nothing.
    fault_in(&without_comments(&style)).or_else(|| fault_in(&style))
}

fn fault_in(style: &str) -> Option<&'static str> {
    if style.match_indices("data:").any(|(at, _)| {
        style
            .get(..at)
            .is_some_and(|before| before.trim_end().ends_with(['(', '"', '\'']))
    }) {
        return Some("a data: link");
    }
    if ["javascript:", "vbscript:", "livescript:"]
        .iter()
        .any(|scheme| style.contains(scheme))
    {
        return Some("a script");
    }
    let called = |name: &str| {
        style
            .split(name)
            .skip(1)
            .any(|after| after.trim_start().starts_with('('))
    };
    let property = |name: &str| {
        style.match_indices(name).any(|(at, _)| {
            !style
                .get(..at)
                .unwrap_or_default()
                .ends_with(|c: char| c.is_alphanumeric() || c == '-')
        })
    };
    if called("expression") || property("behavior") || style.contains("-moz-binding") {
        return Some("a script");
    }
    if style
        .split("@import")
        .skip(1)
        .any(|after| !is_font_sheet(target(after)))
    {
        return Some("an @import");
    }
    if style
        .split("url(")
        .skip(1)
        .any(|after| !is_allowed_link(target(after)))
    {
        return Some("a link other than http or https");
    }
    None
}

/// The link at the start of a rule: `url("x")`, `url(x)` or `"x"`.
fn target(text: &str) -> &str {
    let text = text.trim_start();
    let text = text.strip_prefix("url(").unwrap_or(text).trim_start();
    let (text, end): (&str, &[char]) = match text.chars().next() {
        Some('"') => (text.get(1..).unwrap_or_default(), &['"']),
        Some('\'') => (text.get(1..).unwrap_or_default(), &['\'']),
        _ => (text, &[')', ';']),
    };
    text.split(end).next().unwrap_or_default()
}

/// The style with CSS escapes (`\64 `) decoded, lower case, compatibility characters folded.
fn unescaped(style: &str) -> String {
    let mut plain = String::with_capacity(style.len());
    let mut rest = style;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let end = after
            .find(|c: char| !c.is_ascii_hexdigit())
            .unwrap_or(after.len())
            .min(6);
        let digits = after.get(..end).unwrap_or_default();
        rest = after.get(end..).unwrap_or_default();
        if let Some(c) = u32::from_str_radix(digits, 16)
            .ok()
            .and_then(char::from_u32)
        {
            plain.push(c);
            // One space ends an escape.
            rest = rest
                .strip_prefix([' ', '\t', '\n', '\u{c}'])
                .unwrap_or(rest);
        } else {
            // An escaped line end is dropped, any other escaped character is kept.
            rest = rest.strip_prefix('\n').unwrap_or(rest);
        }
    }
    plain.push_str(rest);
    let folded = ComposingNormalizerBorrowed::new_nfkc().normalize(&plain);
    folded
        .chars()
        .filter(|c| !c.is_control() || c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect()
}

fn without_comments(style: &str) -> String {
    let mut plain = String::with_capacity(style.len());
    let mut rest = style;
    while let Some((before, after)) = rest.split_once("/*") {
        plain.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    plain + rest
}
