use std::time::Duration;

use super::super::*;
use super::{explained, kind, reply, unavailable};
use crate::domain::{FailureKind, Locale, Stage};

#[test]
fn api_codes_match_the_row_with_the_longest_name() {
    let table = Table::new();
    let code = |status, code, message| {
        table.explain_code(Some("aliyun-directmail-api"), status, code, message)
    };
    assert_eq!(
        code(400, "InvalidToAddress.Spam", "")
            .advice
            .unwrap()
            .cause_en,
        "The recipient is on the list of invalid addresses."
    );
    assert_eq!(
        code(400, "InvalidToAddress.Whatever", "")
            .advice
            .unwrap()
            .cause_en,
        "The recipient address is malformed."
    );
    assert_eq!(
        code(400, "Throttling.User", "").kind(Stage::Api),
        unavailable(60)
    );
    assert_eq!(
        code(400, "", "Signature: SIGNATUREDOESNOTMATCH").class,
        Class::ConfigAuth
    );
    assert_eq!(
        code(400, "InvalidSendMail.Spam", "").kind(Stage::Api),
        FailureKind::RejectedHere
    );
    assert_eq!(
        code(400, "InvalidSubject.Malformed", "").kind(Stage::Api),
        FailureKind::Rejected
    );
}

#[test]
fn unknown_api_codes_are_classified_by_http_status() {
    let table = Table::new();
    let kind = |status| {
        table
            .explain_code(None, status, "Strange", "words")
            .kind(Stage::Api)
    };
    assert_eq!(kind(403), FailureKind::Misconfigured);
    assert_eq!(kind(429), unavailable(60));
    assert_eq!(
        kind(503),
        FailureKind::Unavailable {
            retry_after: None,
            server_wide: true
        }
    );
    assert_eq!(
        kind(400),
        FailureKind::Unavailable {
            retry_after: None,
            server_wide: false
        }
    );
    assert_eq!(
        kind(302),
        FailureKind::Unavailable {
            retry_after: None,
            server_wide: false
        }
    );
}

#[test]
fn row_with_the_longer_text_wins() {
    let both = "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or system is busy.";
    let verdict = explained(Some("qq"), Stage::Auth, 535, "", both);
    assert!(
        verdict
            .advice
            .unwrap()
            .advice_en
            .starts_with("Wait 15 minutes, then run `jobbell test-email` once")
    );
    assert_eq!(verdict.pause, Some(Duration::from_mins(15)));
    assert_eq!(verdict.kind(Stage::Auth), FailureKind::Misconfigured);
    // A text is more precise than an enhanced code for logins.
    let tls = explained(
        None,
        Stage::Starttls,
        454,
        "4.7.0",
        "TLS not available due to local problem",
    );
    assert_eq!(
        tls.advice.unwrap().cause_en,
        "The server refuses STARTTLS for now."
    );
}

#[test]
fn texts_are_found_across_lines_and_prefixes() {
    let gmail = "550-5.4.5 Daily user sending limit\n550-5.4.5   exceeded. For more information\n550 5.4.5 go to https://support.google.com";
    for (enhanced, text) in [
        ("", gmail),
        ("5.4.5", gmail),
        ("5.4.5", "DAILY USER SENDING LIMIT\nEXCEEDED."),
    ] {
        let verdict = explained(Some("gmail"), Stage::Dot, 550, enhanced, text);
        assert_eq!(verdict.class, Class::Quota, "{text}");
        assert_eq!(verdict.kind(Stage::Dot), unavailable(3_600));
    }
}

#[test]
fn unmatched_reply_of_a_provider_falls_back_to_any() {
    for provider in [None, Some("qq"), Some("no such provider")] {
        let verdict = explained(
            provider,
            Stage::Rcpt,
            550,
            "5.1.1",
            "Recipient address rejected",
        );
        assert_eq!(
            verdict.advice.unwrap().cause_en,
            "The server says that this mailbox does not exist."
        );
        assert_eq!(verdict.kind(Stage::Rcpt), FailureKind::Rejected);
    }
    // The rows of a provider do not apply to others.
    assert_eq!(
        explained(
            Some("gmail"),
            Stage::Mail,
            550,
            "",
            "User has no permission"
        )
        .advice
        .unwrap()
        .cause_en,
        BARE_MAIL
    );
}

