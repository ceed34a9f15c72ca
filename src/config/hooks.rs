//! `[hooks.NAME]`: the services whose webhooks are taken.

use super::Sources;
use super::credentials;
use super::values::Values;
use crate::domain::{Locale, Recipient};
use crate::http;
use crate::intake::hooks::verify::jwks::{self, KeySource};
use crate::intake::hooks::verify::standard::SigningKey;
use crate::intake::hooks::verify::{Method, Verifier};
use crate::intake::hooks::{Kind, Settings};
use crate::secret::Secret;
use crate::transport::http::endpoint;

/// From here on a body is large for a webhook; kinds that send pictures inside their payload may
/// have that much by default.
const PICTURES: usize = 32 * 1_024 * 1_024;
/// Where fal.ai publishes its keys.
const FAL_KEYS: &str = "https://rest.fal.ai/.well-known/jwks.json";
/// The fewest characters of a secret that is shown as it is, in a header or a URL.
const SHORT: usize = 16;

/// Reads every hook; those that are wrong are left out, with what is wrong against them.
pub(super) fn read(
    values: &mut Values,
    sources: &Sources,
    server: &http::Settings,
) -> Vec<Settings> {
    values
        .hooks()
        .into_iter()
        .filter_map(|name| hook(values, sources, server, &name))
        .collect()
}

fn hook(
    values: &mut Values,
    sources: &Sources,
    server: &http::Settings,
    name: &str,
) -> Option<Settings> {
    let home = format!("hooks.{name}");
    let key = |name: &str| format!("{home}.{name}");
    let kind = kind(values, &home, name);
    let secrets = secrets(values, sources, &home);
    let proof = proof(values, sources, &home);
    let verifier =
        kind.and_then(|kind| verifier(values, &home, kind, proof, secrets, server.has_tokens()));
    let max_body = values
        .has(&key("max_body"))
        .then(|| values.bytes(&key("max_body")));
    let replay_window = if values.has(&key("replay_window")) {
        values.span(&key("replay_window"))
    } else {
        std::time::Duration::from_mins(5)
    };
    let unconfirmed = values.has(&key("unconfirmed")) && values.flag(&key("unconfirmed"));
    let (to, locale) = (
        recipients(values, &key("to")),
        locale(values, &key("locale")),
    );
    let mapping =
        super::mapping::read(values, &home, kind.is_none_or(|kind| kind == Kind::Generic));
    let kind = kind?;
    let verifier = verifier?;
    let max_body = max_body
        .or_else(|| (kind.sends_pictures() && verifier != Verifier::Nothing).then_some(PICTURES));
    Some(Settings {
        name: name.to_owned(),
        kind,
        verifier,
        unconfirmed,
        replay_window,
        max_body,
        to,
        locale,
        mapping,
    })
}

/// The service; a hook that is called as a service is needs no `kind`.
fn kind(values: &mut Values, home: &str, name: &str) -> Option<Kind> {
    let path = format!("{home}.kind");
    if values.has(&path) {
        return values.choice(&path).and_then(Kind::from_name);
    }
    let kind = Kind::from_name(name);
    if kind.is_none() && values.complete() {
        let place = values.home(home, "kind");
        values.findings.problem(
            &place,
            &path,
            format!(
                "is missing: say which service posts there; one of {}",
                Kind::NAMES.join(", ")
            ),
        );
    }
    kind
}

/// Every secret of a hook, from wherever it is kept.
fn secrets(values: &mut Values, sources: &Sources, home: &str) -> Vec<(String, Secret)> {
    let (one, many, file) = (
        format!("{home}.secret"),
        format!("{home}.secrets"),
        format!("{home}.secret_file"),
    );
    if ![&one, &many, &file]
        .into_iter()
        .any(|path| values.has(path))
    {
        let name = home.strip_prefix("hooks.").unwrap_or_default();
        credentials::supply(values, sources, &file, &format!("hook-{name}"));
    }
    let mut found: Vec<(String, String)> = Vec::new();
    if values.has(&one) {
        found.extend(values.text(&one).map(|secret| (one, secret)));
    }
    if values.has(&many) {
        found.extend(
            values
                .list(&many)
                .into_iter()
                .map(|secret| (many.clone(), secret)),
        );
    }
    if values.has(&file) {
        let text = credentials::secret_file(values, sources, &file).unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        found.extend(lines.map(|secret| (file.clone(), secret.to_owned())));
    }
    for (path, secret) in &mut found {
        *secret = credentials::clean(values, path, secret);
    }
    found.retain(|(path, secret)| usable(values, path, secret));
    found
        .into_iter()
        .map(|(path, secret)| (path, Secret::new(secret)))
        .collect()
}

