use std::time::Duration;

use super::*;
use crate::domain::{Reply, Stage};
use crate::transport::explain::{Class, Table};

const NAMES: &str = "qq exmail 163 126 yeah aliyun gmail outlook office365 icloud yahoo zoho fastmail ses sendgrid mailgun resend postmark directmail \
                     tencent-ses mailpit";

const HEADER: &str = "name title_en title_zh host port tls hosts ports user password_en password_zh from replies auth connections mails_per_connection \
                      rate per_day token_url scope app_scope domains aka notes_en notes_zh steps_en steps_zh";

fn address(text: &str) -> Recipient {
    Recipient::parse(text).unwrap()
}

#[test]
fn every_line_of_the_file_is_a_service() {
    let columns: Vec<&str> = FILE.lines().next().unwrap().split('\t').collect();
    assert_eq!(columns, HEADER.split_whitespace().collect::<Vec<_>>());
    assert_eq!(
        all().map(|provider| provider.name).collect::<Vec<_>>(),
        NAMES.split_whitespace().collect::<Vec<_>>()
    );
    assert!(
        FILE.lines()
            .all(|line| line.split('\t').count() == columns.len())
    );
}

#[test]
fn find_ignores_case_and_needs_the_whole_name() {
    for provider in all() {
        assert_eq!(
            find(&format!(" {} ", provider.name.to_uppercase())),
            Some(provider)
        );
    }
    assert_eq!(find("q"), None);
    assert_eq!(find(""), None);
}

#[test]
fn nearest_understands_typos_and_other_names() {
    let expected = [
        ("qqq", "qq"),
        ("qq.com", "qq"),
        ("163.com", "163"),
        ("smtp.163.com", "163"),
        ("netease", "163"),
        ("gmial", "gmail"),
        ("Google", "gmail"),
        ("hotmail", "outlook"),
        ("M365", "office365"),
        ("office356", "office365"),
        ("send-grid", "sendgrid"),
        ("tencentses", "tencent-ses"),
        ("amazon", "ses"),
        ("foxmail.com", "qq"),
        ("direct-mail", "directmail"),
        ("mailhog", "mailpit"),
    ];
    for (wrong, right) in expected {
        assert_eq!(nearest(wrong), Some(right), "{wrong}");
    }
    for strange in ["", " ", "x", "my own server", "protonmail"] {
        assert_eq!(nearest(strange), None, "{strange}");
    }
}

#[test]
fn services_are_found_by_domain() {
    let expected = [
        ("qq.com", "qq"),
        ("vip.QQ.com", "qq"),
        ("yeah.net", "yeah"),
        ("googlemail.com", "gmail"),
        ("msn.com", "outlook"),
        ("mac.com", "icloud"),
        ("yahoo.com", "yahoo"),
        ("yahoo.co.uk", "yahoo"),
        ("ymail.com", "yahoo"),
        ("zoho.eu", "zoho"),
        ("fastmail.fm", "fastmail"),
    ];
    for (domain, name) in expected {
        assert_eq!(
            by_domain(domain).map(|provider| provider.name),
            Some(name),
            "{domain}"
        );
    }
    for own in [
        "example.com",
        "notqq.com",
        "qq.com.evil.example",
        "yahoo.co.jp",
        "yahoo.",
        "",
        "yahoo.a.b.c",
    ] {
        assert_eq!(by_domain(own), None, "{own}");
    }
}

#[test]
fn services_are_found_by_host() {
    for provider in all().filter(|provider| provider.name != "mailpit") {
        if let Some(host) = provider.host {
            assert_eq!(by_host(host), Some(provider));
        }
    }
    assert_eq!(
        by_host("email-smtp.eu-west-1.amazonaws.com").unwrap().name,
        "ses"
    );
    assert_eq!(
        by_host("gz-smtp.qcloudmail.com").unwrap().name,
        "tencent-ses"
    );
    assert_eq!(
        by_host("smtpdm-ap-southeast-1.aliyuncs.com").unwrap().name,
        "directmail"
    );
    assert_eq!(by_host("SMTP.zoho.com.cn").unwrap().name, "zoho");
    for own in ["localhost", "127.0.0.1", "smtp.example.com", ""] {
        assert_eq!(by_host(own), None, "{own}");
    }
}

#[test]
fn table_of_replies_has_rows_for_every_service() {
    let table = Table::new();
    for provider in all().filter(|provider| provider.name != "mailpit") {
        let reply = Reply {
            code: 535,
            enhanced: None,
            text: "authentication failed".to_owned(),
        };
        assert_eq!(
            table.explain(provider.replies, Stage::Auth, &reply).class,
            Class::ConfigAuth
        );
        assert!(
            table.has_rows_of(provider.replies.unwrap()),
            "{}",
            provider.name
        );
    }
    assert_eq!(replies_of(Some("163"), "127.0.0.1"), Some("netease"));
    assert_eq!(replies_of(None, "smtp.qq.com"), Some("qq"));
    assert_eq!(
        replies_of(None, "sandbox.smtp.mailtrap.io"),
        Some("mailtrap")
    );
    assert_eq!(replies_of(None, "mail.example.com"), None);
}