#[test]
fn providers_with_shared_servers_share_rows() {
    assert_eq!(
        explained(
            Some("outlook"),
            Stage::Auth,
            432,
            "4.3.2",
            "Concurrent connections limit exceeded"
        )
        .pause,
        Some(Duration::from_mins(1))
    );
    assert_eq!(
        kind("exmail", Stage::Dot, 550, "", "Sender frequency limited"),
        unavailable(600)
    );
    // The provider's own row comes first.
    assert!(
        explained(Some("outlook"), Stage::Dot, 554, "5.2.252", "SendAsDenied")
            .advice
            .unwrap()
            .cause_en
            .contains("account")
    );
}

const BARE_MAIL: &str = "The server refuses the sender, without saying why.";

#[test]
fn bare_550_or_553_is_classified_by_its_stage() {
    let expected = [
        (
            Stage::Greeting,
            Class::Transient,
            FailureKind::Unavailable {
                retry_after: None,
                server_wide: true,
            },
        ),
        (
            Stage::Ehlo,
            Class::Transient,
            FailureKind::Unavailable {
                retry_after: None,
                server_wide: true,
            },
        ),
        (Stage::Auth, Class::ConfigAuth, FailureKind::Misconfigured),
        (Stage::Mail, Class::ConfigAuth, FailureKind::Misconfigured),
        (
            Stage::Rcpt,
            Class::PermanentRecipient,
            FailureKind::Rejected,
        ),
        (
            Stage::Data,
            Class::PermanentMessage,
            FailureKind::RejectedHere,
        ),
        (
            Stage::Dot,
            Class::PermanentMessage,
            FailureKind::RejectedHere,
        ),
    ];
    for (stage, class, kind) in expected {
        // Texts and enhanced codes without a row are no detail.
        for (code, enhanced, text) in [
            (550, "", ""),
            (553, "", "no"),
            (550, "5.9.9", "Requested action not taken"),
            (553, "4.1.1", "odd"),
        ] {
            let verdict = explained(None, stage, code, enhanced, text);
            assert_eq!(
                (verdict.class, verdict.kind(stage)),
                (class, kind),
                "{stage} {code} {enhanced}"
            );
        }
    }
}

#[test]
fn refusal_of_size_or_smtputf8_at_mail_concerns_the_mail() {
    for (code, enhanced) in [(550, "5.6.7"), (553, "5.6.7")] {
        assert_eq!(
            explained(None, Stage::Mail, code, enhanced, "").kind(Stage::Mail),
            FailureKind::RejectedHere,
            "{code} {enhanced}"
        );
    }
    let sizes = [
        (552, "", ""),
        (552, "5.3.4", "Message size exceeds fixed limit"),
        (550, "5.3.4", ""),
        (550, "5.2.3", ""),
        (552, "", "Message size exceeds maximum permitted"),
        (552, "5.2.3", "Message exceeds maximum fixed message size"),
        (554, "", "Message too large"),
        (550, "5.7.1", "message too big for this domain"),
    ];
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Dot] {
        for (code, enhanced, text) in sizes {
            assert_eq!(
                explained(None, stage, code, enhanced, text).kind(stage),
                FailureKind::TooLarge,
                "{stage} {code} {enhanced} {text}"
            );
        }
    }
    // No recipient has been named yet.
    assert_eq!(
        explained(None, Stage::Mail, 550, "5.1.1", "unknown").kind(Stage::Mail),
        FailureKind::Misconfigured
    );
}

#[test]
fn enhanced_code_of_another_class_is_ignored() {
    assert_eq!(
        explained(None, Stage::Rcpt, 452, "5.2.2", "full").class,
        Class::Transient
    );
    assert_eq!(
        explained(None, Stage::Rcpt, 552, "5.2.2", "full").class,
        Class::PermanentRecipient
    );
}

#[test]
fn unknown_codes_are_classified_by_first_digit_and_stage() {
    assert_eq!(
        explained(None, Stage::Rcpt, 471, "", "later").kind(Stage::Rcpt),
        FailureKind::Unavailable {
            retry_after: None,
            server_wide: false
        }
    );
    assert_eq!(
        explained(None, Stage::Ehlo, 471, "", "later").kind(Stage::Ehlo),
        FailureKind::Unavailable {
            retry_after: None,
            server_wide: true
        }
    );
    assert_eq!(
        explained(None, Stage::Rcpt, 571, "", "never").kind(Stage::Rcpt),
        FailureKind::Rejected
    );
    assert_eq!(
        explained(None, Stage::Dot, 571, "", "never").kind(Stage::Dot),
        FailureKind::Rejected
    );
    assert_eq!(
        explained(None, Stage::Mail, 571, "", "never").kind(Stage::Mail),
        FailureKind::Misconfigured
    );
    assert_eq!(
        explained(None, Stage::Greeting, 571, "", "no").kind(Stage::Greeting),
        FailureKind::Unavailable {
            retry_after: None,
            server_wide: true
        }
    );
}

