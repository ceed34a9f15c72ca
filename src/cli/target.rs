//! The daemon that a command talks to, and whether our token may be sent to it.
//!
//! A token is sent only to an address from the same or a more trusted source, because any other
//! address could belong to an attacker. Tokens from the environment and the command line may
//! also go to an address from a file the operator chose, but never to one from a `config.toml` that
//! happens to be in the working directory.

use std::path::PathBuf;

use clap::Args;

use super::i18n::terminal_locale;
use crate::config::{BUILT_IN, Loaded, Sources};
use crate::domain::Locale;
use crate::encoding;
use crate::http::Listen;
use crate::http::tokens::Scope;
use crate::secret::Secret;

/// The daemon, if it is not the configured one.
#[derive(Debug, Default, Args)]
pub(super) struct DaemonOptions {
    /// Address of the daemon, such as https://bell.example.com [default: $JOBBELL_URL, else the
    /// configured server.listen]
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// A file with the bearer token [default: $JOBBELL_TOKEN, else a token from the configuration]
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
}

/// Where requests go.
pub(super) enum Place {
    /// The configured `server.listen`.
    Listen(Listen),
    /// A URL, without a trailing slash.
    Url(String),
}

/// A daemon and the token for it.
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) token: Option<Secret>,
    /// Why a token is withheld, if it is.
    pub(super) withheld: Option<String>,
}

/// Why no daemon can be contacted.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    /// The text is not a URL.
    #[error(
        "{place}: invalid daemon address; expected a URL such as https://bell.example.com or http://127.0.0.1:8000"
    )]
    Url {
        /// `--url` or `$JOBBELL_URL`.
        place: &'static str,
    },
    /// The token file cannot be used.
    #[error("--token-file: {0}")]
    TokenFile(String),
    /// The token cannot be sent in a header.
    #[error("{0}: the token is empty or contains spaces or non-ASCII characters")]
    Token(&'static str),
}

impl TargetError {
    /// The message in the operator's language.
    pub(super) fn said(&self, locale: Locale) -> String {
        match (self, locale) {
            (Self::Url { place }, Locale::ZhCn) => format!(
                "{place}：守护进程地址无效；应为网址，如 https://bell.example.com 或 http://127.0.0.1:8000"
            ),
            (Self::Token(place), Locale::ZhCn) => {
                format!("{place}：令牌为空，或含有空格或非 ASCII 字符")
            }
            (error, _) => error.to_string(),
        }
    }
}

/// The source of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    /// The built-in default.
    BuiltIn,
    /// The configuration file.
    File,
    /// The environment or the command line.
    Operator,
}

impl Layer {
    fn of(origin: &str) -> Self {
        match origin {
            BUILT_IN => Self::BuiltIn,
            _ if origin.starts_with(['$', '-']) => Self::Operator,
            _ => Self::File,
        }
    }
}

impl DaemonOptions {
    /// The URL from the command line or the environment.
    pub(super) fn url(&self, sources: &Sources) -> Result<Option<String>, TargetError> {
        match (&self.url, sources.variable("JOBBELL_URL")) {
            (Some(url), _) => base(url)
                .ok_or(TargetError::Url { place: "--url" })
                .map(Some),
            (None, Some(url)) => base(&url.to_string_lossy())
                .ok_or(TargetError::Url {
                    place: "$JOBBELL_URL",
                })
                .map(Some),
            (None, None) => Ok(None),
        }
    }

    fn token(&self, sources: &Sources) -> Result<Option<Secret>, TargetError> {
        let (text, place) = match (&self.token_file, sources.variable("JOBBELL_TOKEN")) {
            (Some(path), _) => (read(path).map_err(TargetError::TokenFile)?, "--token-file"),
            (None, Some(token)) => (token.to_string_lossy().into_owned(), "$JOBBELL_TOKEN"),
            (None, None) => return Ok(None),
        };
        let token = text.trim();
        let good = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        if good {
            Ok(Some(Secret::new(token)))
        } else {
            Err(TargetError::Token(place))
        }
    }
}

fn read(path: &PathBuf) -> Result<String, String> {
    let named = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let bytes = std::fs::read(path).map_err(|error| named(&error))?;
    encoding::utf8_file(bytes).map_err(|why| named(&why))
}

/// Strips credentials, query and trailing slash from an address.
fn base(text: &str) -> Option<String> {
    let url = url::Url::parse(text.trim()).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    (plain && url.query().is_none() && url.fragment().is_none())
        .then(|| url.as_str().trim_end_matches('/').to_owned())
}

