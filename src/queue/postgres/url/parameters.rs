//! The parameters of a connection, their defaults and units.

use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{
    ChannelBinding, Host, LoadBalanceHosts, SslMode, SslNegotiation, TargetSessionAttrs,
};

use super::error::UrlError;
use super::is_local;

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

/// A server that does not answer is noticed within seconds, and only one that writes is accepted.
pub(super) fn defaults() -> Config {
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
pub(super) fn apply(config: &mut Config, name: &'static str, value: &str) -> Result<(), UrlError> {
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
    let allowed = match name {
        "target_session_attrs" => {
            // A server that accepts writes is the primary one.
            if matches!(value, "read-write" | "primary") {
                return Ok(());
            }
            [
                "read-write, since the queue writes",
                "read-write，因为队列需要写入",
            ]
        }
        "channel_binding" => {
            let binding = match value {
                "disable" => Some(ChannelBinding::Disable),
                "prefer" => Some(ChannelBinding::Prefer),
                "require" => Some(ChannelBinding::Require),
                _ => None,
            };
            if let Some(binding) = binding {
                config.channel_binding(binding);
                return Ok(());
            }
            ["disable, prefer or require", "disable、prefer 或 require"]
        }
        "load_balance_hosts" => {
            if matches!(value, "disable" | "random") {
                if value == "random" {
                    config.load_balance_hosts(LoadBalanceHosts::Random);
                }
                return Ok(());
            }
            ["disable or random", "disable 或 random"]
        }
        _ => {
            if matches!(value, "postgres" | "direct") {
                if value == "direct" {
                    config.ssl_negotiation(SslNegotiation::Direct);
                }
                return Ok(());
            }
            ["postgres or direct", "postgres 或 direct"]
        }
    };
    Err(UrlError::Value { name, allowed })
}

/// Sets the encryption. With rustls, an encrypted connection is a verified one.
pub(super) fn encrypt(config: &mut Config, mode: Option<&str>) -> Result<(), UrlError> {
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
    let sockets = hosts.iter().filter(|host| is_socket(host)).count();
    if sockets > 0 && sockets < hosts.len() && mode == SslMode::Require {
        return Err(UrlError::MixedSocket);
    }
    let is_all_sockets = sockets > 0 && sockets == hosts.len();
    let mode = if is_all_sockets {
        SslMode::Disable
    } else {
        mode
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
