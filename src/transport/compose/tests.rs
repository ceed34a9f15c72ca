use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use proptest::prelude::*;

use super::*;
use crate::domain::{DeliveryId, Timestamp};

fn email() -> Email {
    Email {
        delivery: DeliveryId("0190a0b0-c0d0-7e0f-8102-030405060708".parse().unwrap()),
        message_id: "0190a0b0c0d07e0f8102030405060708@example.com".to_owned(),
        date: Timestamp::from_millis(1_767_225_609_000),
        from: Mailbox::parse("绘影 <notify@example.com>").unwrap(),
        reply_to: Vec::new(),
        to: Recipient::parse("reader@example.org").unwrap(),
        subject: "图片已生成 · 1024×1024".to_owned(),
        text: "好了。\nhttps://img.example.com/a?b=c\n".to_owned(),
        html: "<p>好了。</p>\n".to_owned(),
        inline: Vec::new(),
        headers: vec![
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("X-Jobbell-Event", "gen-1".to_owned()),
        ],
    }
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn wire_of(email: &Email) -> Vec<u8> {
    let from = mailbox("notify@example.com");
    compose(
        email,
        SenderIdentity {
            from: &from,
            reply_to: &[],
        },
    )
    .unwrap()
    .payload
}

fn text_of(email: &Email) -> String {
    String::from_utf8(wire_of(email)).unwrap()
}

/// The header lines, unfolded.
fn header_lines(email: &Email) -> Vec<String> {
    let text = text_of(email);
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    head.replace("\r\n ", " ")
        .split("\r\n")
        .map(str::to_owned)
        .collect()
}

/// Asserts what holds for every payload.
fn assert_valid_payload(payload: &[u8]) {
    assert!(payload.ends_with(b"\r\n.\r\n"));
    let mut previous = 0;
    for byte in payload {
        assert!((previous == b'\r') == (*byte == b'\n'), "a CR or LF alone");
        assert!(*byte < 0x80 && *byte != 0, "octet {byte}");
        previous = *byte;
    }
    let lines: Vec<&[u8]> = payload
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
        .collect();
    assert!(lines.iter().all(|line| line.len() <= 998));
    assert_eq!(
        lines.iter().filter(|line| **line == b".").count(),
        1,
        "exactly one final dot"
    );
}

fn unstuffed(payload: &[u8]) -> Vec<u8> {
    let body = payload.strip_suffix(b".\r\n").unwrap();
    body.split_inclusive(|byte| *byte == b'\n')
        .flat_map(|line| line.strip_prefix(b".").unwrap_or(line))
        .copied()
        .collect()
}

#[test]
fn names_and_subjects_outside_ascii_are_base64() {
    let lines = header_lines(&email());
    assert_eq!(lines[0], "Date: Thu, 01 Jan 2026 00:00:09 +0000");
    assert_eq!(lines[1], "From: =?UTF-8?B?57uY5b2x?= <notify@example.com>");
    assert_eq!(lines[2], "To: reader@example.org");
    assert_eq!(
        lines[3],
        "Message-ID: <0190a0b0c0d07e0f8102030405060708@example.com>"
    );
    assert_eq!(
        lines[4],
        "Subject: =?UTF-8?B?5Zu+54mH5bey55Sf5oiQIMK3IDEwMjTDlzEwMjQ=?="
    );
    assert_eq!(
        &lines[5..8],
        [
            "Auto-Submitted: auto-generated",
            "X-Jobbell-Event: gen-1",
            "MIME-Version: 1.0"
        ]
    );
    assert!(
        lines[8].starts_with("Content-Type: multipart/alternative;"),
        "{}",
        lines[8]
    );
    assert_eq!(lines.len(), 9);
}

#[test]
fn long_subjects_become_encoded_words_of_whole_characters() {
    let mail = Email {
        subject: "🥳绘影éa".repeat(30),
        ..email()
    };
    let text = text_of(&mail);
    let subject: Vec<&str> = text
        .split("\r\n")
        .skip_while(|line| !line.starts_with("Subject:"))
        .take_while(|line| !line.starts_with("Auto"))
        .collect();
    assert!(subject.len() > 5);
    assert!(
        subject
            .iter()
            .all(|line| line.len() <= 76 && line.matches("=?UTF-8?B?").count() == 1)
    );
    for line in &subject {
        let word = line
            .trim_start_matches("Subject:")
            .trim()
            .strip_prefix("=?UTF-8?B?")
            .unwrap()
            .strip_suffix("?=")
            .unwrap();
        assert!(word.len() + 12 <= 75);
        let bytes =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, word).unwrap();
        assert!(
            String::from_utf8(bytes).is_ok(),
            "each word can be read by itself"
        );
    }
    assert_eq!(
        MessageParser::default()
            .parse(&wire_of(&mail))
            .unwrap()
            .subject(),
        Some(mail.subject.as_str())
    );
}

