//! The URL of a database.
//!
//! The syntax is that of libpq (PostgreSQL manual, section 34.1.1.2), several hosts included. Unlike
//! libpq, `sslmode=require` verifies the server's certificate and name, and a server on another
//! machine is never asked for less. Nothing is read from the environment.

mod error;
mod parameters;
mod pgpass;
mod syntax;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

pub use error::{UrlError, UrlPart};
use syntax::Parts;

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
        let mut config = parameters::defaults();
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
                name => parameters::apply(&mut config, name, value)?,
            }
        }
        parameters::encrypt(&mut config, mode)?;
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
