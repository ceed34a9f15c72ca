//! Mail services: limits, senders, OAuth logins, DirectMail's HTTP API.

use super::*;
use crate::transport::oauth::{self, Grant};
use crate::transport::{Kind, Settings, directmail};

/// `[smtp]` with a recipient and these lines.
fn with(rest: &str) -> Scene {
    Scene::file(&format!("[smtp]\nto = \"a@x.org\"\n{rest}"))
}

fn token(scene: &Scene) -> oauth::Settings {
    match smtp(&scene.good().config, 0).login.clone().unwrap() {
        Login::Xoauth2 { source, .. } => source,
        Login::Password(_) => panic!("a login by password"),
    }
}

fn directmail(server: &Settings) -> &directmail::Settings {
    match &server.kind {
        Kind::DirectMail(settings) => settings,
        Kind::Smtp(_) => panic!("by SMTP"),
    }
}

#[test]
fn provider_supplies_limits_that_are_not_set() {
    let limits = |rest: &str| {
        let config = with(&format!(
            "provider = \"qq\"\nusername = \"me@qq.com\"\npassword = \"p\"\n{rest}"
        ))
        .good()
        .config;
        let common = common(&config, 0);
        (
            common.max_connections,
            smtp(&config, 0).max_mails_per_connection,
            common
                .rate_limit
                .map(|limit| (limit.mails, limit.per.as_secs())),
        )
    };
    assert_eq!(limits(""), (1, 10, Some((20, 60))));
    assert_eq!(
        limits("max_connections = 4\nmax_mails_per_connection = 3\nrate_limit = \"5/s\"\n"),
        (4, 3, Some((5, 1)))
    );
    let loaded = with("provider = \"qq\"\nusername = \"me@qq.com\"\npassword = \"p\"\n").good();
    let shown = loaded
        .shown
        .iter()
        .find(|shown| shown.key == "smtp.rate_limit")
        .unwrap();
    assert_eq!(
        (shown.value.as_str(), shown.origin.as_str()),
        ("\"20/min\"", "provider \"qq\"")
    );
    assert_eq!(smtp(&loaded.config, 0).provider, Some("qq"));
}

#[test]
fn sender_that_the_service_refuses_is_reported() {
    let login = "username = \"me@qq.com\"\npassword = \"p\"\n";
    let problem = with(&format!(
        "provider = \"qq\"\n{login}from = \"other@qq.com\"\n"
    ))
    .bad();
    assert_one(
        &problem,
        &[
            "config.toml:6:8: smtp.from: qq accepts mail only from the login itself",
            "o***@qq.com",
            "set from to m***@qq.com",
            "from_name",
        ],
    );
    with(&format!(
        "provider = \"qq\"\n{login}from = \"Me <ME@qq.com>\"\n"
    ))
    .good();
    // If only the host is known, or the service rewrites the sender, it is a warning.
    let told = |rest: &str| notes(&with(rest).good());
    assert_in(
        &told(&format!(
            "host = \"smtp.qq.com\"\n{login}from = \"other@x.org\"\n"
        )),
        &["Warning config.toml:6:8: smtp.from: qq accepts mail only"],
    );
    let gmail = "provider = \"gmail\"\nusername = \"me@gmail.com\"\npassword = \"p\"\nfrom = \"other@x.org\"\n";
    assert_in(
        &told(gmail),
        &[
            "Warning config.toml:6:8: smtp.from: gmail replaces o***@x.org by the login",
            "alias",
        ],
    );
    let sendgrid =
        "provider = \"sendgrid\"\nusername = \"apikey\"\npassword = \"p\"\nfrom = \"a@x.org\"\n";
    assert!(
        told(sendgrid)
            .iter()
            .all(|note| !note.contains("smtp.from"))
    );
    let backup = format!(
        "provider = \"qq\"\n{login}[[smtp.backup]]\nprovider = \"163\"\nusername = \"b@163.com\"\npassword = \"p\"\nfrom = \"me@qq.com\"\n"
    );
    assert_one(
        &with(&backup).bad(),
        &["config.toml:10:8: smtp.backup[0].from: 163 accepts mail only"],
    );
    with(&backup.replace("[[smtp.backup]]\n", "[[smtp.backup]]\nenable = false\n")).good();
}

