use std::time::Duration;

use super::super::table::{OWN, REPLIES, Row};
use super::super::verdict::pause;
use super::super::*;
use super::reply;
use crate::domain::{FailureKind, Stage};

/// The columns of every line of a file, header left out.
fn lines(file: &'static str) -> Vec<Vec<&'static str>> {
    file.lines().skip(1).map(|line| line.split('\t').collect()).collect()
}

/// Where a server would say a row's words.
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
    let found = [verdict.class.as_str(), yes_no(verdict.retry_same_server), yes_no(verdict.fail_over)];
    assert_eq!(found, row[4..7], "{row:?} {verdict:?}");
}

#[test]
fn every_line_of_both_files_becomes_a_row() {
    let table = Table::new();
    assert_eq!(lines(REPLIES).len(), 260);
    assert_eq!(table.rows().len(), lines(REPLIES).len() + lines(OWN).len());
    for line in lines(REPLIES).iter().chain(&lines(OWN)) {
        assert_eq!(line.len(), 12, "{line:?}");
        assert!(line[7..11].iter().all(|text| !text.trim().is_empty()), "{line:?}");
    }
    assert!(table.rows().is_sorted_by_key(|row| row.code));
}

#[test]
fn every_reply_of_the_facts_comes_out_as_its_row_says() {
    let table = Table::new();
    let spoken = lines(REPLIES).into_iter().filter(|row| row[1] != "-" && row[0] != "aliyun-directmail-api");
    let mut checked = 0;
    for row in spoken {
        let code = row[1].parse().unwrap();
        let stage = plausible_stage(&row);
        // In the middle of other words, in capitals, broken over two lines with prefixes: the row is still found.
        let words = row[3].to_uppercase().replacen(' ', "\n", 1);
        let prefix = format!("{code}-{}{}", row[2], if row[2].is_empty() { "" } else { " " });
        let said = words.lines().map(|line| format!("{prefix}{line}")).collect::<Vec<_>>().join("\n");
        for text in [row[3].to_owned(), format!("Sorry: {} , goodbye", row[3]), said] {
            let verdict = table.explain(Some(row[0]), stage, &reply(code, row[2], &text));
            let by_stage = row[0] == "any" && matches!(code, 550 | 553) && row[2].is_empty();
            assert_row(&row, &verdict);
            let own = lines(OWN).into_iter().find(|own| own[..4] == row[..4]);
            let expected = own.as_ref().unwrap_or(&row);
            let advice = verdict.advice.unwrap();
            if !by_stage {
                assert_eq!([advice.cause_en, advice.advice_en, advice.cause_zh, advice.advice_zh], expected[7..11], "{text}");
            }
        }
        checked += 1;
    }
    assert_eq!(checked, 260 - 24 - 12);
}

#[test]
fn a_row_of_a_provider_holds_at_every_stage() {
    let table = Table::new();
    for row in lines(REPLIES).into_iter().filter(|row| row[1] != "-" && row[0] != "any" && row[0] != "aliyun-directmail-api") {
        for stage in Stage::ALL {
            assert_row(&row, &table.explain(Some(row[0]), *stage, &reply(row[1].parse().unwrap(), row[2], row[3])));
        }
    }
}

/// RFC 5321 section 4.2.1: the same mail may be accepted later.
#[test]
fn no_row_makes_a_4xx_reply_final() {
    let table = Table::new();
    for row in table.rows().iter().filter(|row| (400..500).contains(&row.code) && row.provider != "aliyun-directmail-api") {
        for stage in Stage::ALL {
            let kind = table.explain(Some(row.provider), *stage, &reply(row.code, row.enhanced, row.text)).kind(*stage);
            let is_final = matches!(kind, FailureKind::Rejected | FailureKind::RejectedHere | FailureKind::TooLarge);
            assert!(!is_final, "{stage} {row:?}: {kind:?}");
        }
    }
}

#[test]
fn every_code_of_the_http_api_comes_out_as_its_row_says() {
    let table = Table::new();
    for row in lines(REPLIES).into_iter().filter(|row| row[0] == "aliyun-directmail-api") {
        // Another status than the row's: the code word counts.
        for status in [row[1].parse().unwrap(), 418] {
            let verdict = table.explain_code(Some(row[0]), status, row[3], "The specified thing is wrong.");
            assert_row(&row, &verdict);
            // One code is spelled in two ways; without regard to case they are one.
            if !row[3].starts_with("InvalidFromA") {
                assert_eq!(verdict.advice.unwrap().cause_en, row[7]);
            }
        }
    }
}

