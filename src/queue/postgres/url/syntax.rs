//! Takes a URL apart.
//!
//! libpq and tokio-postgres accept almost any text: a password with an unescaped `@` or `/` then
//! becomes a host or a database, and appears in messages. This parser refuses what is ambiguous.

use std::net::IpAddr;

use super::error::UrlError;

/// The port of a server if the URL names none.
const PORT: u16 = 5432;

/// Parameters that set what a part of the URL can set as well.
const PARTS: [&str; 5] = ["host", "port", "user", "password", "dbname"];

/// Parameters of a connection.
const PARAMETERS: [&str; 13] = [
    "sslmode",
    "sslnegotiation",
    "channel_binding",
    "target_session_attrs",
    "load_balance_hosts",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "application_name",
    "options",
];

/// Instead of a client certificate.
const LOG_IN: [&str; 2] = [
    "log in with a password, since client certificates are not supported",
    "请用密码登录，不支持客户端证书",
];

/// Parameters of libpq that need another way, in English and Chinese.
const UNSUPPORTED: [(&str, [&str; 2]); 5] = [
    (
        "sslrootcert",
        ["set queue.tls_ca_file", "请设置 queue.tls_ca_file"],
    ),
    ("sslcert", LOG_IN),
    ("sslkey", LOG_IN),
    (
        "passfile",
        [
            "set queue.password_file or PGPASSFILE",
            "请设置 queue.password_file 或 PGPASSFILE",
        ],
    ),
    (
        "hostaddr",
        ["write the address as the host", "请把地址写作主机"],
    ),
];

/// The parts of a URL, decoded.
pub(super) struct Parts {
    pub user: Option<String>,
    pub password: Option<String>,
    /// Hosts and ports.
    pub hosts: Vec<(String, u16)>,
    pub database: Option<String>,
    /// The other parameters.
    pub parameters: Vec<(&'static str, String)>,
    /// The URL with `***` in the place of the password.
    pub shown: String,
}

impl Parts {
    /// Takes a URL apart.
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let rest = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or(UrlError::Scheme)?;
        if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(UrlError::Space);
        }
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = before.split_once('/').unwrap_or((before, ""));
        let (login, hosts) = authority.split_once('@').unwrap_or(("", authority));
        // Another one belongs to a password with an unescaped character.
        if [hosts, path, query].iter().any(|part| part.contains('@')) {
            return Err(UrlError::Unescaped);
        }
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let query = Query::parse(query)?;
        Ok(Self {
            user: query.part("user", user)?,
            password: query.part("password", password)?,
            hosts: query.hosts(hosts)?,
            database: query.part("dbname", path)?,
            shown: shown(before, &query.pairs),
            parameters: query.others()?,
        })
    }
}