#[test]
fn plain_subjects_are_folded_at_spaces() {
    let mail = Email {
        subject: "word ".repeat(40),
        ..email()
    };
    let text = text_of(&mail);
    assert!(text.contains("Subject: word word"));
    assert!(text.split("\r\n").all(|line| line.len() <= 78));
    assert!(header_lines(&mail)[4].ends_with("word"));
}

#[test]
fn subjects_that_only_look_plain_are_encoded() {
    for subject in ["=?UTF-8?B?Z290Y2hh?=", &"x".repeat(2_000), "two  blanks"] {
        let mail = Email {
            subject: subject.to_owned(),
            ..email()
        };
        assert_valid_payload(&wire_of(&mail));
        assert!(
            header_lines(&mail)[4].starts_with("Subject: =?UTF-8?B?"),
            "{subject}"
        );
        assert_eq!(
            MessageParser::default()
                .parse(&wire_of(&mail))
                .unwrap()
                .subject(),
            Some(subject)
        );
    }
}

#[test]
fn names_with_specials_are_quoted_and_long_ones_folded() {
    let line = |name: &str| {
        let from = mailbox("notify@example.com").with_name(Some(name)).unwrap();
        header_lines(&Email { from, ..email() })[1].clone()
    };
    assert_eq!(line("Bob Smith"), "From: Bob Smith <notify@example.com>");
    assert_eq!(
        line("Smith, J. \"Bob\""),
        "From: \"Smith, J. \\\"Bob\\\"\" <notify@example.com>"
    );
    assert_eq!(
        line("=?x?"),
        "From: =?UTF-8?B?PT94Pw==?= <notify@example.com>"
    );
    let long = "绘影".repeat(100);
    let mail = Email {
        from: mailbox("notify@example.com")
            .with_name(Some(&long))
            .unwrap(),
        ..email()
    };
    assert!(text_of(&mail).split("\r\n").all(|line| line.len() <= 76));
    let wire = wire_of(&mail);
    let parsed = MessageParser::default().parse(&wire).unwrap();
    assert_eq!(
        parsed.from().unwrap().first().unwrap().name(),
        Some(long.as_str())
    );
}

#[test]
fn sender_of_the_server_replaces_that_of_the_mail() {
    let mail = Email {
        reply_to: vec![mailbox("desk@example.com")],
        ..email()
    };
    let (from, reply_to) = (mailbox("other@qq.com"), mailbox("Help <help@qq.com>"));
    let own = compose(
        &mail,
        SenderIdentity {
            from: &from,
            reply_to: std::slice::from_ref(&reply_to),
        },
    )
    .unwrap();
    assert_eq!(own.sender.as_str(), "other@qq.com");
    let text = String::from_utf8(own.payload.clone()).unwrap();
    assert!(
        text.contains(
            "From: =?UTF-8?B?57uY5b2x?= <other@qq.com>\r\nReply-To: Help <help@qq.com>\r\n"
        ),
        "the name stays, the address is the server's"
    );
    let named = mailbox("Other <other@qq.com>");
    let text = String::from_utf8(
        compose(
            &mail,
            SenderIdentity {
                from: &named,
                reply_to: &[],
            },
        )
        .unwrap()
        .payload,
    )
    .unwrap();
    assert!(text.contains("From: Other <other@qq.com>\r\nReply-To: desk@example.com\r\n"));
}