#[test]
fn every_trouble_without_a_reply_has_its_row_and_every_row_its_trouble() {
    let table = Table::new();
    // Ours first: its words are the ones in force.
    let rows: Vec<_> = lines(OWN).into_iter().chain(lines(REPLIES)).filter(|row| row[0] == "connection").collect();
    let keys: std::collections::HashSet<_> = rows.iter().map(|row| row[3]).collect();
    assert_eq!(keys.len(), LocalTrouble::ALL.len());
    for trouble in LocalTrouble::ALL {
        let row = rows.iter().find(|row| row[3] == trouble.key()).unwrap_or_else(|| panic!("{trouble:?}"));
        let verdict = table.explain_local(*trouble);
        assert_row(row, &verdict);
        assert_eq!(verdict.advice.unwrap().advice_en, row[8]);
    }
    assert_eq!(table.explain_local(LocalTrouble::LostAfterFinalDot).kind(Stage::Dot), FailureKind::Uncertain);
    assert_eq!(table.explain_local(LocalTrouble::Smtputf8NotOffered).kind(Stage::Mail), FailureKind::RejectedHere);
    assert_eq!(table.explain_local(LocalTrouble::TooLarge).kind(Stage::Mail), FailureKind::TooLarge);
}

#[test]
fn a_row_whose_words_point_at_another_row_has_words_of_its_own() {
    let points = |text: &str| ["As above", "As for", "Same", "Older wording of the same"].iter().any(|word| text.starts_with(word));
    let points_zh = |text: &str| ["同上", "同 5", "与 QQ", "同一错误"].iter().any(|word| text.starts_with(word));
    let own = lines(OWN);
    for row in lines(REPLIES) {
        let reworded = own.iter().find(|own| own[..4] == row[..4]);
        if row[7..9].iter().any(|text| points(text)) || row[9..11].iter().any(|text| points_zh(text)) {
            assert!(reworded.is_some(), "{row:?}");
        }
        if let Some(reworded) = reworded {
            assert_eq!(reworded[4..7], row[4..7], "only words change: {row:?}");
        }
    }
    for row in own {
        assert!(!row[7..9].iter().any(|text| points(text)) && !row[9..11].iter().any(|text| points_zh(text)), "{row:?}");
    }
}

#[test]
fn every_quota_has_the_pause_that_its_advice_names() {
    let table = Table::new();
    let expected = [
        ("qq", "Sender frequency limited", 600),
        ("qq", "Domain frequency limited", 600),
        ("qq", "Connection frequency limited", 600),
        ("qq", "Ip frequency limited", 600),
        ("exmail", "exceed", 3_600),
        ("netease", "MI:STC", 3_600),
        ("netease", "RP:TRC", 3_600),
        ("netease", "MI:SFQ", 900),
        ("netease", "RP:QRC", 600),
        ("netease", "HL:REP", 600),
        ("netease", "HL:IFC", 1_800),
        ("aliyun-mail", "Reject by behaviour spam", 600),
        ("aliyun-directmail", "sending quota exceeded", 3_600),
        ("aliyun-directmail", "Not enough sending quota", 600),
        ("aliyun-directmail-api", "InvalidQuota", 600),
        ("aliyun-directmail-api", "Throttling", 60),
        ("gmail", "Too many login attempts", 900),
        ("gmail", "Daily user sending limit exceeded", 3_600),
        ("gmail", "sending quota exceeded", 3_600),
        ("gmail", "unusual rate", 1_800),
        ("m365", "SubmissionQuotaExceededException", 3_600),
        ("zoho", "Unusual sending activity detected", 3_600),
        ("ses", "Throttling failure: Daily message quota exceeded", 3_600),
        ("sendgrid", "Maximum credits exceeded", 600),
        ("resend", "rate limit", 60),
        ("tencent-ses", "frequency", 600),
        ("http", "throttled", 60),
        ("any", "limit exceeded", 3_600),
    ];
    let own = lines(OWN);
    let in_force =
        |row: &&Row| own.iter().all(|own| own[..4] != [row.provider, &row.code.to_string(), row.enhanced, row.text] || own[8] == row.advice.advice_en);
    for row in table.rows().iter().filter(|row| row.class == Class::Quota).filter(in_force) {
        let (_, _, seconds) = expected.iter().find(|(provider, text, _)| (*provider, *text) == (row.provider, row.text)).unwrap_or_else(|| panic!("{row:?}"));
        assert_eq!(pause(row.class, &row.advice), Some(Duration::from_secs(*seconds)), "{row:?}");
    }
}

#[test]
fn every_advice_is_short_enough_for_a_log_line_and_in_its_language() {
    let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    for row in Table::new().rows() {
        let advice = row.advice;
        for text in [advice.cause_en, advice.advice_en] {
            assert!(text.len() <= 300 && !chinese(text), "{text}");
        }
        for text in [advice.cause_zh, advice.advice_zh] {
            assert!(text.chars().count() <= 150, "{text}");
            assert!(chinese(text) || text == "配置 TLS。", "{text}");
        }
    }
}