#[test]
fn ports_and_encryption_belong_together() {
    for provider in all() {
        match provider.port {
            465 | 587 => assert_eq!(provider.tls, Tls::auto(provider.port), "{}", provider.name),
            port => assert_eq!(
                (port, provider.tls, provider.host),
                (1025, Tls::None, Some("localhost")),
                "{}",
                provider.name
            ),
        }
        let word = provider.ports.split([' ', ',']).next().unwrap();
        assert_eq!(
            word.parse(),
            Ok(provider.port),
            "the preset's port is named first: {}",
            provider.name
        );
        assert_eq!(provider.host.is_none(), provider.name == "ses");
    }
}

#[test]
fn refused_from_is_detected_before_sending() {
    let check = |name: &str, login: &str, from: &str| {
        find(name).unwrap().refuses_from(login, &address(from))
    };
    assert_eq!(
        check("qq", "me@qq.com", "other@qq.com"),
        Some(LocalError::FromRefused)
    );
    assert_eq!(check("163", "me@163.com", "Me@163.com"), None);
    assert_eq!(check("gmail", "me@gmail.com", "alias@example.com"), None);
    assert_eq!(
        check("office365", "me@example.com", "shared@example.com"),
        None
    );
    assert_eq!(check("qq", "12345", "12345@qq.com"), None);
}

#[test]
fn wrong_user_names_are_detected() {
    let fits = |name: &str, login: &str| find(name).unwrap().user.fits(login);
    assert!(fits("qq", "me@qq.com") && !fits("qq", "12345"));
    assert!(fits("sendgrid", "apikey") && !fits("sendgrid", "me@example.com"));
    assert!(fits("ses", "AKIAEXAMPLE") && !fits("ses", " "));
    assert!(fits("mailpit", ""));
}

#[test]
fn personal_mailboxes_have_low_limits() {
    let gentle = RateLimit {
        mails: 20,
        per: Duration::from_mins(1),
    };
    for name in [
        "qq", "exmail", "163", "126", "yeah", "aliyun", "gmail", "outlook", "icloud", "yahoo",
        "zoho", "fastmail",
    ] {
        let provider = find(name).unwrap();
        assert_eq!(
            (
                provider.connections,
                provider.mails_per_connection,
                provider.rate_limit
            ),
            (Some(1), Some(10), Some(gentle)),
            "{name}"
        );
    }
    // Published: 30 a minute and 3 connections.
    let office = find("office365").unwrap();
    assert!(office.connections < Some(3) && office.rate_limit.unwrap().mails < 30);
    assert_eq!(find("gmail").unwrap().per_day, Some(500));
    assert_eq!(find("mailpit").unwrap().rate_limit, None);
}

#[test]
fn services_with_oauth_have_a_secure_token_url() {
    for provider in all() {
        assert_eq!(
            provider.offers(AuthKind::Xoauth2),
            provider.oauth.is_some(),
            "{}",
            provider.name
        );
        if let Some(oauth) = provider.oauth {
            assert!(crate::transport::http::endpoint(oauth.token_url).is_ok());
        }
    }
    let with = |auth| {
        all()
            .filter(|provider| provider.offers(auth))
            .map(|provider| provider.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(with(AuthKind::Xoauth2), ["gmail", "outlook", "office365"]);
    assert_eq!(with(AuthKind::Api), ["directmail"]);
    assert!(
        FILE.lines().skip(1).count()
            == all()
                .filter(|provider| provider.offers(provider.preferred_auth()))
                .count()
    );
    assert!(!find("outlook").unwrap().offers(AuthKind::Password));
    assert_eq!(
        find("gmail").unwrap().oauth.unwrap().scope,
        "https://mail.google.com/"
    );
    assert_eq!(
        find("office365").unwrap().oauth.unwrap().app_scope,
        Some("https://outlook.office365.com/.default")
    );
}

#[test]
fn every_service_has_steps_and_notes_in_both_languages() {
    let chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    for provider in all() {
        let (en, zh) = (provider.steps(Locale::En), provider.steps(Locale::ZhCn));
        let (en, zh): (Vec<_>, Vec<_>) = (en.collect(), zh.collect());
        assert!(en.len() >= 2 && en.len() == zh.len(), "{}", provider.name);
        assert!(
            en.iter().all(|step| !chinese(step) && step.ends_with('.')),
            "{en:?}"
        );
        assert!(
            zh.iter().all(|step| chinese(step) && step.ends_with('。')),
            "{zh:?}"
        );
        assert!(
            chinese(provider.notes(Locale::ZhCn)) && !chinese(provider.notes(Locale::En)),
            "{}",
            provider.name
        );
        assert!(
            !provider.title(Locale::En).is_empty() && !provider.password(Locale::ZhCn).is_empty()
        );
    }
}
