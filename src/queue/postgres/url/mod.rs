//! The URL of a database.
//!
//! The syntax is that of libpq (PostgreSQL manual, section 34.1.1.2), several hosts included. Unlike
//! libpq, `sslmode=require` verifies the server's certificate and name, and a server on another
//! machine is never asked for less. Nothing is read from the environment.

mod error;
mod pgpass;
mod syntax;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{
    ChannelBinding, Host, LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs,
};

pub use error::{UrlError, UrlPart};
use syntax::Parts;

/// How long to wait for one address before the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long sent data may stay unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// How long a connection is silent before the first probe.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// The pause between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// How many probes may stay unanswered.
const KEEPALIVE_COUNT: u32 = 3;

/// The URL of a database, checked and complete. `Debug` prints no password.
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
        let url = Self::read(text)?;
        if url.config.get_hosts().is_empty() {
            return Err(UrlError::Missing(UrlPart::Host));
        }
        if url.config.get_user().is_none() {
            return Err(UrlError::Missing(UrlPart::User));
        }
        if url.config.get_dbname().is_none() {
            return Err(UrlError::Missing(UrlPart::Database));
        }
        Ok(url)
    }

    /// A URL for people: with `***` for its password, or, if it is invalid, for everything.
    pub fn masked(text: &str) -> String {
        let url = Self::read(text);
        url.map_or_else(|_| "postgres://***".to_owned(), |url| url.shown)
    }

    /// Parses a URL that may lack user name, host or database.
    fn read(text: &str) -> Result<Self, UrlError> {
        let parts = Parts::parse(text)?;
        let mut config = defaults();
        if let Some(user) = &parts.user {
            config.user(user);
        }
        if let Some(password) = &parts.password {
            config.password(password);
        }
        if let Some(database) = &parts.database {
            config.dbname(database);
        }
        for (host, port) in &parts.hosts {
            config.host(host).port(*port);
        }
        let mut mode = None;
        for (name, value) in &parts.parameters {
            match *name {
                "sslmode" => mode = Some(value.as_str()),
                name => apply(&mut config, name, value)?,
            }
        }
        encrypt(&mut config, mode)?;
        let shown = parts.shown;
        Ok(Self { config, shown })
    }

    /// The settings of a connection. There is no password if the URL contains none.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// Whether connections are always encrypted and the server verified.
    pub fn needs_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }

    /// Whether all hosts are this machine.
    pub fn is_local(&self) -> bool {
        is_local(&self.config)
    }

    /// Whether the URL contains a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// The URL with `***` in the place of its password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether both name a database of the same name on a common server, as far as the URLs tell:
    /// two names of one machine differ, and all names of this machine are equal.
    pub fn is_same_database(&self, other: &Self) -> bool {
        let servers = |url: &Self| -> Vec<(String, u16)> {
            let config = &url.config;
            let name = |host: &Host| match host {
                Host::Tcp(name) if !is_loopback(name) => name.to_ascii_lowercase(),
                _ => "localhost".to_owned(),
            };
            let hosts = config.get_hosts().iter().map(name);
            hosts.zip(config.get_ports().iter().copied()).collect()
        };
        let others = servers(other);
        self.config.get_dbname() == other.config.get_dbname()
            && servers(self).iter().any(|server| others.contains(server))
    }
}

impl std::fmt::Debug for ConnectionUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

/// A server that does not answer is noticed within seconds, and only one that writes is accepted.
fn defaults() -> Config {
    let mut config = Config::new();
    config
        .application_name("jobbell")
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(UNACKNOWLEDGED)
        .keepalives_idle(KEEPALIVE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_COUNT)
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    config
}