/// The parameters of a URL.
struct Query<'a> {
    /// Names and values as written.
    pairs: Vec<(&'static str, &'a str)>,
}

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> Result<Self, UrlError> {
        let mut pairs: Vec<(&'static str, &str)> = Vec::new();
        let written = text.split('&').filter(|pair| !pair.is_empty());
        for (index, pair) in written.enumerate() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_password_before = pairs.iter().any(|(name, _)| *name == "password");
            let name = known(name, index + 1, is_password_before)?;
            if value.is_empty() && PARTS.contains(&name) {
                continue;
            }
            if pairs.iter().any(|(earlier, _)| *earlier == name) {
                return Err(UrlError::Twice(name));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.pairs.iter().position(|(known, _)| *known == name)?;
        Some(self.pairs.remove(at).1)
    }

    /// A part that is written in the URL or as a parameter.
    fn part(&self, name: &'static str, written: &str) -> Result<Option<String>, UrlError> {
        let parameter = self.pairs.iter().find(|(known, _)| *known == name);
        let value = match parameter {
            Some(_) if !written.is_empty() => return Err(UrlError::Twice(name)),
            Some((_, value)) => value,
            None => written,
        };
        let value = decode(value)?;
        Ok((!value.is_empty()).then_some(value))
    }

    /// The hosts with their ports.
    fn hosts(&self, written: &str) -> Result<Vec<(String, u16)>, UrlError> {
        let find = |name: &str| self.pairs.iter().find(|(known, _)| *known == name);
        let list = match find("host") {
            Some(_) if !written.is_empty() => return Err(UrlError::Twice("host")),
            Some((_, value)) => decode(value)?.split(',').map(host_of_parameter).collect(),
            None => authority_hosts(written)?,
        };
        let ports = find("port").map(|(_, value)| ports(value)).transpose()?;
        let mut hosts = Vec::with_capacity(list.len());
        let count = list.len();
        for (index, (host, port)) in list.into_iter().enumerate() {
            if !is_host(&host) {
                return Err(UrlError::Host(index + 1));
            }
            let port = match (&ports, port) {
                (Some(_), Some(_)) => return Err(UrlError::Twice("port")),
                (Some(ports), None) if ports.len() == 1 || ports.len() == count => {
                    ports.get(index).or(ports.first()).copied()
                }
                (Some(_), None) => return Err(UrlError::PortCount),
                (None, port) => port,
            };
            hosts.push((host, port.unwrap_or(PORT)));
        }
        Ok(hosts)
    }

    /// What is not a part.
    fn others(mut self) -> Result<Vec<(&'static str, String)>, UrlError> {
        for name in PARTS {
            self.take(name);
        }
        let decoded = |(name, value): (&'static str, &str)| Ok((name, decode(value)?));
        self.pairs.into_iter().map(decoded).collect()
    }
}

/// The known parameter of this name.
fn known(name: &str, position: usize, is_password_before: bool) -> Result<&'static str, UrlError> {
    let mut known = PARTS.into_iter().chain(PARAMETERS);
    if let Some(known) = known.find(|known| *known == name) {
        return Ok(known);
    }
    if let Some((name, instead)) = UNSUPPORTED.into_iter().find(|(known, _)| *known == name) {
        return Err(UrlError::Unsupported { name, instead });
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let is_name = (1..=40).contains(&name.len()) && name.bytes().all(plain);
    let name = (is_name && !is_password_before).then(|| name.to_owned());
    Err(UrlError::Unknown { name, position })
}

/// The hosts between `@` and `/`.
fn authority_hosts(written: &str) -> Result<Vec<(String, Option<u16>)>, UrlError> {
    if written.is_empty() {
        return Ok(Vec::new());
    }
    let host = |(index, entry): (usize, &str)| {
        let number = index + 1;
        let (host, port) = match entry.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(UrlError::Host(number))?;
                let port = rest.strip_prefix(':');
                if !host.contains(':') || (port.is_none() && !rest.is_empty()) {
                    return Err(UrlError::Host(number));
                }
                (host, port)
            }
            None if entry.matches(':').count() > 1 => return Err(UrlError::Host(number)),
            None => entry
                .split_once(':')
                .map_or((entry, None), |(host, port)| (host, Some(port))),
        };
        let port = port.filter(|port| !port.is_empty()).map(|text| {
            let port = port_number(text);
            port.ok_or(UrlError::Port(number))
        });
        Ok((decode(host)?, port.transpose()?))
    };
    written.split(',').enumerate().map(host).collect()
}

/// A host of `host=`, where brackets are optional.
fn host_of_parameter(text: &str) -> (String, Option<u16>) {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    (bare.unwrap_or(text).to_owned(), None)
}

fn ports(written: &str) -> Result<Vec<u16>, UrlError> {
    let decoded = decode(written)?;
    let port = |(index, text): (usize, &str)| match text {
        "" => Ok(PORT),
        text => port_number(text).ok_or(UrlError::Port(index + 1)),
    };
    decoded.split(',').enumerate().map(port).collect()
}

fn port_number(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    is_number
        .then(|| text.parse().ok())?
        .filter(|port| *port != 0)
}

/// Whether this is a name, an address or the directory of a socket.
fn is_host(host: &str) -> bool {
    if host.starts_with('/') {
        return !host.contains(char::is_control);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let is_name = (1..=253).contains(&host.len()) && host.bytes().all(plain);
    is_name || host.parse::<IpAddr>().is_ok()
}

/// Decodes `%40`.
fn decode(text: &str) -> Result<String, UrlError> {
    let mut pieces = text.split('%');
    pieces.next();
    let is_escape = |piece: &str| piece.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    if !pieces.all(is_escape) {
        return Err(UrlError::Percent);
    }
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| UrlError::Percent)?;
    if decoded.contains('\0') {
        return Err(UrlError::Space);
    }
    Ok(decoded.into_owned())
}

/// The URL as written, with `***` for secrets.
fn shown(before: &str, pairs: &[(&'static str, &str)]) -> String {
    let address = match before.split_once('@') {
        Some((login, rest)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:***@{rest}"),
            None => format!("{login}@{rest}"),
        },
        None => before.to_owned(),
    };
    let pair = |(name, value): &(&str, &str)| match *name {
        // Options may set anything in a session.
        "password" | "options" => format!("{name}=***"),
        _ => format!("{name}={value}"),
    };
    let pairs: Vec<_> = pairs.iter().map(pair).collect();
    let mark = if pairs.is_empty() { "" } else { "?" };
    format!("postgres://{address}{mark}{}", pairs.join("&"))
}
