//! Mail servers: presets, senders, encryption, backups, the switch.

use super::*;
use crate::transport::smtp::{Settings, Tls};

fn first(text: &str) -> Settings {
    smtp(&Scene::file(text).good().config, 0).clone()
}

#[test]
fn examples_of_the_image_generator_are_accepted() {
    for (host, port, tls) in [
        ("smtp.qq.com", 587, Tls::Starttls),
        ("smtp.gmail.com", 587, Tls::Starttls),
        ("smtp.163.com", 25, Tls::Opportunistic),
    ] {
        let text = format!(
            "[smtp]\nenable = true\nhost = \"{host}\"\nport = {port}\nusername = \"your_email@qq.com\"\npassword = \"your_qq_email_auth_code\"\nfrom = \"your_email@qq.com\"\nto = \"recipient@example.com\"\n"
        );
        let loaded = Scene::file(&text).good();
        let smtp = smtp(&loaded.config, 0);
        assert_eq!(
            (smtp.host.as_str(), smtp.port, smtp.tls, smtp.plain_login),
            (host, port, tls, false)
        );
        assert_eq!(credentials(smtp).username, "your_email@qq.com");
        let placeholders = notes(&loaded)
            .iter()
            .filter(|note| note.starts_with("Warning") && note.contains("placeholder"))
            .count();
        assert_eq!(placeholders, 3, "{:?}", notes(&loaded));
    }
}

#[test]
fn variables_of_the_image_generator_suffice() {
    let scene = Scene::empty()
        .var("SMTP_ENABLE", "true")
        .var("SMTP_HOST", "smtp.qq.com")
        .var("SMTP_PORT", "587")
        .var("SMTP_USERNAME", "me@qq.com");
    let loaded = scene
        .var("SMTP_PASSWORD", "0123456")
        .var("SMTP_FROM", "me@qq.com")
        .var("SMTP_TO", "a@example.com, b@example.com")
        .good();
    let smtp = smtp(&loaded.config, 0);
    assert_eq!(
        (
            smtp.host.as_str(),
            smtp.port,
            smtp.tls,
            common(&loaded.config, 0).from.address.as_str()
        ),
        ("smtp.qq.com", 587, Tls::Starttls, "me@qq.com")
    );
    assert_eq!(credentials(smtp).password.expose(), "0123456");
    assert_eq!(
        (
            loaded.config.routes.default_to.len(),
            loaded.config.routes.enabled
        ),
        (2, true)
    );
    assert_eq!(loaded.notes, []);
}

#[test]
fn provider_supplies_host_port_and_tls_and_set_keys_win() {
    let with = |rest: &str| {
        first(&format!(
            "[smtp]\nusername = \"me@qq.com\"\npassword = \"p\"\nto = \"a@x.org\"\n{rest}"
        ))
    };
    let ends = |settings: Settings| (settings.host, settings.port, settings.tls);
    assert_eq!(
        ends(with("provider = \"qq\"\n")),
        ("smtp.qq.com".to_owned(), 465, Tls::Implicit)
    );
    assert_eq!(
        ends(with("provider = \"QQ\"\nport = 587\n")),
        ("smtp.qq.com".to_owned(), 587, Tls::Starttls)
    );
    assert_eq!(
        ends(with("provider = \"qq\"\ntls = \"starttls\"\n")),
        ("smtp.qq.com".to_owned(), 587, Tls::Starttls)
    );
    assert_eq!(
        ends(with("provider = \"fastmail\"\nhost = \"relay.example\"\n")),
        ("relay.example".to_owned(), 465, Tls::Implicit)
    );
    assert_eq!(
        ends(with("provider = \"mailpit\"\n")),
        ("localhost".to_owned(), 1025, Tls::None)
    );
    assert_eq!(
        ends(with(
            "provider = \"ses\"\nhost = \"email-smtp.eu-west-1.amazonaws.com\"\n"
        ))
        .1,
        465
    );
    assert_one(
        &Scene::file(&format!("{SMALL}provider = \"gmial\"\n")).bad(),
        &["smtp.provider: invalid value \"gmial\" (did you mean \"gmail\"?)"],
    );
    assert_one(
        &Scene::file(
            "[smtp]\nprovider = \"ses\"\nfrom = \"me@x.org\"\nusername = \"u\"\npassword = \"p\"\n",
        )
        .bad(),
        &["config.toml:2:12: smtp.host: ", "host for each region"],
    );
    let bare = Scene::file("[smtp]\nprovider = \"qq\"\nfrom = \"me@qq.com\"\n").bad();
    assert_one(
        &bare,
        &[
            "config.toml:2:12: smtp.password: qq requires a login; set username and password",
            "jobbell providers qq",
        ],
    );
}

