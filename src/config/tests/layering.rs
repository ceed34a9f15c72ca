//! Precedence of sources, and names of keys.

use super::*;

fn origin_of<'a>(loaded: &'a Loaded, key: &str) -> (&'a str, &'a str) {
    let shown = loaded
        .shown
        .iter()
        .find(|shown| shown.key == key)
        .unwrap_or_else(|| panic!("{key} is not shown"));
    (&shown.value, &shown.origin)
}

#[test]
fn command_line_beats_environment_beats_file_beats_defaults() {
    let file = format!("{SMALL}port = 1\n[retry]\nmax_attempts = 7\n[log]\nlevel = \"debug\"\n");
    let loaded = Scene::file(&file)
        .var("SMTP_PORT", "2")
        .var("JOBBELL_LOG__LEVEL", "warn")
        .option("server.listen", "127.0.0.1:0", "--listen")
        .good();
    assert_eq!(origin_of(&loaded, "smtp.port"), ("2", "$SMTP_PORT"));
    assert_eq!(
        origin_of(&loaded, "retry.max_attempts"),
        ("7", "config.toml:7:16")
    );
    assert_eq!(
        origin_of(&loaded, "retry.max"),
        ("\"2h\"", "built-in default")
    );
    assert_eq!(
        origin_of(&loaded, "server.listen"),
        ("\"127.0.0.1:0\"", "--listen")
    );
    assert_eq!(loaded.config.log.level, "warn");
    assert_eq!(loaded.file.as_deref(), Some(Path::new("config.toml")));
    let filtered = Scene::file(&file)
        .var("JOBBELL_LOG__LEVEL", "warn")
        .var("RUST_LOG", "jobbell=trace")
        .good();
    assert_eq!(filtered.config.log.level, "jobbell=trace");
}

#[test]
fn file_is_searched_in_the_documented_order() {
    let scene = Scene::file(SMALL);
    let write = |name: &str, host: &str| {
        std::fs::write(
            scene.path().join(name),
            SMALL.replace("mail.example.com", host),
        )
        .unwrap();
    };
    write("option.toml", "from.option");
    write("variable.toml", "from.variable");
    write("system.toml", "from.system");
    let mut sources = Sources {
        path: None,
        ..scene.sources()
    };
    sources.places.push("system.toml".into());
    let host = |sources: &Sources| smtp(&load(sources).unwrap().config, 0).host.clone();
    assert_eq!(host(&sources), "mail.example.com");
    sources
        .env
        .push(("JOBBELL_CONFIG".into(), "variable.toml".into()));
    assert_eq!(host(&sources), "from.variable");
    sources.path = Some("option.toml".into());
    assert_eq!(host(&sources), "from.option");
    std::fs::remove_file(scene.path().join("config.toml")).unwrap();
    assert_eq!(
        host(&Sources {
            path: None,
            env: Vec::new(),
            ..sources
        }),
        "from.system"
    );
}

#[test]
fn file_is_optional_if_the_environment_suffices() {
    let loaded = Scene::empty()
        .var("SMTP_HOST", "h.example")
        .var("SMTP_FROM", "a@x.org")
        .var("SMTP_TO", "b@x.org")
        .good();
    assert_eq!((loaded.file, loaded.config.smtp.len()), (None, 1));
    assert_one(
        &Scene::empty().bad(),
        &[
            "no configuration found (looked at ./config.toml",
            "jobbell demo",
        ],
    );
    let problems = Scene::empty().var("SMTP_TO", "b@x.org").bad();
    assert_in(
        &problems,
        &["$SMTP_HOST: smtp.host: there is no mail server"],
    );
    assert_in(&problems, &["$SMTP_FROM: smtp.from: there is no sender"]);
}

#[test]
fn empty_variable_or_text_counts_as_unset() {
    let loaded = Scene::file(&format!("{SMALL}username = \"\"\npassword = \"\"\n"))
        .var("SMTP_HOST", "")
        .var("SMTP_ENABLE", "")
        .good();
    assert_eq!(
        (
            smtp(&loaded.config, 0).host.as_str(),
            smtp(&loaded.config, 0).login.is_none()
        ),
        ("mail.example.com", true)
    );
}

