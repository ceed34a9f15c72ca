//! The reference file contains all keys and their defaults.

use super::*;

fn uncommented() -> String {
    let key_line = |line: &&str| {
        let name = line.strip_prefix("# ").unwrap_or_default();
        name.starts_with("[[")
            || name.starts_with("[hooks.")
            || name.split_once(" = ").is_some_and(|(name, _)| {
                name.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            })
    };
    REFERENCE
        .lines()
        .map(|line| {
            if key_line(&line) {
                line.trim_start_matches("# ")
            } else {
                line
            }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn reference_file_has_no_problems_even_uncommented() {
    for text in [REFERENCE, &uncommented()] {
        let mut findings = Findings::default();
        let _ = file::read(text, "config.toml", &mut findings);
        let (problems, _) = findings.into_parts(None, &std::collections::HashSet::new());
        assert_eq!(problems, []);
    }
}

#[test]
fn reference_file_contains_every_key() {
    let contents = file::read(&uncommented(), "", &mut Findings::default());
    let there: Vec<_> = contents
        .stated
        .iter()
        .map(|one| {
            (
                lookup::find(&one.path).map(key::Key::path),
                one.path.as_str(),
            )
        })
        .collect();
    for key in KEYS {
        assert!(
            there.iter().any(|(path, _)| *path == Some(key.path())),
            "{} is not in config.toml",
            key.path()
        );
    }
    for (key, path) in there {
        assert!(key.is_some(), "{path} is in config.toml, but it is no key");
    }
}

#[test]
fn copy_of_the_reference_file_needs_only_host_and_sender() {
    let problems = Scene::file(REFERENCE).bad();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert_in(
        &problems,
        &["smtp.host: there is no mail server", "enable = false"],
    );
    assert_in(&problems, &["smtp.from: there is no sender"]);
    let copy = REFERENCE
        .replacen("# host = ", "host = ", 1)
        .replacen("# username = ", "username = ", 1)
        .replacen("# password = ", "password = ", 1);
    assert_eq!(
        smtp(&Scene::file(&copy).good().config, 0).host,
        "smtp.qq.com"
    );
}

#[test]
fn defaults_match_the_contract() {
    let config = Scene::file(SMALL).good().config;
    let (smtp, common) = (smtp(&config, 0), common(&config, 0));
    assert_eq!(
        (
            smtp.port,
            smtp.tls,
            common.max_connections,
            smtp.max_mails_per_connection
        ),
        (587, Tls::Starttls, 4, 100)
    );
    assert_eq!(
        (smtp.timeout, common.cooldown, common.cooldown_max),
        (seconds(30), seconds(30), seconds(900))
    );
    assert_eq!(
        (&*common.name, common.rate_limit, smtp.plain_login),
        ("mail.example.com", None, false)
    );
    assert_eq!(
        config.server.listen,
        crate::http::Listen::Tcp("127.0.0.1:8000".parse().unwrap())
    );
    assert_eq!(
        (
            config.server.tokens.len(),
            config.server.max_body,
            config.server.threads
        ),
        (0, 1 << 20, None)
    );
    assert_eq!(
        (
            config.server.body_budget,
            config.server.trusted_proxies.len()
        ),
        (64 << 20, 0)
    );
    assert_eq!(
        (config.queue.max_pending, config.queue.retention),
        (1_000_000, seconds(30 * 86_400))
    );
    assert_eq!(config.queue.recovery_delay, config.dispatch.retry.initial);
    assert!(
        config
            .queue
            .location
            .file()
            .unwrap()
            .ends_with("data/jobbell.db")
            && config.queue.state_dir.ends_with("data")
    );
    let retry = &config.dispatch.retry;
    assert_eq!(
        (retry.max_attempts, retry.initial, retry.max),
        (30, seconds(10), seconds(7_200))
    );
    assert_eq!(
        (
            config.routes.expire_after,
            config.routes.message_id_domain.as_str()
        ),
        (seconds(172_800), "example.com")
    );
    assert_eq!(
        (config.routes.enabled, config.routes.disabled),
        (true, crate::routing::Disabled::Drop)
    );
    assert!(
        config.routes.on_success && config.routes.on_failure && config.routes.allowed.is_empty()
    );
    assert_eq!(config.render.locale, crate::domain::Locale::ZhCn);
    assert_eq!(
        (
            config.render.subject_prefix.as_str(),
            config.render.public_url
        ),
        ("", None)
    );
    assert_eq!(
        (config.log.level.as_str(), config.log.format),
        ("info", crate::telemetry::LogFormat::Auto)
    );
    assert_eq!(config.dispatch.concurrency, 32);
}

#[test]
fn every_key_is_read_independently() {
    // A list in a list is invalid for every key.
    for home in [
        "smtp",
        "smtp.backup[0]",
        "server",
        "server.token[0]",
        "hooks.fal",
        "queue",
        "retry",
        "email",
        "log",
    ] {
        let many = home.strip_suffix("[0]");
        let header = many.map_or_else(|| format!("[{home}]"), |many| format!("[[{many}]]"));
        let table = many
            .filter(|many| *many == "server.token")
            .unwrap_or_else(|| home.split('.').next().unwrap());
        let keys = || {
            KEYS.iter().filter(|key| {
                key.table == table
                    && (home == table || many == Some(table) || table == "hooks" || key.per_server)
            })
        };
        for key in keys().filter(|key| !(home.starts_with("smtp.") && key.name == "to")) {
            let problems = Scene::file(&format!("{header}\n{} = [[1]]\n", key.name)).bad();
            assert_in(
                &problems,
                &[
                    "config.toml:2:",
                    &format!("{home}.{}: found a list", key.name),
                    &key.kind.expected().to_string(),
                ],
            );
        }
    }
}

fn seconds(n: u64) -> std::time::Duration {
    std::time::Duration::from_secs(n)
}

use crate::transport::smtp::Tls;
