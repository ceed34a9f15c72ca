//! The house keeps its rooms: who imports whom, how long a file and a function may be.
//!
//! The table below is the plan of the house as data. The test reads the sources as text: enough for
//! `crate::…` paths, which is how rooms name each other, and independent of what the compiler was
//! asked to build.

use std::fmt;
use std::path::{Path, PathBuf};

/// A room and the rooms that it may import besides itself; `telemetry` is open to all but those
/// that stand [`ALONE`].
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &["domain"]),
    ("telemetry", &[]),
    ("secret", &[]),
    ("tls", &[]),
    ("encoding", &[]),
    ("sandbox", &[]),
    ("mail_catcher", &[]),
    ("http", &["secret", "domain", "encoding", "routing"]),
    ("routing", &["domain"]),
    ("queue", &["clock", "domain", "secret"]),
    (
        "intake",
        &[
            "clock", "domain", "secret", "encoding", "routing", "queue", "http",
        ],
    ),
    ("render", &["domain", "encoding", "sandbox"]),
    (
        "transport",
        &["clock", "domain", "secret", "encoding", "tls"],
    ),
    (
        "thumbnails",
        &["clock", "domain", "queue", "sandbox", "tls"],
    ),
    (
        "dispatch",
        &["clock", "domain", "queue", "render", "transport"],
    ),
    ("admin", &["clock", "domain", "queue", "http"]),
    // The configuration knows the settings of every stage, and no more of them than that; it is
    // below the daemon.
    (
        "config",
        &[
            "domain",
            "secret",
            "encoding",
            "http",
            "routing",
            "queue",
            "intake",
            "render",
            "transport",
            "thumbnails",
            "dispatch",
            "admin",
        ],
    ),
    (
        "daemon",
        &[
            "clock",
            "domain",
            "secret",
            "http",
            "routing",
            "queue",
            "intake",
            "render",
            "transport",
            "thumbnails",
            "dispatch",
            "admin",
            "mail_catcher",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "clock",
            "domain",
            "secret",
            "encoding",
            "http",
            "queue",
            "intake",
            "render",
            "transport",
            "thumbnails",
            "sandbox",
            "config",
            "daemon",
            "mail_catcher",
        ],
    ),
];

/// Rooms that count and log nothing: values, pure decisions, and the mailbox, which could be a
/// crate of its own.
const ALONE: &[&str] = &[
    "domain",
    "telemetry",
    "secret",
    "encoding",
    "mail_catcher",
    "routing",
];

const MAX_FILE_LINES: usize = 420;
const MAX_FUNCTION_LINES: usize = 80;

/// Something that breaks a rule, said so that its author knows what to do.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    file: PathBuf,
    line: usize,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

#[test]
fn rooms_import_only_what_the_plan_of_the_house_allows() {
    report(&every_file(imports));
}

#[test]
fn files_stay_within_three_hundred_lines() {
    report(&every_file(file_length));
}

#[test]
fn functions_stay_within_sixty_lines() {
    report(&every_file(function_lengths));
}

fn report(faults: &[Fault]) {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert!(
        faults.is_empty(),
        "{} break the rules of the house:\n{}",
        faults.len(),
        lines.join("\n")
    );
}

fn every_file<T: IntoIterator<Item = Fault>>(check: impl Fn(&Path, &str) -> T) -> Vec<Fault> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting = vec![root.join("src")];
    let mut faults = Vec::new();
    let mut files = 0;
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(
                path.read_dir()
                    .expect("a folder can be read")
                    .map(|entry| entry.expect("an entry can be read").path()),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_tests(&path) {
            files += 1;
            let text = std::fs::read_to_string(&path).expect("a source file is text");
            faults.extend(check(
                path.strip_prefix(root).expect("below the root"),
                &text,
            ));
        }
    }
    assert!(
        files > 20,
        "only {files} source files were found: the test looks in the wrong place"
    );
    faults.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    faults
}

/// Test modules in files of their own: `tests.rs`, or anything in a folder `tests`.
fn is_tests(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
        || path.components().any(|part| part.as_os_str() == "tests")
}

/// The lines before the first `#[cfg(test)]` that opens a module; an attribute on a single item
/// does not end the file.
fn body(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().collect();
    let opens = |at: usize| {
        lines.get(at + 1).is_some_and(|next| {
            next.trim_start().starts_with("mod ") || next.trim_start().starts_with("pub mod ")
        })
    };
    let end = (0..lines.len())
        .find(|at| lines[*at] == "#[cfg(test)]" && opens(*at))
        .unwrap_or(lines.len());
    lines[..end].to_vec()
}

