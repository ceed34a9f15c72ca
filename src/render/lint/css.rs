//! The subset of CSS that mails use: rules by tag, class and descendant, and the colour scheme they
//! apply to.

use crate::domain::html::Tag;

/// The colour scheme of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// The default.
    Light,
    /// `@media (prefers-color-scheme:dark)`.
    Dark,
}

/// One selector with its declarations.
#[derive(Debug)]
pub(super) struct Rule<'a> {
    pub(super) scheme: Scheme,
    /// From the outermost ancestor to the element itself.
    selector: Vec<Simple<'a>>,
    pub(super) body: &'a str,
}

/// `td`, `.mute` or `td.mute`.
#[derive(Debug)]
struct Simple<'a> {
    tag: &'a str,
    classes: Vec<&'a str>,
}

impl Simple<'_> {
    fn matches(&self, tag: &Tag) -> bool {
        let has = |class: &&str| {
            tag.attribute("class")
                .unwrap_or_default()
                .split_ascii_whitespace()
                .any(|own| own == *class)
        };
        (self.tag.is_empty() || self.tag == "*" || self.tag.eq_ignore_ascii_case(&tag.name))
            && self.classes.iter().all(has)
    }
}

impl Rule<'_> {
    /// Whether the rule matches `tag` inside `around`, outermost first.
    pub(super) fn matches(&self, tag: &Tag, around: &[&Tag]) -> bool {
        let Some((last, before)) = self.selector.split_last() else {
            return false;
        };
        let mut around = around.iter().rev();
        last.matches(tag)
            && before
                .iter()
                .rev()
                .all(|simple| around.any(|tag| simple.matches(tag)))
    }
}

/// The rules of a style sheet, in order. Other media conditions and unsupported selectors are
/// skipped.
pub(super) fn rules(sheet: &str) -> Vec<Rule<'_>> {
    let mut rules = Vec::new();
    collect(sheet, Scheme::Light, &mut rules);
    rules
}

fn collect<'a>(sheet: &'a str, scheme: Scheme, rules: &mut Vec<Rule<'a>>) {
    let mut rest = sheet;
    while let Some(open) = rest.find('{') {
        let head = rest.get(..open).unwrap_or_default();
        let head = head.rsplit(['}', ';']).next().unwrap_or_default();
        let head = head.rsplit("*/").next().unwrap_or_default().trim();
        let inside = rest.get(open + 1..).unwrap_or_default();
        let end = block_end(inside);
        let body = inside.get(..end).unwrap_or_default();
        if let Some(condition) = head.strip_prefix("@media") {
            let condition: String = condition.chars().filter(|c| !c.is_whitespace()).collect();
            if condition.contains("prefers-color-scheme:dark") {
                collect(body, Scheme::Dark, rules);
            }
        } else if !head.starts_with('@') {
            rules.extend(head.split(',').filter_map(selector).map(|selector| Rule {
                scheme,
                selector,
                body,
            }));
        }
        rest = inside.get(end + 1..).unwrap_or_default();
    }
}

/// The end of the block whose `{` is just before `text`.
fn block_end(text: &str) -> usize {
    let mut depth = 1_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

fn selector(text: &str) -> Option<Vec<Simple<'_>>> {
    let plain = !text.contains([':', '[', '>', '+', '~', '#']);
    let parts = text.split_ascii_whitespace().map(|part| {
        let mut pieces = part.split('.');
        Simple {
            tag: pieces.next().unwrap_or_default(),
            classes: pieces.collect(),
        }
    });
    plain
        .then(|| parts.collect::<Vec<_>>())
        .filter(|parts| !parts.is_empty())
}

/// The declarations of a block: lower-case name, value, and whether it is important.
pub(super) fn declarations(body: &str) -> impl Iterator<Item = (&str, &str, bool)> {
    body.split(';')
        .filter_map(|declaration| declaration.split_once(':'))
        .map(|(name, value)| {
            let value = value.trim();
            match value.to_ascii_lowercase().find("!important") {
                Some(at) => (
                    name.trim(),
                    value.get(..at).unwrap_or_default().trim(),
                    true,
                ),
                None => (name.trim(), value, false),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_matched_by_scheme_and_descendant() {
        let sheet = ":root{x:y}/* c */.facts th,h2{color:#111111}@media (max-width:9px){h2{color:#222222}}\n@media (prefers-color-scheme: dark){h2{color:#333333!important}}";
        let rules = rules(sheet);
        assert_eq!(
            rules.iter().map(|rule| rule.scheme).collect::<Vec<_>>(),
            [Scheme::Light, Scheme::Light, Scheme::Dark]
        );
        let tag = |name: &str, class: &'static str| Tag {
            name: name.to_owned(),
            attributes: vec![("class".to_owned(), class.to_owned())],
        };
        let (table, row, cell) = (tag("table", "facts ink"), tag("tr", ""), tag("th", ""));
        assert!(
            rules[0].matches(&cell, &[&table, &row])
                && !rules[0].matches(&cell, &[&row])
                && !rules[1].matches(&cell, &[])
        );
        assert_eq!(
            declarations(rules[2].body).collect::<Vec<_>>(),
            [("color", "#333333", true)]
        );
    }

    #[test]
    fn truncated_style_sheet_is_tolerated() {
        for sheet in ["a{", "a", "{}", "@media x{a{", "}}", "a{b:c}}d{e:f}"] {
            rules(sheet);
        }
    }
}
