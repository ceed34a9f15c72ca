//! The configuration file as a source: TOML with the place of every value. Reading continues after
//! syntax errors, so that all of them are reported.

use std::collections::HashSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::HOOKS;
use super::layers::Stated;
use super::lines::Lines;
use super::lookup;
use super::message::{Message, message};
use super::report::{Findings, Found};
use super::value::Value;
use super::{nearest, syntax};

/// The content of a file.
#[derive(Default)]
pub(super) struct Contents {
    pub stated: Vec<Stated>,
    /// The places of `[smtp]`, each `[[smtp.backup]]`, each `[[server.token]]` and each
    /// `[hooks.NAME]`, by path.
    pub homes: Vec<(String, String)>,
    /// Lines with a syntax error, from 1; other problems on them are consequences.
    pub broken_lines: HashSet<usize>,
    /// Whether all keys could be read, so that others are really missing.
    pub complete: bool,
}

/// Reads a file's text; `name` begins the places in it.
pub(super) fn read(text: &str, name: &str, findings: &mut Findings) -> Contents {
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        lines: Lines::new(text, name),
        findings,
        contents: Contents::default(),
        broken_headers: Vec::new(),
    };
    reader.syntax_errors(&errors, text.len());
    reader.contents.complete = reader.broken_headers.is_empty();
    for (key, value) in root.get_ref() {
        reader.top_level(key.get_ref(), key.span(), value);
    }
    reader.contents
}

struct Reader<'a> {
    lines: Lines<'a>,
    findings: &'a mut Findings,
    contents: Contents,
    /// Where table headers without a closing bracket end: the parser takes the next key as the name
    /// of the table.
    broken_headers: Vec<usize>,
}

