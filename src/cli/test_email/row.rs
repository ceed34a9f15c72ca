//! One step of the test as displayed.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::explained_error::spoken;
use crate::cli::i18n::tr;
use crate::domain::{Locale, Reply, Timestamp};
use crate::transport::smtp::Certificate;

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
    /// It was not reached, or there was nothing to do.
    Skipped,
}

impl Mark {
    /// The name in JSON.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// One step as shown.
#[derive(Debug)]
pub(super) struct Row {
    /// Name in JSON, lower case.
    pub(super) step: &'static str,
    /// The result.
    pub(super) mark: Mark,
    /// Duration; `None` if the step never started.
    pub(super) took: Option<Duration>,
    /// Details for people.
    pub(super) lines: Vec<String>,
    /// Details for programs.
    pub(super) facts: Map<String, Value>,
}

pub(super) fn row(
    step: &'static str,
    mark: Mark,
    took: Option<Duration>,
    lines: Vec<String>,
) -> Row {
    Row {
        step,
        mark,
        took,
        lines,
        facts: Map::new(),
    }
}

impl Row {
    pub(super) fn tell(&mut self, key: &str, items: &[String]) {
        if !items.is_empty() {
            self.lines.push(items.join(", "));
            self.facts.insert(
                key.to_owned(),
                if key == "mechanism" {
                    json!(items.first())
                } else {
                    json!(items)
                },
            );
        }
    }

    pub(super) fn tell_each(&mut self, key: &str, items: Vec<String>) {
        self.facts.insert(key.to_owned(), json!(items));
        self.lines.extend(items);
    }

    pub(super) fn heard(&mut self, reply: &Reply) {
        self.lines.push(spoken(reply));
        self.facts.insert("reply".to_owned(), json!(reply));
    }

    /// Adds the server's certificate.
    pub(super) fn add_certificate(
        &mut self,
        certificate: &Certificate,
        now: Timestamp,
        locale: Locale,
    ) {
        let days = certificate.days_left(now);
        self.facts
            .insert("certificate".to_owned(), described(certificate, days));
        let hosts = certificate.hosts.join(", ");
        let subject = [certificate.subject.as_str(), &hosts]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" · ");
        let issuer = if certificate.self_signed {
            tr(locale, "itself (self-signed)", "自身（自签名）")
        } else {
            certificate.issuer.as_str()
        };
        self.lines.push(format!(
            "{}{subject}",
            tr(locale, "certificate for ", "证书主体：")
        ));
        self.lines
            .push(format!("{}{issuer}", tr(locale, "issued by ", "签发者：")));
        let date = certificate
            .not_after
            .to_string()
            .chars()
            .take(10)
            .collect::<String>();
        self.lines.push(match (locale, days) {
            (Locale::En, 0..) => format!("valid until {date}, {days} days left"),
            (Locale::En, _) => format!("expired on {date}, {} days ago", -days),
            (Locale::ZhCn, 0..) => format!("有效期至 {date}，剩余 {days} 天"),
            (Locale::ZhCn, _) => format!("已于 {date} 过期 {} 天", -days),
        });
    }
}

fn described(certificate: &Certificate, days: i64) -> Value {
    json!({
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "hosts": certificate.hosts,
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
        "days_left": days,
        "self_signed": certificate.self_signed,
    })
}