fn file_length(file: &Path, text: &str) -> Option<Fault> {
    let lines = body(text).len();
    (lines > MAX_FILE_LINES).then(|| Fault {
        file: file.to_owned(),
        line: lines,
        what: format!("{lines} lines before its tests; at most {MAX_FILE_LINES}: give the second idea its own file"),
    })
}

/// The room of a file: the first folder below `src`, or the file's own name.
fn room(file: &Path) -> Option<String> {
    let below = file.strip_prefix("src").ok()?;
    let first = Path::new(below.components().next()?.as_os_str());
    let name = first.file_stem()?.to_str()?.to_owned();
    // `lib.rs` opens the rooms and `main.rs` chooses among them: they stand outside.
    (!matches!(name.as_str(), "lib" | "main" | "prelude")).then_some(name)
}

fn imports(file: &Path, text: &str) -> Vec<Fault> {
    let Some(room) = room(file) else {
        return Vec::new();
    };
    let fault = |line: usize, what: String| Fault {
        file: file.to_owned(),
        line,
        what,
    };
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![fault(
            1,
            format!("the room {room:?} is not on the plan in tests/it/layers.rs"),
        )];
    };
    let mut allowed = allowed.to_vec();
    if !ALONE.contains(&room.as_str()) {
        allowed.push("telemetry");
    }
    let code = code_of(&body(text));
    let mut faults = Vec::new();
    for (line, name) in named_rooms(&code)
        .into_iter()
        .chain(climbed_rooms(&code, depth(file)))
    {
        if name != room && !allowed.contains(&name.as_str()) {
            let may = if allowed.is_empty() {
                "nothing of the crate".to_owned()
            } else {
                allowed.join(", ")
            };
            faults.push(fault(
                line,
                format!("`{room}` imports `{name}`; it may import {may}"),
            ));
        }
    }
    faults
}

/// The lines without comments and without the content of strings and characters, so that neither a
/// doc link nor a message nor a brace in quotes counts as code.
fn code_of(lines: &[&str]) -> Vec<String> {
    let text = lines.join("\n");
    let mut code = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(c) = rest.chars().next() {
        let skipped = skipped(rest, &code);
        if skipped > 0 {
            // The line numbers stay, and a blank keeps the words on both sides apart.
            code.push(' ');
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            rest = &rest[skipped..];
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    code.split('\n').map(str::to_owned).collect()
}

/// How many bytes at the start of `rest` are a comment, a string or a character.
fn skipped(rest: &str, before: &str) -> usize {
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
        return closing(rest, '"');
    }
    // A quote opens a character when it closes one or two places later; else it is a lifetime.
    let mut next = rest.strip_prefix('\'').into_iter().flat_map(str::chars);
    match (next.next(), next.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => closing(rest, '\''),
        _ => 0,
    }
}

/// The length of a literal that begins with its quote, with escapes.
fn closing(rest: &str, quote: char) -> usize {
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

/// Each room that is named after `crate::`, alone or in a group, with the line where it stands.
fn named_rooms(code: &[String]) -> Vec<(usize, String)> {
    let text = code.join("\n");
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let after = &text[at + "crate::".len()..];
        match after.strip_prefix('{') {
            Some(group) => found.extend(
                group_heads(group).map(|(offset, name)| (at + "crate::{".len() + offset, name)),
            ),
            None => found.push((at, head(after))),
        }
    }
    let line_of = |at: usize| text[..at].matches('\n').count() + 1;
    found
        .into_iter()
        .filter(|(_, name)| !name.is_empty())
        .map(|(at, name)| (line_of(at), name))
        .collect()
}

/// How many `super::` lead from a file's module to the crate: 1 for `src/a.rs` and `src/a/mod.rs`,
/// 2 for `src/a/b.rs`.
fn depth(file: &Path) -> usize {
    file.components().count() - 1 - usize::from(file.ends_with("mod.rs"))
}

/// Each room that is reached by climbing out of one's own with `super::`.
fn climbed_rooms(code: &[String], depth: usize) -> Vec<(usize, String)> {
    let climb = "super::".repeat(depth);
    let lines = code.iter().enumerate().flat_map(|(at, line)| {
        line.match_indices(climb.as_str())
            .map(move |(start, _)| (at + 1, &line[start..]))
    });
    let heads = lines.map(|(at, path)| (at, head(path.trim_start_matches("super::"))));
    // Inside an inline module one `super::` more stays at home; only what is a room has left.
    heads
        .filter(|(_, name)| ROOMS.iter().any(|(room, _)| room == name))
        .collect()
}

/// The first names of a group's members: `a::{b, c}, d as e}` gives `a` and `d`.
fn group_heads(group: &str) -> impl Iterator<Item = (usize, String)> {
    let mut depth = 0;
    let mut starts = vec![0];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts.push(at + 1),
            _ => {}
        }
    }
    starts.into_iter().map(|start| {
        let member = &group[start..];
        let blank = member.len() - member.trim_start().len();
        (start + blank, head(member.trim_start()))
    })
}

