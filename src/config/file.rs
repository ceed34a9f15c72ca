//! The file as a source: TOML with the place of every value, read on past syntax errors so that all
//! of them are reported.

use std::collections::HashSet;
use std::ops::Range;

use ::config::{Value, ValueKind};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::layers::Stated;
use super::lookup::{self, Meaning};
use super::nearest;
use super::report::Findings;

/// What a file says.
#[derive(Default)]
pub(super) struct Contents {
    pub stated: Vec<Stated>,
    /// Where `[smtp]`, each `[[smtp.backup]]`, each `[[server.token]]` and each `[hooks.NAME]`
    /// stand, by path.
    pub homes: Vec<(String, String)>,
    /// Lines with a syntax error, from 1; what is found there besides is an echo of it.
    pub broken_lines: HashSet<usize>,
    /// Whether it could be read so far that what is not in it is really not there.
    pub complete: bool,
}

/// Reads a file's text; `name` is what places in it begin with.
pub(super) fn read(text: &str, name: &str, findings: &mut Findings) -> Contents {
    let (root, errors) = DeTable::parse_recoverable(text);
    let line_starts = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .collect();
    let mut walk = Walk {
        text,
        line_starts,
        name,
        findings,
        contents: Contents::default(),
        broken_headers: Vec::new(),
    };
    walk.syntax(&errors);
    walk.contents.complete = walk.broken_headers.is_empty();
    for (key, value) in root.get_ref() {
        walk.top(key, value);
    }
    walk.contents
}

struct Walk<'a> {
    text: &'a str,
    /// Where each line begins, in bytes.
    line_starts: Vec<usize>,
    name: &'a str,
    findings: &'a mut Findings,
    contents: Contents,
    /// Where table headers without their bracket end: the parser takes the next key for the table's
    /// name.
    broken_headers: Vec<usize>,
}

