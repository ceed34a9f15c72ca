//! A source file as the rules read it: without tests, comments and the contents of literals.

use std::path::{Path, PathBuf};

pub(super) struct Source {
    /// Relative to the root of the repository, such as `src/queue/mod.rs`.
    pub(super) path: PathBuf,
    /// The module path: `["queue", "sqlite"]` for `src/queue/sqlite/mod.rs`, empty for
    /// `src/lib.rs` and `src/main.rs`.
    pub(super) module: Vec<String>,
    /// The lines before the test module. Comments and literals are blanked.
    pub(super) code: Vec<String>,
}

impl Source {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            module: module_path(path),
            code: code(&before_tests(text)),
        }
    }

    /// The first component of the module path. `None` for the crate's own files `lib.rs`, `main.rs`
    /// and `prelude.rs`, which may import everything.
    pub(super) fn top_module(&self) -> Option<&str> {
        let name = self.module.first()?;
        (name != "prelude").then_some(name)
    }
}

/// Whether a file holds only tests: `tests.rs`, or anything in a directory `tests`.
pub(super) fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
        || path.components().any(|part| part.as_os_str() == "tests")
}

fn module_path(file: &Path) -> Vec<String> {
    let below = file.strip_prefix("src").expect("the file is below src");
    let mut names: Vec<_> = below
        .with_extension("")
        .iter()
        .map(|name| name.to_str().expect("the name is UTF-8").to_owned())
        .collect();
    if matches!(
        names.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        names.pop();
    }
    names
}

/// The lines before the first `#[cfg(test)]` on a module. The attribute on any other item does not
/// end the file.
fn before_tests(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().collect();
    let is_on_module = |at: usize| {
        lines.get(at + 1).is_some_and(|next| {
            next.trim_start().starts_with("mod ") || next.trim_start().starts_with("pub mod ")
        })
    };
    let end = (0..lines.len())
        .find(|at| lines[*at] == "#[cfg(test)]" && is_on_module(*at))
        .unwrap_or(lines.len());
    lines[..end].to_vec()
}

/// Blanks comments, strings and characters, so that paths and braces in them do not count as code.
fn code(lines: &[&str]) -> Vec<String> {
    let text = lines.join("\n");
    let mut code = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let skipped = not_code(rest, &code);
        if skipped > 0 {
            // Keeps the line numbers, and separates the words on both sides.
            code.push(' ');
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    code.lines().map(str::to_owned).collect()
}

/// The length in bytes of the comment, string or character at the start of `rest`; 0 if there is
/// none.
fn not_code(rest: &str, before: &str) -> usize {
    let until = |from: usize, end: &str| {
        rest[from..]
            .find(end)
            .map_or(rest.len(), |at| from + at + end.len())
    };
    let in_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return until(2, "*/");
    }
    let raw = rest.trim_start_matches(['b', 'c']);
    if !in_word && let Some(quoted) = raw.strip_prefix('r') {
        let hashes = quoted.len() - quoted.trim_start_matches('#').len();
        if quoted[hashes..].starts_with('"') {
            let start = rest.len() - quoted.len() + hashes + 1;
            return until(start, &format!("\"{}", "#".repeat(hashes)));
        }
    }
    if rest.starts_with('"') {
        return literal(rest, '"');
    }
    // A quote starts a character if another one follows after one or two places; otherwise it
    // starts a lifetime.
    let mut next = rest.strip_prefix('\'').into_iter().flat_map(str::chars);
    match (next.next(), next.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => literal(rest, '\''),
        _ => 0,
    }
}

/// The length of the literal with escapes at the start of `rest`, including both quotes.
fn literal(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_not_code() {
        let text = "let a = \"crate::x\\\"\n crate::domain {\"; /* crate::domain {\n */ f('{', '\\'', 'a', r#\"crate::domain \" {\"#);\nlet b: &'a u8 = c;";
        let code = code(&text.lines().collect::<Vec<_>>());
        assert_eq!(code.len(), text.lines().count());
        assert_eq!(code.concat().replace(' ', ""), "leta=;f(,,,);letb:&'au8=c;");
    }

    #[test]
    fn test_modules_are_not_code() {
        let source = |text| Source::new(Path::new("src/render/mod.rs"), text).code;
        assert_eq!(source("a;\n#[cfg(test)]\nmod tests {\n"), ["a;"]);
        // A single test item does not hide the rest of the file.
        assert_eq!(source("#[cfg(test)]\nfn a() {}\nb;\n").len(), 3);
        assert!(is_test(Path::new("src/mail_catcher/tests.rs")));
        assert!(is_test(Path::new("src/queue/tests/contract.rs")));
        assert!(!is_test(Path::new("src/a.rs")));
    }

    #[test]
    fn module_path_follows_from_the_file() {
        let module = |path| Source::new(Path::new(path), "").module;
        assert_eq!(module("src/queue/sqlite/mod.rs"), ["queue", "sqlite"]);
        assert_eq!(
            module("src/queue/sqlite/claim.rs"),
            ["queue", "sqlite", "claim"]
        );
        assert_eq!(module("src/routing.rs"), ["routing"]);
        assert!(module("src/lib.rs").is_empty());
    }
}
