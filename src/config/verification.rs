//! How the sender of a webhook proves its identity: secrets, keys and methods.

use super::Sources;
use super::message::{Message, message};
use super::values::Values;
use super::{credentials, files};
use crate::domain::Locale;
use crate::intake::hooks::Kind;
use crate::intake::hooks::verify::jwks::{self, KeySource};
use crate::intake::hooks::verify::standard::SigningKey;
use crate::intake::hooks::verify::{Method, Verifier};
use crate::secret::Secret;
use crate::transport::http::endpoint;

/// Where fal.ai publishes its keys.
const FAL_KEYS: &str = "https://rest.fal.ai/.well-known/jwks.json";
/// Minimum characters of a secret that is sent as it is, in a header or a URL.
const MIN_SECRET: usize = 16;

/// A secret and the key that it was read from.
type Sourced = (String, Secret);

/// Reads the verifier of the hook at `home`. `has_tokens` says whether the server requires tokens.
pub(super) fn read(
    values: &mut Values,
    sources: &Sources,
    home: &str,
    kind: Option<Kind>,
    has_tokens: bool,
) -> Option<Verifier> {
    let key = |name: &str| format!("{home}.{name}");
    let secrets = secrets(values, sources, home);
    let keys = published_keys(values, sources, home);
    let unverified = values.flag(&key("unverified"));
    let method = values.choice(&key("verify")).and_then(Method::from_name);
    let header = values.parsed(&key("header"), header_name);
    let kind = kind?;
    // The kind's own method includes its header, so `verify` counts only if it differs.
    let differs =
        |method: &Method| std::mem::discriminant(method) != std::mem::discriminant(&kind.method());
    let method = method.filter(differs).unwrap_or(kind.method());
    if secrets.is_empty() && (method != Method::Fal || unverified) {
        return without_secret(values, home, kind, method, unverified, has_tokens);
    }
    check_secrets(values, home, kind, method, unverified, &secrets);
    let header = |own: &str| header.unwrap_or_else(|| own.to_owned());
    match method {
        Method::StandardWebhooks => signing_keys(values, &secrets).map(Verifier::StandardWebhooks),
        Method::Hmac(own) => Some(Verifier::Hmac {
            header: header(own),
            secrets: plain(secrets),
            optional: unverified,
        }),
        Method::Header(own) => Some(Verifier::Header {
            header: header(own),
            secrets: plain(secrets),
        }),
        Method::Bearer => Some(Verifier::Bearer(plain(secrets))),
        Method::Path => path_secrets(values, secrets).map(Verifier::Path),
        Method::Fal => Some(Verifier::Fal(
            keys.unwrap_or_else(|| KeySource::Url(FAL_KEYS.to_owned())),
        )),
    }
}

/// All secrets of a hook, from its keys, a file or a systemd credential.
fn secrets(values: &mut Values, sources: &Sources, home: &str) -> Vec<Sourced> {
    let [one, many, file] = ["secret", "secrets", "secret_file"].map(|key| format!("{home}.{key}"));
    if ![&one, &many, &file].iter().any(|path| values.has(path)) {
        let name = home.strip_prefix("hooks.").unwrap_or_default();
        credentials::supply(values, sources, &file, &format!("hook-{name}"));
    }
    let mut found: Vec<(&String, String)> = Vec::new();
    found.extend(values.text(&one).map(|secret| (&one, secret)));
    found.extend(values.list(&many).into_iter().map(|secret| (&many, secret)));
    let text = files::secret_file(values, sources, &file).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    found.extend(lines.map(|secret| (&file, secret.to_owned())));
    let mut secrets = Vec::with_capacity(found.len());
    for (path, secret) in found {
        let secret = credentials::clean(values, path, &secret);
        if is_usable(values, path, &secret) {
            secrets.push((path.clone(), Secret::new(secret)));
        }
    }
    secrets
}

fn is_usable(values: &mut Values, path: &str, secret: &str) -> bool {
    if secret.trim().is_empty() || secret.len() > 1_024 || secret.chars().any(char::is_control) {
        values.problem(
            path,
            [
                "a secret is empty, too long, or contains a line break or another control character",
                "密钥为空、过长，或含有换行等控制字符",
            ],
        );
        return false;
    }
    if credentials::is_placeholder(secret) {
        values.warn(
            path,
            [
                "looks like the placeholder of a sample configuration",
                "像是示例配置中的占位内容",
            ],
        );
    }
    true
}

/// The public keys of a service: their URL, or the keys in a file.
fn published_keys(values: &mut Values, sources: &Sources, home: &str) -> Option<KeySource> {
    let (url, file) = (format!("{home}.jwks_url"), format!("{home}.jwks_file"));
    if values.has(&file) {
        let text = files::secret_file(values, sources, &file)?;
        return match jwks::parse(text.as_bytes()) {
            Ok(keys) => Some(KeySource::Fixed(keys)),
            Err(error) => {
                values.problem(&file, format!("the file {error}"));
                None
            }
        };
    }
    values.parsed(&url, |text| {
        endpoint(text)
            .map(|url| KeySource::Url(url.into()))
            .map_err(|error| Some(error.to_string().into()))
    })
}

