//! All problems are reported, each with its place.

use super::*;
use crate::domain::Locale;

const MISTAKES: &str = r#"[smtp]
hots = "smtp.qq.com"
port = "abc"
enable = "maybe"
tls = "ssl"
from = "me at qq.com"
timeout = "30 parsecs"

[server]
listen = "0.0.0.0:8000"

[queue]
max_pending = 0

[emial]
locale = "zh-CN"

[email]
timezone = "Asia/Shangai"
"#;

#[test]
fn file_with_ten_mistakes_reports_ten_with_line_and_column() {
    let problems = Scene::file(MISTAKES).bad();
    let expected = [
        "config.toml:2:1: smtp.hots: unknown key; did you mean smtp.host?",
        "config.toml:3:8: smtp.port: invalid value \"abc\"; expected a number from 1 to 65535",
        "config.toml:4:10: smtp.enable: invalid value \"maybe\"; expected true, false, 1, 0, yes, no, on or off",
        "config.toml:5:7: smtp.tls: invalid value \"ssl\"; expected one of \"auto\", \"implicit\", \"starttls\", \"none\"",
        "config.toml:6:8: smtp.from: invalid value \"me at qq.com\"",
        "config.toml:7:11: smtp.timeout: invalid value \"30 parsecs\"; expected a time from 100ms to 1h",
        "config.toml:10:10: server.listen: 0.0.0.0:8000 can be reached from other machines",
        "config.toml:13:15: queue.max_pending: invalid value 0; expected a number from 1 to 1000000000",
        "config.toml:15:2: emial: unknown table; did you mean [email]?",
        "config.toml:19:12: email.timezone: invalid value \"Asia/Shangai\" (did you mean \"Asia/Shanghai\"?)",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(
            problem.starts_with(expected),
            "{problem}\n   expected {expected}"
        );
    }
}

#[test]
fn typical_mistakes_are_reported_in_chinese() {
    let syntax = "[smtp]\nhost = smtp.qq.com\nport = 25 26\nenable = True\nname = “open”\n";
    for text in [MISTAKES, syntax, "[smtp]\nprovider = \"qq\"\n", ""] {
        let report = Scene::file(text).load().unwrap_err();
        for problem in &report.problems {
            let chinese = problem.said(Locale::ZhCn);
            assert!(
                problem.message.is_in(Locale::ZhCn) && !chinese.contains("expected"),
                "{chinese}"
            );
        }
    }
    let report = Scene::file(&format!("{SMALL}port = 0\n"))
        .load()
        .unwrap_err();
    let problem = &report.problems[0];
    assert_eq!(
        problem.said(Locale::ZhCn),
        "config.toml:5:8: smtp.port: 值 0 无效；应为 1 到 65535 之间的整数"
    );
    let record = serde_json::to_value(problem).unwrap();
    assert_eq!(
        (&record["message"], &record["found"], &record["allowed"]),
        (
            &"invalid value 0; expected a number from 1 to 65535".into(),
            &"0".into(),
            &"a number from 1 to 65535".into()
        )
    );
}

#[test]
fn all_syntax_errors_are_reported_once_and_hide_nothing_else() {
    let problems = Scene::file(
        "[smtp]\nhost = smtp.qq.com\nport = 25 26\nenable = True\nname = \"open\ntimeout = -1\nfrom = \"me@qq.com\"\nto = [1]\n[queue\nmax_pending = -1\n",
    )
    .bad();
    for (line, advice) in [
        ("config.toml:2:8: ", "text needs quotes"),
        ("config.toml:3:8: ", "text needs quotes"),
        ("config.toml:4:10: ", "true or false"),
        ("config.toml:5:", "closing quote"),
        (
            "config.toml:6:11: smtp.timeout: invalid value -1",
            "expected a time",
        ),
        (
            "config.toml:8:6: smtp.to: found a list with an entry that is not text",
            "expected",
        ),
        ("config.toml:9:", "closing bracket"),
    ] {
        assert_in(&problems, &[line, advice]);
    }
    assert_eq!(problems.len(), 7, "{problems:#?}");
    for (index, problem) in problems.iter().enumerate() {
        let line = problem.split(':').nth(1);
        assert!(
            !problems[..index]
                .iter()
                .any(|other| other.split(':').nth(1) == line),
            "twice about one line: {problems:#?}"
        );
    }
}

