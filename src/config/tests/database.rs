//! `[queue]` with PostgreSQL.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::secrets::everything;
use super::*;
use crate::queue::PostgresSettings;

/// A configuration with these lines in `[queue]`.
fn scene(lines: &str) -> Scene {
    Scene::file(&format!("{SMALL}[queue]\n{lines}\n"))
}

fn settings(scene: &Scene) -> PostgresSettings {
    let location = scene.good().config.queue.location;
    location.postgres().expect("a database").clone()
}

fn password(scene: &Scene) -> Option<String> {
    let password = settings(scene).password;
    password.map(|password| password.expose().to_owned())
}

const URL: &str = "url = \"postgres://bell@db.example.com/queue\"";

#[test]
fn every_key_can_come_from_the_file_and_from_variables() {
    let files = |scene: Scene| {
        scene
            .tap_file("password", "hunter2\n")
            .tap_file("ca.pem", "-----BEGIN CERTIFICATE-----\n")
            .tap_file("key", &"k".repeat(32))
    };
    let by_file = files(scene(&format!(
        "{URL}\npassword_file = \"password\"\ntls_ca_file = \"ca.pem\"\nlisten_url = \"postgresql://bell@db/queue\"\nsecret_key_file = \"key\"\nnode_name = \"bell-1.a_B\""
    )));
    let variable =
        |scene: Scene, name: &str, value| scene.var(&format!("JOBBELL_QUEUE__{name}"), value);
    let by_variables = [
        ("URL", "postgres://bell@db.example.com/queue"),
        ("PASSWORD_FILE", "password"),
        ("TLS_CA_FILE", "ca.pem"),
        ("LISTEN_URL", "postgresql://bell@db/queue"),
        ("SECRET_KEY_FILE", "key"),
        ("NODE_NAME", "bell-1.a_B"),
    ];
    let by_variables = by_variables
        .into_iter()
        .fold(files(Scene::file(SMALL)), |scene, (name, value)| {
            variable(scene, name, value)
        });
    for scene in [by_file, by_variables] {
        let settings = settings(&scene);
        let file = |name: &str| Some(scene.path().join(name));
        assert_eq!(
            settings.url.expose(),
            "postgres://bell@db.example.com/queue"
        );
        assert_eq!(settings.password, None);
        assert_eq!(settings.password_file, file("password"));
        assert_eq!(settings.tls_ca_file, file("ca.pem"));
        assert_eq!(settings.secret_key_file, file("key"));
        assert_eq!(
            settings.listen_url.unwrap().expose(),
            "postgresql://bell@db/queue"
        );
        assert_eq!(settings.node_name.as_deref(), Some("bell-1.a_B"));
        assert_eq!(notes(&scene.good()), Vec::<String>::new());
    }
}

#[test]
fn user_name_and_database_may_come_from_the_environment() {
    let with = |url: &str| {
        scene(&format!("url = \"{url}\""))
            .var("PGUSER", "b@ll&")
            .var("PGDATABASE", "the queue")
    };
    for (url, expected) in [
        (
            "postgres://h",
            "postgres://h?user=b%40ll%26&dbname=the%20queue",
        ),
        ("postgres://u@h", "postgres://u@h?dbname=the%20queue"),
        (
            "postgres://h/q?sslmode=require",
            "postgres://h/q?sslmode=require&user=b%40ll%26",
        ),
        ("postgres://u@h/q", "postgres://u@h/q"),
    ] {
        let url = settings(&with(url)).url;
        assert_eq!(url.expose(), expected);
    }
    assert_one(
        &scene("url = \"postgres://h/q\"").bad(),
        &[
            "config.toml:6:7: queue.url: invalid value \"postgres://h/q\"",
            "set PGUSER",
        ],
    );
    assert_one(
        &scene("url = \"postgres://u@h\"").bad(),
        &["set PGDATABASE"],
    );
    let both = scene(&format!("{URL}\nlisten_url = \"postgres://h\"")).var("PGUSER", "u");
    assert_one(&both.bad(), &["queue.listen_url", "set PGDATABASE"]);
}

