//! Foreign variables with our prefixes: Kubernetes' service links (kubernetes.io, "Accessing the
//! Service", `enableServiceLinks`), Docker's links, and variables that images set about themselves.

use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

const FOREIGN: [(&str, &str); 12] = [
    ("JOBBELL_PORT", "tcp://10.0.0.9:8000"),
    ("JOBBELL_SERVICE_HOST", "10.0.0.9"),
    ("JOBBELL_SERVICE_PORT", "8000"),
    ("JOBBELL_SERVICE_PORT_HTTP", "8000"),
    ("JOBBELL_PORT_8000_TCP", "tcp://10.0.0.9:8000"),
    ("JOBBELL_PORT_8000_TCP_ADDR", "10.0.0.9"),
    ("JOBBELL_SMTP_SERVICE_HOST", "10.0.0.8"),
    ("JOBBELL_SMTP_PORT", "tcp://10.0.0.8:25"),
    ("JOBBELL_VERSION", "1"),
    ("JOBBELL_GIT_SHA", "d4d2a5c"),
    ("SMTP_PORT", "tcp://10.0.0.7:25"),
    ("SMTP_SERVICE_HOST", "10.0.0.7"),
];

#[tokio::test]
async fn unknown_environment_variables_are_reported_and_ignored() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    for (name, value) in FOREIGN {
        config.env(name, value);
    }
    let finished = config.run(&["check"]).await;
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    for (name, _) in FOREIGN {
        assert!(
            finished.err.contains(&format!("warning: ${name}: ")),
            "{name}: {}",
            finished.err
        );
    }
    let daemon = config.start().await;
    assert!(
        daemon.log().contains("JOBBELL_SERVICE_HOST"),
        "{}",
        daemon.log()
    );
    config.env("JOBBELL_SERVER__LISTEN", daemon.address());
    // They do not lose the command's mail, either.
    let finished = config.run(&["run", "--id", "kept", "--", "false"]).await;
    assert_eq!(
        (finished.code, finished.err.as_str()),
        (Some(1), ""),
        "{finished:#?}"
    );
    daemon.reached("kept", "sent").await;
}

#[tokio::test]
async fn misspelled_variables_are_errors() {
    let peer = SmtpPeer::start().await;
    for (name, near) in [
        ("JOBBELL_SERVER_LISTEN", "JOBBELL_SERVER__LISTEN"),
        ("JOBBELL_SERVER__LISTN", "JOBBELL_SERVER__LISTEN"),
        ("JOBBELL_EMAIL__LOCAL", "JOBBELL_EMAIL__LOCALE"),
        ("JOBBELL_SMTP__PASSWRD", "JOBBELL_SMTP__PASSWORD"),
        ("JOBBELL_SMTP_PASSWORD", "JOBBELL_SMTP__PASSWORD"),
        ("JOBBELL_TIMEZONE", "JOBBELL_EMAIL__TIMEZONE"),
        ("JOBBELL_QUEUE__BOGUS", "JOBBELL_QUEUE__"),
    ] {
        let mut config = TestConfig::new(&peer);
        let finished = config.env(name, "x").run(&["check"]).await;
        assert_eq!(finished.code, Some(78), "{name}: {finished:#?}");
        assert!(
            finished
                .err
                .contains(&format!("${name}: unknown variable; did you mean ${near}")),
            "{}",
            finished.err
        );
    }
}

#[tokio::test]
async fn quoted_environment_values_cause_a_warning() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    config
        .env("SMTP_FROM_NAME", "\"Studio\"")
        .env("SMTP_USERNAME", "me@example.com")
        .env("SMTP_PASSWORD", "'s3cret-canary'");
    let finished = config.run(&["check"]).await;
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    for name in ["SMTP_FROM_NAME", "SMTP_PASSWORD"] {
        assert!(
            finished
                .err
                .lines()
                .any(|line| line.contains(&format!("${name}: "))
                    && line.contains("the value includes the quotes")),
            "{}",
            finished.err
        );
    }
    assert!(!finished.all().contains("canary"));
}
