//! Secrets are used, and never shown.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;

const CANARY: &str = "cAnArY7";

impl Scene {
    /// Creates a file beside the configuration, readable by its owner only.
    pub(super) fn tap_file(self, name: &str, text: &str) -> Self {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    pub(super) fn readable_by_all(self, name: &str) -> Self {
        std::fs::set_permissions(
            self.path().join(name),
            std::fs::Permissions::from_mode(0o644),
        )
        .unwrap();
        self
    }
}

/// Everything of a configuration that could be printed.
pub(super) fn everything(scene: &Scene) -> String {
    let sources = format!("{:?}", scene.sources());
    match scene.load() {
        Ok(loaded) => format!(
            "{sources}{loaded:?}{:#?}{:?}",
            loaded.config,
            serde_json::to_string(&(&loaded.notes, &loaded.shown))
        ),
        Err(report) => format!(
            "{sources}{report}{report:?}{:?}",
            serde_json::to_string(&(&report.problems, &report.notes, &report.shown))
        ),
    }
}

#[test]
fn password_file_is_read_without_its_last_line_break() {
    let password = |text: &str| {
        let scene = Scene::file(&format!(
            "{SMALL}username = \"u\"\npassword_file = \"secret\"\n"
        ))
        .tap_file("secret", text);
        credentials(smtp(&scene.good().config, 0))
            .password
            .expose()
            .to_owned()
    };
    assert_eq!(
        (
            password("pass word\n").as_str(),
            password("p\r\n").as_str(),
            password(" p ").as_str()
        ),
        ("pass word", "p", "p")
    );
    let scene = |text: &str| {
        Scene::file(&format!(
            "{SMALL}username = \"u\"\npassword_file = \"secret\"\n"
        ))
        .tap_file("secret", text)
    };
    assert_one(
        &scene("two\nlines\n").bad(),
        &["config.toml:6:17: smtp.password_file: ", "line break"],
    );
    assert_one(&scene("\n").bad(), &["is empty; write the secret into it"]);
    assert_in(
        &notes(&scene("p").readable_by_all("secret").good()),
        &["Warning", "can be read by all users"],
    );
    assert_one(
        &Scene::file(&format!(
            "{SMALL}username = \"u\"\npassword_file = \"gone\"\n"
        ))
        .bad(),
        &["gone does not exist; create it"],
    );
    assert_one(
        &Scene::file(&format!("{SMALL}username = \"u\"\npassword_file = \".\"\n")).bad(),
        &["is not a regular file"],
    );
}

#[test]
fn systemd_credentials_are_used_if_nothing_else_is_set() {
    let file = format!(
        "{SMALL}username = \"u\"\n[[smtp.backup]]\nhost = \"b.example\"\nusername = \"b\"\n[server]\nlisten = \"0.0.0.0:80\"\n"
    );
    let scene = Scene::file(&file)
        .tap_file("smtp-password", "one\n")
        .tap_file("smtp-password-0", "two\n")
        .tap_file("tokens", "# ours\n0123456789abcdef\n");
    let directory = scene.path().to_str().unwrap().to_owned();
    let scene = scene.var("CREDENTIALS_DIRECTORY", &directory);
    let loaded = scene.good();
    let password = |index: usize| credentials(smtp(&loaded.config, index)).password.expose();
    assert_eq!((password(0), password(1)), ("one", "two"));
    assert!(loaded.config.server.tokens[0].matches("0123456789abcdef"));
    assert!(
        loaded
            .shown
            .iter()
            .any(|shown| shown.key == "smtp.password_file"
                && shown.origin == "$CREDENTIALS_DIRECTORY/smtp-password")
    );
    let by_hand = scene.var("SMTP_PASSWORD", "mine").good();
    assert_eq!(
        credentials(smtp(&by_hand.config, 0)).password.expose(),
        "mine"
    );
}

#[test]
fn placeholders_are_warnings() {
    for placeholder in [
        "your_qq_email_auth_code",
        "your_password",
        "xxxxxxxxxxxxxxxx",
        "abcdefghijklmnop",
        "authorization code",
    ] {
        let loaded = Scene::file(&format!(
            "{SMALL}username = \"u\"\npassword = \"{placeholder}\"\n"
        ))
        .good();
        assert_in(
            &notes(&loaded),
            &["Warning config.toml:6:12: smtp.password", "placeholder"],
        );
    }
    assert!(!credentials::is_placeholder("qkzmvtbwplxrahdj"));
}

#[test]
fn spaces_in_a_google_app_password_are_removed() {
    let password = |host: &str, password: &str| {
        let text = SMALL.replace("mail.example.com", host);
        let scene = Scene::file(&format!(
            "{text}username = \"u\"\npassword = \"{password}\"\n"
        ));
        credentials(smtp(&scene.good().config, 0))
            .password
            .expose()
            .to_owned()
    };
    assert_eq!(
        password("smtp.gmail.com", "qkzm vtbw plxr ahdj"),
        "qkzmvtbwplxrahdj"
    );
    assert_eq!(
        password("smtp.gmail.com", "qkzm vtbw plxr AHDJ"),
        "qkzm vtbw plxr AHDJ"
    );
    assert_eq!(
        password("mail.example.com", "qkzm vtbw plxr ahdj"),
        "qkzm vtbw plxr ahdj"
    );
}

#[test]
fn incomplete_login_is_a_warning() {
    assert_in(
        &notes(&Scene::file(&format!("{SMALL}username = \"u\"\n")).good()),
        &["Warning config.toml:5:12: smtp.username", "does not log in"],
    );
    assert_in(
        &notes(&Scene::file(&format!("{SMALL}password = \"p\"\n")).good()),
        &["Warning config.toml:5:12: smtp.password", "does not log in"],
    );
}

#[test]
fn tokens_are_checked_without_being_shown() {
    let with = |tokens: &str| Scene::file(&format!("{SMALL}[server]\ntokens = {tokens}\n"));
    assert_one(
        &with(&format!("[\"{CANARY} blank\"]")).bad(),
        &["server.tokens: token 1 is empty, too long, or contains spaces"],
    );
    assert_one(&with("\",\"").bad(), &["there is no token in it"]);
    assert_in(
        &notes(&with("[\"short\"]").good()),
        &["Warning", "token 1 is short"],
    );
    assert_one(
        &Scene::file(&format!("{SMALL}[server]\ntokens_file = \"t\"\n"))
            .tap_file("t", "# none\n")
            .bad(),
        &["there is no token in it"],
    );
}

#[test]
fn secret_of_the_wrong_type_is_reported_by_type_only() {
    for (value, found) in [
        ("12345", "found a number"),
        ("true", "found a boolean"),
        ("[\"cAnArY7\"]", "found a list"),
        ("{ cAnArY7 = 1 }", "found a table"),
    ] {
        let scene = Scene::file(&format!("{SMALL}password = {value}\n"));
        assert_one(
            &scene.bad(),
            &[
                "config.toml:5:12: smtp.password: ",
                found,
                "expected text in quotes",
            ],
        );
        assert!(!everything(&scene).contains(CANARY) && !scene.bad()[0].contains("12345"));
    }
}

#[test]
fn broken_lines_never_reveal_secrets() {
    for line in [
        "password = 12345cAnArY7",
        "password = cAnArY7",
        "password = \"cAnArY7",
        "password = 'cAnArY7",
        "password = \"\"\"cAnArY7\ncAnArY7",
        "password: cAnArY7",
        "password \"cAnArY7\"",
        "password = \"a\\cAnArY7\"",
        "password = \"cAnArY7\" \"cAnArY7\"",
        "password = 2026-13-45cAnArY7",
        "password = [\"cAnArY7\"",
        "password = { a = cAnArY7 }",
        "password.x = \"cAnArY7\"",
        "password = \"cAnArY7\\n\"",
        "password = \"cAnArY7\"\npassword = \"cAnArY7\"",
        "passwrd = \"cAnArY7\"",
        "name = \"\"\"\npassword = \"cAnArY7\"",
        "host = \"\"\"\npassword = \"cAnArY7\"",
        "host = \"\"\"\npassword = \"cAnArY7\" \"\"\"",
        "password_file = \"\"\"\npassword = \"cAnArY7\"",
        "to = [\npassword = \"cAnArY7\"",
        "tokens_file = [\ntokens = \"cAnArY7\"",
        "backup = [{ name = \"n\"\npassword = \"cAnArY7\"",
    ] {
        for table in ["[smtp]\n", "[[smtp.backup]]\n", ""] {
            let shown = everything(&Scene::file(&format!("{table}{line}\nusername = \"u\"\n")));
            assert!(!shown.contains(CANARY), "{line}: {shown}");
        }
    }
}

/// A value for any key, including secrets.
fn value() -> impl Strategy<Value = String> {
    let words = [
        "true",
        "25",
        "-1",
        "1e9",
        "\"\"",
        "[]",
        "[[]]",
        "{}",
        "{ a = 1 }",
        "1979-05-27",
        "\"30s\"",
        "\"a@x.org, b\"",
        "\"sqlite://x\"",
        "\"0.0.0.0:1\"",
        "nan",
        "[",
        "\"\"\"",
        "'''",
        "{",
    ];
    prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        "\\PC{0,12}",
        "\"[a-z@:/.,\\[\\]0-9 ]{0,20}\"",
    ]
}

