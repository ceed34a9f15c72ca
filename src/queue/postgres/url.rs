//! The URL of a database.
//!
//! The syntax is that of libpq (PostgreSQL manual, section 34.1.1.2), several hosts included. Unlike
//! libpq, `sslmode=require` verifies the server's certificate and name, and a server on another
//! machine is never asked for less.

use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// How long to wait for one host before the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long sent data may stay unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// How long a connection is silent before the first probe.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Why a URL cannot be used. Never contains the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Another scheme.
    #[error("expected postgres://USER@HOST/DATABASE")]
    Scheme,
    /// A parameter has a value that is not supported, or is unknown.
    #[error("{0}")]
    Syntax(String),
    /// A part is missing.
    #[error("the {0} is missing: expected postgres://USER@HOST/DATABASE")]
    Missing(&'static str),
    /// The way to another machine would not be encrypted.
    #[error(
        "sslmode={0} would send passwords and mails to another machine unencrypted; write sslmode=require"
    )]
    Unencrypted(String),
    /// The queue writes.
    #[error("target_session_attrs must be read-write, since the queue writes")]
    ReadOnly,
}

impl UrlError {
    /// The message in Chinese.
    pub fn chinese(&self) -> String {
        match self {
            Self::Scheme => "应为 postgres://用户@主机/数据库".to_owned(),
            Self::Syntax(detail) => format!("无法解析：{detail}"),
            Self::Missing(part) => {
                let part = match *part {
                    "host" => "主机",
                    "database" => "数据库",
                    _ => "用户名",
                };
                format!("缺少{part}：应为 postgres://用户@主机/数据库")
            }
            Self::Unencrypted(mode) => {
                format!(
                    "sslmode={mode} 会把密码和邮件不加密地发往另一台机器；请改为 sslmode=require"
                )
            }
            Self::ReadOnly => "队列需要写入，target_session_attrs 必须为 read-write".to_owned(),
        }
    }
}

/// The URL of a database, checked.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionUrl {
    config: Config,
    shown: String,
}

impl ConnectionUrl {
    /// Parses `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?NAME=VALUE&…`.
    ///
    /// # Errors
    /// See [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let rest = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or(UrlError::Scheme)?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut kept, mut ssl_mode) = (Vec::new(), None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", mode)) => ssl_mode = Some(mode),
                _ => kept.push(pair),
            }
        }
        let plain = format!("postgres://{address}?{}", kept.join("&"));
        let mut config: Config = plain
            .parse()
            .map_err(|error: tokio_postgres::Error| UrlError::Syntax(syntax(&error)))?;
        if config.get_hosts().is_empty() {
            return Err(UrlError::Missing("host"));
        }
        if config.get_user().is_none_or(str::is_empty) {
            return Err(UrlError::Missing("user name"));
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err(UrlError::Missing("database"));
        }
        config.ssl_mode(encryption(ssl_mode, is_local(&config))?);
        let asks_for = |name: &str| kept.iter().any(|pair| pair.starts_with(name));
        if asks_for("target_session_attrs=")
            && config.get_target_session_attrs() != TargetSessionAttrs::ReadWrite
        {
            return Err(UrlError::ReadOnly);
        }
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNACKNOWLEDGED);
        }
        if !asks_for("keepalives") {
            config.keepalives_idle(KEEPALIVE);
        }
        if config.get_application_name().is_none() {
            config.application_name("jobbell");
        }
        Ok(Self {
            config,
            shown: shown(address, query),
        })
    }

    /// The settings of a connection.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// The URL with `***` in the place of a password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether all hosts are this machine.
    pub fn is_local(&self) -> bool {
        is_local(&self.config)
    }

    /// The password in the text of a password file, by the rules of libpq (PostgreSQL manual, section
    /// 34.16): the first line that matches host, port, database and user.
    pub fn password_in(&self, text: &str) -> Option<String> {
        let config = &self.config;
        let hosts = config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(_) => "localhost".to_owned(),
        });
        let ports = config.get_ports().iter().copied().chain([5432]);
        let places: Vec<_> = hosts.zip(ports).collect();
        let database = config.get_dbname().unwrap_or_default();
        let user = config.get_user().unwrap_or_default();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .find_map(|line| {
                let fields = fields(line);
                let [host, port, name, login, password] = fields.as_slice() else {
                    return None;
                };
                let is = |field: &str, value: &str| field == "*" || field == value;
                let is_here = (places.iter())
                    .any(|(known, number)| is(host, known) && is(port, &number.to_string()));
                (is_here && is(name, database) && is(login, user)).then(|| password.clone())
            })
    }

    /// Whether both name the same database of the same servers.
    pub fn is_same_database(&self, other: &Self) -> bool {
        let of = |url: &Self| {
            let config = &url.config;
            let ports = config.get_ports().to_vec();
            let name = config.get_dbname().map(str::to_owned);
            (config.get_hosts().to_vec(), ports, name)
        };
        of(self) == of(other)
    }
}

impl std::fmt::Debug for ConnectionUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The fields of a line of a password file; a backslash escapes `:` and itself.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut characters) = (Vec::new(), String::new(), line.chars());
    while let Some(c) = characters.next() {
        match c {
            '\\' => field.extend(characters.next()),
            ':' if fields.len() < 4 => fields.push(std::mem::take(&mut field)),
            _ => field.push(c),
        }
    }
    fields.push(field);
    fields
}

