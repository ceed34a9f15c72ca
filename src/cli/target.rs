//! Which daemon a command talks to, and whether it may have our token.
//!
//! A token goes only where the same source says that the daemon is: an address from elsewhere could
//! be anybody's. Tokens of the environment and of the command line are the operator's own words and
//! also go to an address of a file that the operator chose; never to one of a `config.toml` that
//! merely lies in the working directory.

use std::path::PathBuf;

use clap::Args;

use crate::config::{BUILT_IN, Loaded, Sources};
use crate::encoding;
use crate::http::Listen;
use crate::http::tokens::Scope;
use crate::secret::Secret;

/// Which daemon, where it is not the one that the configuration describes.
#[derive(Debug, Default, Args)]
pub(super) struct DaemonOptions {
    /// The daemon's address, such as https://bell.example.com [default: $JOBBELL_URL, else where
    /// the configuration says that it listens]
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// A file with the bearer token [default: $JOBBELL_TOKEN, else a token of the configuration]
    #[arg(long, value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
}

/// Where requests go.
pub(super) enum Place {
    /// Where the configuration says that the daemon listens.
    Listen(Listen),
    /// Any address, without a slash at its end.
    Url(String),
}

/// A daemon and what it may be told.
pub(super) struct Target {
    pub(super) place: Place,
    pub(super) token: Option<Secret>,
    /// Why there is no token although there is one.
    pub(super) withheld: Option<String>,
}

/// Why no daemon can be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    /// The text is not a URL.
    #[error(
        "{place}: not an address of a daemon; write it as https://bell.example.com or http://127.0.0.1:8000"
    )]
    Url {
        /// `--url` or `$JOBBELL_URL`.
        place: &'static str,
    },
    /// The token's file cannot be used.
    #[error("--token-file: {0}")]
    TokenFile(String),
    /// The token is not one that a header can carry.
    #[error("{0}: the token is empty or has blanks or characters outside ASCII")]
    Token(&'static str),
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    /// Nobody: the default.
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
    /// The URL that the command line or the environment names.
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

/// An address without login data, query and the slash at its end.
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
    /// Only what the options and the environment say; `None` when they name no URL.
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

    /// The daemon that options, environment and configuration name together, and a token that may
    /// do one of these, in order of preference.
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
        let token_key = match of_file {
            Some((Some(index), _)) => format!("server.token[{index}].value"),
            _ => "server.tokens".to_owned(),
        };
        let token_origin = loaded
            .shown
            .iter()
            .find(|shown| shown.key.starts_with(&token_key))
            .map_or(BUILT_IN, |shown| shown.origin.as_str());
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
            format!("the token of {token} was not sent, because the address comes from {address_origin}; set JOBBELL_TOKEN, or name the file: --config")
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

/// Where a key's value comes from, and the value.
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
    fn a_url_is_an_address_without_login_data() {
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
