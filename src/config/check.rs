//! From values to the Settings of every stage, with what must hold between them.

use std::path::PathBuf;

use super::brand;
use super::credentials::file_name;
use super::key::{HOOKS, Key, TOKENS};
use super::keys::KEYS;
use super::layers::BUILT_IN;
use super::reads::is_line;
use super::report::ShownKey;
use super::servers::{self, Servers};
use super::values::Values;
use super::{Config, Sources, sender};
use crate::dispatch::{self, RetryPolicy};
use crate::domain::Link;
use crate::routing::{Disabled, Routes};
use crate::{queue, render, telemetry};

/// The origin of a log filter that `$RUST_LOG` gives.
pub(super) const RUST_LOG: &str = "$RUST_LOG";
/// The most entries of `email.allowed_recipients`.
const MAX_ALLOWED: usize = 10_000;

/// Reads every key, and finds all that is wrong. What comes back is of use only when nothing was
/// found.
pub(super) fn build(values: &mut Values, sources: &Sources) -> Option<Config> {
    let servers = servers::read(values, sources);
    let from = servers.from.clone().or_else(sender::nobody)?;
    let retry = retry(values);
    let render = render::Settings {
        from: from.clone(),
        reply_to: servers.reply_to.clone(),
        ..rendering(values, sources)?
    };
    let thumbnails = super::thumbnails::read(values, sources, render.public_url.clone());
    let picture_wait = thumbnails.enabled.then_some(thumbnails.wait);
    let routes = Routes {
        picture_wait,
        ..routes(values, servers.enabled, from.address.domain())
    };
    let queue = queue(values, sources, &retry);
    let render = brand::own_templates(values, sources, render);
    let server = super::listener::read(values, sources);
    let hooks = super::hooks::read(values, sources, &server);
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

/// Eight times the connections: while some mails are sent, those before them are settled and those
/// after them claimed and rendered. Fewer, and the connections wait for the store's commits (twice:
/// 4,200 mails/s, eight times: 6,500, in one sitting).
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
    let max_attempts = values
        .whole("retry.max_attempts")
        .and_then(|attempts| u32::try_from(attempts).ok())
        .unwrap_or(1);
    RetryPolicy {
        max_attempts,
        initial,
        max,
    }
}

fn rendering(values: &mut Values, sources: &Sources) -> Option<render::Settings> {
    let timezone = if values.has("email.timezone") {
        values.parsed("email.timezone", zone)
    } else {
        system_zone(values, sources)
    };
    Some(render::Settings {
        locale: values.locale("email.locale"),
        timezone: timezone.unwrap_or(jiff::tz::TimeZone::UTC),
        public_url: values.parsed("email.public_url", |text| {
            Link::parse(text).map_err(|_| None)
        }),
        subject_prefix: subject_prefix(values),
        brand: brand::read(values),
        privacy: brand::privacy(values),
        user_templates: None,
        from: sender::nobody()?,
        reply_to: Vec::new(),
    })
}

fn zone(text: &str) -> Result<jiff::tz::TimeZone, Option<String>> {
    // Not the process's own, which would keep the names of all zones for as long as the daemon
    // runs.
    let zones = jiff::tz::TimeZoneDatabase::from_env();
    zones
        .get(text)
        .map_err(|_| super::zones::advice(text, &zones))
}

/// The zone of this system: `$TZ`, else `/etc/timezone` or what `/etc/localtime` points to. UTC
/// where none says.
fn system_zone(values: &mut Values, sources: &Sources) -> Option<jiff::tz::TimeZone> {
    const PATH: &str = "email.timezone";
    let variable = sources
        .variable("TZ")
        .and_then(|name| name.into_string().ok());
    let of_variable = variable
        .as_deref()
        .map(|name| name.trim_start_matches(':'))
        .and_then(|name| zone(name).ok());
    let zone = of_variable
        .clone()
        .or_else(|| jiff::tz::TimeZone::try_system().ok());
    let origin = if of_variable.is_some() {
        "$TZ"
    } else {
        "the system's time zone"
    };
    let name = zone
        .as_ref()
        .and_then(jiff::tz::TimeZone::iana_name)
        .unwrap_or("UTC")
        .to_owned();
    values.supply(PATH, origin, &name);
    zone
}