/// What is wrong, from the parser. Its messages name parameters, not values.
fn syntax(error: &tokio_postgres::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), ToString::to_string)
}

/// With rustls, an encrypted connection is a verified one.
fn encryption(mode: Option<&str>, is_local: bool) -> Result<SslMode, UrlError> {
    match mode {
        Some("require" | "verify-ca" | "verify-full") => Ok(SslMode::Require),
        None if !is_local => Ok(SslMode::Require),
        Some(mode @ ("disable" | "allow" | "prefer")) if !is_local => {
            Err(UrlError::Unencrypted(mode.to_owned()))
        }
        None | Some("prefer" | "allow") => Ok(SslMode::Prefer),
        Some("disable") => Ok(SslMode::Disable),
        Some(_) => Err(UrlError::Syntax(
            "sslmode must be disable, prefer, require or verify-full".to_owned(),
        )),
    }
}

fn is_local(config: &Config) -> bool {
    let names = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        Host::Unix(_) => true,
    });
    names && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

fn shown(address: &str, query: &str) -> String {
    let address = match address.rsplit_once('@') {
        Some((login, hosts)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:***@{hosts}"),
            None => format!("{login}@{hosts}"),
        },
        None => address.to_owned(),
    };
    let mask = |pair: &str| match pair.split_once('=') {
        Some((name @ ("password" | "options"), _)) => format!("{name}=***"),
        _ => pair.to_owned(),
    };
    let query: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(mask)
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("postgres://{address}{mark}{}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(text: &str) -> Result<SslMode, UrlError> {
        ConnectionUrl::parse(text).map(|url| url.config.get_ssl_mode())
    }

    #[test]
    fn other_machines_are_reached_encrypted_only() {
        for (url, expected) in [
            ("postgres://u@db.example.com/q", Ok(SslMode::Require)),
            (
                "postgres://u@db.example.com/q?sslmode=verify-full",
                Ok(SslMode::Require),
            ),
            ("postgres://u@127.0.0.1,10.0.0.1/q", Ok(SslMode::Require)),
            ("postgres://u@localhost/q", Ok(SslMode::Prefer)),
            (
                "postgres://u@[::1]:5433/q?sslmode=disable",
                Ok(SslMode::Disable),
            ),
            ("postgres://u@%2Frun%2Fpostgresql/q", Ok(SslMode::Prefer)),
            (
                "postgres:///q?host=/run/postgresql&user=u",
                Ok(SslMode::Prefer),
            ),
            (
                "postgres://u@127.0.0.1/q?sslmode=require",
                Ok(SslMode::Require),
            ),
        ] {
            assert_eq!(mode(url), expected, "{url}");
        }
        for plain in ["disable", "prefer", "allow"] {
            let url = format!("postgres://u@db.example.com/q?sslmode={plain}");
            assert_eq!(mode(&url), Err(UrlError::Unencrypted(plain.to_owned())));
        }
    }

    #[test]
    fn several_hosts_are_tried_for_one_that_writes() {
        let url = ConnectionUrl::parse(
            "postgresql://u:p@h1:5432,h2:5433/db?target_session_attrs=read-write",
        )
        .unwrap();
        let config = url.config();
        let hosts = ["h1", "h2"].map(|name| Host::Tcp(name.to_owned()));
        assert_eq!(
            (config.get_hosts(), config.get_ports()),
            (&hosts[..], &[5432, 5433][..])
        );
        assert_eq!(
            config.get_target_session_attrs(),
            TargetSessionAttrs::ReadWrite
        );
        assert_eq!(
            url.shown(),
            "postgres://u:***@h1:5432,h2:5433/db?target_session_attrs=read-write"
        );
        assert!(!url.is_local() && url.is_same_database(&url.clone()));
    }

    #[test]
    fn password_is_that_of_the_first_matching_line() {
        let url = ConnectionUrl::parse("postgres://bell@h1,h2:5433/queue").unwrap();
        let file = "# comment\nother:5432:queue:bell:no\nh2:5433:*:bell:a\\:b:c\n*:*:*:*:last\n";
        assert_eq!(url.password_in(file).as_deref(), Some("a:b:c"));
        assert_eq!(url.password_in("h1:5432:queue:bell"), None);
    }

    #[test]
    fn bad_url_is_refused_with_what_is_wrong_and_without_its_password() {
        for (url, expected) in [
            ("mysql://u@h/q", "expected postgres://"),
            ("postgres://u:hunter2@/q", "host is missing"),
            ("postgres://:hunter2@h/q", "user name is missing"),
            ("postgres://u:hunter2@h", "database is missing"),
            ("postgres://u:hunter2@h/q?sslmode=maybe", "sslmode must be"),
            ("postgres://u:hunter2@h/q?colour=red", "colour"),
            (
                "postgres://u:hunter2@h/q?target_session_attrs=any",
                "read-write",
            ),
            ("postgres://u:hunter2@h:port/q", "port"),
        ] {
            let error = ConnectionUrl::parse(url).unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let url = ConnectionUrl::parse("postgres://u:hunter2@h/q?password=hunter2").unwrap();
        assert!(!format!("{url:?}").contains("hunter2"), "{url:?}");
    }
}
