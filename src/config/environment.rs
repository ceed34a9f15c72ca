//! Environment variables as a source: `SMTP_*`, `JOBBELL_<TABLE>__<KEY>`,
//! `JOBBELL_HOOKS__<NAME>__<KEY>`, `JOBBELL_SERVER__TOKEN__0__<KEY>`, and names used by other
//! programs.

use std::ffi::{OsStr, OsString};

use super::foreign;
use super::keys::KEYS;
use super::layers::Stated;
use super::lookup::{self, MAX_INDEX};
use super::message::message;
use super::nearest;
use super::report::Findings;
use super::value::Value;

/// The variables of this program, sorted by name. An empty variable counts as unset.
pub(super) fn read(variables: &[(OsString, OsString)], findings: &mut Findings) -> Vec<Stated> {
    let mut sorted: Vec<_> = variables
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    sorted.sort();
    let mut stated = Vec::new();
    for (name, value) in sorted {
        if foreign::is_link(name, value) {
            let place = format!("${}", name.to_string_lossy().escape_debug());
            findings.warn(
                &place,
                "",
                [
                    "ignored: a container platform sets this variable for a service of that name",
                    "已忽略：这是容器平台为同名服务注入的变量",
                ],
            );
            continue;
        }
        let Some(path) = path_of(name, findings) else {
            continue;
        };
        let name = name.to_string_lossy();
        let place = format!("${name}");
        match value.to_str() {
            Some(text) => {
                quoted(text, &place, &canonical(&path), findings);
                stated.push(Stated {
                    path,
                    written: name.into_owned(),
                    value: Value::Text(text.to_owned()),
                    place,
                });
            }
            None => findings.problem(
                &place,
                &canonical(&path),
                [
                    "the value is not valid UTF-8",
                    "变量的值不是有效的 UTF-8 文本",
                ],
            ),
        }
    }
    translate_provider(&mut stated);
    stated
}

fn canonical(path: &str) -> String {
    lookup::meaning(path).map_or_else(|| path.to_owned(), |meaning| meaning.key().to_owned())
}

/// Variables that set no key: the file to read, and the daemon that commands connect to.
const NO_KEYS: [&str; 3] = ["JOBBELL_CONFIG", "JOBBELL_URL", "JOBBELL_TOKEN"];

/// The path that a variable sets. Reports a variable that looks like one of this program, but is
/// unknown.
fn path_of(name: &OsStr, findings: &mut Findings) -> Option<String> {
    let lossy = name.to_string_lossy();
    if NO_KEYS.contains(&lossy.as_ref()) {
        return None;
    }
    if let Some(rest) = lossy.strip_prefix("JOBBELL_") {
        let path = jobbell_path(rest);
        if path.is_none() {
            unknown(&lossy, findings);
        }
        return path;
    }
    if let Some(key) = KEYS
        .iter()
        .find(|key| key.variables.contains(&lossy.as_ref()))
    {
        return Some(key.path());
    }
    let rest = lossy.strip_prefix("SMTP_")?;
    let path = format!("smtp.{}", rest.to_ascii_lowercase());
    if is_upper(rest) && lookup::meaning(&path).is_some() {
        return Some(path);
    }
    if let Some(known) = nearest::smtp_variable(rest) {
        findings.warn(
            &format!("${}", lossy.escape_debug()),
            "",
            message!(
                "unknown variable, ignored; did you mean ${known}?",
                "未知变量，已忽略；是否指 ${known}？"
            ),
        );
    }
    None
}

/// Reports an unknown variable: as a problem if it resembles a known one, because a setting would be
/// missing; otherwise as a warning, because it may belong to a container image or a script.
fn unknown(name: &str, findings: &mut Findings) {
    let place = format!("${}", name.escape_debug());
    match nearest::jobbell_variable(name) {
        Some(known) => findings.problem(
            &place,
            "",
            message!(
                "unknown variable; did you mean ${known}?",
                "未知变量；是否指 ${known}？"
            ),
        ),
        None => findings.warn(
            &place,
            "",
            [
                "not a variable of this program, ignored",
                "不是本程序的变量，已忽略",
            ],
        ),
    }
}

/// Warns about a value in quotes: `docker run --env-file` does not remove them.
fn quoted(text: &str, place: &str, key: &str, findings: &mut Findings) {
    let is_quoted =
        |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if ['"', '\''].into_iter().any(is_quoted) {
        let message = [
            "the value includes the quotes (docker --env-file keeps them); remove them unless intended",
            "该值包含引号（docker 的 --env-file 不会去除引号）；若非本意请删去",
        ];
        findings.warn(place, key, message);
    }
}

fn is_upper(text: &str) -> bool {
    !text.bytes().any(|b| b.is_ascii_lowercase())
}

/// `SMTP__BACKUP__0__PASSWORD` is `smtp.backup[0].password`; `SERVER__TOKENS__1` is
/// `server.tokens[1]`, `SERVER__TOKEN__0__MAY` is `server.token[0].may`.
fn jobbell_path(rest: &str) -> Option<String> {
    let parts: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let path = match parts.as_slice() {
        ["smtp", "backup", index, key] => format!("smtp.backup[{}].{key}", number(index)?),
        ["server", "token", index, key] => format!("server.token[{}].{key}", number(index)?),
        ["server", "token", index, key, entry] => {
            format!("server.token[{}].{key}[{}]", number(index)?, number(entry)?)
        }
        ["hooks", name, part, key] if lookup::is_hook_part(part) => {
            format!("hooks.{name}.{part}.{key}")
        }
        ["hooks", name, key] => format!("hooks.{name}.{key}"),
        ["hooks", name, key, index] => format!("hooks.{name}.{key}[{}]", number(index)?),
        [table, key, index] => format!("{table}.{key}[{}]", number(index)?),
        [table, key] => format!("{table}.{key}"),
        _ => return None,
    };
    (is_upper(rest) && lookup::meaning(&path).is_some()).then_some(path)
}

/// Variable names cannot contain `-`: `hooks.my_app` from a variable sets `hooks.my-app` if the file
/// has that hook and no `hooks.my_app`.
pub(super) fn name_hooks_as_the_file_does(stated: &mut [Stated], homes: &[(String, String)]) {
    for one in stated {
        let Some((name, leaf)) = lookup::split_hook(&one.path) else {
            continue;
        };
        let written = format!("hooks.{name}");
        let same = |(home, _): &&(String, String)| home.replace('-', "_") == written;
        if !homes.iter().any(|(home, _)| *home == written)
            && let Some((home, _)) = homes.iter().find(same)
        {
            one.path = format!("{home}.{leaf}");
        }
    }
}

fn number(text: &str) -> Option<usize> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
        .filter(|index| *index < MAX_INDEX)
}

/// Translates `EMAIL_PROVIDER` of other programs: there, `aliyun` with an access key is DirectMail, and
/// `smtp` is not a service.
fn translate_provider(stated: &mut Vec<Stated>) {
    // One of them suffices here; a missing one is reported when the account is read.
    let has_keys = ["ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET"]
        .iter()
        .any(|name| stated.iter().any(|one| one.written == *name));
    stated.retain_mut(|one| {
        let Value::Text(text) = &mut one.value else {
            return true;
        };
        let said = text.trim().to_ascii_lowercase();
        if one.written == "EMAIL_PROVIDER" && said == "aliyun" && has_keys {
            "directmail".clone_into(text);
        }
        one.written != "EMAIL_PROVIDER" || said != "smtp"
    });
}