impl Walk<'_> {
    /// Line and column from 1, in characters.
    fn line_column(&self, span: &Range<usize>) -> (usize, usize) {
        let line = self
            .line_starts
            .partition_point(|start| *start <= span.start);
        let start = self
            .line_starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or_default();
        (
            line,
            self.text
                .get(start..span.start)
                .unwrap_or_default()
                .chars()
                .count()
                + 1,
        )
    }

    fn place(&self, span: &Range<usize>) -> String {
        let (line, column) = self.line_column(span);
        format!("{}:{line}:{column}", self.name)
    }

    /// One problem a line: further ones follow from the first.
    fn syntax(&mut self, errors: &[toml::de::Error]) {
        let end = self.text.len()..self.text.len();
        let mut found: Vec<_> = errors
            .iter()
            .map(|error| (error.span().unwrap_or(end.clone()), error.message()))
            .collect();
        found.sort_by_key(|(span, _)| span.start);
        for (span, message) in found {
            if message.starts_with("unclosed table") || message.starts_with("unclosed array table")
            {
                self.broken_headers.push(span.start);
            }
            let (line, _) = self.line_column(&span);
            if self.contents.broken_lines.insert(line) {
                let advice = self.quotes(line).unwrap_or_else(|| syntax_advice(message));
                self.findings.problem(&self.place(&span), "", advice);
            }
        }
    }

    /// Advice for a line with characters that look like TOML's quotes or signs. The rest of the
    /// line is not shown, since it may hold a password.
    fn quotes(&self, line: usize) -> Option<String> {
        let line = self.text.lines().nth(line.checked_sub(1)?)?;
        // What stands in real quotes or behind a `#` is text.
        let outside: String = line
            .split('#')
            .next()?
            .split(['"', '\''])
            .step_by(2)
            .collect();
        let odd = outside
            .chars()
            .find(|c| LOOKALIKES.iter().any(|(known, _)| known == c))?;
        let (_, meant) = LOOKALIKES.iter().find(|(known, _)| *known == odd)?;
        Some(format!(
            "{odd} is not a character of TOML; write {meant} in its place, as in host = \"smtp.example.com\" / 此处的 {odd} 不是英文标点；请改用 {meant}，例如 host = \"smtp.example.com\""
        ))
    }

    fn top(&mut self, key: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) {
        let (name, place) = (key.get_ref().as_ref(), self.place(&key.span()));
        let after = |header: &usize| {
            self.text
                .get(*header..key.span().start)
                .is_some_and(|between| between.trim().is_empty())
        };
        match value.get_ref() {
            _ if self.broken_headers.iter().any(after) => {}
            _ if !lookup::is_table(name) => {
                self.findings
                    .problem(&place, &short(name), nearest::table_advice(name));
            }
            DeValue::Table(table) => {
                if name == "smtp" {
                    self.contents.homes.push(("smtp".to_owned(), place));
                }
                if name == super::key::HOOKS {
                    self.hooks(table);
                } else {
                    self.table(name, name, table);
                }
            }
            other => self.findings.unfit(
                &place,
                name,
                sort(other),
                &format!("one table, headed [{name}]"),
                None,
            ),
        }
    }

    /// The keys of a table; `prefix` is its path, `table` its name in the registry.
    fn table(&mut self, prefix: &str, table: &str, keys: &DeTable<'_>) {
        for (key, value) in keys {
            let name: &str = key.get_ref();
            if let Some(many) = lookup::MANY.iter().find(|many| many.home == (prefix, name)) {
                self.many(many, key.span(), value);
                continue;
            }
            let path = format!("{prefix}.{name}");
            if let DeValue::Table(keys) = value.get_ref()
                && lookup::split_hook(&path).is_some_and(|(_, part)| lookup::is_hook_part(part))
            {
                self.table(&path, table, keys);
                continue;
            }
            match lookup::meaning(&path) {
                Some(meaning) if !name.contains(['.', '[']) => {
                    self.leaf(path, name, &meaning, value);
                }
                _ => {
                    let (home, leaf) = match lookup::split_hook(&path) {
                        Some((_, leaf)) => (
                            path.strip_suffix(leaf)
                                .unwrap_or_default()
                                .trim_end_matches('.'),
                            leaf,
                        ),
                        None => (prefix, name),
                    };
                    let advice = nearest::key_advice(table, leaf)
                        .replace("hooks.NAME", home)
                        .replace("server.token.", &format!("{home}."));
                    self.findings
                        .problem(&self.place(&key.span()), &short(&path), advice);
                }
            }
        }
    }

    /// `[hooks.NAME]`, each.
    fn hooks(&mut self, hooks: &DeTable<'_>) {
        const ALLOWED: &str = "tables headed [hooks.NAME], at most 64";
        const NAME: &str =
            "1 to 32 characters: a small letter, then small letters, digits, - and _";
        for (index, (key, value)) in hooks.iter().enumerate() {
            let name: &str = key.get_ref();
            let (place, path) = (self.place(&key.span()), format!("hooks.{name}"));
            match value.get_ref() {
                _ if !lookup::is_hook_name(name) => self.findings.unfit(
                    &place,
                    "hooks",
                    &format!("\"{}\"", short(name)),
                    NAME,
                    None,
                ),
                _ if index >= lookup::MAX_HOOKS => {
                    self.findings
                        .unfit(&place, "hooks", "more of them", ALLOWED, None);
                }
                DeValue::Table(keys) => {
                    self.contents.homes.push((path.clone(), place));
                    self.table(&path, super::key::HOOKS, keys);
                }
                other => self
                    .findings
                    .unfit(&place, &path, sort(other), ALLOWED, None),
            }
        }
    }

    fn leaf(&mut self, path: String, name: &str, meaning: &Meaning, value: &Spanned<DeValue<'_>>) {
        let place = self.place(&value.span());
        let swallowed = self.has_swallowed_lines(&value.span());
        if swallowed && !self.contents.broken_lines.is_empty() {
            self.contents.complete = false;
            return;
        }
        let unfit = match value.get_ref() {
            DeValue::Table(_) => Some("a table"),
            DeValue::String(_) if swallowed => Some("text of several lines"),
            _ => None,
        };
        if let Some(found) = unfit {
            let (Meaning::Key(key) | Meaning::Alias(key) | Meaning::Switch(key, _)) = meaning;
            let allowed = lookup::find(key)
                .map(|key| key.kind.allowed())
                .unwrap_or_default();
            return self.findings.unfit(&place, key, found, &allowed, None);
        }
        let value = self.convert(value.get_ref());
        self.contents.stated.push(Stated {
            path,
            written: name.to_owned(),
            value,
            place,
        });
    }

    /// Whether a value reaches over further lines with an `=`: an unclosed quote or bracket then
    /// has made other keys part of it, and one of them may be a password.
    fn has_swallowed_lines(&self, span: &Range<usize>) -> bool {
        let source = self.text.get(span.clone()).unwrap_or_default();
        source
            .split_once('\n')
            .is_some_and(|(_, further)| further.contains('='))
    }

    /// An array of tables, as `[[smtp.backup]]`.
    fn many(&mut self, many: &lookup::Many, key: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let path = format!("{}.{}", many.home.0, many.home.1);
        let allowed = format!(
            "tables headed [[{path}]], in double brackets, at most {}",
            many.most
        );
        let DeValue::Array(tables) = value.get_ref() else {
            return self.findings.unfit(
                &self.place(&key),
                &path,
                sort(value.get_ref()),
                &allowed,
                None,
            );
        };
        if tables.len() > many.most {
            self.findings.unfit(
                &self.place(&key),
                &path,
                &format!("{} of them", tables.len()),
                &allowed,
                None,
            );
        }
        for (index, table) in tables.iter().enumerate().take(many.most) {
            let (place, home) = (self.place(&table.span()), format!("{path}[{index}]"));
            match table.get_ref() {
                DeValue::Table(keys) => {
                    self.contents.homes.push((home.clone(), place));
                    self.table(&home, many.table, keys);
                }
                other => self
                    .findings
                    .unfit(&place, &path, sort(other), &allowed, None),
            }
        }
    }

    fn convert(&self, value: &DeValue<'_>) -> ValueKind {
        match value {
            DeValue::String(text) => ValueKind::String(text.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => ValueKind::I64(number),
                    Err(_) => ValueKind::Float(f64::INFINITY),
                }
            }
            DeValue::Float(number) => ValueKind::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(flag) => ValueKind::Boolean(*flag),
            DeValue::Datetime(time) => ValueKind::String(time.to_string()),
            DeValue::Array(items) => ValueKind::Array(self.items(items)),
            DeValue::Table(_) => ValueKind::Table(::config::Map::new()),
        }
    }

    fn items(&self, items: &DeArray<'_>) -> Vec<Value> {
        items
            .iter()
            .map(|item| {
                Value::new(
                    Some(&self.place(&item.span())),
                    self.convert(item.get_ref()),
                )
            })
            .collect()
    }
}