#[test]
fn encryption_depends_on_the_port_and_plain_login_is_explicit() {
    let with = |rest: &str| {
        let settings = first(&format!("{SMALL}{rest}"));
        (settings.port, settings.tls, settings.plain_login)
    };
    assert_eq!(with(""), (587, Tls::Starttls, false));
    assert_eq!(with("port = 465\n"), (465, Tls::Implicit, false));
    assert_eq!(with("port = 994\n"), (994, Tls::Implicit, false));
    assert_eq!(with("port = \"2525\"\n"), (2525, Tls::Opportunistic, false));
    assert_eq!(with("tls = \"implicit\"\n"), (465, Tls::Implicit, false));
    assert_eq!(with("tls = \"none\"\nport = 25\n"), (25, Tls::None, true));
    assert_eq!(
        with("tls = \"auto\"\nprovider = \"mailpit\"\n"),
        (1025, Tls::None, false)
    );
}

#[test]
fn sender_is_from_or_a_username_that_is_an_address() {
    let sender = |rest: &str| {
        let text = format!("[smtp]\nhost = \"h.example\"\nto = \"a@x.org\"\n{rest}");
        common(&Scene::file(&text).good().config, 0).from.clone()
    };
    assert_eq!(
        sender("username = \"me@qq.com\"\npassword = \"p\"\n")
            .address
            .as_str(),
        "me@qq.com"
    );
    let named = sender("from = \"绘影 <me@qq.com>\"\n");
    assert_eq!(
        (named.name.as_deref(), named.address.as_str()),
        (Some("绘影"), "me@qq.com")
    );
    assert_eq!(
        sender("from = \"Old <me@qq.com>\"\nfrom_name = \"New\"\n")
            .name
            .as_deref(),
        Some("New")
    );
    assert_one(
        &Scene::file("[smtp]\nhost = \"h.example\"\nusername = \"apikey\"\npassword = \"p\"\n")
            .bad(),
        &["config.toml:1:2: smtp.from: there is no sender"],
    );
}

#[test]
fn sender_of_a_backup_is_its_own_or_the_primarys() {
    let backup = |rest: &str| {
        Scene::file(&format!(
            "{SMALL}from_name = \"绘影\"\n[[smtp.backup]]\nprovider = \"163\"\n{rest}"
        ))
        .good()
        .config
        .smtp
        .swap_remove(1)
        .common
        .from
    };
    let parts = |mailbox: crate::domain::Mailbox| {
        (
            mailbox.name.unwrap_or_default(),
            mailbox.address.as_str().to_owned(),
        )
    };
    assert_eq!(
        parts(backup("username = \"b@163.com\"\npassword = \"p\"\n")),
        ("绘影".to_owned(), "b@163.com".to_owned())
    );
    assert_eq!(
        parts(backup("username = \"apikey\"\npassword = \"p\"\n")),
        ("绘影".to_owned(), "me@example.com".to_owned())
    );
    assert_eq!(
        parts(backup(
            "from = \"Own <c@163.com>\"\nusername = \"c@163.com\"\npassword = \"p\"\n"
        )),
        ("Own".to_owned(), "c@163.com".to_owned())
    );
    assert_eq!(
        parts(backup(
            "from_name = \"二\"\nusername = \"u\"\npassword = \"p\"\n"
        )),
        ("二".to_owned(), "me@example.com".to_owned())
    );
}