impl Target {
    /// The target according to options and environment only; `None` if they name no URL.
    pub(super) fn of_url(
        sources: &Sources,
        options: &DaemonOptions,
    ) -> Result<Option<Self>, TargetError> {
        let Some(url) = options.url(sources)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            place: Place::Url(url),
            token: options.token(sources)?,
            withheld: None,
        }))
    }

    /// The target according to options, environment and configuration, with a token that has one of
    /// these scopes, in order of preference.
    pub(super) fn new(
        sources: &Sources,
        options: &DaemonOptions,
        loaded: &Loaded,
        scopes: &[Scope],
    ) -> Result<Self, TargetError> {
        let url = options.url(sources)?;
        let own = options.token(sources)?;
        let configured = loaded.config.server.own_token(scopes);
        let address = AddressSource::of(url.as_deref(), sources, loaded);
        let token_origin = token_origin(loaded, configured.and_then(|(index, _)| index));
        let candidates = [
            (own.as_ref(), "$JOBBELL_TOKEN", Layer::Operator),
            (
                configured.map(|(_, token)| token),
                token_origin,
                Layer::of(token_origin),
            ),
        ];
        let candidates = candidates
            .into_iter()
            .filter_map(|(token, origin, layer)| Some((token?, origin, layer)));
        let first = candidates.clone().map(|(_, origin, _)| origin).next();
        let token = candidates
            .clone()
            .find(|(_, _, layer)| address.may_get(*layer))
            .map(|(token, _, _)| token.clone());
        let withheld = first
            .filter(|_| token.is_none())
            .map(|origin| withheld(origin, address.origin));
        Ok(Self {
            place: url.map_or_else(
                || Place::Listen(loaded.config.server.listen.clone()),
                Place::Url,
            ),
            token,
            withheld,
        })
    }
}

/// Where the daemon's address comes from.
struct AddressSource<'a> {
    origin: &'a str,
    layer: Layer,
    /// Whether the operator trusts the address: it is the configured public URL, or the
    /// configuration file was chosen and not found in the working directory.
    trusted: bool,
}

impl<'a> AddressSource<'a> {
    fn of(url: Option<&str>, sources: &Sources, loaded: &'a Loaded) -> Self {
        let is_public_url = url.is_some_and(|url| {
            origin(loaded, "server.public_url")
                .and_then(|(_, value)| base(value.trim_matches('"')))
                .is_some_and(|public| public == url)
        });
        let is_found = loaded
            .file
            .as_deref()
            .is_some_and(|file| sources.is_from_working_directory(file));
        let origin = match url {
            Some(_) => "--url",
            None => origin(loaded, "server.listen").map_or(BUILT_IN, |(origin, _)| origin),
        };
        Self {
            origin,
            layer: if is_public_url {
                Layer::File
            } else {
                Layer::of(origin)
            },
            trusted: is_public_url || !is_found,
        }
    }

    /// Whether a token from this layer may be sent to the address.
    fn may_get(&self, token: Layer) -> bool {
        self.layer == Layer::BuiltIn
            || self.layer == token
            || (token == Layer::Operator && self.trusted)
    }
}

fn withheld(token: &str, address: &str) -> String {
    match terminal_locale() {
        Locale::En => format!(
            "the token from {token} was not sent, because the address comes from {address}; set JOBBELL_TOKEN, or pass the file with --config"
        ),
        Locale::ZhCn => format!(
            "没有发送来自 {token} 的令牌，因为地址来自 {address}；请设置 JOBBELL_TOKEN，或用 --config 指定配置文件"
        ),
    }
}

/// The source of the configured token: `server.token[index]`, or `server.tokens`.
fn token_origin(loaded: &Loaded, index: Option<usize>) -> &str {
    let key = index.map_or_else(
        || "server.tokens".to_owned(),
        |index| format!("server.token[{index}].value"),
    );
    loaded
        .shown
        .iter()
        .find(|shown| shown.key.starts_with(&key))
        .map_or(BUILT_IN, |shown| shown.origin.as_str())
}

/// A key's value and its source.
fn origin<'a>(loaded: &'a Loaded, key: &str) -> Option<(&'a str, &'a str)> {
    loaded
        .shown
        .iter()
        .find(|shown| shown.key == key)
        .map(|shown| (shown.origin.as_str(), shown.value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_accepted_only_without_credentials() {
        assert_eq!(
            base("https://bell.example.com/").as_deref(),
            Some("https://bell.example.com")
        );
        assert_eq!(
            base(" http://127.0.0.1:8000/bell/ ").as_deref(),
            Some("http://127.0.0.1:8000/bell")
        );
        for bad in [
            "bell.example.com",
            "ftp://x",
            "https://me:secret@x",
            "https://x/?token=1",
            "",
        ] {
            assert_eq!(base(bad), None, "{bad}");
        }
    }
}
