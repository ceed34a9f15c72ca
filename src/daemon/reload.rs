//! Compares a reloaded configuration with the current one.

use crate::config::{Config, ShownKey};
use crate::queue::Location;

/// The changed keys that need a restart.
pub(super) fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let changes = [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.threads", old.server.threads != new.server.threads),
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
        .chain(database(&old.queue.location, &new.queue.location))
        .collect()
}

/// The changed keys about where the queue is.
fn database(old: &Location, new: &Location) -> Vec<&'static str> {
    #[cfg(feature = "postgres")]
    if let (Some(old), Some(new)) = (old.postgres(), new.postgres()) {
        // The password is that of `queue.url`, or of a variable.
        let password = old.password != new.password && old.url == new.url;
        let changes = [
            ("queue.url", old.url != new.url),
            ("the database's password", password),
            (
                "queue.password_file",
                old.password_file != new.password_file,
            ),
            ("queue.tls_ca_file", old.tls_ca_file != new.tls_ca_file),
            ("queue.listen_url", old.listen_url != new.listen_url),
            (
                "queue.secret_key_file",
                old.secret_key_file != new.secret_key_file,
            ),
            ("queue.node_name", old.node_name != new.node_name),
        ];
        let named = |(key, is_changed): (_, bool)| is_changed.then_some(key);
        return changes.into_iter().filter_map(named).collect();
    }
    if old == new {
        Vec::new()
    } else {
        vec!["queue.url"]
    }
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
        ("queue", old.0.queue.location != new.0.queue.location),
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

#[cfg(test)]
#[cfg(feature = "postgres")]
mod tests {
    use super::*;

    fn config(keys: &[(&str, &str)]) -> Config {
        let builder = Config::builder()
            .smtp_host("mail.example.com")
            .from("a@example.com");
        let set = |builder: crate::config::ConfigBuilder, (key, value): &(&str, &str)| {
            builder.set(&format!("queue.{key}"), value)
        };
        keys.iter().fold(builder, set).build().unwrap()
    }

    #[test]
    fn every_change_of_the_database_needs_a_restart() {
        const URL: (&str, &str) = ("url", "postgres://u@h/q");
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&key, [7; 32]).unwrap();
        let file = key.path().to_str().unwrap();
        let certificate = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----").unwrap();
        let pem = certificate.path().to_str().unwrap();
        let old = config(&[URL]);
        for (changed, expected) in [
            (vec![URL], vec![]),
            (vec![], vec!["queue.url"]),
            (vec![("url", "postgres://u:p@h/q")], vec!["queue.url"]),
            (
                vec![URL, ("listen_url", "postgres://u@h/q")],
                vec!["queue.listen_url"],
            ),
            (vec![URL, ("node_name", "bell")], vec!["queue.node_name"]),
            (
                vec![URL, ("secret_key_file", file)],
                vec!["queue.secret_key_file"],
            ),
            (vec![URL, ("tls_ca_file", pem)], vec!["queue.tls_ca_file"]),
            (
                vec![URL, ("password_file", pem)],
                vec!["queue.password_file"],
            ),
            (
                vec![
                    ("url", "postgres://u@g/q"),
                    ("node_name", "bell"),
                    ("retention", "7d"),
                ],
                vec![
                    "queue.payload_retention",
                    "queue.retention",
                    "queue.url",
                    "queue.node_name",
                ],
            ),
        ] {
            assert_eq!(
                needs_restart(&old, &config(&changed)),
                expected,
                "{changed:?}"
            );
        }
        let mut new = config(&[URL]);
        if let Location::Postgres(settings) = &mut new.queue.location {
            settings.password = Some(crate::secret::Secret::new("p"));
        }
        assert_eq!(needs_restart(&old, &new), ["the database's password"]);
        let changed = changed((&old, &[]), (&new, &[]));
        assert_eq!(changed, ["a secret of [queue]"]);
    }
}
