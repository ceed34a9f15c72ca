//! What of a configuration that was read again can come into force, and what needs a restart. Pure.

use crate::config::{Config, ShownKey};

/// The keys whose change needs a restart: those of contract 5, and the form of the log lines, which
/// is chosen once.
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changes = [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.threads", old.server.threads != new.server.threads),
        ("queue.url", old.queue.path != new.queue.path),
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

/// The keys whose values differ. Secrets are not told from each other there, so that of them the
/// table is named.
pub fn changed(old: (&Config, &[ShownKey]), new: (&Config, &[ShownKey])) -> Vec<String> {
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

/// The configuration that is in force after a reload: the new one, but for what needs a restart.
pub fn in_force(old: &Config, mut new: Config) -> Config {
    new.server.listen = old.server.listen.clone();
    new.server.threads = old.server.threads;
    new.queue = old.queue.clone();
    new.log.format = old.log.format;
    new
}