#[test]
fn same_mail_has_the_same_bytes() {
    let mail = Email {
        inline: vec![image_part()],
        ..email()
    };
    assert_eq!(wire_of(&mail), wire_of(&mail.clone()));
    let other = Email {
        delivery: DeliveryId("0190a0b0-c0d0-7e0f-8102-030405060709".parse().unwrap()),
        ..mail.clone()
    };
    assert_ne!(
        wire_of(&mail),
        wire_of(&other),
        "boundaries follow the delivery"
    );
}

fn image_part() -> InlinePart {
    InlinePart {
        content_id: "img0.1@example.com".to_owned(),
        file_name: "猫\".jpg".to_owned(),
        media_type: "image/jpeg",
        bytes: (0..=255).collect(),
    }
}

#[test]
fn text_comes_before_html_and_images_follow_the_html() {
    let wire = wire_of(&Email {
        inline: vec![image_part()],
        html: "<img src=\"cid:img0.1@example.com\">".to_owned(),
        ..email()
    });
    let parsed = MessageParser::default().parse(&wire).unwrap();
    let kinds: Vec<String> = parsed
        .parts
        .iter()
        .map(|part| {
            part.content_type()
                .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap()))
                .unwrap()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "multipart/alternative",
            "text/plain",
            "multipart/related",
            "text/html",
            "image/jpeg"
        ]
    );
    let picture = &parsed.parts[4];
    assert_eq!(picture.content_id(), Some("img0.1@example.com"));
    assert_eq!(picture.attachment_name(), Some("__.jpg"));
    assert!(
        matches!(&picture.body, PartType::InlineBinary(bytes) | PartType::Binary(bytes) if bytes.as_ref() == (0..=255).collect::<Vec<u8>>())
    );
    assert!(String::from_utf8_lossy(&wire).contains("type=\"text/html\""));
}

#[test]
fn shorter_transfer_encoding_is_chosen() {
    let encodings = |text: &str| {
        let wire = text_of(&Email {
            text: text.to_owned(),
            ..email()
        });
        let after = wire
            .split("Content-Transfer-Encoding: ")
            .nth(1)
            .unwrap()
            .to_owned();
        after.split("\r\n").next().unwrap().to_owned()
    };
    assert_eq!(encodings("一只可爱的小猫"), "base64");
    assert_eq!(
        encodings("a little café, and a long line of plain words after it"),
        "quoted-printable"
    );
    assert_eq!(encodings("short\nand plain"), "7bit");
    assert_eq!(encodings(&"long ".repeat(30)), "quoted-printable");
    assert_eq!(encodings("bell \u{7}"), "quoted-printable");
    assert_eq!(encodings("blank at the end \nx"), "quoted-printable");
    assert_eq!(encodings("From here"), "quoted-printable");
    assert_eq!(
        encodings("--=_alt_0190a0b0c0d07e0f8102030405060708"),
        "quoted-printable"
    );
}

#[test]
fn dots_are_stuffed_and_unstuffed() {
    for text in [".", "..", ".a\n.\n..b\n", "a\n.\nb", "\n.\n.\n"] {
        let mail = Email {
            text: text.to_owned(),
            html: ".\r\n.\r\n".to_owned(),
            ..email()
        };
        let wire = wire_of(&mail);
        assert_valid_payload(&wire);
        assert_eq!(
            unstuffed(&wire),
            message(
                &mail,
                SenderIdentity {
                    from: &mailbox("notify@example.com"),
                    reply_to: &[]
                }
            )
            .unwrap()
        );
        let wire = unstuffed(&wire);
        let parsed = MessageParser::default().parse(&wire).unwrap();
        assert_eq!(parsed.body_text(0).unwrap(), text.replace('\n', "\r\n"));
    }
}

#[test]
fn size_excludes_stuffed_dots() {
    let mail = Email {
        text: ".\n".repeat(10),
        ..email()
    };
    let from = mailbox("notify@example.com");
    let identity = SenderIdentity {
        from: &from,
        reply_to: &[],
    };
    let wire = compose(&mail, identity).unwrap();
    assert_eq!(wire.size, message(&mail, identity).unwrap().len());
    assert_eq!(wire.payload.len(), wire.size + 10 + 3);
}