fn usable(values: &mut Values, path: &str, secret: &str) -> bool {
    let place = values.origin(path);
    if secret.trim().is_empty() || secret.len() > 1_024 || secret.chars().any(char::is_control) {
        values.findings.problem(
            &place,
            path,
            "a secret is empty, too long, or has a line break or another control character in it",
        );
        return false;
    }
    if credentials::is_placeholder(secret) {
        values.findings.warn(
            &place,
            path,
            "this looks like the placeholder of a sample configuration",
        );
    }
    true
}

/// What the table says of how the sender proves who it is.
#[derive(Default)]
struct Proof {
    way: Option<Method>,
    header: Option<String>,
    keys: Option<KeySource>,
    unverified: bool,
}

fn proof(values: &mut Values, sources: &Sources, home: &str) -> Proof {
    let (verify, header, unverified) = (
        format!("{home}.verify"),
        format!("{home}.header"),
        format!("{home}.unverified"),
    );
    Proof {
        keys: keys(values, sources, home),
        unverified: values.has(&unverified) && values.flag(&unverified),
        way: if values.has(&verify) {
            values.choice(&verify).and_then(Method::from_name)
        } else {
            None
        },
        header: if values.has(&header) {
            values.parsed(&header, header_name)
        } else {
            None
        },
    }
}

/// The keys that a service publishes: where they are, or here.
fn keys(values: &mut Values, sources: &Sources, home: &str) -> Option<KeySource> {
    let (url, file) = (format!("{home}.jwks_url"), format!("{home}.jwks_file"));
    if values.has(&file) {
        let text = credentials::secret_file(values, sources, &file)?;
        let keys = jwks::parse(text.as_bytes());
        if let Err(error) = &keys {
            values.problem(&file, format!("the file {error}"));
        }
        return keys.ok().map(KeySource::Fixed);
    }
    if !values.has(&url) {
        return None;
    }
    values.parsed(&url, |text| {
        endpoint(text)
            .map(|url| KeySource::Url(url.into()))
            .map_err(|error| Some(error.to_string()))
    })
}

impl Proof {
    /// The service's own way counts, header and all, unless another is named.
    fn way(&self, kind: Kind) -> Method {
        self.way
            .filter(|named| std::mem::discriminant(named) != std::mem::discriminant(&kind.method()))
            .unwrap_or(kind.method())
    }
}

/// How the sender proves who it is. `guarded` says whether `server.tokens` has any.
fn verifier(
    values: &mut Values,
    home: &str,
    kind: Kind,
    proof: Proof,
    secrets: Vec<(String, Secret)>,
    guarded: bool,
) -> Option<Verifier> {
    let (way, unverified) = (proof.way(kind), proof.unverified);
    if secrets.is_empty() && (way != Method::Fal || unverified) {
        return without_secret(values, home, kind, way, unverified, guarded);
    }
    if unverified && !matches!(way, Method::Hmac(_)) {
        let path = format!("{home}.unverified");
        values.problem(
            &path,
            "there is a secret, so everything is verified; keep one of the two",
        );
    }
    if unverified && matches!(way, Method::Hmac(_)) {
        let path = format!("{home}.unverified");
        values.warn(
            &path,
            "requests without a signature are let in: unverified = true",
        );
    }
    if matches!(
        way,
        Method::Header(_) | Method::Bearer | Method::Path | Method::Hmac(_)
    ) {
        warn_of_short(values, &secrets);
    }
    let header = |own: &str| proof.header.unwrap_or_else(|| own.to_owned());
    if kind == Kind::ComfyUiApi {
        warn_of_prefix(values, &secrets);
    }
    match way {
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
        Method::Fal => {
            if let Some((path, _)) = secrets.first() {
                values.warn(path, "fal signs by keys that it publishes, so this has no effect; verify = \"path\" would ask for it");
            }
            Some(Verifier::Fal(
                proof
                    .keys
                    .unwrap_or_else(|| KeySource::Url(FAL_KEYS.to_owned())),
            ))
        }
    }
}

