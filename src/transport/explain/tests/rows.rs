use std::time::Duration;

use super::super::table::REPLIES;
use super::super::*;
use super::reply;
use crate::domain::{FailureKind, Stage};

/// The columns of every line of a file, header left out.
fn lines(file: &'static str) -> Vec<Vec<&'static str>> {
    file.lines()
        .skip(1)
        .map(|line| line.split('\t').collect())
        .collect()
}

/// The stage at which a server sends a reply like this row.
fn plausible_stage(row: &[&str]) -> Stage {
    match (row[1], row[4]) {
        ("535" | "534" | "526" | "524" | "523" | "538" | "432" | "454", _) => Stage::Auth,
        (_, "permanent_recipient") => Stage::Rcpt,
        (_, "config_auth") => Stage::Mail,
        ("421", _) => Stage::Greeting,
        _ => Stage::Dot,
    }
}

fn assert_row(row: &[&str], verdict: &Verdict) {
    let yes_no = |flag: bool| if flag { "yes" } else { "no" };
    let found = [
        verdict.class.as_str(),
        yes_no(verdict.retry_same_server),
        yes_no(verdict.fail_over),
    ];
    assert_eq!(found, row[4..7], "{row:?} {verdict:?}");
}

#[test]
fn every_line_becomes_a_row() {
    let table = Table::new();
    assert!(lines(REPLIES).len() > 300);
    assert_eq!(table.rows().len(), lines(REPLIES).len());
    let mut keys = std::collections::HashSet::new();
    for line in &lines(REPLIES) {
        assert_eq!(line.len(), 13, "{line:?}");
        assert!(
            line[8..].iter().all(|text| !text.trim().is_empty()),
            "{line:?}"
        );
        assert!(keys.insert(line[..4].to_vec()), "twice: {line:?}");
    }
    assert!(table.rows().is_sorted_by_key(|row| row.code));
}

#[test]
fn every_reply_is_explained_by_its_row() {
    let table = Table::new();
    let spoken = lines(REPLIES)
        .into_iter()
        .filter(|row| row[1] != "-" && row[0] != "aliyun-directmail-api");
    let mut checked = 0;
    for row in spoken {
        let code = row[1].parse().unwrap();
        let stage = plausible_stage(&row);
        // The row is found in a longer text, in upper case, and over two lines with prefixes.
        let words = row[3].to_uppercase().replacen(' ', "\n", 1);
        let prefix = format!(
            "{code}-{}{}",
            row[2],
            if row[2].is_empty() { "" } else { " " }
        );
        let said = words
            .lines()
            .map(|line| format!("{prefix}{line}"))
            .collect::<Vec<_>>()
            .join("\n");
        for text in [
            row[3].to_owned(),
            format!("Sorry: {} , goodbye", row[3]),
            said,
        ] {
            let verdict = table.explain(Some(row[0]), stage, &reply(code, row[2], &text));
            let by_stage = row[0] == "any"
                && matches!(code, 550 | 553)
                && row[2].is_empty()
                && row[3].is_empty();
            assert_row(&row, &verdict);
            let advice = verdict.advice.unwrap();
            if !by_stage {
                assert_eq!(
                    [
                        advice.cause_en,
                        advice.advice_en,
                        advice.cause_zh,
                        advice.advice_zh
                    ],
                    row[8..12],
                    "{text}"
                );
            }
        }
        checked += 1;
    }
    assert!(checked > 250);
}

#[test]
fn rows_of_a_provider_apply_at_every_stage() {
    let table = Table::new();
    for row in lines(REPLIES)
        .into_iter()
        .filter(|row| row[1] != "-" && row[0] != "any" && row[0] != "aliyun-directmail-api")
    {
        for stage in Stage::ALL {
            assert_row(
                &row,
                &table.explain(
                    Some(row[0]),
                    *stage,
                    &reply(row[1].parse().unwrap(), row[2], row[3]),
                ),
            );
        }
    }
}

/// RFC 5321 section 4.2.1: the same mail may be accepted later.
#[test]
fn no_row_makes_a_4xx_reply_final() {
    let table = Table::new();
    for row in table
        .rows()
        .iter()
        .filter(|row| (400..500).contains(&row.code) && row.provider != "aliyun-directmail-api")
    {
        for stage in Stage::ALL {
            let kind = table
                .explain(
                    Some(row.provider),
                    *stage,
                    &reply(row.code, row.enhanced, row.text),
                )
                .kind(*stage);
            let is_final = matches!(
                kind,
                FailureKind::Rejected | FailureKind::RejectedHere | FailureKind::TooLarge
            );
            assert!(!is_final, "{stage} {row:?}: {kind:?}");
        }
    }
}

#[test]
fn every_code_of_the_http_api_is_explained_by_its_row() {
    let table = Table::new();
    for row in lines(REPLIES)
        .into_iter()
        .filter(|row| row[0] == "aliyun-directmail-api")
    {
        // The code decides, not the status.
        for status in [row[1].parse().unwrap(), 418] {
            let verdict = table.explain_code(
                Some(row[0]),
                status,
                row[3],
                "The specified thing is wrong.",
            );
            assert_row(&row, &verdict);
            // One code has two spellings, which differ in case only.
            if !row[3].starts_with("InvalidFromA") {
                assert_eq!(verdict.advice.unwrap().cause_en, row[8]);
            }
        }
    }
}

#[test]
fn every_local_error_has_a_row_and_every_row_an_error() {
    let table = Table::new();
    let rows: Vec<_> = lines(REPLIES)
        .into_iter()
        .filter(|row| row[0] == "connection")
        .collect();
    let keys: std::collections::HashSet<_> = rows.iter().map(|row| row[3]).collect();
    assert_eq!(keys.len(), LocalError::ALL.len());
    for error in LocalError::ALL {
        let row = rows
            .iter()
            .find(|row| row[3] == error.as_str())
            .unwrap_or_else(|| panic!("{error:?}"));
        let verdict = table.explain_local(*error);
        assert_row(row, &verdict);
        assert_eq!(verdict.advice.unwrap().advice_en, row[9]);
    }
    assert_eq!(
        table
            .explain_local(LocalError::LostAfterFinalDot)
            .kind(Stage::Dot),
        FailureKind::Uncertain
    );
    assert_eq!(
        table
            .explain_local(LocalError::Smtputf8NotOffered)
            .kind(Stage::Mail),
        FailureKind::RejectedHere
    );
    assert_eq!(
        table.explain_local(LocalError::TooLarge).kind(Stage::Mail),
        FailureKind::TooLarge
    );
}

/// Without a pause, the mail would be retried as soon as after any other refusal.
#[test]
fn every_quota_has_a_pause() {
    for row in Table::new()
        .rows()
        .iter()
        .filter(|row| row.class == Class::Quota)
    {
        assert!(
            row.pause
                .is_some_and(|pause| pause >= Duration::from_mins(1)),
            "{row:?}"
        );
    }
}

#[test]
fn advice_is_a_sentence_that_says_what_to_do() {
    // Advice contains one of these.
    let verbs = [
        "add ",
        "ask ",
        "change ",
        "check ",
        "correct ",
        "create ",
        "disable ",
        "enable ",
        "encode ",
        "grant ",
        "jobbell ",
        "nothing to do",
        "open ",
        "raise ",
        "reactivate ",
        "read ",
        "remove ",
        "reset ",
        "run ",
        "save ",
        "see ",
        "send ",
        "set ",
        "shorten ",
        "sign in ",
        "use ",
        "verify ",
        "wait ",
        "tried again",
        "not sent",
        "report",
        "give ",
    ];
    // Advice for a misconfiguration also names a key, a command, or a person.
    let places = [
        "`",
        " = \"",
        "_",
        "host",
        "port",
        "from",
        "username",
        "administrator",
        "operator",
        "console",
        "clock",
        "jobbell ",
    ];
    for row in Table::new().rows() {
        let (en, zh) = (row.advice.advice_en, row.advice.advice_zh);
        assert!(
            en.split_whitespace().count() >= 4 && en.ends_with('.'),
            "{row:?}"
        );
        assert!(
            zh.chars()
                .filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c))
                .count()
                >= 8
                && zh.ends_with('。'),
            "{row:?}"
        );
        assert!(
            verbs.iter().any(|verb| en.to_lowercase().contains(verb)),
            "{row:?}"
        );
        assert!(
            row.class != Class::ConfigAuth || places.iter().any(|place| en.contains(place)),
            "{row:?}"
        );
        assert!(
            !["As above", "Same,", "As for"]
                .iter()
                .any(|word| row.advice.cause_en.contains(word) || en.contains(word)),
            "{row:?}"
        );
        assert!(
            !["同上", "同 5"]
                .iter()
                .any(|word| row.advice.cause_zh.contains(word) || zh.contains(word)),
            "{row:?}"
        );
    }
}

#[test]
fn advice_is_short_and_in_its_language() {
    let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    for row in Table::new().rows() {
        let advice = row.advice;
        for text in [advice.cause_en, advice.advice_en] {
            assert!(text.len() <= 300 && !chinese(text), "{text}");
        }
        for text in [advice.cause_zh, advice.advice_zh] {
            assert!(text.chars().count() <= 150, "{text}");
            assert!(chinese(text), "{text}");
        }
    }
}