#[test]
fn password_comes_from_the_first_place_that_has_one() {
    // Lines in `[queue]`, variables, and the password.
    let (inside, file) = (
        "url = \"postgres://bell:inside@db.example.com/queue\"",
        "\npassword_file = \"password\"",
    );
    for (lines, variables, expected) in [
        (
            inside.to_owned(),
            vec!["PGPASSWORD", "PGPASSFILE"],
            Some("inside"),
        ),
        (
            format!("{inside}{file}"),
            vec!["PGPASSWORD", "PGPASSFILE"],
            Some("inside"),
        ),
        (
            format!("{URL}{file}"),
            vec!["PGPASSWORD", "PGPASSFILE"],
            None,
        ),
        (
            URL.to_owned(),
            vec!["PGPASSWORD", "PGPASSFILE"],
            Some("variable"),
        ),
        (URL.to_owned(), vec!["PGPASSFILE"], Some("listed")),
        (URL.to_owned(), vec![], None),
    ] {
        let mut scene = scene(&lines)
            .tap_file("password", "filed")
            .tap_file("pgpass", "*:*:queue:bell:listed\n");
        for name in &variables {
            let value = if *name == "PGPASSWORD" {
                "variable"
            } else {
                "pgpass"
            };
            scene = scene.var(name, value);
        }
        let is_unused = lines.contains("inside") && lines.contains("password_file");
        let notes = notes(&scene.good());
        assert_eq!(
            password(&scene).as_deref(),
            expected,
            "{lines} {variables:?}"
        );
        assert_eq!(
            notes
                .iter()
                .any(|note| note.contains("queue.password_file: has no effect")),
            is_unused,
            "{notes:?}"
        );
    }
    // `listen_url` has the same password, also when only the file has a line for its host.
    let scene = scene(&format!(
        "{URL}\nlisten_url = \"postgres://bell@direct/queue\""
    ))
    .tap_file("pgpass", "direct:5432:queue:bell:listed\n")
    .var("PGPASSFILE", "pgpass");
    assert_eq!(password(&scene).as_deref(), Some("listed"));
}

#[test]
fn password_file_of_libpq_that_others_can_read_is_ignored() {
    let scene = || {
        scene(URL)
            .tap_file("pgpass", "*:*:*:*:listed\n")
            .var("PGPASSFILE", "pgpass")
    };
    for (mode, is_read) in [
        (0o600, true),
        (0o400, true),
        (0o640, false),
        (0o604, false),
        (0o620, false),
    ] {
        let scene = scene();
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(scene.path().join("pgpass"), permissions).unwrap();
        assert_eq!(password(&scene).is_some(), is_read, "{mode:o}");
        let notes = notes(&scene.good());
        assert_eq!(notes.is_empty(), is_read, "{notes:?}");
        assert!(
            is_read
                || notes[0].contains("Warning $PGPASSFILE: queue.url:")
                    && notes[0].contains("chmod 600"),
            "{notes:?}"
        );
    }
    for (file, why) in [
        ("gone", "cannot be read: entity not found"),
        (".", "not a regular file"),
    ] {
        let scene = self::scene(URL).var("PGPASSFILE", file);
        assert_eq!(password(&scene), None);
        assert_in(&notes(&scene.good()), &[why]);
    }
}

#[test]
fn files_are_checked() {
    let with = |key: &str, text: &str| {
        scene(&format!("{URL}\n{key} = \"secret\"")).tap_file("secret", text)
    };
    assert_one(
        &with("password_file", "a\nb\n").bad(),
        &["queue.password_file: ", "line break"],
    );
    assert_one(&with("password_file", "\n").bad(), &["is empty"]);
    assert_in(
        &notes(&with("password_file", "a b ").good()),
        &["Warning", "begins or ends"],
    );
    assert_in(
        &notes(&with("password_file", "changeme").good()),
        &["placeholder"],
    );
    assert_one(
        &with("tls_ca_file", "no").bad(),
        &["queue.tls_ca_file: ", "not a PEM"],
    );
    for text in ["", "k", &"k".repeat(31), &"k".repeat(33)] {
        assert_one(
            &with("secret_key_file", text).bad(),
            &[
                "queue.secret_key_file: ",
                "does not contain 32 bytes",
                "/dev/urandom",
            ],
        );
    }
    let open = with("secret_key_file", &"k".repeat(32)).readable_by_all("secret");
    assert_in(
        &notes(&open.good()),
        &["queue.secret_key_file: ", "can be read by all users"],
    );
    for key in ["password_file", "tls_ca_file", "secret_key_file"] {
        let problems = scene(&format!("{URL}\n{key} = \"gone\"")).bad();
        assert_one(
            &problems,
            &[&format!("queue.{key}: "), "gone", "correct the path"],
        );
    }
}

