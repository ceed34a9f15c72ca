//! `[[server.token]]`: tokens with some rights, each with a name.

use super::Sources;
use super::values::Values;
use super::{credentials, nearest};
use crate::domain::MailKind;
use crate::http::tokens::{Digest, Rate, Scope, Token};
use crate::secret::Secret;

/// The most characters of a name: with the place where events come in, it is a column of the store.
const MAX_NAME: usize = 31;
/// The most entries of a token's `to`.
const MAX_TO: usize = 1_000;

/// Reads every token; `masters` are those with all rights. Those that are wrong are left out, with
/// what is wrong against them.
pub(super) fn read(values: &mut Values, sources: &Sources, masters: &[Secret]) -> Vec<Token> {
    let read: Vec<_> = (0..values.tokens())
        .map(|index| token(values, sources, &format!("server.token[{index}]")))
        .collect();
    let masters: Vec<_> = masters
        .iter()
        .map(|token| Digest::of(token.expose()))
        .collect();
    let mut tokens: Vec<Token> = Vec::new();
    for (index, token) in read.into_iter().enumerate() {
        let Some(token) = token else { continue };
        let home = format!("server.token[{index}]");
        if tokens.iter().any(|known| known.name == token.name) {
            let (path, place) = (
                format!("{home}.name"),
                values.origin(&format!("{home}.name")),
            );
            values.findings.problem(
                &place,
                &path,
                "another token has this name; names tell tokens apart",
            );
        }
        let named = tokens
            .iter()
            .find(|known| known.digest == token.digest)
            .map(|known| format!("the token {}", known.name));
        let same = named.or_else(|| {
            masters
                .contains(&token.digest)
                .then(|| "one of server.tokens, which has all rights".to_owned())
        });
        if let Some(other) = same {
            let place = values.home(&home, "value");
            values.findings.problem(
                &place,
                &home,
                format!("it is the same as {other}; give each its own value"),
            );
        }
        tokens.push(token);
    }
    tokens
}

fn token(values: &mut Values, sources: &Sources, home: &str) -> Option<Token> {
    let key = |name: &str| format!("{home}.{name}");
    let name = name(values, home);
    let secret = secret(values, sources, home, name.as_deref());
    let may = words(values, &key("may"), &Scope::ALL, Scope::as_str);
    if !values.has(&key("may")) && values.complete() {
        let place = values.home(home, "may");
        values.findings.problem(
            &place,
            &key("may"),
            "is missing: say what the token may do, as may = [\"post\"]",
        );
    }
    let kinds = words(values, &key("kinds"), MailKind::ALL, MailKind::as_str);
    let to = values.allowed(&key("to"), MAX_TO);
    let rate = if values.has(&key("rate")) {
        values.rate(&key("rate"))
    } else {
        None
    };
    for limit in ["kinds", "to"]
        .map(key)
        .iter()
        .filter(|_| !may.contains(&Scope::Post))
    {
        if values.has(limit) {
            values.warn(limit, "has no effect: the token may not post");
        }
    }
    let (digest, value) = secret?;
    let rate = rate.map(|rate| Rate {
        number: rate.mails,
        per: rate.per,
    });
    Some(Token {
        name: name?,
        digest,
        value,
        may,
        kinds,
        to,
        rate,
    })
}

fn name(values: &mut Values, home: &str) -> Option<String> {
    let path = format!("{home}.name");
    if !values.has(&path) {
        if values.complete() {
            let place = values.home(home, "name");
            values.findings.problem(
                &place,
                &path,
                "is missing: name the token, so that records and logs can say which one it was",
            );
        }
        return None;
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let fits = |text: &str| (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(plain);
    values.parsed(&path, |text| {
        if fits(text) {
            Ok(text.to_owned())
        } else {
            Err(None)
        }
    })
}

/// The token's digest, and the token itself where it is said.
fn secret(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    name: Option<&str>,
) -> Option<(Digest, Option<Secret>)> {
    let [value, file, sha256] =
        ["value", "value_file", "sha256"].map(|key| format!("{home}.{key}"));
    if let Some(name) = name.filter(|_| {
        ![&value, &file, &sha256]
            .into_iter()
            .any(|path| values.has(path))
    }) {
        credentials::supply(values, sources, &file, &format!("token-{name}"));
    }
    let path = if values.has(&file) { &file } else { &value };
    match (values.has(path), values.has(&sha256)) {
        (true, true) => {
            values.problem(
                &sha256,
                format!("{path} and {sha256} exclude each other; keep one"),
            );
            None
        }
        (false, true) => {
            let digest = |text: &str| {
                Digest::from_hex(text).ok_or_else(|| {
                    Some("64 hexadecimal digits are needed: printf %s TOKEN | sha256sum".to_owned())
                })
            };
            values.parsed(&sha256, digest).map(|digest| (digest, None))
        }
        (true, false) => {
            let text = if values.has(&file) {
                credentials::secret_file(values, sources, &file)
            } else {
                values.text(&value)
            };
            let token = text?.trim().to_owned();
            check_token(values, path, "the token", &token);
            Some((Digest::of(&token), Some(Secret::new(token))))
        }
        (false, false) if values.complete() => {
            let place = values.home(home, "value");
            values.findings.problem(
                &place,
                home,
                "has no token: set value, value_file or sha256",
            );
            None
        }
        (false, false) => None,
    }
}

/// A list of words of a closed set; the nearest one is offered for another.
fn words<T: Copy + PartialEq>(
    values: &mut Values,
    path: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Vec<T> {
    if !values.has(path) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for word in values.list(path) {
        if let Some(known) = all
            .iter()
            .find(|known| name(**known) == word.to_ascii_lowercase())
        {
            found.push(*known);
        } else {
            let near = nearest::word(&word, all.iter().map(|known| name(*known)))
                .map(|near| format!("did you mean \"{near}\"?"));
            values.refuse(
                path,
                Some(near.unwrap_or_else(|| "an entry is none of these words".to_owned())),
            );
        }
    }
    found
}

/// Says what is wrong with a token, which `what` names.
pub(super) fn check_token(values: &mut Values, path: &str, what: &str, token: &str) {
    let place = values.origin(path);
    if token.is_empty() || token.len() > 4_096 || !token.bytes().all(|b| b.is_ascii_graphic()) {
        values.findings.problem(
            &place,
            path,
            format!("{what} is empty, too long, or has blanks or characters outside ASCII"),
        );
    } else if token.len() < 16 {
        values.findings.warn(
            &place,
            path,
            format!("{what} is short and could be guessed; 32 random characters are good"),
        );
    }
}
