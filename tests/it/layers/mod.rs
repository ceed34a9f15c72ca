//! The structure of the crate: which module may import which, no circles of files, and how long a
//! file and a function may be.
//!
//! The rules read the sources as text. That is enough for paths, which is how files name each
//! other, and it covers every feature set at once. They do not see macros that build paths, and
//! methods that a file adds to a type of another file.

mod circles;
mod lengths;
mod modules;
mod paths;
mod source;

use self::source::Source;
use std::fmt;
use std::path::{Path, PathBuf};

/// A broken rule, with what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: PathBuf,
    line: usize,
    message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

#[test]
fn modules_import_only_what_the_table_allows() {
    assert_none(&check_each(modules::forbidden_imports));
}

#[test]
fn table_has_no_circles_and_no_unused_entries() {
    assert_none(&modules::table_violations(modules::TABLE, &sources()));
}

#[test]
fn files_of_a_module_do_not_depend_on_each_other_in_circles() {
    assert_none(&circles::circles(&sources()));
}

#[test]
fn files_are_within_the_length_limit() {
    assert_none(&check_each(lengths::file_length));
}

#[test]
fn functions_are_within_the_length_limit() {
    assert_none(&check_each(lengths::function_lengths));
}

fn assert_none(violations: &[Violation]) {
    assert!(
        violations.is_empty(),
        "{} violations:\n{}",
        violations.len(),
        messages(violations).join("\n")
    );
}

fn messages(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(ToString::to_string).collect()
}

fn check_each<T: IntoIterator<Item = Violation>>(rule: impl Fn(&Source) -> T) -> Vec<Violation> {
    sources().iter().flat_map(rule).collect()
}

/// Every source file below `src` that is not a test, in the order of their paths.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pending = vec![root.join("src")];
    let mut sources = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = path.read_dir().expect("the directory is readable");
            pending.extend(entries.map(|entry| entry.expect("the entry is readable").path()));
            continue;
        }
        let below_root = path.strip_prefix(root).expect("the path is below the root");
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if is_source && !source::is_test(below_root) {
            let text = std::fs::read_to_string(&path).expect("the file is readable text");
            sources.push(Source::new(below_root, &text));
        }
    }
    assert!(
        sources.len() > 20,
        "only {} source files found below {}",
        sources.len(),
        root.display()
    );
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}