#[test]
fn unsuitable_login_name_is_a_warning() {
    let told =
        notes(&with("provider = \"sendgrid\"\nusername = \"me@x.org\"\npassword = \"p\"\n").good());
    assert_in(
        &told,
        &[
            "Warning config.toml:4:12: smtp.username: sendgrid will probably refuse this login name; it expects the word \"apikey\"",
        ],
    );
    let told = notes(
        &with(
            "provider = \"qq\"\nusername = \"12345\"\npassword = \"p\"\nfrom = \"12345@qq.com\"\n",
        )
        .good(),
    );
    assert_in(
        &told,
        &["smtp.username: qq will probably refuse this login name; it expects the full address"],
    );
}

#[test]
fn provider_supplies_the_token_url_and_set_keys_win() {
    let google = token(&with(
        "provider = \"gmail\"\nauth = \"XOAUTH2\"\nusername = \"me@gmail.com\"\noauth_client_id = \"c\"\noauth_refresh_token = \"r\"\n",
    ));
    assert_eq!(
        (google.token_url.as_str(), google.scope.as_deref()),
        (
            "https://oauth2.googleapis.com/token",
            Some("https://mail.google.com/")
        )
    );
    assert_eq!(
        (google.grant, google.refresh_token.unwrap().expose()),
        (Grant::RefreshToken, "r")
    );
    let own = "provider = \"outlook\"\nusername = \"me@outlook.com\"\noauth_client_id = \"c\"\noauth_token_url = \"http://127.0.0.1:9/t\"\noauth_scope = \"s\"\n";
    let outlook = token(&with(own));
    assert_eq!(
        (
            outlook.token_url.as_str(),
            outlook.scope.as_deref(),
            outlook.refresh_token
        ),
        ("http://127.0.0.1:9/t", Some("s"), None)
    );
    let shown = with(own).good().shown;
    let auth = shown.iter().find(|shown| shown.key == "smtp.auth").unwrap();
    assert_eq!(
        (auth.value.as_str(), auth.origin.as_str()),
        ("\"xoauth2\"", "provider \"outlook\"")
    );
}

#[test]
fn client_secret_without_user_selects_client_credentials() {
    let file = |tenant: &str, more: &str| {
        with(&format!(
            "provider = \"office365\"\nauth = \"xoauth2\"\nusername = \"me@corp.example\"\noauth_client_id = \"c\"\noauth_client_secret = \"s\"\n\
             oauth_scope = \"https://outlook.office365.com/.default\"\noauth_token_url = \"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token\"\n{more}"
        ))
    };
    assert_eq!(
        token(&file("corp.example", "")).grant,
        Grant::ClientCredentials
    );
    assert_eq!(
        token(&file("corp.example", "oauth_refresh_token = \"r\"\n")).grant,
        Grant::RefreshToken
    );
    assert_one(
        &file("common", "").bad(),
        &[
            "config.toml:6:19: smtp.oauth_client_id: ",
            "your own tenant instead of \"common\"",
        ],
    );
}

#[test]
fn missing_keys_of_an_oauth_login_are_named() {
    assert_one(
        &with("provider = \"outlook\"\nusername = \"me@outlook.com\"\n").bad(),
        &[
            "smtp.oauth_client_id: auth = \"xoauth2\" needs",
            "jobbell providers",
        ],
    );
    let custom = |rest: &str| {
        with(&format!(
            "host = \"h.example\"\nfrom = \"me@x.org\"\nauth = \"xoauth2\"\n{rest}"
        ))
    };
    assert_one(
        &custom("username = \"me\"\noauth_client_id = \"c\"\n").bad(),
        &["config.toml:5:8: smtp.oauth_token_url: "],
    );
    assert_one(
        &custom("oauth_client_id = \"c\"\noauth_token_url = \"https://t.example/\"\n").bad(),
        &["smtp.username: "],
    );
    let clear = custom(
        "username = \"me\"\noauth_client_id = \"c\"\noauth_token_url = \"http://t.example/\"\n",
    )
    .bad();
    assert_one(
        &clear,
        &["smtp.oauth_token_url: invalid value \"http://t.example/\" (must begin with https://"],
    );
}