fn head(path: &str) -> String {
    path.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// Counts from a function's `fn` to the line of its closing brace, functions within functions on
/// their own and as part of the outer one.
fn function_lengths(file: &Path, text: &str) -> Vec<Fault> {
    let code = code_of(&body(text));
    let mut faults = Vec::new();
    for (at, line) in code.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let lines = span(&code[at..]);
        if lines > MAX_FUNCTION_LINES {
            let what =
                format!("the function `{name}` has {lines} lines; at most {MAX_FUNCTION_LINES}");
            faults.push(Fault {
                file: file.to_owned(),
                line: at + 1,
                what,
            });
        }
    }
    faults
}

fn function_name(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let qualifiers = before.split_whitespace().all(|word| {
        matches!(word, "pub" | "async" | "const" | "unsafe" | "extern") || word.starts_with("pub(")
    });
    let qualifiers = qualifiers || before.trim_start().starts_with("pub(in ");
    let name = head(after);
    (qualifiers && !name.is_empty()).then_some(name)
}

/// How many lines a function takes from its first on: to the brace that closes it, or to the `;` of
/// one without a body.
fn span(code: &[String]) -> usize {
    let mut depth = 0_usize;
    let mut brackets = 0_usize;
    for (at, line) in code.iter().enumerate() {
        for c in line.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth <= 1 => return at + 1,
                '}' => depth -= 1,
                '[' | '(' => brackets += 1,
                ']' | ')' => brackets = brackets.saturating_sub(1),
                ';' if depth == 0 && brackets == 0 => return at + 1,
                _ => {}
            }
        }
    }
    code.len()
}

/// The rules can fail: a check that never does holds nothing.
mod rules {
    use super::*;

