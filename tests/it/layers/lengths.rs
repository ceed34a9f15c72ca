//! How long a file and a function may be.

use super::paths::first_name;
use super::{Source, Violation};

const MAX_FILE_LINES: usize = 300;
const MAX_FUNCTION_LINES: usize = 60;

pub(super) fn file_length(source: &Source) -> Option<Violation> {
    let lines = source.code.len();
    (lines > MAX_FILE_LINES).then(|| Violation {
        file: source.path.clone(),
        line: lines,
        message: format!(
            "{lines} lines before the tests, at most {MAX_FILE_LINES}: move one idea to a file of its own"
        ),
    })
}

/// Counts from the line of `fn` to the line of the closing brace. A function inside a function
/// counts separately and as part of the outer one.
pub(super) fn function_lengths(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (at, line) in source.code.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        let lines = item_length(&source.code[at..]);
        if lines > MAX_FUNCTION_LINES {
            violations.push(Violation {
                file: source.path.clone(),
                line: at + 1,
                message: format!(
                    "function `{name}` has {lines} lines, at most {MAX_FUNCTION_LINES}"
                ),
            });
        }
    }
    violations
}

fn function_name(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let qualifiers = before.split_whitespace().all(|word| {
        matches!(word, "pub" | "async" | "const" | "unsafe" | "extern") || word.starts_with("pub(")
    });
    let qualifiers = qualifiers || before.trim_start().starts_with("pub(in ");
    let name = first_name(after);
    (qualifiers && !name.is_empty()).then(|| name.to_owned())
}

/// The number of lines of the function that starts at the first line: up to its closing brace, or
/// to the `;` of a function without a body.
fn item_length(code: &[String]) -> usize {
    let mut braces = 0_usize;
    let mut brackets = 0_usize;
    for (at, line) in code.iter().enumerate() {
        for c in line.chars() {
            match c {
                '{' => braces += 1,
                '}' if braces <= 1 => return at + 1,
                '}' => braces -= 1,
                '[' | '(' => brackets += 1,
                ']' | ')' => brackets = brackets.saturating_sub(1),
                ';' if braces == 0 && brackets == 0 => return at + 1,
                _ => {}
            }
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::super::messages;
    use super::*;
    use std::path::Path;

    fn source(text: &str) -> Source {
        Source::new(Path::new("src/render/mod.rs"), text)
    }

    #[test]
    fn file_at_the_limit_passes_and_one_more_line_does_not() {
        let file = |lines: usize| file_length(&source(&"//\n".repeat(lines)));
        assert_eq!(file(MAX_FILE_LINES), None);
        let violation = file(MAX_FILE_LINES + 1).expect("the file is too long");
        assert!(
            violation
                .message
                .starts_with(&format!("{} lines", MAX_FILE_LINES + 1)),
            "{violation}"
        );
    }

    #[test]
    fn tests_do_not_count_towards_the_length_of_a_file() {
        let tests = "    //\n".repeat(MAX_FILE_LINES);
        let text = format!("a;\n#[cfg(test)]\nmod tests {{\n{tests}}}\n");
        assert_eq!(file_length(&source(&text)), None);
    }

    #[test]
    fn function_at_the_limit_passes_and_one_more_line_does_not() {
        let function = |lines: usize| {
            format!(
                "    pub(super) async fn long<T>(\n        a: [u8; 4],\n    ) -> T {{\n{}    }}\n",
                "        a;\n".repeat(lines - 4)
            )
        };
        let violations = |text: &str| messages(&function_lengths(&source(text)));
        assert!(violations(&function(MAX_FUNCTION_LINES)).is_empty());
        let text = format!(
            "fn f() {{ '}}'; \"}}\"; }} // }}\ntrait T {{\n    fn none(&self);\n}}\n{}",
            function(MAX_FUNCTION_LINES + 1)
        );
        assert_eq!(
            violations(&text),
            [format!(
                "src/render/mod.rs:5: function `long` has {} lines, at most {MAX_FUNCTION_LINES}",
                MAX_FUNCTION_LINES + 1
            )]
        );
        assert!(violations("let a: fn (u8) = b;\n// fn comment() {\n").is_empty());
    }
}
