//! Every row of the reply table, sent by a server at its stage, has the class, retry, failover and
//! advice of the row.

use std::sync::Arc;

use jobbell::clock::Fence;
use jobbell::domain::{Failure, FailureKind, Locale, Stage};
use jobbell::telemetry::Metrics;
use jobbell::transport::Common;
use jobbell::transport::compose::compose;
use jobbell::transport::explain::Table;
use jobbell::transport::providers;
use jobbell::transport::smtp::{
    Access, Classifier, Session, SessionConfig, Settings, TraceRecorder, Trust,
};

use super::{common, context, email, with_auth, with_login};
use crate::support::smtp_peer::{Act, At};

const REPLIES: &str = include_str!("../../../src/transport/explain/replies.tsv");

/// The columns of every line of a file.
fn lines(file: &'static str) -> Vec<Vec<&'static str>> {
    file.lines()
        .skip(1)
        .map(|line| line.split('\t').collect())
        .collect()
}

/// The step at which a server sends a row's reply.
fn place(row: &[&str]) -> (At, Stage) {
    match (row[1], row[4]) {
        ("535" | "534" | "526" | "524" | "523" | "538" | "432" | "454", _) => {
            (At::Auth, Stage::Auth)
        }
        (_, "permanent_recipient") => (At::Rcpt, Stage::Rcpt),
        (_, "config_auth") => (At::Mail, Stage::Mail),
        ("421", _) => (At::Greeting, Stage::Greeting),
        _ => (At::Dot, Stage::Dot),
    }
}

/// Settings to which the rows of this key apply: by the preset's name, or else by the host.
fn settings(key: &str) -> Settings {
    let preset = providers::all().find(|preset| preset.replies == Some(key));
    let host = if key == "mailtrap" {
        "sandbox.smtp.mailtrap.io"
    } else {
        "mail.example.com"
    };
    assert!(
        preset.is_some() || ["any", "mailtrap"].contains(&key),
        "{key}"
    );
    Settings {
        provider: preset.map(|preset| preset.name),
        host: host.to_owned(),
        ..with_login(25)
    }
}

/// Sends one mail to a server that replies `answer` at one step; returns the failure.
async fn failure(
    settings: &Settings,
    locale: Locale,
    table: &Arc<Table>,
    at: At,
    answer: &str,
) -> Failure {
    let peer = with_auth().always(at, Act::reply(answer)).offline();
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    peer.serve(theirs);
    let common = Common { locale, ..common() };
    let (trust, classifier) = (
        Trust::new(settings).unwrap(),
        Classifier::new(&common, settings, Arc::clone(table)),
    );
    let access = Access::new(settings.login.as_ref().unwrap(), None, context().clock).unwrap();
    let own_name = "[127.0.0.1]".to_owned();
    let config = SessionConfig {
        settings,
        trust: &trust,
        classifier: &classifier,
        access: Some(&access),
        own_name,
        loopback: true,
    };
    let mut session = match Session::open(
        ours,
        &config,
        TraceRecorder::new("primary".into(), Arc::new(Metrics::new())),
    )
    .await
    {
        Ok(session) => session,
        Err(failure) => return failure,
    };
    let mail = email();
    session
        .deliver(&compose(&mail, common.identity()).unwrap(), &Fence::none())
        .await
        .unwrap_err()
}

/// What a class with its two columns means for the mail and the server, except for pauses.
fn written(row: &[&str], stage: Stage) -> String {
    let before_the_mail = matches!(stage, Stage::Greeting | Stage::Auth | Stage::Mail);
    let unavailable = |server_wide: bool| format!("unavailable, server-wide {server_wide}");
    match (row[4], row[5], row[6]) {
        ("transient", "yes", "yes") => unavailable(before_the_mail),
        ("transient", "yes", "no") => "deferred".to_owned(),
        ("quota", "no", "yes") => unavailable(true),
        ("config_auth", "no", "yes") => "misconfigured".to_owned(),
        ("permanent_recipient" | "permanent_message", "no", "yes") => "rejected_here".to_owned(),
        ("permanent_recipient" | "permanent_message", "no", "no") => "rejected".to_owned(),
        ("too_large", "no", "yes") => "too_large".to_owned(),
        other => panic!("no such row was expected: {other:?}"),
    }
}

fn meant(kind: FailureKind) -> String {
    match kind {
        FailureKind::Unavailable { server_wide, .. } => {
            format!("unavailable, server-wide {server_wide}")
        }
        other => other.as_str().to_owned(),
    }
}

#[tokio::test]
async fn every_row_of_the_reply_table_applies_at_its_stage() {
    let table = Arc::new(Table::new());
    let all = lines(REPLIES);
    let spoken = all
        .iter()
        .filter(|row| row[1] != "-" && row[0] != "aliyun-directmail-api");
    let mut said = 0;
    for row in spoken {
        let (at, stage) = place(row);
        let code = row[1];
        let enhanced = if row[2].is_empty() {
            String::new()
        } else {
            format!("{} ", row[2])
        };
        let answer = format!(
            "{code}-{enhanced}Sorry:\r\n{code} {enhanced}{} - goodbye",
            row[3]
        );
        for locale in [Locale::En, Locale::ZhCn] {
            let failure = failure(&settings(row[0]), locale, &table, at, &answer).await;
            assert_eq!(
                (failure.stage, meant(failure.kind)),
                (stage, written(row, stage)),
                "{row:?}: {failure:?}"
            );
            let reply = failure.reply.as_ref().unwrap();
            assert_eq!(
                (
                    reply.code.to_string().as_str(),
                    reply.enhanced.as_deref().unwrap_or_default()
                ),
                (code, row[2]),
                "{row:?}"
            );
            if row[4] == "quota" {
                let FailureKind::Unavailable {
                    retry_after: Some(pause),
                    ..
                } = failure.kind
                else {
                    panic!("no pause: {row:?}")
                };
                assert!(pause.as_secs() >= 10, "{row:?}");
            }
            // A bare 550 or 553 has the class and the text of the stage.
            let is_bare = row[0] == "any"
                && matches!(code, "550" | "553")
                && row[2].is_empty()
                && row[3].is_empty();
            let words = if is_bare {
                all.iter()
                    .find(|row| row[0] == "stage" && row[3] == "data")
                    .unwrap()
            } else {
                row
            };
            let explanation = failure.explanation.unwrap();
            let expected = if locale == Locale::En {
                &words[8..10]
            } else {
                &words[10..12]
            };
            assert_eq!(
                [explanation.cause.as_str(), explanation.advice.as_str()],
                expected,
                "{row:?}"
            );
        }
        said += 1;
    }
    assert!(said > 250);
}

#[tokio::test]
async fn bare_550_is_classified_by_its_stage() {
    let table = Arc::new(Table::new());
    let settings = settings("any");
    let unavailable = FailureKind::Unavailable {
        retry_after: None,
        server_wide: true,
    };
    for code in ["550", "553"] {
        for (at, stage, kind) in [
            (At::Greeting, Stage::Greeting, unavailable),
            (At::Ehlo, Stage::Ehlo, unavailable),
            (At::Mail, Stage::Mail, FailureKind::Misconfigured),
            (At::Rcpt, Stage::Rcpt, FailureKind::Rejected),
            (At::Data, Stage::Data, FailureKind::RejectedHere),
            (At::Dot, Stage::Dot, FailureKind::RejectedHere),
        ] {
            // HELO follows a 550 to EHLO.
            if (at, code) == (At::Ehlo, "550") {
                continue;
            }
            let failure = failure(&settings, Locale::En, &table, at, &format!("{code} no")).await;
            assert_eq!(
                (failure.stage, failure.kind),
                (stage, kind),
                "{code} at {at:?}"
            );
            assert!(failure.explanation.is_some());
        }
    }
}