#[test]
fn only_addresses_outside_ascii_need_smtputf8() {
    let from = mailbox("notify@example.com");
    let needs = |mail: &Email| {
        compose(
            mail,
            SenderIdentity {
                from: &from,
                reply_to: &[],
            },
        )
        .unwrap()
        .needs_smtputf8
    };
    assert!(!needs(&email()));
    assert!(!needs(&Email {
        to: Recipient::parse("reader@邮件.中国").unwrap(),
        ..email()
    }));
    assert!(needs(&Email {
        to: Recipient::parse("读者@example.org").unwrap(),
        ..email()
    }));
}

/// Arbitrary text with many special sequences.
fn hostile() -> impl Strategy<Value = String> {
    let bits = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\r\nBcc: victim@example.net\r\n".to_owned()),
        Just("\r\n\r\n<script>".to_owned()),
        Just("\r\n.\r\n".to_owned()),
        Just("\n.\n".to_owned()),
        Just("\r".to_owned()),
        Just("\0".to_owned()),
        Just("=?UTF-8?Q?=0D=0ABcc:_x?=".to_owned()),
        Just("--=_alt_0190a0b0c0d07e0f8102030405060708--\r\n".to_owned()),
        Just("\u{85}\u{2028}\u{202e}\u{b}".to_owned()),
        Just(" ".repeat(80)),
        Just("长".repeat(90)),
        Just("x".repeat(1_200)),
        Just("From me\nto \"you\" <a@b.c>, ;\\".to_owned()),
        any::<String>(),
    ];
    proptest::collection::vec(bits, 0..6).prop_map(|bits| bits.concat())
}

prop_compose! {
    fn hostile_email()(values in proptest::collection::vec(hostile(), 9)) -> Email {
        Email {
            message_id: values[0].clone(),
            from: Mailbox { name: Some(values[1].clone()), address: Recipient::parse("notify@example.com").unwrap() },
            reply_to: vec![Mailbox { name: Some(values[2].clone()), address: Recipient::parse("desk@example.com").unwrap() }],
            subject: values[3].clone(),
            text: values[4].clone(),
            html: format!("<p>{}", values[5]),
            inline: vec![InlinePart { content_id: values[6].clone(), file_name: values[7].clone(), ..image_part() }],
            headers: vec![("X-Jobbell-Event", values[8].clone())],
            ..email()
        }
    }
}

#[test]
fn mail_without_html_is_one_text_part() {
    let wire = unstuffed(&wire_of(&Email {
        html: String::new(),
        ..email()
    }));
    let parsed = MessageParser::default().parse(&wire).unwrap();
    assert_eq!(
        (parsed.parts.len(), parsed.content_type().unwrap().subtype()),
        (1, Some("plain"))
    );
    assert_eq!(
        parsed.body_text(0).unwrap(),
        "好了。\r\nhttps://img.example.com/a?b=c\r\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_value_injects_a_header_or_ends_the_message(mail in hostile_email()) {
        let wire = wire_of(&mail);
        assert_valid_payload(&wire);
        let names: Vec<String> = header_lines(&mail).iter().map(|line| line.split(':').next().unwrap().to_owned()).collect();
        prop_assert_eq!(names, ["Date", "From", "Reply-To", "To", "Message-ID", "Subject", "X-Jobbell-Event", "MIME-Version", "Content-Type"]);
    }

    #[test]
    fn parsed_mail_equals_the_composed_one(text in hostile(), html in hostile(), subject in "[^\\p{C}]{0,200}") {
        let mail = Email { subject, text, html: format!("<p>{html}"), ..email() };
        let wire = unstuffed(&wire_of(&mail));
        let parsed = MessageParser::default().parse(&wire).unwrap();
        let lines = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
        prop_assert_eq!(parsed.body_text(0).unwrap_or_default(), lines(&mail.text));
        let PartType::Html(read) = &parsed.parts[2].body else { panic!("the second part is HTML") };
        prop_assert_eq!(read.as_ref(), lines(&mail.html));
        prop_assert_eq!(parsed.subject().unwrap_or_default().trim_matches(' '), mail.subject.trim_matches(' '));
    }
}