#[test]
fn systemd_credentials_are_used_if_nothing_else_is_set() {
    let with = |lines: &str| {
        let scene = scene(lines)
            .tap_file("queue-password", "hunter2\n")
            .tap_file("queue-secret-key", &"k".repeat(32));
        let directory = scene.path().to_str().unwrap().to_owned();
        scene.var("CREDENTIALS_DIRECTORY", &directory)
    };
    let scene = with(URL);
    let used = settings(&scene);
    assert_eq!(
        used.password_file,
        Some(scene.path().join("queue-password"))
    );
    assert_eq!(
        used.secret_key_file,
        Some(scene.path().join("queue-secret-key"))
    );
    let inside = with("url = \"postgres://bell:inside@db.example.com/queue\"");
    assert_eq!(settings(&inside).password_file, None);
    let sqlite = with("");
    assert!(sqlite.good().config.queue.location.file().is_some());
}

#[test]
fn keys_of_postgresql_need_its_url_but_a_node_always_has_a_name() {
    for line in [
        "password_file = \"x\"",
        "tls_ca_file = \"x\"",
        "listen_url = \"postgres://u@h/q\"",
        "secret_key_file = \"x\"",
    ] {
        let key = line.split(' ').next().unwrap();
        assert_one(
            &scene(line).bad(),
            &[&format!("queue.{key}: is for PostgreSQL")],
        );
    }
    for name in ["a", "bell-1", "A.b_c-9", &"a".repeat(63)] {
        drop(scene(&format!("node_name = \"{name}\"")).good());
    }
    for name in ["a b", "a/b", "ä", "a:1", &"a".repeat(64)] {
        let problems = scene(&format!("{URL}\nnode_name = \"{name}\"")).bad();
        assert_one(
            &problems,
            &["queue.node_name: invalid value", "1 to 63 letters"],
        );
    }
}

#[test]
fn problems_of_both_urls_are_reported_without_passwords() {
    for (url, why) in [
        ("postgres://u:cAnArY7@h/q?sslmode=disable", "in the clear"),
        (
            "postgres://u:cAnArY7@h/q?colour=red",
            "unknown parameter colour",
        ),
        ("postgres://u:cAn@ArY7@h/q", "write %40"),
        ("postgres://u:cAnArY7@h", "the database is missing"),
        (
            "postgres://u@h/q?password=cAnArY7&target_session_attrs=any",
            "since the queue writes",
        ),
    ] {
        for lines in [
            format!("url = \"{url}\""),
            format!("{URL}\nlisten_url = \"{url}\""),
        ] {
            let scene = scene(&lines);
            assert_one(&scene.bad(), &["url: invalid value \"postgres://", why]);
            assert!(
                !everything(&scene).contains("ArY7"),
                "{}",
                everything(&scene)
            );
        }
    }
    assert_one(
        &scene(&format!("{URL}\nlisten_url = \"sqlite://x\"")).bad(),
        &[
            "queue.listen_url: ",
            "expected \"postgres://USER@HOST/DATABASE\"",
        ],
    );
    let loaded = scene("url = \"postgres://u:cAnArY7@h1,h2/q?password=&sslmode=require\"").good();
    let shown = loaded
        .shown
        .iter()
        .find(|shown| shown.key == "queue.url")
        .unwrap();
    assert_eq!(shown.value, "\"postgres://u:***@h1,h2/q?sslmode=require\"");
    assert_eq!(shown.typed, "postgres://u:***@h1,h2/q?sslmode=require");
}

#[test]
fn password_in_a_file_that_all_can_read_is_a_warning() {
    let warnings = |lines: &str| notes(&scene(lines).readable_by_all("config.toml").good());
    assert_in(
        &warnings("url = \"postgres://u:p@h/q\""),
        &[
            "Warning config.toml:6:7: queue.url: all users can read this secret",
            "(queue.password_file)",
        ],
    );
    assert_in(
        &warnings(&format!(
            "{URL}\nlisten_url = \"postgres://u@h/q?password=p\""
        )),
        &["queue.listen_url: all users can read"],
    );
    assert_eq!(warnings(URL), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_password_of_a_url_is_revealed(before in "[a-z@:/?&=%,]{0,4}", after in "[a-z@:/?&=%,]{0,4}", key in "url|listen_url") {
        let line = format!("{key} = \"postgres://u:{before}cAnArY7{after}@h/q\"");
        let lines = if key == "url" { line } else { format!("{URL}\n{line}") };
        let shown = everything(&scene(&lines));
        prop_assert!(!shown.contains("cAnArY7"), "{}", shown);
    }
}