    fn said(faults: &[Fault]) -> Vec<String> {
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_forbidden_import_is_named_with_its_line_and_what_is_allowed() {
        let text = "//! See [`crate::daemon`].\nuse crate::domain::Email;\nuse crate::queue::{self, Queue};\n";
        let faults = imports(Path::new("src/transport/smtp/mod.rs"), text);
        assert_eq!(
            said(&faults),
            [
                "src/transport/smtp/mod.rs:3: `transport` imports `queue`; it may import domain, secret, encoding, tls, telemetry"
            ]
        );
        assert_eq!(
            said(&imports(
                Path::new("src/routing.rs"),
                "use crate::telemetry::Metrics;"
            ))
            .len(),
            1
        );
        assert_eq!(
            imports(
                Path::new("src/queue/lease.rs"),
                "use crate::telemetry::Metrics;\nuse crate::queue::row::Row;"
            ),
            []
        );
    }

    #[test]
    fn paths_inside_code_and_groups_over_lines_are_seen() {
        let text = "fn f() { crate::config::load(); }\nuse crate::{\n    domain::{Email, Lane},\n    dispatch::Pool,\n    render as r,\n};\n";
        let lines: Vec<_> = imports(Path::new("src/queue/mod.rs"), text)
            .iter()
            .map(|fault| fault.line)
            .collect();
        assert_eq!(lines, [1, 4, 5]);
        assert_eq!(
            imports(
                Path::new("src/mail_catcher/mod.rs"),
                "pub use crate::domain;"
            )
            .len(),
            1
        );
        assert_eq!(
            imports(
                Path::new("src/mail_catcher/mod.rs"),
                "// crate::domain\nlet a = \"crate::domain\"; my_crate::domain();"
            ),
            []
        );
        assert_eq!(
            imports(
                Path::new("src/mail_catcher/mod.rs"),
                "let q = '\"'; crate::domain::f(); // \""
            )
            .len(),
            1
        );
    }

    #[test]
    fn climbing_out_of_a_room_is_seen_too() {
        assert_eq!(
            imports(Path::new("src/queue/mod.rs"), "use super::dispatch::Pool;").len(),
            1
        );
        assert_eq!(
            imports(
                Path::new("src/queue/sqlite/claim.rs"),
                "use super::super::super::dispatch::Pool;"
            )
            .len(),
            1
        );
        assert_eq!(
            imports(
                Path::new("src/queue/sqlite/claim.rs"),
                "use super::super::dispatch::Pool;\nuse super::row::Row;"
            ),
            []
        );
    }

    #[test]
    fn text_in_quotes_and_comments_is_no_code() {
        let text = "let a = \"crate::x\\\"\n crate::domain {\"; /* crate::domain {\n */ f('{', '\\'', 'a', r#\"crate::domain \" {\"#);\nlet b: &'a u8 = c;";
        let code = code_of(&text.lines().collect::<Vec<_>>());
        assert_eq!(code.len(), text.lines().count());
        assert_eq!(code.concat().replace(' ', ""), "leta=;f(,,,);letb:&'au8=c;");
    }

    #[test]
    fn a_room_that_is_not_on_the_plan_is_reported_and_the_two_doors_are_free() {
        assert!(
            said(&imports(Path::new("src/util/mod.rs"), ""))
                .concat()
                .contains("not on the plan")
        );
        assert_eq!(
            imports(Path::new("src/main.rs"), "use crate::queue::Queue;"),
            []
        );
        assert_eq!(
            imports(Path::new("src/lib.rs"), "use crate::queue::Queue;"),
            []
        );
    }

    #[test]
    fn tests_may_import_and_be_as_long_as_they_like() {
        let text = format!(
            "use crate::domain::Email;\n#[cfg(test)]\nmod tests {{\n    use crate::daemon::Daemon;\n{}}}\n",
            "    //\n".repeat(400)
        );
        assert_eq!(imports(Path::new("src/render/mod.rs"), &text), []);
        assert_eq!(file_length(Path::new("src/render/mod.rs"), &text), None);
        assert!(
            is_tests(Path::new("src/mail_catcher/tests.rs"))
                && is_tests(Path::new("src/queue/tests/contract.rs"))
                && !is_tests(Path::new("src/a.rs"))
        );
        // An item that only tests see does not hide the rest of the file.
        let text = "#[cfg(test)]\nfn only_here() {}\nuse crate::daemon::Daemon;\n";
        assert_eq!(imports(Path::new("src/render/mod.rs"), text).len(), 1);
    }

    #[test]
    fn a_file_of_three_hundred_lines_passes_and_one_more_does_not() {
        let file = Path::new("src/render/mod.rs");
        assert_eq!(file_length(file, &"//\n".repeat(MAX_FILE_LINES)), None);
        let lines = MAX_FILE_LINES + 1;
        let fault = file_length(file, &"//\n".repeat(lines)).expect("too long");
        assert!(
            fault.to_string().contains(&format!("{lines} lines")),
            "{fault}"
        );
    }

    #[test]
    fn a_function_of_sixty_lines_passes_and_one_more_does_not() {
        let function = |lines: usize| {
            format!(
                "    pub(super) async fn long<T>(\n        a: [u8; 4],\n    ) -> T {{\n{}    }}\n",
                "        a;\n".repeat(lines - 4)
            )
        };
        let file = Path::new("src/render/mod.rs");
        assert_eq!(function_lengths(file, &function(MAX_FUNCTION_LINES)), []);
        let text = format!(
            "fn f() {{ '}}'; \"}}\"; }} // }}\ntrait T {{\n    fn none(&self);\n}}\n{}",
            function(MAX_FUNCTION_LINES + 1)
        );
        assert_eq!(
            said(&function_lengths(file, &text)),
            [format!(
                "src/render/mod.rs:5: the function `long` has {} lines; at most {MAX_FUNCTION_LINES}",
                MAX_FUNCTION_LINES + 1
            )]
        );
        assert_eq!(
            function_lengths(file, "let a: fn (u8) = b;\n// fn comment() {\n"),
            []
        );
    }
}
