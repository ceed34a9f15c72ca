//! Builds the settings of every module, and checks that they fit together.

use super::key::{HOOKS, Key, TOKENS};
use super::keys::KEYS;
use super::nearest::{self, did_you_mean};
use super::reads::is_line;
use super::report::ShownKey;
use super::servers::{self, Servers};
use super::values::{Refusal, Values};
use super::{Config, Sources, brand, hooks, listener, queue, sender, thumbnails, zones};
use crate::dispatch::{self, RetryPolicy};
use crate::domain::{Link, Mailbox};
use crate::routing::{Disabled, Routes};
use crate::{render, telemetry};

/// The origin of a log filter in `$RUST_LOG`.
pub(super) const RUST_LOG: &str = "$RUST_LOG";
/// Maximum entries of `email.allowed_recipients`.
const MAX_ALLOWED: usize = 10_000;

/// Reads all keys and reports all problems. The result is valid only if there are none.
pub(super) fn build(values: &mut Values, sources: &Sources) -> Option<Config> {
    let servers = servers::read(values, sources);
    let from = servers.from.clone().or_else(sender::placeholder)?;
    let retry = retry(values);
    let render = rendering(values, sources, from.clone(), servers.reply_to.clone());
    let thumbnails = thumbnails::read(values, sources, render.public_url.clone());
    let routes = Routes {
        picture_wait: thumbnails.enabled.then_some(thumbnails.wait),
        ..routes(values, servers.enabled, from.address.domain())
    };
    let queue = queue::read(values, sources, &retry);
    let render = brand::user_templates(values, sources, render);
    let server = listener::read(values, sources);
    let hooks = hooks::read(values, sources, &server);
    let log = log(values);
    let dispatch = dispatch::Settings {
        retry,
        concurrency: concurrency(&servers),
    };
    Some(Config {
        smtp: servers.list,
        routes,
        render,
        thumbnails,
        dispatch,
        queue,
        server,
        hooks,
        log,
    })
}

/// Eight times the connections: while mails are sent, earlier ones are settled and later ones claimed
/// and rendered. With fewer, connections wait for commits (measured: twice, 4,200 mails/s; eight
/// times, 6,500).
fn concurrency(servers: &Servers) -> usize {
    servers
        .list
        .iter()
        .map(|server| server.common.max_connections)
        .fold(0, usize::saturating_add)
        .saturating_mul(8)
        .clamp(8, 1_024)
}

fn retry(values: &mut Values) -> RetryPolicy {
    let (initial, max) = values.pauses("retry.initial", "retry.max");
    RetryPolicy {
        max_attempts: values.whole("retry.max_attempts").unwrap_or(1),
        initial,
        max,
    }
}

fn rendering(
    values: &mut Values,
    sources: &Sources,
    from: Mailbox,
    reply_to: Vec<Mailbox>,
) -> render::Settings {
    let timezone = if values.has("email.timezone") {
        values.parsed("email.timezone", zone)
    } else {
        system_zone(values, sources)
    };
    render::Settings {
        locale: values.locale("email.locale"),
        timezone: timezone.unwrap_or(jiff::tz::TimeZone::UTC),
        public_url: values.parsed("email.public_url", |text| {
            Link::parse(text).map_err(|_| None)
        }),
        subject_prefix: subject_prefix(values),
        brand: brand::read(values),
        privacy: brand::privacy(values),
        user_templates: None,
        from,
        reply_to,
    }
}

fn zone(text: &str) -> Result<jiff::tz::TimeZone, Refusal> {
    // A database of our own, because the global one would keep the names of all zones in memory.
    let database = jiff::tz::TimeZoneDatabase::from_env();
    database
        .get(text)
        .map_err(|_| zones::advice(text, &database))
}

/// The system's time zone: `$TZ`, else `/etc/timezone` or `/etc/localtime`, else UTC.
fn system_zone(values: &mut Values, sources: &Sources) -> Option<jiff::tz::TimeZone> {
    let variable = sources
        .variable("TZ")
        .and_then(|name| zone(name.to_str()?.trim_start_matches(':')).ok());
    let (zone, origin) = match variable {
        Some(zone) => (Some(zone), "$TZ"),
        None => (
            jiff::tz::TimeZone::try_system().ok(),
            "the system's time zone",
        ),
    };
    let name = zone.as_ref().and_then(jiff::tz::TimeZone::iana_name);
    values.supply("email.timezone", origin, name.unwrap_or("UTC"));
    zone
}

/// The prefix as written: a space at its end is kept.
fn subject_prefix(values: &mut Values) -> String {
    let prefix = values.text("email.subject_prefix").unwrap_or_default();
    if !is_line(&prefix, 100) {
        values.refuse("email.subject_prefix", None);
    }
    prefix
}

fn routes(values: &mut Values, enabled: bool, domain: &str) -> Routes {
    Routes {
        enabled,
        disabled: if values.choice("email.disabled") == Some("hold") {
            Disabled::Hold
        } else {
            Disabled::Drop
        },
        default_to: sender::recipients(values),
        allowed: values.allowed("email.allowed_recipients", MAX_ALLOWED),
        on_success: values.flag("email.on_success"),
        on_failure: values.flag("email.on_failure"),
        expire_after: values.span("retry.expire_after"),
        message_id_domain: domain.to_owned(),
        picture_wait: None,
    }
}

fn log(values: &mut Values) -> telemetry::Settings {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let is_ours = values.origin("log.level") != RUST_LOG;
    let level = |text: &str| {
        let is_filter = text.contains([',', '=', '[', ':']);
        match LEVELS.iter().find(|level| level.eq_ignore_ascii_case(text)) {
            Some(level) => Ok((*level).to_owned()),
            None if is_ours && (!is_filter || text.chars().any(char::is_control)) => {
                Err(nearest::word(text, LEVELS).map(did_you_mean))
            }
            None => Ok(text.to_owned()),
        }
    };
    let format = match values.choice("log.format") {
        Some("text") => telemetry::LogFormat::Text,
        Some("json") => telemetry::LogFormat::Json,
        _ => telemetry::LogFormat::Auto,
    };
    telemetry::Settings {
        level: values.parsed("log.level", level).unwrap_or_default(),
        format,
    }
}

/// All effective keys, in the order of the reference file; backups follow `[smtp]`, tokens and hooks
/// are last.
pub(super) fn show(values: &Values) -> Vec<ShownKey> {
    let keys = |table: &'static str| KEYS.iter().filter(move |key| key.table == table);
    let mut paths: Vec<String> = keys("smtp").map(Key::path).collect();
    for index in 0..values.backups() {
        let keys = keys("smtp").filter(|key| key.per_server);
        paths.extend(keys.map(|key| format!("smtp.backup[{index}].{}", key.name)));
    }
    let others = KEYS
        .iter()
        .filter(|key| !["smtp", TOKENS, HOOKS].contains(&key.table));
    paths.extend(others.map(Key::path));
    for index in 0..values.tokens() {
        paths.extend(keys(TOKENS).map(|key| format!("{TOKENS}[{index}].{}", key.name)));
    }
    for name in values.hooks() {
        paths.extend(keys(HOOKS).map(|key| format!("{HOOKS}.{name}.{}", key.name)));
    }
    let shown = |path: String| {
        let (value, typed) = values.show(&path)?;
        Some(ShownKey {
            value,
            typed,
            origin: values.origin(&path),
            key: path,
        })
    };
    paths.into_iter().filter_map(shown).collect()
}
