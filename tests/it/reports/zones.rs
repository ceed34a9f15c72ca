//! `email.timezone` as people write it ("Asia/Beijing" is not an IANA name, see the tz FAQ), and
//! the system's zone as default.

use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

#[tokio::test]
async fn misspelled_time_zone_gets_the_right_suggestion() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    for (written, expected) in [
        ("Asia/Beijing", "did you mean \"Asia/Shanghai\"?"),
        ("UTC+8", "did you mean \"Etc/GMT-8\"?"),
        ("GMT+8", "did you mean \"Etc/GMT-8\"?"),
        ("CST", "China (\"Asia/Shanghai\")"),
        ("Asia/Shangai", "did you mean \"Asia/Shanghai\"?"),
    ] {
        let finished = config.text("email.timezone", written).run(&["check"]).await;
        assert!(
            finished.code == Some(78) && finished.err.contains(expected),
            "{written}: {finished:#?}"
        );
    }
    for far in ["Mars/Olympus", "nonsense"] {
        let finished = config.text("email.timezone", far).run(&["check"]).await;
        assert!(
            finished.code == Some(78) && !finished.err.contains("did you mean"),
            "{far}: {finished:#?}"
        );
    }
}

#[tokio::test]
async fn system_time_zone_is_the_default() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    std::fs::write(
        config.path().join("e.json"),
        r#"{"status":"succeeded","locale":"en","started_at":"2026-01-01T00:00:00Z","finished_at":"2026-01-01T00:00:09Z"}"#,
    )
    .unwrap();
    for (zone, hour) in [
        ("Asia/Tokyo", "09:00:00"),
        ("America/New_York", "19:00:00"),
        ("UTC", "00:00:00"),
    ] {
        let shown = config
            .env("TZ", zone)
            .run(&["preview", "--file", "e.json"])
            .await;
        assert!(shown.out.contains(hour), "{zone}: {}", shown.out);
        let settings = config.run(&["check", "--show", "--json"]).await.json();
        let key = settings["settings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["key"] == "email.timezone")
            .unwrap()
            .clone();
        assert_eq!(
            (&key["value"], &key["origin"]),
            (&zone.into(), &"$TZ".into())
        );
    }
    let shown = config
        .text("email.timezone", "Asia/Shanghai")
        .run(&["preview", "--file", "e.json"])
        .await;
    assert!(shown.out.contains("08:00:00"), "{}", shown.out);
}
