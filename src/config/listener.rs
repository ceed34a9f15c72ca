//! The `[server]` table: where the HTTP server listens, and who may speak to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Component, Path};

use super::Sources;
use super::credentials;
use super::values::Values;
use crate::http::host::Host;
use crate::http::{Listen, Proxy, Settings};
use crate::secret::Secret;

/// The most entries of `server.hosts`.
const MAX_HOSTS: usize = 100;

/// Reads the table.
pub(super) fn read(values: &mut Values, sources: &Sources) -> Settings {
    let listen = values.parsed("server.listen", listen);
    let allow_anonymous = values.flag("server.allow_anonymous");
    if !values.has("server.tokens") && !values.has("server.tokens_file") {
        credentials::supply(values, sources, "server.tokens_file", "tokens");
    }
    let guarded = allow_anonymous
        || values.has("server.tokens")
        || values.has("server.tokens_file")
        || values.tokens() > 0;
    let tokens = tokens(values, sources);
    let named_tokens = super::tokens::read(values, sources, &tokens);
    if let (Some(Listen::Tcp(address)), false) = (&listen, guarded)
        && !address.ip().to_canonical().is_loopback()
    {
        let place = values.origin("server.listen");
        let advice = "set server.tokens, server.tokens_file or [[server.token]], listen on 127.0.0.1, or write allow_anonymous = true";
        let message = format!(
            "{address} can be reached from other machines, and no tokens are set; {advice}"
        );
        values.findings.problem(&place, "server.listen", message);
    }
    let nowhere = Listen::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0));
    let threads = if values.has("server.threads") {
        values
            .whole("server.threads")
            .and_then(|number| usize::try_from(number).ok())
    } else {
        None
    };
    let (hosts, public_url) = (
        hosts(values),
        values.parsed("server.public_url", public_url),
    );
    let (body_budget, max_body) = bodies(values);
    let trusted_proxies = trusted_proxies(values);
    let listen = listen.unwrap_or(nowhere);
    Settings {
        listen,
        tokens,
        named_tokens,
        hosts,
        public_url,
        allow_anonymous,
        max_body,
        body_budget,
        trusted_proxies,
        threads,
    }
}

/// The budget for all bodies, and the largest one.
fn bodies(values: &mut Values) -> (usize, usize) {
    let (budget, most) = (
        values.bytes("server.body_budget"),
        values.bytes("server.max_body"),
    );
    if most > budget {
        let path = if values.by_hand("server.max_body") {
            "server.max_body"
        } else {
            "server.body_budget"
        };
        values.problem(path, "server.max_body is larger than server.body_budget, the room for all bodies together; raise the one or lower the other");
    }
    (budget, most)
}

fn trusted_proxies(values: &mut Values) -> Vec<Proxy> {
    let list = values.list("server.trusted_proxies");
    let proxies: Vec<Proxy> = list.iter().filter_map(|text| Proxy::parse(text)).collect();
    if proxies.len() < list.len() {
        values.refuse("server.trusted_proxies", None);
    }
    proxies
}

fn listen(text: &str) -> Result<Listen, Option<String>> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = Path::new(path.strip_prefix("//").unwrap_or(path));
        let good = path.is_absolute()
            && path.components().all(|part| part != Component::ParentDir)
            && path.as_os_str().len() <= 107;
        return if good {
            Ok(Listen::Unix(path.to_owned()))
        } else {
            Err(Some(
                "a socket's path is absolute and has at most 107 bytes".to_owned(),
            ))
        };
    }
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric
        .parse()
        .map(Listen::Tcp)
        .map_err(|_| match text.parse::<IpAddr>() {
            Ok(_) => Some("the port is missing".to_owned()),
            Err(_) => None,
        })
}

/// Names without port: the same daemon may be asked at several ports.
fn hosts(values: &mut Values) -> Vec<Host> {
    const PATH: &str = "server.hosts";
    let entries = values.list(PATH);
    if entries.len() > MAX_HOSTS {
        values.refuse(PATH, None);
        return Vec::new();
    }
    let mut hosts = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        match Host::parse(entry) {
            Some(host) => hosts.push(host),
            None => values.refuse(
                PATH,
                Some(format!(
                    "entry {} is no name or address; leave out scheme, port and wildcards",
                    index + 1
                )),
            ),
        }
    }
    hosts
}

fn public_url(text: &str) -> Result<url::Url, Option<String>> {
    let url = url::Url::parse(text).map_err(|_| None)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    if plain { Ok(url) } else { Err(None) }
}

fn tokens(values: &mut Values, sources: &Sources) -> Vec<Secret> {
    let (path, list): (_, Vec<String>) = if values.has("server.tokens_file") {
        let Some(text) = credentials::secret_file(values, sources, "server.tokens_file") else {
            return Vec::new();
        };
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        ("server.tokens_file", lines.map(str::to_owned).collect())
    } else {
        ("server.tokens", values.list("server.tokens"))
    };
    if list.is_empty() && values.has(path) {
        values.problem(
            path,
            "there is no token in it; without one, everybody could post and read",
        );
    }
    for (index, token) in list.iter().enumerate() {
        super::tokens::check_token(values, path, &format!("token {}", index + 1), token);
    }
    list.into_iter().map(Secret::new).collect()
}