#[test]
fn keys_unused_by_the_login_are_named() {
    let told = |rest: &str| notes(&with(rest).good());
    let outlook = "provider = \"outlook\"\nusername = \"me@outlook.com\"\n";
    assert_in(
        &told(&format!("{outlook}auth = \"password\"\npassword = \"p\"\n")),
        &["Warning config.toml:5:8: smtp.auth: outlook refuses passwords"],
    );
    assert_in(
        &told(&format!(
            "{outlook}oauth_client_id = \"c\"\npassword = \"p\"\n"
        )),
        &["smtp.password: has no effect with auth = \"xoauth2\""],
    );
    let plain = "host = \"h.example\"\nfrom = \"me@x.org\"\n";
    assert_in(
        &told(&format!("{plain}oauth_scope = \"s\"\n")),
        &["smtp.oauth_scope: has no effect without smtp.auth"],
    );
    assert_in(
        &told(&format!("{plain}region = \"cn-hangzhou\"\n")),
        &["smtp.region: has no effect without smtp.provider = \"directmail\""],
    );
    assert_in(
        &told(
            "provider = \"qq\"\nusername = \"me@qq.com\"\nauth = \"xoauth2\"\noauth_client_id = \"c\"\noauth_token_url = \"https://t.example/\"\n",
        ),
        &["smtp.auth: qq is not known to accept OAuth2"],
    );
}

#[test]
fn oauth_secrets_come_from_files_and_are_never_shown() {
    let file = "provider = \"gmail\"\nauth = \"xoauth2\"\nusername = \"me@gmail.com\"\noauth_client_id = \"c\"\noauth_client_secret_file = \"secret\"\n";
    let scene = with(&format!("{file}oauth_refresh_token = \"canary-refresh\"\n"));
    std::fs::write(scene.path().join("secret"), "canary-secret\n").unwrap();
    let source = token(&scene);
    assert_eq!(source.client_secret.unwrap().expose(), "canary-secret");
    let loaded = scene.good();
    let told = format!("{:?} {:?} {:?}", loaded.config, loaded.shown, loaded.notes);
    assert!(!told.contains("canary"), "{told}");
    assert!(
        loaded
            .shown
            .iter()
            .any(|shown| shown.key == "smtp.oauth_refresh_token" && shown.value == "***")
    );
    let both = with(&format!("{file}oauth_client_secret = \"x\"\n"));
    std::fs::write(both.path().join("secret"), "y").unwrap();
    assert_in(
        &both.bad(),
        &[
            "oauth_client_secret",
            "oauth_client_secret_file",
            "exclude each other",
        ],
    );
    let systemd =
        with("provider = \"outlook\"\nusername = \"me@outlook.com\"\noauth_client_id = \"c\"\n");
    std::fs::write(
        systemd.path().join("smtp-oauth-refresh-token"),
        "canary-credential\n",
    )
    .unwrap();
    let directory = systemd.path().display().to_string();
    assert_eq!(
        token(&systemd.var("CREDENTIALS_DIRECTORY", &directory))
            .refresh_token
            .unwrap()
            .expose(),
        "canary-credential"
    );
}