/// Characters of other keyboards and of word processors, and what is meant by them.
const LOOKALIKES: [(char, &str); 17] = [
    ('“', "\""),
    ('”', "\""),
    ('„', "\""),
    ('‟', "\""),
    ('«', "\""),
    ('»', "\""),
    ('「', "\""),
    ('」', "\""),
    ('＂', "\""),
    ('‘', "'"),
    ('’', "'"),
    ('＇', "'"),
    ('＝', "="),
    ('［', "["),
    ('］', "]"),
    ('【', "["),
    ('】', "]"),
];

/// The sort of a value, never the value itself.
fn sort(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A name from the file, without control characters and bounded.
fn short(name: &str) -> String {
    name.chars()
        .take(80)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// The parser's words, turned into advice where they are terse. Words that we do not know could
/// quote the line, which may hold a password.
fn syntax_advice(message: &str) -> String {
    const FIXED: [&str; 6] = [
        "missing ",
        "extra ",
        "unclosed ",
        "unexpected ",
        "key with no value",
        "invalid ",
    ];
    let said = message.split(", expected").next().unwrap_or_default();
    match said {
        "string values must be quoted" => {
            "text needs quotes, as in host = \"smtp.example.com\"".to_owned()
        }
        "duplicate key" => "this key or table stands here a second time; keep one".to_owned(),
        "unclosed table" | "unclosed array table" => {
            "the closing bracket is missing, as in [smtp]".to_owned()
        }
        "invalid boolean" => "a boolean is written true or false, in small letters".to_owned(),
        "invalid basic string" | "invalid literal string" => {
            "the closing quote is missing, or a \\ needs to be written \\\\".to_owned()
        }
        _ if FIXED.iter().any(|start| said.starts_with(start))
            && said.len() < 60
            && said.is_ascii() =>
        {
            format!("not valid TOML: {said}")
        }
        _ => "not valid TOML".to_owned(),
    }
}