#[test]
fn every_key_has_its_variables() {
    for key in KEYS {
        let name = key.name.to_uppercase();
        let mut variables = vec![format!(
            "JOBBELL_{}",
            key.path()
                .to_uppercase()
                .replace('.', "__")
                .replace("SERVER__TOKEN__", "SERVER__TOKEN__2__")
        )];
        if key.table == "smtp" {
            variables.push(format!("SMTP_{name}"));
        }
        if key.per_server {
            variables.push(format!("JOBBELL_SMTP__BACKUP__3__{name}"));
        }
        for variable in variables {
            let stated = environment::read(
                &[(variable.clone().into(), "x".into())],
                &mut Findings::default(),
            );
            assert_eq!(stated.len(), 1, "{variable}");
            assert_eq!(
                lookup::find(&stated[0].path).map(key::Key::path),
                Some(key.path()),
                "{variable}"
            );
        }
    }
}

#[test]
fn aliases_are_accepted_and_reported_once() {
    let file = "[smtp]\nserver = \"h.example\"\nuser = \"me@x.org\"\nuse_ssl = true\nuse_tls = false\nmax_retry_attempts = 5\nreceiver_email = \"a@x.org，b@x.org\"\nsender_name = \"绘影\"\nrest = \"20s\"\nrest_max = \"2h\"\n";
    let loaded = Scene::file(file).good();
    let (first, shared) = (smtp(&loaded.config, 0), common(&loaded.config, 0));
    assert_eq!(
        (first.host.as_str(), first.port, first.tls),
        ("h.example", 465, crate::transport::smtp::Tls::Implicit)
    );
    assert_eq!(
        (shared.from.name.as_deref(), shared.from.address.as_str()),
        (Some("绘影"), "me@x.org")
    );
    assert_eq!(
        (
            loaded.config.dispatch.retry.max_attempts,
            loaded.config.routes.default_to.len()
        ),
        (5, 2)
    );
    assert_eq!(
        (shared.cooldown.as_secs(), shared.cooldown_max.as_secs()),
        (20, 7_200)
    );
    let infos: Vec<_> = notes(&loaded)
        .into_iter()
        .filter(|note| note.starts_with("Info"))
        .collect();
    assert_eq!(infos.len(), 9, "{infos:#?}");
    assert_in(
        &infos,
        &["config.toml:2:10: smtp.host: server is read as smtp.host"],
    );

    let env = Scene::empty()
        .var("SMTP_SERVER", "h.example")
        .var("SMTP_USER", "u")
        .var("SMTP_PASSWORD", "p")
        .var("EMAILS_FROM_EMAIL", "me@x.org");
    let loaded = env
        .var("EMAILS_FROM_NAME", "Me")
        .var("SMTP_MAX_RETRY_ATTEMPTS", "3")
        .var("SMTP_USE_TLS", "True")
        .var("SMTP_PORT", "25")
        .good();
    let first = smtp(&loaded.config, 0);
    assert_eq!(
        (
            first.port,
            first.tls,
            common(&loaded.config, 0).from.name.as_deref()
        ),
        (25, crate::transport::smtp::Tls::Starttls, Some("Me"))
    );
    assert_eq!(
        (
            credentials(first).username.as_str(),
            credentials(first).password.expose()
        ),
        ("u", "p")
    );
    assert_eq!(loaded.config.dispatch.retry.max_attempts, 3);
}

#[test]
fn higher_layer_wins_under_any_name() {
    let loaded = Scene::file(SMALL)
        .var("SMTP_SERVER", "other.example")
        .good();
    assert_eq!(smtp(&loaded.config, 0).host, "other.example");
    let loaded = Scene::file(&SMALL.replace("host", "server"))
        .var("SMTP_HOST", "other.example")
        .good();
    assert_eq!(smtp(&loaded.config, 0).host, "other.example");
    let loaded = Scene::file(&format!(
        "{SMALL}username = \"u\"\npassword = \"from the file\"\n"
    ))
    .var("SMTP_PASSWORD_FILE", "secret")
    .tap_file("secret", "from a file of its own\n")
    .good();
    assert_eq!(
        credentials(smtp(&loaded.config, 0)).password.expose(),
        "from a file of its own"
    );
}

