//! Which top-level module may import which.

use super::paths::Paths;
use super::{Source, Violation};
use std::collections::BTreeSet;
use std::path::Path;

/// A module, and the modules that it may import besides itself. Each module stands below those that
/// it imports, so that there are no circles of modules.
pub(super) type Table<'a> = &'a [(&'a str, &'a [&'a str])];

pub(super) const TABLE: Table<'_> = &[
    // Values and pure decisions, without logs and metrics.
    ("domain", &[]),
    ("secret", &[]),
    ("encoding", &[]),
    ("routing", &["domain"]),
    ("telemetry", &[]),
    ("clock", &["domain"]),
    ("tls", &[]),
    ("sandbox", &[]),
    // It could be a crate of its own.
    ("mail_catcher", &[]),
    (
        "http",
        &["domain", "secret", "encoding", "routing", "telemetry"],
    ),
    ("queue", &["domain", "secret", "clock", "tls"]),
    (
        "intake",
        &[
            "domain",
            "secret",
            "encoding",
            "routing",
            "telemetry",
            "clock",
            "http",
            "queue",
        ],
    ),
    ("render", &["domain", "encoding", "sandbox"]),
    (
        "transport",
        &["domain", "secret", "encoding", "telemetry", "clock", "tls"],
    ),
    (
        "thumbnails",
        &["domain", "clock", "tls", "sandbox", "queue"],
    ),
    (
        "dispatch",
        &[
            "domain",
            "telemetry",
            "clock",
            "queue",
            "render",
            "transport",
        ],
    ),
    ("admin", &["domain", "telemetry", "clock", "http", "queue"]),
    // Fills the settings of the modules.
    (
        "config",
        &[
            "domain",
            "secret",
            "encoding",
            "routing",
            "telemetry",
            "http",
            "queue",
            "intake",
            "render",
            "transport",
            "thumbnails",
            "dispatch",
        ],
    ),
    // Connects the modules.
    (
        "daemon",
        &[
            "domain",
            "secret",
            "routing",
            "telemetry",
            "clock",
            "http",
            "queue",
            "intake",
            "render",
            "transport",
            "thumbnails",
            "dispatch",
            "admin",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "domain",
            "secret",
            "encoding",
            "telemetry",
            "clock",
            "sandbox",
            "mail_catcher",
            "http",
            "queue",
            "intake",
            "render",
            "transport",
            "thumbnails",
            "config",
            "daemon",
        ],
    ),
];

pub(super) fn forbidden_imports(source: &Source) -> Vec<Violation> {
    let Some(module) = source.top_module() else {
        return Vec::new();
    };
    let violation = |line, message| Violation {
        file: source.path.clone(),
        line,
        message,
    };
    let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == module) else {
        let message = format!("module `{module}` is missing from TABLE in tests/it/layers");
        return vec![violation(1, message)];
    };
    let list = match allowed {
        [] => "no module of the crate".to_owned(),
        allowed => allowed.join(", "),
    };
    imports(source)
        .into_iter()
        .filter(|(_, name)| !allowed.contains(&name.as_str()))
        .map(|(line, name)| {
            let message = format!("`{module}` imports `{name}`; it may import {list}");
            violation(line, message)
        })
        .collect()
}

/// The other top-level modules that a file names, with their lines.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let depth = source.module.len();
    let mut found = Vec::new();
    for path in Paths::of(&source.code).paths {
        let supers = path
            .segments
            .iter()
            .take_while(|name| *name == "super")
            .count();
        let name = match &*path.segments {
            [first, name, ..] if first == "crate" => name,
            // In an inline module, `super` can occur once more and still stay inside the crate's
            // top-level module. Therefore only names of modules count.
            segments if supers >= depth && supers > 0 => match segments.get(supers) {
                Some(name) if TABLE.iter().any(|(module, _)| module == name) => name,
                _ => continue,
            },
            _ => continue,
        };
        if Some(name.as_str()) != source.top_module() {
            found.push((path.line, name.clone()));
        }
    }
    found
}

