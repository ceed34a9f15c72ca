//! The daemon that a command talks to, and whether our token may be sent to it.
//!
//! A token is sent only to an address from the same or a more trusted source, because any other
//! address could belong to an attacker. Tokens from the environment and the command line may
//! also go to an address from a file the operator chose, but never to one from a `config.toml` that
//! happens to be in the working directory.

use std::path::PathBuf;

use clap::Args;

use crate::config::{BUILT_IN, Loaded, Sources};
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
        let of_file = loaded.config.server.own_token(scopes);
        let (address_origin, is_public_url) = match &url {
            Some(url) => (
                "--url",
                origin(loaded, "server.public_url")
                    .is_some_and(|(_, value)| base(value.trim_matches('"')).as_ref() == Some(url)),
            ),
            None => (
                origin(loaded, "server.listen").map_or(BUILT_IN, |(origin, _)| origin),
                false,
            ),
        };
        let address = if is_public_url {
            Layer::File
        } else {
            Layer::of(address_origin)
        };
        let chosen = !loaded
            .file
            .as_deref()
            .is_some_and(|file| sources.is_from_working_directory(file));
        let goes = |token: Layer| {
            address == Layer::BuiltIn
                || address == token
                || (token == Layer::Operator && (chosen || is_public_url))
        };
        let token_origin = token_origin(loaded, of_file.and_then(|(index, _)| index));
        let candidates = [
            (own.as_ref(), "$JOBBELL_TOKEN", Layer::Operator),
            (
                of_file.map(|(_, token)| token),
                token_origin,
                Layer::of(token_origin),
            ),
        ];
        let mut there = candidates
            .into_iter()
            .filter_map(|(token, origin, layer)| Some((token?, origin, layer)))
            .peekable();
        let first = there.peek().map(|(_, origin, _)| *origin);
        let token = there
            .find(|(_, _, layer)| goes(*layer))
            .map(|(token, _, _)| token.clone());
        let withheld = first.filter(|_| token.is_none()).map(|token| {
            format!("the token from {token} was not sent, because the address comes from {address_origin}; set JOBBELL_TOKEN, or pass the file with --config")
        });
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
