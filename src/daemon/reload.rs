//! Compares a reloaded configuration with the current one.

use crate::config::{Config, ShownKey};

/// The changed keys that need a restart.
pub(super) fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changes = [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.threads", old.server.threads != new.server.threads),
        ("queue.url", old.queue.location != new.queue.location),
        (
            "queue.state_dir",
            old.queue.state_dir != new.queue.state_dir,
        ),
        (
            "queue.max_pending",
            old.queue.max_pending != new.queue.max_pending,
        ),
        (
            "queue.payload_retention",
            old.queue.payload_retention != new.queue.payload_retention,
        ),
        (
            "queue.retention",
            old.queue.retention != new.queue.retention,
        ),
        ("log.format", old.log.format != new.log.format),
    ];
    changes
        .into_iter()
        .filter_map(|(key, changed)| changed.then_some(key))
        .collect()
}

/// The keys whose values differ. [`ShownKey`] masks secrets, so for a changed secret only the table is
/// named.
pub(super) fn changed(old: (&Config, &[ShownKey]), new: (&Config, &[ShownKey])) -> Vec<String> {
    let value = |keys: &[ShownKey], name: &str| {
        keys.iter()
            .find(|key| key.key == name)
            .map(|key| key.value.clone())
    };
    let mut names: Vec<&str> = old
        .1
        .iter()
        .chain(new.1)
        .map(|key| key.key.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut changed: Vec<String> = names
        .into_iter()
        .filter(|name| value(old.1, name) != value(new.1, name))
        .map(str::to_owned)
        .collect();
    let secrets = [
        ("smtp", old.0.smtp != new.0.smtp),
        ("server", old.0.server != new.0.server),
        ("hooks", old.0.hooks != new.0.hooks),
    ];
    for (table, differs) in secrets {
        if differs && !changed.iter().any(|key| key.starts_with(table)) {
            changed.push(format!("a secret of [{table}]"));
        }
    }
    changed
}

/// The new configuration, with the old values of keys that need a restart.
pub(super) fn effective(old: &Config, mut new: Config) -> Config {
    new.server.listen = old.server.listen.clone();
    new.server.threads = old.server.threads;
    new.queue = old.queue.clone();
    new.log.format = old.log.format;
    new
}