#[test]
fn unexpected_codes_never_reject_a_mail() {
    assert_eq!(
        explained(None, Stage::Data, 250, "", "ok?").kind(Stage::Data),
        FailureKind::Unavailable {
            retry_after: None,
            server_wide: true
        }
    );
    assert_eq!(
        explained(None, Stage::Dot, 354, "", "go on").kind(Stage::Dot),
        FailureKind::Uncertain
    );
}

#[test]
fn code_421_after_the_final_dot_is_uncertain_unless_explained() {
    assert_eq!(
        explained(None, Stage::Rcpt, 421, "4.3.2", "bye").kind(Stage::Rcpt),
        FailureKind::Unavailable {
            retry_after: None,
            server_wide: true
        }
    );
    assert_eq!(
        explained(None, Stage::Dot, 421, "4.4.2", "timeout").kind(Stage::Dot),
        FailureKind::Uncertain
    );
    assert_eq!(
        kind(
            "gmail",
            Stage::Dot,
            421,
            "4.7.28",
            "an unusual rate of mail"
        ),
        unavailable(1_800)
    );
}

#[test]
fn refusals_of_the_session_never_reject_a_mail() {
    for row in Table::new().rows() {
        for stage in [
            Stage::Greeting,
            Stage::Ehlo,
            Stage::Starttls,
            Stage::Auth,
            Stage::Rset,
        ] {
            let kind = Table::new()
                .explain(
                    Some(row.provider),
                    stage,
                    &reply(row.code, row.enhanced, row.text),
                )
                .kind(stage);
            assert!(
                !matches!(kind, FailureKind::Rejected | FailureKind::RejectedHere),
                "{row:?} {stage}"
            );
        }
    }
    assert_eq!(
        explained(None, Stage::Auth, 503, "", "bad sequence").kind(Stage::Auth),
        FailureKind::Misconfigured
    );
    assert_eq!(
        explained(None, Stage::Greeting, 554, "", "No SMTP service here").kind(Stage::Greeting),
        FailureKind::Misconfigured
    );
}

#[test]
fn greylisting_retries_on_the_same_server() {
    let verdict = explained(
        None,
        Stage::Rcpt,
        450,
        "4.2.0",
        "Recipient address rejected: Greylisted, see http://example.org",
    );
    assert_eq!(
        verdict.kind(Stage::Rcpt),
        FailureKind::Deferred {
            retry_after: Some(Duration::from_mins(5))
        }
    );
    assert_eq!(
        kind(
            "gmail",
            Stage::Rcpt,
            450,
            "4.2.1",
            "The user is receiving mail too fast"
        ),
        FailureKind::Deferred {
            retry_after: Some(Duration::from_hours(1))
        }
    );
}

#[test]
fn transient_and_permanent_codes_follow_the_table() {
    assert_eq!(
        kind(
            "aliyun-mail",
            Stage::Mail,
            440,
            "",
            "mail from doesn't conform with authentication (me)"
        ),
        FailureKind::Misconfigured
    );
    assert_eq!(
        kind(
            "mailtrap",
            Stage::Dot,
            550,
            "5.7.0",
            "Requested action not taken: too many emails per second"
        ),
        FailureKind::Unavailable {
            retry_after: Some(Duration::from_secs(10)),
            server_wide: false
        }
    );
    assert_eq!(
        kind(
            "netease",
            Stage::Dot,
            554,
            "",
            "DT:SPM 163 smtp1,xyz please see http://mail.163.com"
        ),
        FailureKind::RejectedHere
    );
    assert_eq!(
        kind("netease", Stage::Dot, 451, "", "DT:SPM"),
        FailureKind::Unavailable {
            retry_after: Some(Duration::from_mins(2)),
            server_wide: false
        }
    );
}

#[test]
fn explanation_is_in_the_requested_language() {
    let verdict = explained(
        Some("qq"),
        Stage::Auth,
        535,
        "",
        "Login Fail. Please enter your authorization code to login.",
    );
    let zh = verdict.explanation(Locale::ZhCn).unwrap();
    assert_eq!(zh.cause, "填写的不是 QQ 邮箱授权码，或授权码已失效。");
    assert!(
        verdict
            .explanation(Locale::En)
            .unwrap()
            .advice
            .contains("generate a new authorization code")
    );
}