#[test]
fn backup_has_built_in_defaults_and_needs_a_host() {
    let file = format!(
        "{SMALL}timeout = \"5s\"\nmax_connections = 9\n[[smtp.backup]]\nhost = \"mail.example.com\"\n[[smtp.backup]]\nenable = false\nhost = \"off.example\"\n"
    );
    let loaded = Scene::file(&file).good();
    let servers = [common(&loaded.config, 0), common(&loaded.config, 1)];
    assert_eq!(
        (
            loaded.config.smtp.len(),
            smtp(&loaded.config, 1).timeout.as_secs(),
            servers[1].max_connections
        ),
        (2, 30, 4)
    );
    assert_eq!(
        (&*servers[0].name, &*servers[1].name),
        ("mail.example.com", "mail.example.com (2)")
    );
    assert_eq!(loaded.config.dispatch.concurrency, 104);
    assert_one(
        &Scene::file(&format!("{SMALL}[[smtp.backup]]\n")).bad(),
        &[
            "config.toml:5:",
            "smtp.backup[0].host: there is no mail server",
        ],
    );
    assert_one(
        &Scene::file(&format!(
            "{SMALL}name = \"a\"\n[[smtp.backup]]\nhost = \"h\"\nname = \"a\"\n"
        ))
        .bad(),
        &["two servers are named \"a\""],
    );
}

#[test]
fn host_and_sender_are_optional_while_disabled() {
    let config = Scene::empty()
        .var("SMTP_ENABLE", "False")
        .var("JOBBELL_EMAIL__DISABLED", "hold")
        .good()
        .config;
    assert_eq!(
        (
            config.routes.enabled,
            config.routes.disabled,
            config.smtp.len()
        ),
        (false, crate::routing::Disabled::Hold, 0)
    );
    assert_eq!(
        (
            config.render.from.address.as_str(),
            config.dispatch.concurrency
        ),
        ("jobbell@jobbell.invalid", 8)
    );
}

#[test]
fn rates_and_pauses_reach_the_settings() {
    let config = Scene::file(&format!(
        "{SMALL}rate_limit = \"30/min\"\ncooldown_max = \"10s\"\ntimeout = 20\n"
    ))
    .good()
    .config;
    let common = common(&config, 0);
    assert_eq!(
        common
            .rate_limit
            .map(|limit| (limit.mails, limit.per.as_secs())),
        Some((30, 60))
    );
    assert_eq!(
        (
            common.cooldown.as_secs(),
            common.cooldown_max.as_secs(),
            smtp(&config, 0).timeout.as_secs()
        ),
        (10, 10, 20)
    );
}

#[test]
fn systemd_state_directory_is_used_unless_one_is_set() {
    let state = |scene: &Scene| scene.good().config.queue;
    let systemd = Scene::file(SMALL).var("STATE_DIRECTORY", "/var/lib/jobbell:/var/lib/other");
    assert_eq!(
        state(&systemd).location.file().unwrap(),
        Path::new("/var/lib/jobbell/jobbell.db")
    );
    let by_hand = systemd
        .var("JOBBELL_QUEUE__STATE_DIR", "/srv/jobbell")
        .var("JOBBELL_QUEUE__URL", "sqlite:///srv/other/q.db");
    assert_eq!(
        (
            state(&by_hand).state_dir.as_path(),
            state(&by_hand).location.file().unwrap()
        ),
        (Path::new("/srv/jobbell"), Path::new("/srv/other/q.db"))
    );
}

#[test]
fn public_address_requires_a_token() {
    let with = |rest: &str| Scene::file(&format!("{SMALL}[server]\n{rest}")).load();
    for fine in [
        "listen = \"127.0.0.1:0\"",
        "listen = \"[::1]:0\"",
        "listen = \"localhost:8000\"",
        "listen = \"unix:/run/j.sock\"",
    ] {
        with(fine).unwrap();
    }
    for open in [
        "listen = \"0.0.0.0:80\"",
        "listen = \"[::]:80\"",
        "listen = \"192.0.2.1:80\"",
    ] {
        assert!(
            with(open)
                .unwrap_err()
                .to_string()
                .contains("allow_anonymous"),
            "{open}"
        );
        with(&format!("{open}\nallow_anonymous = true")).unwrap();
        with(&format!("{open}\ntokens = \"0123456789abcdef\"")).unwrap();
    }
}
