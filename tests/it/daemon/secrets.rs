//! A password never appears anywhere in the program's output.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::daemon::success;
use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_config::{PATIENCE, TestConfig};

const CANARY: &str = "tweet-canary-tweet";
const TOKEN: &str = "token-canary-0123456789";
const USER: &str = "me@example.com";

/// Every encoding in which the canary could appear.
fn forms() -> Vec<String> {
    let plain = STANDARD.encode(format!("\0{USER}\0{CANARY}"));
    vec![
        CANARY.to_owned(),
        STANDARD.encode(CANARY),
        plain,
        TOKEN.to_owned(),
    ]
}

fn assert_clean(place: &str, text: &str) {
    for form in forms() {
        assert!(
            !text.contains(&form),
            "the password appears in {place}: {text}"
        );
    }
}

/// Runs the daemon with this password against a server that refuses it and repeats it in the reply;
/// returns all output.
async fn assert_password_hidden(set_password: impl FnOnce(&mut TestConfig)) {
    let peer = SmtpPeer::builder()
        .login(USER, "another password")
        .always(
            At::Auth,
            Act::reply(&format!("535 5.7.8 wrong: {}", forms()[..3].join(" "))),
        )
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config
        .text("smtp.username", USER)
        .text("log.level", "trace")
        .set("server.tokens", &format!("[{TOKEN:?}]"));
    set_password(&mut config);
    let mut daemon = config.start().await;
    let response = daemon
        .post("/v1/events")
        .bearer_auth(TOKEN)
        .json(&success("a@example.org"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    daemon.says("not sent, will try again").await;
    assert!(peer.seen().count("AUTH") > 0, "the daemon tries to log in");
    let wrong = daemon
        .post("/v1/events")
        .bearer_auth(format!("{TOKEN}x"))
        .json(&success("a@example.org"))
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), 401);
    assert_clean("a refusal", &wrong.text().await.unwrap());
    let read = async |path: &str| {
        daemon
            .get(path)
            .bearer_auth(TOKEN)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    };
    let begun = std::time::Instant::now();
    while !read("/v1/deliveries").await.contains("wrong:") {
        assert!(
            begun.elapsed() < PATIENCE,
            "the refusal is recorded: {}",
            daemon.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for path in ["/metrics", "/v1/deliveries", "/openapi.json", "/health"] {
        assert_clean(path, &read(path).await);
    }
    daemon.signal("HUP").await;
    daemon.says("configuration reloaded").await;
    daemon.stop().await;
    assert!(
        daemon.log().contains("\"DEBUG\""),
        "the log contains details: {}",
        daemon.log()
    );
    assert_clean("the log", &daemon.log());
    assert_clean("standard output", &daemon.out());
    for arguments in [
        &["check", "--show"][..],
        &["check", "--show", "--json"],
        &["queue", "list", "--json"],
        &["queue", "stats"],
    ] {
        let finished = config.run(arguments).await;
        assert_eq!(finished.code, Some(0), "{finished:#?}");
        assert!(
            arguments[0] != "check" || finished.out.contains("***"),
            "{}",
            finished.out
        );
        assert_clean(&arguments.join(" "), &finished.all());
    }
    // With another error, the report shows that value but not the password.
    config
        .text("smtp.tls", "maybe")
        .text("server.tokens", TOKEN)
        .set("server.tokns", &format!("{TOKEN:?}"));
    let finished = config.run(&["check", "--show"]).await;
    assert_eq!(finished.code, Some(78));
    assert_clean("a report", &finished.all());
}

#[tokio::test]
async fn password_in_the_configuration_is_never_printed() {
    assert_password_hidden(|config| {
        config.text("smtp.password", CANARY);
    })
    .await;
}

#[tokio::test]
async fn password_in_the_environment_is_never_printed() {
    assert_password_hidden(|config| {
        config.env("SMTP_PASSWORD", CANARY);
    })
    .await;
}

#[tokio::test]
async fn password_in_a_file_is_never_printed() {
    assert_password_hidden(|config| {
        let path = config.path().join("password");
        std::fs::write(&path, format!("{CANARY}\n")).unwrap();
        config.text("smtp.password_file", &path.display().to_string());
    })
    .await;
}