fn plain(secrets: Vec<(String, Secret)>) -> Vec<Secret> {
    secrets.into_iter().map(|(_, secret)| secret).collect()
}

/// A hook without a secret is guarded by `server.tokens`, or somebody has to say that it needs no
/// guard.
fn without_secret(
    values: &mut Values,
    home: &str,
    kind: Kind,
    way: Method,
    unverified: bool,
    guarded: bool,
) -> Option<Verifier> {
    let place = values.home(home, "secret");
    if unverified {
        values.findings.warn(
            &place,
            home,
            "whoever knows this hook's address can have mails sent: unverified = true",
        );
        return Some(Verifier::Nothing);
    }
    // Huiying is ours: it goes by the same rules as POST /v1/events.
    if guarded || kind == Kind::Huiying {
        if !matches!(kind, Kind::Huiying | Kind::Generic | Kind::CloudEvents) {
            let advice = "has no secret, so its sender must send one of server.tokens as Authorization: Bearer, which most services cannot; set secret";
            values.findings.warn(&place, home, advice);
        }
        return Some(Verifier::ServerTokens);
    }
    let advice = match way {
        Method::Path => {
            format!(
                "{} signs nothing: set secret, and give the service the address /v1/hooks/{}/SECRET",
                kind.as_str(),
                home.trim_start_matches("hooks.")
            )
        }
        _ => "set secret to the one that the service shows".to_owned(),
    };
    values.findings.problem(
        &place,
        home,
        format!("anybody could post here; {advice}; or write unverified = true"),
    );
    None
}

fn signing_keys(values: &mut Values, secrets: &[(String, Secret)]) -> Option<Vec<SigningKey>> {
    let mut keys = Vec::with_capacity(secrets.len());
    for (path, secret) in secrets {
        match SigningKey::parse(secret.expose()) {
            Ok(key) => keys.push(key),
            Err(error) => {
                values.problem(path, format!("the secret {error}"));
            }
        }
    }
    (keys.len() == secrets.len()).then_some(keys)
}

/// comfyui-api decodes the prefix along with the secret, and so signs by other bytes than everybody
/// else.
fn warn_of_prefix(values: &mut Values, secrets: &[(String, Secret)]) {
    for (path, secret) in secrets {
        if secret.expose().starts_with("whsec_") {
            values.warn(
                path,
                "comfyui-api needs the same text as its WEBHOOK_SECRET, but without whsec_",
            );
        }
    }
}

/// A secret in a URL must stand there as it is.
fn path_secrets(values: &mut Values, secrets: Vec<(String, Secret)>) -> Option<Vec<Secret>> {
    let mut good = true;
    for (path, secret) in &secrets {
        if !secret
            .expose()
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        {
            values.problem(
                path,
                "the secret becomes part of an address: use letters, digits and - . _ ~ only",
            );
            good = false;
        }
    }
    good.then(|| plain(secrets))
}

fn warn_of_short(values: &mut Values, secrets: &[(String, Secret)]) {
    for (path, secret) in secrets {
        if secret.expose().len() < SHORT {
            values.warn(
                path,
                "a secret is short and could be guessed; 32 random characters are good",
            );
        }
    }
}

/// A header's name as HTTP writes it (RFC 9110 §5.6.2), in small letters.
fn header_name(text: &str) -> Result<String, Option<String>> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if (1..=64).contains(&text.len()) && text.bytes().all(token) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(None)
    }
}

fn recipients(values: &mut Values, path: &str) -> Vec<Recipient> {
    if !values.has(path) {
        return Vec::new();
    }
    values.recipients(path, 50)
}

fn locale(values: &mut Values, path: &str) -> Option<Locale> {
    if values.has(path) {
        Some(values.locale(path))
    } else {
        None
    }
}