#[test]
fn aliyun_access_key_selects_the_http_api() {
    let aliyun = || {
        Scene::empty()
            .var("EMAIL_PROVIDER", "aliyun")
            .var("EMAILS_FROM_EMAIL", "a@x.org")
            .var("SMTP_TO", "b@x.org")
    };
    let with_keys = || {
        aliyun()
            .var("ALIYUN_ACCESS_KEY_ID", "canary-id")
            .var("ALIYUN_ACCESS_KEY_SECRET", "canary-secret")
    };
    let config = with_keys().good().config;
    let (settings, common) = (directmail(&config.smtp[0]), common(&config, 0));
    assert_eq!(
        (
            settings.access_key_id.as_str(),
            settings.access_key_secret.expose()
        ),
        ("canary-id", "canary-secret")
    );
    assert_eq!(
        (
            settings.region.as_str(),
            settings.endpoint.as_deref(),
            common.from.address.as_str(),
            &*common.name
        ),
        ("cn-hangzhou", None, "a@x.org", "directmail")
    );
    assert!(
        with_keys()
            .good()
            .notes
            .iter()
            .all(|note| note.level != Level::Warning)
    );
    let loaded = with_keys()
        .var("SMTP_API", "false")
        .var("SMTP_USERNAME", "a@x.org")
        .var("SMTP_PASSWORD", "p")
        .good();
    assert_eq!(smtp(&loaded.config, 0).host, "smtpdm.aliyun.com");
    assert_eq!(
        smtp(
            &aliyun()
                .var("SMTP_USERNAME", "a@x.org")
                .var("SMTP_PASSWORD", "p")
                .good()
                .config,
            0
        )
        .host,
        "smtp.aliyun.com"
    );
    with_keys().var("SMTP_ENABLE", "0").good();
    for (given, missing) in [
        ("ALIYUN_ACCESS_KEY_ID", "ALIYUN_ACCESS_KEY_SECRET"),
        ("ALIYUN_ACCESS_KEY_SECRET", "ALIYUN_ACCESS_KEY_ID"),
    ] {
        assert_in(
            &aliyun().var(given, "canary").bad(),
            &["smtp.access_key_", missing],
        );
    }
    let plain = Scene::empty()
        .var("EMAIL_PROVIDER", "smtp")
        .var("SMTP_HOST", "h.example")
        .var("SMTP_FROM", "a@x.org")
        .good();
    assert_eq!(smtp(&plain.config, 0).host, "h.example");
}

#[test]
fn directmail_api_can_be_a_backup() {
    let file = format!(
        "{SMALL}[[smtp.backup]]\nprovider = \"directmail\"\napi = true\nfrom = \"推送 <n@push.example>\"\naccess_key_id = \"k\"\naccess_key_secret = \"s\"\n\
         region = \"ap-southeast-1\"\nendpoint = \"http://127.0.0.1:1\"\nrate_limit = \"9/s\"\nrest = \"5s\"\n"
    );
    let config = Scene::file(&file).good().config;
    let (settings, common) = (directmail(&config.smtp[1]), common(&config, 1));
    assert_eq!(
        (
            settings.region.as_str(),
            settings.endpoint.as_deref(),
            common.from.name.as_deref()
        ),
        ("ap-southeast-1", Some("http://127.0.0.1:1"), Some("推送"))
    );
    assert_eq!(
        (
            common.cooldown.as_secs(),
            common.rate_limit.unwrap().mails,
            common.max_connections
        ),
        (5, 9, 4)
    );
    assert_eq!(&*common.name, "directmail");
}

#[test]
fn missing_keys_of_the_http_api_are_named() {
    let push = |rest: &str| {
        with(&format!(
            "provider = \"directmail\"\nfrom = \"n@x.org\"\napi = true\n{rest}"
        ))
    };
    let lacking = push("").bad();
    assert_in(
        &lacking,
        &[
            "config.toml:5:7: smtp.access_key_id: ",
            "ALIYUN_ACCESS_KEY_ID",
        ],
    );
    assert_in(&lacking, &["smtp.access_key_secret: "]);
    let keys = "access_key_id = \"k\"\naccess_key_secret = \"s\"\n";
    assert_one(
        &push(&format!("{keys}region = \"Hang Zhou\"\n")).bad(),
        &["smtp.region: invalid value \"Hang Zhou\""],
    );
    assert_one(
        &push(&format!("{keys}endpoint = \"http://dm.example\"\n")).bad(),
        &["smtp.endpoint: ", "https"],
    );
    assert_one(
        &with("provider = \"qq\"\nusername = \"me@qq.com\"\npassword = \"p\"\napi = true\n").bad(),
        &["smtp.api: only smtp.provider = \"directmail\""],
    );
    assert_in(
        &notes(&push(&format!("{keys}password = \"p\"\n")).good()),
        &["smtp.password: has no effect with smtp.api = true"],
    );
}