#[test]
fn key_set_twice_in_a_layer_must_have_one_value() {
    let problems = Scene::file(&format!("{SMALL}server = \"other.example\"\n")).bad();
    assert_one(
        &problems,
        &[
            "smtp.host: ",
            "host (config.toml:2:8) and server (config.toml:5:10)",
            "different values",
        ],
    );
    Scene::file(&format!("{SMALL}server = \"mail.example.com\"\n")).good();
    assert_one(
        &Scene::file(SMALL)
            .var("SMTP_HOST", "a.example")
            .var("SMTP_SERVER", "b.example")
            .bad(),
        &["SMTP_HOST ($SMTP_HOST)", "SMTP_SERVER ($SMTP_SERVER)"],
    );
    assert_one(
        &Scene::file(SMALL)
            .var("SMTP_HOST", "a.example")
            .var("JOBBELL_SMTP__HOST", "b.example")
            .bad(),
        &["JOBBELL_SMTP__HOST", "SMTP_HOST"],
    );
    assert_one(
        &Scene::file(&format!("{SMALL}use_ssl = true\nuse_tls = true\n")).bad(),
        &["use_ssl (config.toml:5:11)", "use_tls (config.toml:6:11)"],
    );
    assert_one(
        &Scene::file(&format!("{SMALL}use_ssl = true\ntls = \"none\"\n")).bad(),
        &["use_ssl", "tls"],
    );
    assert_one(
        &Scene::file(&format!(
            "{SMALL}password = \"p\"\npassword_file = \"f\"\nusername = \"u\"\n"
        ))
        .tap_file("f", "p")
        .bad(),
        &["exclude each other"],
    );
    assert_in(
        &Scene::file(&format!("{SMALL}use_ssl = \"perhaps\"\n")).bad(),
        &["config.toml:5:11: smtp.tls: invalid value \"perhaps\"; expected true, false"],
    );
}

#[test]
fn variables_set_backups_by_index_and_keep_those_of_the_file() {
    let file = format!(
        "{SMALL}[[smtp.backup]]\nname = \"first\"\nhost = \"b0.example\"\n[[smtp.backup]]\nhost = \"b1.example\"\n"
    );
    let loaded = Scene::file(&file)
        .var("JOBBELL_SMTP__BACKUP__0__PORT", "2525")
        .var("JOBBELL_SMTP__BACKUP__2__SERVER", "b2.example")
        .good();
    let servers: Vec<_> = loaded
        .config
        .smtp
        .iter()
        .filter_map(crate::transport::Settings::as_smtp)
        .map(|server| (server.host.as_str(), server.port))
        .collect();
    assert_eq!(
        servers,
        [
            ("mail.example.com", 587),
            ("b0.example", 2525),
            ("b1.example", 587),
            ("b2.example", 587)
        ]
    );
    assert_eq!(&*common(&loaded.config, 1).name, "first");
    let gap = Scene::file(SMALL)
        .var("JOBBELL_SMTP__BACKUP__1__HOST", "b1.example")
        .bad();
    assert_in(
        &gap,
        &["$JOBBELL_SMTP__BACKUP__0__HOST", "number them from 0"],
    );
}

#[test]
fn list_entries_can_be_set_individually() {
    let scene = Scene::file(SMALL)
        .var("JOBBELL_SERVER__TOKENS__0", "0123456789abcdef")
        .var("JOBBELL_SERVER__TOKENS__1", "fedcba9876543210");
    let tokens = scene.good().config.server.tokens;
    assert!(tokens[0].matches("0123456789abcdef") && tokens[1].matches("fedcba9876543210"));
    // Over a list of the file, only that entry changes.
    let scene = Scene::file(&format!(
        "{SMALL}[server]\ntokens = [\"0123456789abcdef\", \"fedcba9876543210\"]\n"
    ))
    .var("JOBBELL_SERVER__TOKENS__1", "aaaaaaaaaaaaaaaa");
    let tokens = scene.good().config.server.tokens;
    assert!(tokens[0].matches("0123456789abcdef") && tokens[1].matches("aaaaaaaaaaaaaaaa"));
}