/// Applies a parameter. Units are those of libpq.
fn apply(config: &mut Config, name: &'static str, value: &str) -> Result<(), UrlError> {
    let invalid = |en, zh| UrlError::Value {
        name,
        allowed: [en, zh],
    };
    let number = |least: u64, most: u64| {
        let number = value.parse().ok();
        number.filter(|number| (least..=most).contains(number))
    };
    let seconds = || {
        let number = number(1, 7_200).map(Duration::from_secs);
        number.ok_or_else(|| invalid("1 to 7200 seconds", "1 到 7200 秒"))
    };
    match name {
        "connect_timeout" => {
            let number = number(1, 60).map(Duration::from_secs);
            let number = number.ok_or_else(|| invalid("1 to 60 seconds", "1 到 60 秒"))?;
            config.connect_timeout(number);
        }
        "tcp_user_timeout" => {
            let number = number(100, 600_000).map(Duration::from_millis);
            let allowed = ["100 to 600000 milliseconds", "100 到 600000 毫秒"];
            config.tcp_user_timeout(number.ok_or(UrlError::Value { name, allowed })?);
        }
        "keepalives" => {
            let flag = number(0, 1).ok_or_else(|| invalid("0 or 1", "0 或 1"))?;
            config.keepalives(flag == 1);
        }
        "keepalives_idle" => drop(config.keepalives_idle(seconds()?)),
        "keepalives_interval" => drop(config.keepalives_interval(seconds()?)),
        "keepalives_count" => {
            let count = number(1, 100).and_then(|count| u32::try_from(count).ok());
            let count =
                count.ok_or_else(|| invalid("a number from 1 to 100", "1 到 100 的整数"))?;
            config.keepalives_retries(count);
        }
        "application_name" => drop(config.application_name(value)),
        "options" => drop(config.options(value)),
        _ => return choose(config, name, value),
    }
    Ok(())
}

/// Applies a parameter whose values are words.
fn choose(config: &mut Config, name: &'static str, value: &str) -> Result<(), UrlError> {
    let allowed = match (name, value) {
        // A server that accepts writes is the primary one.
        ("target_session_attrs", "read-write" | "primary") => return Ok(()),
        ("target_session_attrs", _) => [
            "read-write, since the queue writes",
            "read-write，因为队列需要写入",
        ],
        ("channel_binding", "disable") => {
            config.channel_binding(ChannelBinding::Disable);
            return Ok(());
        }
        ("channel_binding", "prefer") => return Ok(()),
        ("channel_binding", "require") => {
            config.channel_binding(ChannelBinding::Require);
            return Ok(());
        }
        ("channel_binding", _) => ["disable, prefer or require", "disable、prefer 或 require"],
        ("load_balance_hosts", "disable") | ("sslnegotiation", "postgres") => return Ok(()),
        ("load_balance_hosts", "random") => {
            config.load_balance_hosts(LoadBalanceHosts::Random);
            return Ok(());
        }
        ("load_balance_hosts", _) => ["disable or random", "disable 或 random"],
        ("sslnegotiation", "direct") => {
            config.ssl_negotiation(SslNegotiation::Direct);
            return Ok(());
        }
        _ => ["postgres or direct", "postgres 或 direct"],
    };
    Err(UrlError::Value { name, allowed })
}

/// Sets the encryption. With rustls, an encrypted connection is a verified one.
fn encrypt(config: &mut Config, mode: Option<&str>) -> Result<(), UrlError> {
    let is_socket = |host: &Host| matches!(host, Host::Unix(_));
    let (is_local, hosts) = (is_local(config), config.get_hosts());
    let mode = match mode {
        Some("disable") if !is_local => return Err(UrlError::Unencrypted),
        // On this machine, encryption protects nothing, and the certificate that Debian makes for its
        // server could not be verified.
        None | Some("disable") if is_local => SslMode::Disable,
        Some("prefer") if is_local => SslMode::Prefer,
        None | Some("prefer" | "require" | "verify-ca" | "verify-full") => SslMode::Require,
        Some(_) => {
            let allowed = [
                "disable, prefer, require, verify-ca or verify-full",
                "disable、prefer、require、verify-ca 或 verify-full",
            ];
            let name = "sslmode";
            return Err(UrlError::Value { name, allowed });
        }
    };
    // PostgreSQL never encrypts a unix socket.
    let mode = match hosts.iter().filter(|host| is_socket(host)).count() {
        0 => mode,
        sockets if sockets == hosts.len() => SslMode::Disable,
        _ if mode == SslMode::Require => return Err(UrlError::MixedSocket),
        _ => mode,
    };
    config.ssl_mode(mode);
    if mode != SslMode::Require && config.get_ssl_negotiation() == SslNegotiation::Direct {
        let allowed = [
            "postgres, or direct with sslmode=require",
            "postgres，或与 sslmode=require 同用的 direct",
        ];
        let name = "sslnegotiation";
        return Err(UrlError::Value { name, allowed });
    }
    Ok(())
}

/// Whether all hosts are this machine.
fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => is_loopback(name),
        Host::Unix(_) => true,
    })
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}