/// Reports secrets that are unsafe, unused or contradict `unverified`.
fn check_secrets(
    values: &mut Values,
    home: &str,
    kind: Kind,
    method: Method,
    unverified: bool,
    secrets: &[Sourced],
) {
    let unverified_key = format!("{home}.unverified");
    match method {
        Method::Hmac(_) if unverified => values.warn(
            &unverified_key,
            [
                "requests without a signature are accepted: unverified = true",
                "接受没有签名的请求：unverified = true",
            ],
        ),
        _ if unverified => values.problem(
            &unverified_key,
            [
                "a secret is set, so every request is verified; keep one of the two",
                "已设置密钥，因此会验证每个请求；两者请只保留一个",
            ],
        ),
        _ => {}
    }
    let is_sent = matches!(
        method,
        Method::Header(_) | Method::Bearer | Method::Path | Method::Hmac(_)
    );
    for (path, secret) in secrets {
        if is_sent && secret.expose().len() < MIN_SECRET {
            values.warn(
                path,
                Message::from(credentials::SHORT).after("a secret ", "密钥"),
            );
        }
        // comfyui-api decodes the prefix as part of the secret.
        if kind == Kind::ComfyUiApi && secret.expose().starts_with("whsec_") {
            values.warn(
                path,
                [
                    "set WEBHOOK_SECRET of comfyui-api to the same text, but without whsec_",
                    "comfyui-api 的 WEBHOOK_SECRET 须为同样的文本，但不带 whsec_",
                ],
            );
        }
    }
    if let (Method::Fal, Some((path, _))) = (method, secrets.first()) {
        values.warn(
            path,
            [
                "has no effect, because fal signs with published keys; verify = \"path\" would use it",
                "不起作用：fal 用公布的公钥签名；verify = \"path\" 时才会使用",
            ],
        );
    }
}

fn plain(secrets: Vec<Sourced>) -> Vec<Secret> {
    secrets.into_iter().map(|(_, secret)| secret).collect()
}

/// A hook without a secret requires one of `server.tokens`, or `unverified = true`.
fn without_secret(
    values: &mut Values,
    home: &str,
    kind: Kind,
    method: Method,
    unverified: bool,
    has_tokens: bool,
) -> Option<Verifier> {
    let place = values.home(home, "secret");
    if unverified {
        let message = [
            "anyone who knows the URL of this hook can send mails: unverified = true",
            "任何知道该地址的人都能触发邮件：unverified = true",
        ];
        values.findings.warn(&place, home, message);
        return Some(Verifier::Nothing);
    }
    // Huiying follows the rules of POST /v1/events.
    if has_tokens || kind == Kind::Huiying {
        if !matches!(kind, Kind::Huiying | Kind::Generic | Kind::CloudEvents) {
            let message = [
                "has no secret, so the sender must send one of server.tokens as Authorization: Bearer, which most services cannot; set secret",
                "没有密钥，因此发送方须以 Authorization: Bearer 携带 server.tokens 中的令牌，而多数服务做不到；请设置 secret",
            ];
            values.findings.warn(&place, home, message);
        }
        return Some(Verifier::ServerTokens);
    }
    let (service, name) = (kind.as_str(), home.trim_start_matches("hooks."));
    let advice = match method {
        Method::Path => message!(
            "{service} signs nothing, so set secret and use the URL /v1/hooks/{name}/SECRET at the service",
            "{service} 不签名，因此请设置 secret，并在该服务中填写地址 /v1/hooks/{name}/密钥"
        ),
        _ => [
            "set secret to the one that the service shows",
            "请把 secret 设为该服务显示的密钥",
        ]
        .into(),
    };
    let (en, zh) = (advice.text(Locale::En), advice.text(Locale::ZhCn));
    let message = message!(
        "anybody could post here; {en}, or set unverified = true",
        "任何人都能向此推送；{zh}，或设置 unverified = true"
    );
    values.findings.problem(&place, home, message);
    None
}

fn signing_keys(values: &mut Values, secrets: &[Sourced]) -> Option<Vec<SigningKey>> {
    let mut keys = Vec::with_capacity(secrets.len());
    for (path, secret) in secrets {
        match SigningKey::parse(secret.expose()) {
            Ok(key) => keys.push(key),
            Err(error) => values.problem(path, format!("the secret {error}")),
        }
    }
    (keys.len() == secrets.len()).then_some(keys)
}

/// Secrets in a URL; characters that would have to be escaped are not allowed.
fn path_secrets(values: &mut Values, secrets: Vec<Sourced>) -> Option<Vec<Secret>> {
    let plain_byte = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let is_bad = |secret: &Secret| !secret.expose().bytes().all(plain_byte);
    let bad: Vec<_> = secrets
        .iter()
        .filter(|(_, secret)| is_bad(secret))
        .collect();
    for (path, _) in &bad {
        values.problem(
            path,
            [
                "the secret is part of a URL; use only letters, digits and - . _ ~",
                "密钥是网址的一部分；只能使用字母、数字和 - . _ ~",
            ],
        );
    }
    bad.is_empty().then(|| plain(secrets))
}

/// A header name (RFC 9110, section 5.6.2) in lower case.
fn header_name(text: &str) -> Result<String, Option<Message>> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if (1..=64).contains(&text.len()) && text.bytes().all(token) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(None)
    }
}