/// A value that contains the canary, well-formed or not.
fn secret_value() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "\"cAnArY7\"",
        "\"cAnArY7",
        "cAnArY7",
        "[\"cAnArY7\"]",
        "[[\"cAnArY7\"]]",
        "{ x = \"cAnArY7\" }",
        "'cAnArY7\\'",
        "\"\"\"\ncAnArY7",
        "7cAnArY7",
    ])
    .prop_map(str::to_owned)
}

fn line() -> impl Strategy<Value = String> {
    let tables = [
        "[smtp]",
        "[[smtp.backup]]",
        "[server]",
        "[queue]",
        "[retry]",
        "[email]",
        "[log]",
        "[smtp",
        "[[smtp]]",
        "[smtp.backup]",
        "[x.y]",
    ];
    let secrets = KEYS
        .iter()
        .filter(|key| key.kind.is_secret())
        .map(|key| key.name)
        .collect::<Vec<_>>();
    let names = KEYS
        .iter()
        .map(|key| key.name)
        .chain([
            "server",
            "user",
            "use_ssl",
            "use_tls",
            "sender_name",
            "nonsense",
            "\"a.b\"",
            "backup",
        ])
        .collect::<Vec<_>>();
    prop_oneof![
        2 => prop::sample::select(tables.to_vec()).prop_map(str::to_owned),
        6 => (prop::sample::select(names), value()).prop_map(|(name, value)| format!("{name} = {value}")),
        2 => (prop::sample::select(secrets), secret_value()).prop_map(|(name, value)| format!("{name} = {value}")),
        1 => "\\PC{0,30}",
    ]
}

