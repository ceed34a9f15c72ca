//! Exports the built-in mails as user templates, translating askama syntax to minijinja syntax.

macro_rules! sources {
    ($($name:literal),+ $(,)?) => {
        /// The built-in templates by their path below `templates/email/`.
        const SOURCES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../../templates/email/", $name)))),+];
    };
}

sources! {
    "failure/body.html",
    "failure/body.txt",
    "failure/subject.txt",
    "layout.html",
    "layout.txt",
    "links.txt",
    "message.html",
    "message.txt",
    "password_reset/body.html",
    "password_reset/body.txt",
    "password_reset/subject.txt",
    "pictures.html",
    "plain/body.html",
    "plain/body.txt",
    "plain/subject.txt",
    "success/body.html",
    "success/body.txt",
    "success/subject.txt",
    "system_notice/body.html",
    "system_notice/body.txt",
    "system_notice/subject.txt",
    "verification_code/body.html",
    "verification_code/body.txt",
    "verification_code/subject.txt",
    "verify_link/body.html",
    "verify_link/body.txt",
    "verify_link/subject.txt",
}

/// Every built-in template with its export path.
pub fn exported() -> Vec<(String, String)> {
    SOURCES
        .iter()
        .map(|(name, source)| ((*name).to_owned(), translated(source)))
        .collect()
}

/// Whether a path is that of a built-in template.
pub(super) fn is_built_in(path: &str) -> bool {
    SOURCES.iter().any(|(name, _)| *name == path)
}

/// Translates each tag; text stays unchanged.
fn translated(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%").into_iter().chain(rest.find("{{")).min() {
        let (text, tag) = rest.split_at(at);
        let ends = if tag.starts_with("{%") { "%}" } else { "}}" };
        let end = tag.find(ends).map_or(tag.len(), |end| end + 2);
        out.push_str(text);
        write_tag(&mut out, tag.get(..end).unwrap_or(tag));
        rest = tag.get(end..).unwrap_or_default();
    }
    out + rest
}

fn write_tag(out: &mut String, tag: &str) {
    let (open, inside) = tag.split_at(tag.len().min(2));
    let (inside, close) = inside.split_at(inside.len().saturating_sub(2));
    let (before, inside) = inside
        .strip_prefix('-')
        .map_or(("", inside), |inside| ("-", inside));
    let (inside, after) = inside
        .strip_suffix('-')
        .map_or((inside, ""), |inside| (inside, "-"));
    let inside = inside.trim();
    let tag = |out: &mut String, before: &str, inside: &str, after: &str| {
        out.extend([open, before, " ", inside, " ", after, close]);
    };
    let (word, condition) = match inside.strip_prefix("else if ") {
        Some(condition) => ("elif", Some(condition)),
        None => ("if", inside.strip_prefix("if ")),
    };
    // Binds an optional value to its name.
    if let Some((name, value)) =
        condition.and_then(|condition| condition.strip_prefix("let Some(")?.split_once(") = "))
    {
        tag(out, before, &format!("{word} {value} is not none"), "");
        tag(out, "", &format!("set {name} = {value}"), after);
    } else if let Some(condition) = condition {
        tag(
            out,
            before,
            &format!("{word} {}", expression(condition)),
            after,
        );
    } else {
        tag(
            out,
            before,
            &expression(&inside.replace("\"email/", "\"")),
            after,
        );
    }
}

/// Translates an expression token by token.
fn expression(text: &str) -> String {
    if let Some((name, argument)) = text
        .strip_prefix("filters::")
        .and_then(|call| call.strip_suffix(')')?.split_once('('))
    {
        return format!("{}|{name}", expression(argument));
    }
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    let (not, plain) = word
        .strip_prefix('!')
        .filter(|rest| !rest.is_empty())
        .map_or((false, word), |rest| (true, rest));
    if let Some(list) = plain.strip_suffix(".is_empty()") {
        return [if not { "" } else { "not " }, list].concat();
    }
    let plain = match plain {
        "&&" => "and".to_owned(),
        "||" => "or".to_owned(),
        _ => match (
            plain.strip_suffix(".is_some()"),
            plain.strip_suffix(".is_none()"),
            plain.strip_prefix("0.."),
        ) {
            (Some(value), ..) => [value, " is not none"].concat(),
            (_, Some(value), _) => [value, " is none"].concat(),
            (_, _, Some(count)) => ["range(", count, ")"].concat(),
            _ => plain.strip_suffix("()").unwrap_or(plain).to_owned(),
        },
    };
    if not {
        ["not ", &plain].concat()
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_template_is_exported() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/email");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&root)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            let files = if entry.is_dir() {
                std::fs::read_dir(&entry)
                    .unwrap()
                    .map(|file| file.unwrap().path())
                    .collect()
            } else {
                vec![entry]
            };
            found.extend(
                files
                    .iter()
                    .map(|file| file.strip_prefix(&root).unwrap().display().to_string()),
            );
        }
        found.sort();
        assert_eq!(
            SOURCES.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            found
        );
    }

    #[test]
    fn each_askama_construct_is_translated() {
        for (askama, jinja) in [
            (
                "a {%- if let Some(x) = mail.x -%} b",
                "a {%- if mail.x is not none %}{% set x = mail.x -%} b",
            ),
            (
                "{% else if let Some(x) = y %}",
                "{% elif y is not none %}{% set x = y %}",
            ),
            (
                "{% if !a.is_empty() && b.is_none() || !loop.first %}",
                "{% if a and b is none or not loop.first %}",
            ),
            ("{%- else if a.is_some() %}", "{%- elif a is not none %}"),
            (
                "{{ filters::breakable(passage.short()) }}",
                "{{ passage.short|breakable }}",
            ),
            (
                "{% for _ in 0..16 %}{% extends \"email/layout.html\" %}",
                "{% for _ in range(16) %}{% extends \"layout.html\" %}",
            ),
        ] {
            assert_eq!(translated(askama), jinja);
        }
    }
}
