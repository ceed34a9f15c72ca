//! What a refusal or a lost link means: the one place that turns an answer into a [`FailureKind`]. Pure.
//!
//! The first digit and the stage decide (RFC 5321 §4.2.1): who refuses at MAIL refuses the sender, who refuses at RCPT the recipient, who
//! refuses after DATA the message, and before MAIL nothing of the mail has been said yet.

use crate::domain::{FailureKind, Reply, Stage};

/// Nothing is wrong with this mail: the whole server is out of reach or not willing now.
pub const SERVER_UNAVAILABLE: FailureKind = FailureKind::Unavailable { retry_after: None, server_wide: true };
/// The server cannot take this mail now; others may pass.
pub const MAIL_DEFERRED: FailureKind = FailureKind::Unavailable { retry_after: None, server_wide: false };

/// Classifies an answer that was not the one hoped for at this stage.
pub fn classify(stage: Stage, reply: &Reply) -> FailureKind {
    match (stage, reply.code) {
        // Whatever closes the link after the dot leaves open whether the mail was taken (RFC 1047); so does an answer that is no verdict.
        (Stage::Dot, 421 | 200..400) => FailureKind::Uncertain,
        (_, 421) => SERVER_UNAVAILABLE,
        (_, 530 | 534 | 535 | 538) => FailureKind::Misconfigured,
        (Stage::Rcpt | Stage::Data | Stage::Dot, 500..) => FailureKind::Rejected,
        (Stage::Rcpt | Stage::Data | Stage::Dot, 400..) => MAIL_DEFERRED,
        (Stage::Mail, 500..) if is_about_the_message(reply) => FailureKind::Rejected,
        (Stage::Mail | Stage::Auth, 500..) => FailureKind::Misconfigured,
        _ => SERVER_UNAVAILABLE,
    }
}

/// Classifies a link that was lost, or fell silent, without an answer. Before the payload it is the server's trouble; during the payload the
/// mail itself may have caused it, so the attempt counts; after the final dot nobody knows.
pub fn classify_loss(stage: Stage, payload_begun: bool) -> FailureKind {
    match stage {
        Stage::Dot => FailureKind::Uncertain,
        Stage::Data if payload_begun => MAIL_DEFERRED,
        _ => SERVER_UNAVAILABLE,
    }
}

/// MAIL also carries SIZE and SMTPUTF8: a refusal for either concerns the message, not the sender (RFC 1870 §6.1, RFC 6531 §3.5).
fn is_about_the_message(reply: &Reply) -> bool {
    reply.code == 552 || matches!(reply.enhanced.as_deref(), Some("5.3.4" | "5.2.3" | "5.6.7"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(stage: Stage, code: u16) -> FailureKind {
        classify(stage, &Reply { code, enhanced: None, text: String::new() })
    }

    #[test]
    fn a_bare_550_is_judged_by_its_stage() {
        for code in [550, 553] {
            assert_eq!(kind(Stage::Greeting, code), SERVER_UNAVAILABLE);
            assert_eq!(kind(Stage::Ehlo, code), SERVER_UNAVAILABLE);
            assert_eq!(kind(Stage::Mail, code), FailureKind::Misconfigured);
            assert_eq!(kind(Stage::Rcpt, code), FailureKind::Rejected);
            assert_eq!(kind(Stage::Data, code), FailureKind::Rejected);
            assert_eq!(kind(Stage::Dot, code), FailureKind::Rejected);
        }
    }

    #[test]
    fn a_421_means_the_server_before_the_dot_and_doubt_after_it() {
        for stage in [Stage::Greeting, Stage::Ehlo, Stage::Starttls, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data, Stage::Rset] {
            assert_eq!(kind(stage, 421), SERVER_UNAVAILABLE, "{stage}");
        }
        assert_eq!(kind(Stage::Dot, 421), FailureKind::Uncertain);
    }

    #[test]
    fn a_4xx_means_the_server_until_the_recipient_is_named() {
        for stage in [Stage::Greeting, Stage::Ehlo, Stage::Starttls, Stage::Auth, Stage::Mail] {
            assert_eq!(kind(stage, 454), SERVER_UNAVAILABLE, "{stage}");
        }
        for stage in [Stage::Rcpt, Stage::Data, Stage::Dot] {
            assert_eq!(kind(stage, 451), MAIL_DEFERRED, "{stage}");
        }
    }

    #[test]
    fn a_login_refusal_is_the_operators_at_any_stage() {
        for stage in [Stage::Auth, Stage::Mail, Stage::Rcpt] {
            for code in [530, 534, 535, 538] {
                assert_eq!(kind(stage, code), FailureKind::Misconfigured, "{stage} {code}");
            }
        }
        assert_eq!(kind(Stage::Auth, 550), FailureKind::Misconfigured);
    }

    #[test]
    fn mail_refused_for_its_size_is_the_mails_fault() {
        assert_eq!(kind(Stage::Mail, 552), FailureKind::Rejected);
        let reply = Reply { code: 550, enhanced: Some("5.6.7".to_owned()), text: String::new() };
        assert_eq!(classify(Stage::Mail, &reply), FailureKind::Rejected);
    }

    #[test]
    fn a_lost_link_is_doubtful_only_after_the_dot() {
        for stage in [Stage::Dns, Stage::Connect, Stage::Greeting, Stage::Auth, Stage::Mail, Stage::Rcpt, Stage::Data] {
            assert_eq!(classify_loss(stage, false), SERVER_UNAVAILABLE, "{stage}");
        }
        assert_eq!(classify_loss(Stage::Data, true), MAIL_DEFERRED);
        assert_eq!(classify_loss(Stage::Dot, true), FailureKind::Uncertain);
    }

    #[test]
    fn an_answer_that_is_no_verdict_never_counts_as_one() {
        assert_eq!(kind(Stage::Dot, 354), FailureKind::Uncertain);
        assert_eq!(kind(Stage::Data, 250), SERVER_UNAVAILABLE);
        assert_eq!(kind(Stage::Mail, 354), SERVER_UNAVAILABLE);
    }
}
