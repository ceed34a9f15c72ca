//! The `[server]` table: the HTTP server and access to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Component, Path};

use super::Sources;
use super::message::{Message, message};
use super::values::{Refusal, Values};
use super::{credentials, files};
use crate::http::host::Host;
use crate::http::{Listen, Proxy, Settings};
use crate::secret::Secret;

/// Maximum entries of `server.hosts`.
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
        values.problem(
            "server.listen",
            message!(
                "{address} can be reached from other machines, but no tokens are set; set server.tokens, server.tokens_file or [[server.token]], \
                 listen on 127.0.0.1, or write allow_anonymous = true",
                "其他机器可以访问 {address}，但没有设置令牌；请设置 server.tokens、server.tokens_file 或 [[server.token]]，或监听 127.0.0.1，\
                 或写明 allow_anonymous = true"
            ),
        );
    }
    let (body_budget, max_body) = bodies(values);
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    Settings {
        listen: listen.unwrap_or(Listen::Tcp(nowhere)),
        tokens,
        named_tokens,
        hosts: values.entries("server.hosts", MAX_HOSTS, host),
        public_url: values.parsed("server.public_url", public_url),
        allow_anonymous,
        max_body,
        body_budget,
        trusted_proxies: trusted_proxies(values),
        threads: values.whole("server.threads"),
    }
}

/// The limit for all bodies together, and for one.
fn bodies(values: &mut Values) -> (usize, usize) {
    let mut read = |path| values.bytes(path).unwrap_or_default();
    let (budget, most) = (read("server.body_budget"), read("server.max_body"));
    if most > budget {
        let path = if values.is_set("server.max_body") {
            "server.max_body"
        } else {
            "server.body_budget"
        };
        values.problem(
            path,
            [
                "server.max_body is larger than server.body_budget, the limit for all bodies together; raise one or lower the other",
                "server.max_body 大于 server.body_budget（所有请求正文合计的上限）；请调整其中之一",
            ],
        );
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

fn listen(text: &str) -> Result<Listen, Refusal> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = Path::new(path.strip_prefix("//").unwrap_or(path));
        let good = path.is_absolute()
            && path.components().all(|part| part != Component::ParentDir)
            && path.as_os_str().len() <= 107;
        return if good {
            Ok(Listen::Unix(path.to_owned()))
        } else {
            let message = [
                "the path of a socket must be absolute and have at most 107 bytes",
                "套接字路径须为绝对路径，最长 107 字节",
            ];
            Err(Some(message.into()))
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
            Ok(_) => Some(["the port is missing", "缺少端口"].into()),
            Err(_) => None,
        })
}

/// A host without port, because the daemon may be reachable on several ports.
fn host(text: &str) -> Result<Host, Message> {
    Host::parse(text).ok_or_else(|| {
        let message = [
            "not a host name or address; omit scheme, port and wildcards",
            "不是主机名或地址；请去掉协议、端口和通配符",
        ];
        message.into()
    })
}

fn public_url(text: &str) -> Result<url::Url, Refusal> {
    let url = url::Url::parse(text).map_err(|_| None)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    if plain { Ok(url) } else { Err(None) }
}

fn tokens(values: &mut Values, sources: &Sources) -> Vec<Secret> {
    let (path, list): (_, Vec<String>) = if values.has("server.tokens_file") {
        let Some(text) = files::secret_file(values, sources, "server.tokens_file") else {
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
            [
                "there is no token in it; without one, everybody could post and read",
                "其中没有令牌；没有令牌时任何人都能提交和读取",
            ],
        );
    }
    for (index, token) in list.iter().enumerate() {
        super::tokens::check_token(values, path, Some(index + 1), token);
    }
    list.into_iter().map(Secret::new).collect()
}