impl Reader<'_> {
    fn place(&self, span: &Range<usize>) -> String {
        self.lines.place(span)
    }

    /// Reports one syntax error per line; further ones are consequences.
    fn syntax_errors(&mut self, errors: &[toml::de::Error], end: usize) {
        let mut errors: Vec<_> = errors
            .iter()
            .map(|error| (error.span().unwrap_or(end..end), error.message()))
            .collect();
        errors.sort_by_key(|(span, _)| span.start);
        for (span, message) in errors {
            if message.starts_with("unclosed table") || message.starts_with("unclosed array table")
            {
                self.broken_headers.push(span.start);
            }
            let line = self.lines.number(span.start);
            if self.contents.broken_lines.insert(line) {
                let advice = syntax::explain(self.lines.line(line), message);
                self.findings.problem(&self.place(&span), "", advice);
            }
        }
    }

    fn top_level(&mut self, name: &str, key: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let place = self.place(&key);
        let after = |header: &usize| {
            *header <= key.start && self.lines.source(&(*header..key.start)).trim().is_empty()
        };
        match value.get_ref() {
            _ if self.broken_headers.iter().any(after) => {}
            _ if !lookup::is_table(name) => {
                self.findings
                    .problem(&place, &short(name), nearest::table_advice(name));
            }
            DeValue::Table(table) if name == HOOKS => self.hooks(table),
            DeValue::Table(table) => {
                if name == "smtp" {
                    self.contents.homes.push(("smtp".to_owned(), place));
                }
                self.table(name, name, table);
            }
            other => {
                let expected = message!("one table, headed [{name}]", "一个以 [{name}] 开头的表");
                self.wrong_type(&place, name, other, expected);
            }
        }
    }

    fn wrong_type(&mut self, place: &str, key: &str, value: &DeValue<'_>, expected: Message) {
        self.findings
            .invalid(place, key, &Found::Type(type_of(value)), expected, None);
    }

    /// The keys of a table; `prefix` is its path, `table` its name in the registry.
    fn table(&mut self, prefix: &str, table: &str, keys: &DeTable<'_>) {
        for (key, value) in keys {
            let name: &str = key.get_ref();
            if let Some(many) = lookup::MANY.iter().find(|many| many.home == (prefix, name)) {
                self.many(many, &key.span(), value);
                continue;
            }
            let path = format!("{prefix}.{name}");
            let hook_key = lookup::split_hook(&path).map(|(_, key)| key);
            if let DeValue::Table(keys) = value.get_ref()
                && hook_key.is_some_and(lookup::is_hook_part)
            {
                self.table(&path, table, keys);
            } else if let Some(meaning) = lookup::meaning(&path)
                && !name.contains(['.', '['])
            {
                self.leaf(path, name, meaning.key(), value);
            } else {
                let (home, leaf) = match hook_key {
                    Some(leaf) => (path.trim_end_matches(leaf).trim_end_matches('.'), leaf),
                    None => (prefix, name),
                };
                let advice = nearest::key_advice(table, leaf, home);
                self.findings
                    .problem(&self.place(&key.span()), &short(&path), advice);
            }
        }
    }

    /// The `[hooks.NAME]` tables.
    fn hooks(&mut self, hooks: &DeTable<'_>) {
        for (index, (key, value)) in hooks.iter().enumerate() {
            let name: &str = key.get_ref();
            let (place, path) = (self.place(&key.span()), format!("hooks.{name}"));
            match value.get_ref() {
                _ if !lookup::is_hook_name(name) => self.findings.invalid(
                    &place,
                    HOOKS,
                    &Found::Value(format!("\"{}\"", short(name))),
                    [
                        "1 to 32 characters: a lower-case letter, then lower-case letters, digits, - and _",
                        "1 到 32 个字符：以小写字母开头，之后为小写字母、数字、- 或 _",
                    ],
                    None,
                ),
                _ if index >= lookup::MAX_HOOKS => {
                    let most = lookup::MAX_HOOKS;
                    let message = message!(
                        "too many tables; at most {most} [hooks.NAME] are allowed",
                        "表过多；[hooks.NAME] 最多 {most} 个"
                    );
                    self.findings.problem(&place, HOOKS, message);
                }
                DeValue::Table(keys) => {
                    self.contents.homes.push((path.clone(), place));
                    self.table(&path, HOOKS, keys);
                }
                other => {
                    let expected = message!("a table, headed [{path}]", "以 [{path}] 开头的表");
                    self.wrong_type(&place, &path, other, expected);
                }
            }
        }
    }

    /// One value; `name` is the name as written, `key` the canonical path.
    fn leaf(&mut self, path: String, name: &str, key: &str, value: &Spanned<DeValue<'_>>) {
        let place = self.place(&value.span());
        let swallows = self.swallows_lines(&value.span());
        if swallows && !self.contents.broken_lines.is_empty() {
            self.contents.complete = false;
            return;
        }
        let wrong = match value.get_ref() {
            table @ DeValue::Table(_) => Some(type_of(table)),
            DeValue::String(_) if swallows => Some(["multi-line text", "多行文本"]),
            _ => None,
        };
        match (wrong, lookup::find(key)) {
            (Some(wrong), Some(key_found)) => {
                let expected = key_found.kind.expected();
                self.findings
                    .invalid(&place, key, &Found::Type(wrong), expected, None);
            }
            _ => self.contents.stated.push(Stated {
                path,
                written: name.to_owned(),
                value: convert(value.get_ref()),
                place,
            }),
        }
    }

    /// Whether a value spans lines with an `=`: an unclosed quote or bracket then includes other
    /// keys, and one of them may be a password.
    fn swallows_lines(&self, span: &Range<usize>) -> bool {
        self.lines
            .source(span)
            .split_once('\n')
            .is_some_and(|(_, further)| further.contains('='))
    }

    /// An array of tables, such as `[[smtp.backup]]`.
    fn many(&mut self, many: &lookup::Many, key: &Range<usize>, value: &Spanned<DeValue<'_>>) {
        let path = format!("{}.{}", many.home.0, many.home.1);
        let expected = message!(
            "tables headed [[{path}]], in double brackets",
            "以 [[{path}]]（双层方括号）开头的表"
        );
        let place = self.place(key);
        let DeValue::Array(tables) = value.get_ref() else {
            return self.wrong_type(&place, &path, value.get_ref(), expected);
        };
        if tables.len() > many.most {
            let message = message!(
                "{0} tables; at most {1} [[{path}]] are allowed",
                "共 {0} 个表；[[{path}]] 最多 {1} 个",
                tables.len(),
                many.most
            );
            self.findings.problem(&place, &path, message);
        }
        for (index, table) in tables.iter().enumerate().take(many.most) {
            let (place, home) = (self.place(&table.span()), format!("{path}[{index}]"));
            match table.get_ref() {
                DeValue::Table(keys) => {
                    self.contents.homes.push((home.clone(), place));
                    self.table(&home, many.table, keys);
                }
                other => self.wrong_type(&place, &path, other, expected.clone()),
            }
        }
    }
}

fn convert(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Float(f64::INFINITY), Value::Integer),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|item| convert(item.get_ref())).collect())
        }
        DeValue::Table(_) => Value::Table,
    }
}

/// The type of a value in English and Chinese.
const fn type_of(value: &DeValue<'_>) -> [&'static str; 2] {
    match value {
        DeValue::String(_) => ["text", "文本"],
        DeValue::Integer(_) | DeValue::Float(_) => ["a number", "数字"],
        DeValue::Boolean(_) => ["a boolean", "布尔值"],
        DeValue::Datetime(_) => ["a time", "时间"],
        DeValue::Array(_) => ["a list", "列表"],
        DeValue::Table(_) => ["a table", "表"],
    }
}

/// A name from the file, shortened and without control characters.
fn short(name: &str) -> String {
    name.chars()
        .take(80)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
