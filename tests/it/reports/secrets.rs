//! Copied secrets: surrounding spaces, no-break spaces (Google's page of app passwords), byte order
//! marks of Windows editors.

use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

/// Asserts that the daemon logs in with `meant`, and returns the warnings of `check`.
async fn logs_in(meant: &str, write: impl FnOnce(&mut TestConfig)) -> String {
    let peer = SmtpPeer::builder()
        .login("me@gmail.com", meant)
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config.text("smtp.username", "me@gmail.com");
    write(&mut config);
    let checked = config.run(&["check"]).await;
    assert_eq!(checked.code, Some(0), "{checked:#?}");
    assert!(!checked.all().contains(meant), "{checked:#?}");
    let tested = config.run(&["test-email", "--to", "a@example.org"]).await;
    assert_eq!(tested.code, Some(0), "{tested:#?}");
    checked.err
}

#[tokio::test]
async fn blanks_and_invisible_characters_are_removed_from_passwords() {
    for written in [
        "s3cret-canary ",
        " s3cret-canary",
        "s3cret-canary\u{A0}",
        "\u{FEFF}s3cret-canary",
        "s3cret-canary\u{200B}",
        "s3cret\u{200B}-canary",
        "s3cret-canary\u{3000}",
    ] {
        let found = logs_in("s3cret-canary", |config| {
            _ = config.env("SMTP_PASSWORD", written);
        })
        .await;
        assert!(
            found.contains("smtp.password: spaces or invisible characters (U+"),
            "{written:?}: {found}"
        );
    }
    let found = logs_in("s3cret-canary", |config| {
        std::fs::write(config.path().join("password"), "\u{FEFF}s3cret-canary \r\n").unwrap();
        config.text("smtp.password_file", "password");
    });
    assert!(found.await.contains("U+0020"));
    // A byte order mark and the final line break belong to the file.
    let found = logs_in("s3cret-canary", |config| {
        let wide: Vec<u8> = [0xFF, 0xFE]
            .into_iter()
            .chain(
                "s3cret-canary\r\n"
                    .encode_utf16()
                    .flat_map(u16::to_le_bytes),
            )
            .collect();
        std::fs::write(config.path().join("password"), wide).unwrap();
        config.text("smtp.password_file", "password");
    });
    assert!(!found.await.contains("invisible"));
}

#[tokio::test]
async fn grouped_app_password_is_joined() {
    for written in [
        "qkzm vtbw plxr ahdj",
        "qkzm\u{A0}vtbw\u{A0}plxr\u{A0}ahdj",
        " qkzm vtbw plxr ahdj ",
        "qkzm\u{2009}vtbw\u{2009}plxr\u{2009}ahdj\u{FEFF}",
    ] {
        let found = logs_in("qkzmvtbwplxrahdj", |config| {
            _ = config.env("SMTP_PASSWORD", written);
        })
        .await;
        assert!(!found.contains("invisible"), "{found}");
    }
    // A pass phrase keeps its spaces.
    logs_in("two words, three", |config| {
        _ = config.env("SMTP_PASSWORD", "two words, three");
    })
    .await;
}

#[tokio::test]
async fn byte_order_mark_is_skipped_in_every_file() {
    let peer = SmtpPeer::start().await;
    let mut config = TestConfig::new(&peer);
    let text = std::fs::read_to_string(config.file()).unwrap();
    config.write(&format!("\u{FEFF}{text}"));
    assert_eq!(config.run(&["check"]).await.code, Some(0));
    std::fs::write(
        config.path().join("tokens"),
        "\u{FEFF}a-token-of-thirty-two-characters\n",
    )
    .unwrap();
    config.env("JOBBELL_SERVER__TOKENS_FILE", "tokens");
    let daemon = config.start().await;
    config.env("JOBBELL_SERVER__LISTEN", daemon.address());
    std::fs::write(
        config.path().join("one.json"),
        "\u{FEFF}{\"status\":\"succeeded\",\"id\":\"one\",\"to\":\"a@example.org\"}",
    )
    .unwrap();
    std::fs::write(config.path().join("two.ndjson"), "\u{FEFF}{\"status\":\"succeeded\",\"id\":\"two\"}\n{\"status\":\"failed\",\"id\":\"three\"}\n").unwrap();
    for file in ["one.json", "two.ndjson"] {
        let posted = config.run(&["event", "--file", file]).await;
        assert_eq!(posted.code, Some(0), "{posted:#?}");
    }
    let shown = config.run(&["preview", "--file", "one.json"]).await;
    assert_eq!(shown.code, Some(0), "{shown:#?}");
    std::fs::write(config.path().join("body.html"), "\u{FEFF}<p>Hello</p>").unwrap();
    for body in [&["--html", "body.html"][..], &["--text", "-"]] {
        let sent = config
            .run_with(
                &[&["send", "--to", "bom@example.org", "--subject", "s"], body].concat(),
                "\u{FEFF}Hello",
            )
            .await;
        assert_eq!(sent.code, Some(0), "{sent:#?}");
    }
    peer.until("both mails", |seen| {
        seen.mails
            .iter()
            .filter(|mail| mail.to == ["bom@example.org"])
            .count()
            == 2
    })
    .await;
    assert!(
        peer.mails()
            .iter()
            .all(|mail| !String::from_utf8_lossy(&mail.data).contains("=EF=BB=BF"))
    );
    let folder = config.path().join("own/success");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("subject.txt"), "\u{FEFF}Done").unwrap();
    let preview = config
        .run(&["templates", "preview", "success", "--dir", "own"])
        .await;
    assert!(preview.out.starts_with("Done\n"), "{preview:#?}");
}