#[test]
fn columns_count_characters_not_bytes() {
    let problems = Scene::file(&format!(
        "{SMALL}name = \"绘影\"\nbackup = [{{ name = \"绘影\", prot = 1 }}]\n"
    ))
    .bad();
    assert_in(&problems, &["config.toml:6:26: smtp.backup[0].prot"]);
}

#[test]
fn unknown_key_suggests_the_nearest_one() {
    for (table, key, nearest) in [
        ("smtp", "pasword", "smtp.password?"),
        ("smtp", "pass", "smtp.password?"),
        ("smtp", "usr", "smtp.username?"),
        ("smtp", "max_attempts", "retry.max_attempts?"),
        ("email", "level", "log.level?"),
        ("log", "zzzzzz", "[log] has level, format"),
        ("smtp", "host.name", "smtp.host"),
    ] {
        assert_in(
            &Scene::file(&format!("[{table}]\n\"{key}\" = 1\n")).bad(),
            &[&format!("{table}.{key}: unknown key"), nearest],
        );
    }
    assert_in(
        &Scene::file("host = \"h\"\n").bad(),
        &["config.toml:1:1: host: ", "smtp.host"],
    );
    assert_in(
        &Scene::file("[smpt]\nx = 1\ny = 2\n").bad(),
        &["config.toml:1:2: smpt: ", "[smtp]"],
    );
    assert_in(
        &Scene::file("[smtp.backup]\nhost = \"h\"\n").bad(),
        &["smtp.backup: found a table", "[[smtp.backup]]"],
    );
    assert_in(
        &Scene::file("smtp = \"h\"\n").bad(),
        &["smtp: found text; expected one table, headed [smtp]"],
    );
}

#[test]
fn names_and_values_of_variables_are_checked() {
    let scene = Scene::file(SMALL)
        .var("JOBBELL_SMTP_HOST", "x")
        .var("JOBBELL_SERVER__LISTN", "x")
        .var("JOBBELL_SMTP__BACKUP__99__HOST", "x");
    let problems = scene
        .var("SMTP_ENABLE", "maybe")
        .var("JOBBELL_CONFIG", "")
        .var("JOBBELL_BIN", "/usr/bin/jobbell")
        .var("JOBBELL_NOTHING", "")
        .bad();
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert_in(
        &problems,
        &["$JOBBELL_SMTP_HOST: unknown variable; did you mean $JOBBELL_SMTP__HOST?"],
    );
    assert_in(
        &problems,
        &["$JOBBELL_SERVER__LISTN: ", "$JOBBELL_SERVER__LISTEN"],
    );
    assert_in(
        &problems,
        &["$JOBBELL_SMTP__BACKUP__99__HOST: unknown variable"],
    );
    assert_in(
        &problems,
        &[
            "$SMTP_ENABLE: smtp.enable: invalid value \"maybe\"; expected true, false, 1, 0, yes, no, on or off",
        ],
    );

    let loaded = Scene::file(SMALL)
        .var("SMTP_PASSWROD", "x")
        .var("SMTP_GATEWAY_COLOUR", "x")
        .var("smtp_host", "x")
        .good();
    assert_eq!(notes(&loaded).len(), 1, "{:?}", notes(&loaded));
    assert_in(
        &notes(&loaded),
        &["Warning $SMTP_PASSWROD", "$SMTP_PASSWORD"],
    );
}

#[test]
fn variable_that_is_not_utf8_is_a_problem() {
    use std::os::unix::ffi::OsStringExt;
    let scene = Scene::file(SMALL);
    let mut sources = scene.sources();
    sources.env.push((
        "SMTP_HOST".into(),
        std::ffi::OsString::from_vec(vec![0xff, 0xfe]),
    ));
    sources.env.push((
        std::ffi::OsString::from_vec(b"JOBBELL_\xff".to_vec()),
        "x".into(),
    ));
    let report = load(&sources).unwrap_err();
    assert_eq!(
        (report.problems.len(), report.problems[0].place.as_str()),
        (1, "$SMTP_HOST")
    );
    assert!(report.notes.iter().any(|note| {
        note.place.starts_with("$JOBBELL_")
            && note
                .message
                .to_string()
                .contains("not a variable of this program")
    }));
}