/// Kept as written: a blank at its end is meant.
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

fn queue(values: &mut Values, sources: &Sources, retry: &RetryPolicy) -> queue::Settings {
    const STATE_DIR: &str = "queue.state_dir";
    if !values.has(STATE_DIR) {
        let systemd = sources
            .variable("STATE_DIRECTORY")
            .and_then(|paths| paths.into_string().ok());
        match systemd.as_deref().and_then(|paths| paths.split(':').next()) {
            Some(first) => values.supply(STATE_DIR, "$STATE_DIRECTORY", first),
            None => values.supply(STATE_DIR, BUILT_IN, "./data"),
        }
    }
    let state_dir = values.parsed(STATE_DIR, file_name).unwrap_or_default();
    let state_dir = sources.resolve(
        state_dir
            .strip_prefix(".")
            .ok()
            .filter(|rest| !rest.as_os_str().is_empty())
            .unwrap_or(&state_dir),
    );
    let file = values.parsed("queue.url", store_path).unwrap_or_default();
    let retention = values.span("queue.retention");
    let payload_retention = if values.has("queue.payload_retention") {
        values.span("queue.payload_retention").min(retention)
    } else {
        retention
    };
    queue::Settings {
        location: queue::Location::Sqlite(state_dir.join(file)),
        state_dir,
        max_pending: values.whole("queue.max_pending").unwrap_or(1),
        retention,
        payload_retention,
        recovery_delay: retry.initial,
    }
}

fn store_path(url: &str) -> Result<PathBuf, Option<String>> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Err(Some(
            "this version stores its queue in SQLite only".to_owned(),
        ));
    }
    let file = url.strip_prefix("sqlite://").ok_or(None)?;
    if file.contains(":memory:") {
        return Err(Some(
            "a queue in memory would lose what it has accepted".to_owned(),
        ));
    }
    if file.is_empty() || file.ends_with('/') || file.contains(|c: char| c == '?' || c.is_control())
    {
        return Err(Some("name a file, without parameters".to_owned()));
    }
    Ok(PathBuf::from(file))
}

fn log(values: &mut Values) -> telemetry::Settings {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let ours = values.origin("log.level") != RUST_LOG;
    let level = |text: &str| {
        let bare = !text.contains([',', '=', '[', ':']);
        match LEVELS.iter().find(|level| level.eq_ignore_ascii_case(text)) {
            Some(level) => Ok((*level).to_owned()),
            None if ours && (bare || text.chars().any(char::is_control)) => {
                Err(super::nearest::word(text, LEVELS)
                    .map(|near| format!("did you mean \"{near}\"?")))
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

/// Every key in force, in the order of the reference file, backups after `[smtp]`, tokens and hooks
/// at the end.
pub(super) fn show(values: &Values) -> Vec<ShownKey> {
    let mut shown = Vec::new();
    let mut add = |path: String| {
        if let Some(value) = values.show(&path) {
            shown.push(ShownKey {
                value,
                typed: values.typed(&path),
                origin: values.origin(&path),
                key: path,
            });
        }
    };
    let (smtp, others): (Vec<&Key>, Vec<&Key>) = KEYS.iter().partition(|key| key.table == "smtp");
    for key in &smtp {
        add(key.path());
    }
    for index in 0..values.backups() {
        smtp.iter()
            .filter(|key| key.per_server)
            .for_each(|key| add(format!("smtp.backup[{index}].{}", key.name)));
    }
    let (hooks, others): (Vec<&Key>, Vec<&Key>) =
        others.into_iter().partition(|key| key.table == HOOKS);
    let (tokens, others): (Vec<&Key>, Vec<&Key>) =
        others.into_iter().partition(|key| key.table == TOKENS);
    for key in others {
        add(key.path());
    }
    for index in 0..values.tokens() {
        for key in &tokens {
            add(format!("{TOKENS}[{index}].{}", key.name));
        }
    }
    for name in values.hooks() {
        for key in &hooks {
            add(format!("{HOOKS}.{name}.{}", key.name));
        }
    }
    shown
}