fn variable() -> impl Strategy<Value = (String, String)> {
    let homes = [
        "SMTP_",
        "JOBBELL_SMTP__",
        "JOBBELL_SMTP__BACKUP__0__",
        "JOBBELL_SMTP__BACKUP__7__",
        "JOBBELL_SERVER__",
        "JOBBELL_QUEUE__",
        "JOBBELL_",
        "EMAIL",
    ];
    let names = KEYS.iter().map(|key| key.name.to_uppercase()).chain([
        "SERVER".to_owned(),
        "TOKENS__0".to_owned(),
        "S_FROM_EMAIL".to_owned(),
        "_PROVIDER".to_owned(),
    ]);
    let names = names.collect::<Vec<_>>();
    (
        prop::sample::select(homes.to_vec()),
        prop::sample::select(names),
        "[ -~]{0,16}",
    )
        .prop_map(|(home, name, value)| {
            let secret = name == "TOKENS__0"
                || KEYS
                    .iter()
                    .any(|key| key.kind.is_secret() && key.name.to_uppercase() == name);
            (
                format!("{home}{name}"),
                if secret {
                    format!("{value}{CANARY}")
                } else {
                    value
                },
            )
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_input_panics_or_reveals_a_secret(lines in prop::collection::vec(line(), 0..16), variables in prop::collection::vec(variable(), 0..6)) {
        let mut scene = Scene::file(&lines.join("\n"));
        for (name, value) in variables {
            scene = scene.var(&name, &value);
        }
        let shown = everything(&scene);
        prop_assert!(!shown.contains(CANARY), "{}", shown);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}|[\\[\\]=\"'#\\n a-z.{}]{0,200}") {
        drop(Scene::file(&text).load());
    }
}
