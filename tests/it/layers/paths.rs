//! The paths in a file's code: what its `use` declarations bind, and what the code names directly.

use std::collections::BTreeSet;

/// A path such as `super::row::Row`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CodePath {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
    /// The name that a `use` declaration binds, `*` for a glob; `None` outside of `use`.
    pub(super) binds: Option<String>,
}

/// The paths of a file, and the items that it defines.
pub(super) struct Paths {
    pub(super) paths: Vec<CodePath>,
    /// Items defined at the top level of the file.
    pub(super) defined: BTreeSet<String>,
}

impl Paths {
    pub(super) fn of(code: &[String]) -> Self {
        let text = code.join("\n");
        let (mut paths, outside) = use_declarations(&text);
        paths.extend(
            plain_paths(&outside)
                .into_iter()
                .map(|(at, path)| CodePath {
                    line: line_at(&outside, at),
                    segments: path.split("::").map(str::to_owned).collect(),
                    binds: None,
                }),
        );
        let defined = code.iter().filter_map(|line| defined_name(line)).collect();
        Self { paths, defined }
    }
}

/// The name at the start of a text, which may be empty.
pub(super) fn first_name(text: &str) -> &str {
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    &text[..end]
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The paths of all `use` declarations, and the text with these declarations blanked.
fn use_declarations(text: &str) -> (Vec<CodePath>, String) {
    let mut paths = Vec::new();
    let mut outside = String::with_capacity(text.len());
    let mut rest = 0;
    for (at, _) in text.match_indices("use ") {
        let starts = !text[..at].ends_with(|c: char| is_name(c) || matches!(c, '.' | ':' | '\''));
        let Some(length) = text[at..].find(';').filter(|_| starts && at >= rest) else {
            continue;
        };
        let tree = at + "use ".len()..at + length;
        outside.push_str(&text[rest..at]);
        outside.extend(
            text[at..tree.end]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = tree.end;
        use_tree(text, tree.start, &text[tree], &[], &mut paths);
    }
    outside.push_str(&text[rest..]);
    (paths, outside)
}

/// Adds the paths of a `use` tree that starts at `at`: `a::{b, c::D as E}` gives `a::b` and
/// `a::c::D`, bound as `b` and `E`.
fn use_tree(text: &str, at: usize, tree: &str, prefix: &[String], paths: &mut Vec<CodePath>) {
    let at = at + tree.len() - tree.trim_start().len();
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let mut prefix = prefix.to_vec();
        prefix.extend(
            tree[..open]
                .split("::")
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
        );
        for (offset, member) in members(&tree[open + 1..tree.rfind('}').unwrap_or(tree.len())]) {
            use_tree(text, at + open + 1 + offset, member, &prefix, paths);
        }
        return;
    }
    if tree.is_empty() {
        return;
    }
    let (path, alias) = tree
        .split_once(" as ")
        .map_or((tree, None), |(path, alias)| {
            (path.trim(), Some(alias.trim().to_owned()))
        });
    let mut segments = prefix.to_vec();
    segments.extend(
        path.split("::")
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
    );
    // `a::{self}` binds `a`.
    if segments.len() > 1 && segments.last().is_some_and(|name| name == "self") {
        segments.pop();
    }
    paths.push(CodePath {
        line: line_at(text, at),
        binds: alias.or_else(|| segments.last().cloned()),
        segments,
    });
}

/// The members of a group, with their offsets.
fn members(group: &str) -> Vec<(usize, &str)> {
    let mut depth = 0_usize;
    let mut start = 0;
    let mut members = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                members.push((start, &group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push((start, &group[start..]));
    members
}

/// Every maximal path of two names or more in the text, with its place.
fn plain_paths(text: &str) -> Vec<(usize, &str)> {
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(offset) = text[at..].find(is_name) {
        let start = at + offset;
        let mut end = start + first_name(&text[start..]).len();
        while let Some(next) = text[end..].strip_prefix("::") {
            let name = first_name(next);
            if name.is_empty() {
                break;
            }
            end += "::".len() + name.len();
        }
        // The rest of a path with generic arguments, such as `Vec::<u8>::new`, and lifetimes.
        let continues = text[..start].ends_with([':', '\'', '$']);
        if !continues && text[start..end].contains("::") {
            paths.push((start, &text[start..end]));
        }
        at = end;
    }
    paths
}

/// The name of the item that a line at the top level defines.
fn defined_name(line: &str) -> Option<String> {
    const KINDS: [&str; 8] = [
        "fn", "struct", "enum", "trait", "type", "const", "static", "union",
    ];
    if line.starts_with(' ') {
        return None;
    }
    if let Some(name) = line.strip_prefix("macro_rules! ") {
        return Some(first_name(name).to_owned());
    }
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || word.ends_with(')') || matches!(*word, "async" | "unsafe")
    });
    let (mut kind, mut name) = (words.next()?, words.next()?);
    if kind == "const" && name == "fn" {
        (kind, name) = (name, words.next()?);
    }
    let inline_module = kind == "mod" && line.ends_with('{');
    (KINDS.contains(&kind) || inline_module).then(|| first_name(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Paths {
        Paths::of(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    fn found(text: &str) -> Vec<(usize, String, Option<String>)> {
        let entry = |path: CodePath| (path.line, path.segments.join("::"), path.binds);
        paths(text).paths.into_iter().map(entry).collect()
    }

    #[test]
    fn use_trees_are_expanded_with_the_names_that_they_bind() {
        let binds = |name: &str| Some(name.to_owned());
        assert_eq!(
            found("pub(super) use crate::{\n    a::{self, B as C},\n    d::*,\n};\nuse e;"),
            [
                (2, "crate::a".to_owned(), binds("a")),
                (2, "crate::a::B".to_owned(), binds("C")),
                (3, "crate::d::*".to_owned(), binds("*")),
                (5, "e".to_owned(), binds("e")),
            ]
        );
    }

    #[test]
    fn paths_outside_of_use_are_found_where_they_start() {
        let text = "fn f(a: super::A) -> impl B + use<'_> {\n    c::<D>::e(); x.g::<h::I>() }\npub(in crate::j) k: $crate::l,";
        let found: Vec<_> = found(text)
            .into_iter()
            .map(|(line, path, _)| (line, path))
            .collect();
        let expected = [(1, "super::A"), (2, "h::I"), (3, "crate::j")];
        assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
    }

    #[test]
    fn items_at_the_top_level_are_defined() {
        let text = "pub(in crate::x) struct A;\npub const fn b() {}\n    fn inner() {}\nmod c {\nmod d;\nmacro_rules! e {\nimpl F {";
        assert_eq!(
            paths(text).defined.into_iter().collect::<Vec<_>>(),
            ["A", "b", "c", "e"]
        );
    }
}
