//! `[[server.token]]`: named tokens with limited rights.

use super::Sources;
use super::message::message;
use super::nearest::{self, did_you_mean};
use super::values::{Refusal, Values};
use super::{Message, credentials, files};
use crate::domain::MailKind;
use crate::http::tokens::{Digest, Rate, Scope, Token};
use crate::secret::Secret;

/// Maximum characters of a name; event sources in the database include it.
const MAX_NAME: usize = 31;
/// Maximum entries of a token's `to`.
const MAX_TO: usize = 1_000;

/// Reads all tokens; `masters` are the tokens with all rights. Invalid tokens are reported and left out.
pub(super) fn read(values: &mut Values, sources: &Sources, masters: &[Secret]) -> Vec<Token> {
    let masters: Vec<_> = masters
        .iter()
        .map(|token| Digest::of(token.expose()))
        .collect();
    let mut tokens: Vec<Token> = Vec::new();
    for index in 0..values.tokens() {
        let home = format!("server.token[{index}]");
        let Some(token) = token(values, sources, &home) else {
            continue;
        };
        if tokens.iter().any(|known| known.name == token.name) {
            values.problem(
                &format!("{home}.name"),
                [
                    "another token has this name; use different names",
                    "另有令牌使用该名称；请使用不同的名称",
                ],
            );
        }
        let same = tokens.iter().find(|known| known.digest == token.digest);
        let message: Option<Message> = match same {
            Some(known) => Some(message!(
                "is the same as the token {0}; use different tokens",
                "与令牌 {0} 相同；请使用不同的令牌",
                known.name
            )),
            None if masters.contains(&token.digest) => Some(
                [
                    "is the same as one of server.tokens, which has all rights; use different tokens",
                    "与 server.tokens 中拥有全部权限的令牌相同；请使用不同的令牌",
                ]
                .into(),
            ),
            None => None,
        };
        if let Some(message) = message {
            let place = values.home(&home, "value");
            values.findings.problem(&place, &home, message);
        }
        tokens.push(token);
    }
    tokens
}

fn token(values: &mut Values, sources: &Sources, home: &str) -> Option<Token> {
    let key = |name: &str| format!("{home}.{name}");
    let name = name(values, home);
    let secret = secret(values, sources, home, name.as_deref());
    let may = words(values, &key("may"), Scope::ALL, Scope::as_str);
    if !values.has(&key("may")) {
        values.missing(
            home,
            "may",
            [
                "is missing; list what the token may do, as in may = [\"post\"]",
                "缺失；请列出令牌的权限，例如 may = [\"post\"]",
            ],
        );
    }
    let kinds = words(values, &key("kinds"), MailKind::ALL, MailKind::as_str);
    let to = values.allowed(&key("to"), MAX_TO);
    let rate = values.rate(&key("rate"));
    for limit in ["kinds", "to"].map(key) {
        if values.has(&limit) && !may.contains(&Scope::Post) {
            values.warn(
                &limit,
                [
                    "has no effect; the token may not post",
                    "不起作用；该令牌没有 post 权限",
                ],
            );
        }
    }
    let (digest, value) = secret?;
    Some(Token {
        name: name?,
        digest,
        value,
        may,
        kinds,
        to,
        rate: rate.map(|rate| Rate {
            number: rate.mails,
            per: rate.per,
        }),
    })
}

fn name(values: &mut Values, home: &str) -> Option<String> {
    let path = format!("{home}.name");
    if !values.has(&path) {
        values.missing(
            home,
            "name",
            [
                "is missing; name the token, to identify it in records and logs",
                "缺失；请为令牌命名，以便在记录和日志中识别",
            ],
        );
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    values.checked(&path, |text| {
        (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(plain)
    })
}

/// The token's digest, and the token itself unless only its digest is given.
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
            let message = message!(
                "{path} and {sha256} exclude each other; keep one",
                "{path} 与 {sha256} 不能同时设置；请只保留一个"
            );
            values.problem(&sha256, message);
            None
        }
        (false, true) => values.parsed(&sha256, digest).map(|digest| (digest, None)),
        (true, false) => {
            let text = if values.has(&file) {
                files::secret_file(values, sources, &file)
            } else {
                values.text(&value)
            };
            let token = text?.trim().to_owned();
            check_token(values, path, None, &token);
            Some((Digest::of(&token), Some(Secret::new(token))))
        }
        (false, false) => {
            if values.complete() {
                let message = [
                    "has no token; set value, value_file or sha256",
                    "没有令牌；请设置 value、value_file 或 sha256",
                ];
                let place = values.home(home, "value");
                values.findings.problem(&place, home, message);
            }
            None
        }
    }
}

fn digest(text: &str) -> Result<Digest, Refusal> {
    Digest::from_hex(text).ok_or_else(|| {
        let message = [
            "64 hexadecimal digits are required: printf %s TOKEN | sha256sum",
            "需要 64 位十六进制数字：printf %s 令牌 | sha256sum",
        ];
        Some(message.into())
    })
}

/// A list of words of a closed set.
fn words<T: Copy>(
    values: &mut Values,
    path: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Vec<T> {
    values.entries(path, usize::MAX, |word| {
        let lower = word.to_ascii_lowercase();
        let known = all.iter().copied().find(|known| name(*known) == lower);
        known.ok_or_else(|| {
            let near = nearest::word(word, all.iter().map(|known| name(*known)));
            near.map_or_else(
                || ["not one of these words", "不在可选值之列"].into(),
                did_you_mean,
            )
        })
    })
}

/// Reports an unusable token, and warns about a short one. `number` is its position in a list, from 1.
pub(super) fn check_token(values: &mut Values, path: &str, number: Option<usize>, token: &str) {
    let (en, zh) = match number {
        Some(number) => (format!("token {number} "), format!("第 {number} 个令牌")),
        None => ("the token ".to_owned(), "令牌".to_owned()),
    };
    if token.is_empty() || token.len() > 4_096 || !token.bytes().all(|b| b.is_ascii_graphic()) {
        let message = Message::from([
            "is empty, too long, or contains spaces or non-ASCII characters",
            "为空、过长，或含有空格或非 ASCII 字符",
        ]);
        values.problem(path, message.after(&en, &zh));
    } else if token.len() < 16 {
        values.warn(path, Message::from(credentials::SHORT).after(&en, &zh));
    }
}