#[test]
fn unreadable_file_is_reported_with_reason_and_remedy() {
    let scene = Scene::empty();
    let named = |path: &str| {
        let report = load(&Sources {
            path: Some(path.into()),
            ..scene.sources()
        })
        .unwrap_err();
        assert_eq!(
            (report.problems.len(), report.notes.len()),
            (1, 0),
            "{report}"
        );
        report.to_string()
    };
    assert!(
        named("nowhere.toml")
            .starts_with("--config: the configuration file nowhere.toml does not exist"),
        "{}",
        named("nowhere.toml")
    );
    assert!(named(".").contains("is not a regular file"));
    std::fs::write(
        scene.path().join("latin.toml"),
        b"[smtp]\nname = \"\xe9\"\n",
    )
    .unwrap();
    assert!(named("latin.toml").contains("is not UTF-8 text"));
    std::fs::write(scene.path().join("large.toml"), "#".repeat(1_100_000)).unwrap();
    assert!(named("large.toml").contains("larger than 1 MiB"));
    let by_variable = Scene::empty().var("JOBBELL_CONFIG", "gone.toml").bad();
    assert_one(
        &by_variable,
        &["$JOBBELL_CONFIG: the configuration file gone.toml does not exist"],
    );
}

#[test]
fn contradictory_and_malformed_values_are_reported() {
    for (text, parts) in [
        (
            "[smtp]\ncooldown = \"2h\"\ncooldown_max = \"1h\"\n",
            [
                "smtp.cooldown_max: shorter than smtp.cooldown",
                "config.toml:3:16",
            ],
        ),
        (
            "[retry]\ninitial = \"2h\"\nmax = \"1h\"\n",
            ["retry.max: shorter than retry.initial", "config.toml:3:7"],
        ),
        (
            "[queue]\nurl = \"sqlite://:memory:\"\n",
            ["queue.url", "would lose"],
        ),
        (
            "[server]\nlisten = \"127.0.0.1\"\n",
            ["server.listen", "the port is missing"],
        ),
        (
            "[server]\nlisten = \"unix:relative\"\n",
            ["server.listen", "absolute"],
        ),
        (
            "[server]\nmax_body = \"64MiB\"\nbody_budget = \"32MiB\"\n",
            [
                "server.max_body is larger than server.body_budget",
                "config.toml:2:12",
            ],
        ),
        (
            "[server]\nbody_budget = \"100KiB\"\n",
            ["server.body_budget: invalid value \"100KiB\"", "from 1MiB"],
        ),
        (
            "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"proxy.local\"]\n",
            ["server.trusted_proxies: found", "networks such as"],
        ),
        (
            "[smtp]\nhost = \"smtp.qq.com:465\"\n",
            ["smtp.host", "set the port with the key port"],
        ),
        (
            "[smtp]\nhost = \"smtps://smtp.qq.com\"\n",
            ["smtp.host", "omit the scheme"],
        ),
        (
            "[smtp]\nto = \"a@x.org, nobody, b@x.org\"\n",
            [
                "smtp.to: invalid value \"a***@x.org, nobody,b***@x.org\"",
                "entry 2",
            ],
        ),
        (
            "[email]\nallowed_recipients = [\"*@x.org\", \"*@\"]\n",
            ["email.allowed_recipients", "entry 2"],
        ),
        (
            "[email]\npublic_url = \"img.example.com\"\n",
            ["email.public_url", "absolute http"],
        ),
        (
            "[email]\nsubject_prefix = \"a\\nBcc: x@y.z\"\n",
            ["email.subject_prefix", "without line breaks"],
        ),
        (
            "[smtp]\nfrom_name = \"a\\r\\nBcc: x@y.z\"\n",
            ["smtp.from_name", "without line breaks"],
        ),
        (
            "[log]\nlevel = \"inof\"\n",
            ["log.level", "did you mean \"info\"?"],
        ),
        (
            "[smtp]\nrate_limit = \"30\"\n",
            ["smtp.rate_limit", "N/s, N/min, N/h or N/day"],
        ),
    ] {
        assert_in(&Scene::file(text).bad(), &parts);
    }
}

#[cfg(not(feature = "postgres"))]
#[test]
fn build_without_postgresql_says_so() {
    let problems = Scene::file("[queue]\nurl = \"postgres://u:canary@h/db\"\n").bad();
    assert_in(
        &problems,
        &["queue.url: this build has no PostgreSQL (feature `postgres`)"],
    );
}