/// Entries that allow a circle of modules, and entries that no file uses.
pub(super) fn table_violations(table: Table<'_>, sources: &[Source]) -> Vec<Violation> {
    let used: BTreeSet<_> = sources
        .iter()
        .filter_map(|source| Some((source.top_module()?, imports(source))))
        .flat_map(|(module, imports)| imports.into_iter().map(move |(_, name)| (module, name)))
        .collect();
    let mut messages = Vec::new();
    for (at, (module, allowed)) in table.iter().enumerate() {
        if !sources
            .iter()
            .any(|source| source.top_module() == Some(module))
        {
            messages.push(format!("there is no module `{module}`: remove it"));
        }
        for name in *allowed {
            if !table[..at].iter().any(|(above, _)| above == name) {
                messages.push(format!(
                    "`{module}` may import `{name}`, which must stand above it"
                ));
            }
            if !used.contains(&(module, (*name).to_owned())) {
                messages.push(format!(
                    "`{module}` does not import `{name}`: remove it from the list"
                ));
            }
        }
    }
    let violation = |message| Violation {
        file: Path::new(file!()).to_owned(),
        line: 1,
        message,
    };
    messages.into_iter().map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::super::messages;
    use super::*;

    fn violations(file: &str, text: &str) -> Vec<Violation> {
        forbidden_imports(&Source::new(Path::new(file), text))
    }

    fn lines(file: &str, text: &str) -> Vec<usize> {
        let violations = violations(file, text);
        violations.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn forbidden_import_is_reported_with_its_line_and_the_allowed_modules() {
        let text =
            "//! See [`crate::daemon`].\nuse crate::domain::Email;\nuse crate::queue::Queue;\n";
        assert_eq!(
            messages(&violations("src/tls.rs", text)),
            [
                "src/tls.rs:2: `tls` imports `domain`; it may import no module of the crate",
                "src/tls.rs:3: `tls` imports `queue`; it may import no module of the crate",
            ]
        );
        assert_eq!(
            messages(&violations("src/render/mod.rs", text)),
            [
                "src/render/mod.rs:3: `render` imports `queue`; it may import domain, encoding, sandbox"
            ]
        );
        let text = "use crate::telemetry::Metrics;\nuse crate::dispatch::retry::Policy;";
        assert_eq!(lines("src/routing.rs", text), [1, 2]);
        assert!(lines("src/dispatch/pool.rs", text).is_empty());
    }

    #[test]
    fn paths_in_code_and_in_groups_are_imports() {
        let text = "fn f() { crate::config::load(); }\nuse crate::{\n    domain::{Email, Lane},\n    dispatch::Pool,\n    render as r,\n};\n";
        let mut found = lines("src/queue/mod.rs", text);
        found.sort_unstable();
        assert_eq!(found, [1, 4, 5]);
        let file = "src/mail_catcher/mod.rs";
        assert_eq!(lines(file, "pub use crate::domain;"), [1]);
        let text = "// crate::domain\nlet a = \"crate::domain\"; my_crate::domain();";
        assert!(lines(file, text).is_empty());
        assert_eq!(lines(file, "let q = '\"'; crate::domain::f(); // \""), [1]);
    }

    #[test]
    fn super_paths_that_leave_the_module_are_imports() {
        assert_eq!(lines("src/queue/mod.rs", "use super::dispatch::Pool;"), [1]);
        let file = "src/queue/sqlite/claim.rs";
        assert_eq!(lines(file, "use super::super::super::dispatch::Pool;"), [1]);
        let text = "use super::super::dispatch::Pool;\nuse super::row::Row;";
        assert!(lines(file, text).is_empty());
    }

    #[test]
    fn module_must_be_in_the_table_except_for_the_files_of_the_crate() {
        let missing = messages(&violations("src/util/mod.rs", "")).concat();
        assert!(missing.contains("module `util` is missing"), "{missing}");
        for file in ["src/main.rs", "src/lib.rs", "src/prelude.rs"] {
            assert!(lines(file, "use crate::queue::Queue;").is_empty());
        }
    }

    #[test]
    fn tests_may_import_everything_and_single_test_items_may_not() {
        let file = "src/render/mod.rs";
        let text = "use crate::domain::Email;\n#[cfg(test)]\nmod tests {\n    use crate::daemon::Daemon;\n}\n";
        assert!(lines(file, text).is_empty());
        let text = "#[cfg(test)]\nfn only_here() {}\nuse crate::daemon::Daemon;\n";
        assert_eq!(lines(file, text), [3]);
    }

    #[test]
    fn unused_missing_and_circular_entries_are_reported() {
        let source = |path, text| Source::new(Path::new(path), text);
        let sources = [
            source("src/a.rs", "use crate::b::B;"),
            source("src/b.rs", ""),
            source("src/c.rs", "use crate::b::B;"),
        ];
        let table: Table<'_> = &[("a", &["b"]), ("b", &[]), ("c", &["a", "b"]), ("d", &[])];
        let found = table_violations(table, &sources);
        let found: Vec<_> = found.iter().map(|found| found.message.as_str()).collect();
        assert_eq!(
            found,
            [
                "`a` may import `b`, which must stand above it",
                "`c` does not import `a`: remove it from the list",
                "there is no module `d`: remove it",
            ]
        );
    }
}
