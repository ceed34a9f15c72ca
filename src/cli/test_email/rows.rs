//! From a conversation to the rows that are shown of it: one for each step, ticked, crossed or not
//! reached. Pure.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::cli::explained_error::spoken;
use crate::cli::i18n::tr;
use crate::domain::{Failure, Locale, Reply, Stage, Timestamp};
use crate::transport::smtp::{Certificate, Settings, Step, Tls, Trace};

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// It went well.
    Done,
    /// It did not.
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

/// One step as it is shown.
#[derive(Debug)]
pub(super) struct Row {
    /// Its name in JSON, lower case.
    pub(super) step: &'static str,
    /// What became of it.
    pub(super) mark: Mark,
    /// How long it took; `None` when it never began.
    pub(super) took: Option<Duration>,
    /// What there is to tell, for a person.
    pub(super) lines: Vec<String>,
    /// The same for a program.
    pub(super) facts: Map<String, Value>,
}

/// Names of the steps, in the order in which a server sees them.
const ENCRYPTED_FIRST: [&str; 9] = [
    "dns", "tcp", "tls", "greeting", "ehlo", "auth", "mail", "rcpt", "data",
];
const GREETED_FIRST: [&str; 9] = [
    "dns", "tcp", "greeting", "ehlo", "tls", "auth", "mail", "rcpt", "data",
];

/// What a conversation is looked at with.
pub(super) struct View<'a> {
    pub(super) trace: &'a Trace,
    pub(super) settings: &'a Settings,
    /// Whether it was to stop before DATA.
    pub(super) dry_run: bool,
    pub(super) now: Timestamp,
    pub(super) locale: Locale,
}

/// The row that a stage belongs to; none for the good manners around a mail.
const fn step_of(stage: Stage) -> Option<&'static str> {
    Some(match stage {
        Stage::Dns => "dns",
        Stage::Connect => "tcp",
        Stage::Tls | Stage::Starttls => "tls",
        Stage::Greeting => "greeting",
        Stage::Ehlo => "ehlo",
        Stage::Auth => "auth",
        Stage::Mail => "mail",
        Stage::Rcpt => "rcpt",
        Stage::Data | Stage::Dot => "data",
        Stage::Api => "api",
        Stage::Compose => "compose",
        Stage::Rset | Stage::Quit => return None,
    })
}

impl View<'_> {
    /// The nine steps, each once: what STARTTLS makes a server say twice stands together.
    pub(super) fn rows(&self) -> Vec<Row> {
        let order = if self.settings.tls == Tls::Implicit {
            ENCRYPTED_FIRST
        } else {
            GREETED_FIRST
        };
        let failed = self
            .trace
            .result
            .as_ref()
            .err()
            .map(|failure| (step_of(failure.stage), failure));
        let end = failed.and_then(|(step, _)| {
            self.trace
                .steps
                .iter()
                .rposition(|one| step_of(one.stage) == step)
        });
        // What a server still says behind the refused step, to the rest of a pipelined envelope,
        // belongs to nobody.
        let counted = end
            .and_then(|end| self.trace.steps.get(..=end))
            .unwrap_or(&self.trace.steps);
        let mut rows: Vec<Row> = Vec::with_capacity(order.len() + 1);
        if let Some((Some("compose"), failure)) = failed {
            rows.push(row(
                "compose",
                Mark::Failed,
                None,
                vec![failure.detail.clone()],
            ));
        }
        for step in order {
            let steps: Vec<&Step> = counted
                .iter()
                .filter(|one| step_of(one.stage) == Some(step))
                .collect();
            let failure = failed
                .filter(|(at, _)| *at == Some(step))
                .map(|(_, failure)| failure);
            rows.push(match (failure, steps.is_empty()) {
                (Some(failure), _) => self.told(step, Mark::Failed, &steps, Some(failure)),
                (None, false) => self.told(step, Mark::Done, &steps, None),
                (None, true) => row(
                    step,
                    Mark::Skipped,
                    None,
                    self.why_skipped(step, failed.is_some())
                        .map(str::to_owned)
                        .into_iter()
                        .collect(),
                ),
            });
        }
        rows
    }

    fn why_skipped(&self, step: &str, failed: bool) -> Option<&'static str> {
        let (settings, locale) = (self.settings, self.locale);
        match step {
            "tls" if settings.tls == Tls::None => Some(tr(
                locale,
                "off (tls = \"none\"): nothing is encrypted",
                "已关闭（tls = \"none\"），不加密",
            )),
            "tls" if !failed => Some(tr(
                locale,
                "the server offers none: nothing is encrypted",
                "服务器不支持加密，明文连接",
            )),
            "auth" if settings.login.is_none() => {
                Some(tr(locale, "no login is configured", "未配置登录"))
            }
            "data" if self.dry_run && !failed => {
                Some(tr(locale, "not sent (--dry-run)", "未发送（--dry-run）"))
            }
            _ => None,
        }
    }

    fn told(
        &self,
        step: &'static str,
        mark: Mark,
        steps: &[&Step],
        failure: Option<&Failure>,
    ) -> Row {
        let took = steps
            .iter()
            .map(|one| one.took)
            .reduce(|sum, one| sum + one);
        let mut row = row(step, mark, took, Vec::new());
        match step {
            "dns" => row.tell("addresses", &addresses(steps, failure)),
            "tcp" => row.tell_each(
                "connections",
                steps.iter().map(|one| one.note.clone()).collect(),
            ),
            "tls" => Self::version(&mut row, steps),
            "ehlo" => row.tell("offers", &offers(steps)),
            "auth" => row.tell(
                "mechanism",
                &mechanism(steps).into_iter().collect::<Vec<_>>(),
            ),
            _ => {}
        }
        let heard = steps.iter().rev().find_map(|one| one.heard.as_ref());
        match (failure, heard) {
            (
                Some(Failure {
                    reply: Some(reply), ..
                }),
                _,
            ) => row.heard(reply),
            // The certificate and the cause say it all.
            (
                Some(Failure {
                    stage: Stage::Tls,
                    explanation: Some(_),
                    ..
                }),
                _,
            ) if self.trace.certificate.is_some() => {}
            // Each address that was tried has said its own already.
            (Some(failure), _) if step != "tcp" || row.lines.is_empty() => {
                row.lines.push(failure.detail.clone());
            }
            (None, Some(reply)) if !matches!(step, "tls" | "ehlo") => row.heard(reply),
            _ => {}
        }
        if step == "tls" {
            self.certificate(&mut row);
        }
        row
    }

    fn version(row: &mut Row, steps: &[&Step]) {
        let shaken = steps
            .iter()
            .find(|one| one.stage == Stage::Tls && one.note.starts_with("TLSv1_"));
        if let Some((version, cipher)) = shaken.and_then(|one| one.note.split_once(' ')) {
            let version = version.replace("TLSv1_", "TLS 1.");
            row.facts.extend([
                ("version".to_owned(), json!(version)),
                ("cipher".to_owned(), json!(cipher)),
            ]);
            row.lines.push(format!("{version} {cipher}"));
        }
    }

    fn certificate(&self, row: &mut Row) {
        let locale = self.locale;
        let Some(certificate) = &self.trace.certificate else {
            return;
        };
        let days = certificate.days_left(self.now);
        row.facts
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
        row.lines.push(format!(
            "{}{subject}",
            tr(locale, "certificate for ", "证书主体：")
        ));
        row.lines
            .push(format!("{}{issuer}", tr(locale, "issued by ", "签发者：")));
        let date = certificate
            .not_after
            .to_string()
            .chars()
            .take(10)
            .collect::<String>();
        row.lines.push(match (locale, days) {
            (Locale::En, 0..) => format!("valid until {date}, {days} days left"),
            (Locale::En, _) => format!("expired on {date}, {} days ago", -days),
            (Locale::ZhCn, 0..) => format!("有效期至 {date}，剩余 {days} 天"),
            (Locale::ZhCn, _) => format!("已于 {date} 过期 {} 天", -days),
        });
    }
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
    fn tell(&mut self, key: &str, items: &[String]) {
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

    fn tell_each(&mut self, key: &str, items: Vec<String>) {
        self.facts.insert(key.to_owned(), json!(items));
        self.lines.extend(items);
    }

    fn heard(&mut self, reply: &Reply) {
        self.lines.push(spoken(reply));
        self.facts.insert("reply".to_owned(), json!(reply));
    }
}

fn addresses(steps: &[&Step], failure: Option<&Failure>) -> Vec<String> {
    let found = steps
        .iter()
        .filter(|_| failure.is_none())
        .flat_map(|one| one.note.split(' '));
    found
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What the last EHLO offered, line by line.
fn offers(steps: &[&Step]) -> Vec<String> {
    let last = steps
        .iter()
        .rev()
        .find(|one| one.said.starts_with("EHLO"))
        .and_then(|one| one.heard.as_ref());
    last.map(|reply| reply.text.lines().skip(1).map(str::to_owned).collect())
        .unwrap_or_default()
}

/// `PLAIN` of `AUTH PLAIN ***`; of several the last that was tried.
fn mechanism(steps: &[&Step]) -> Option<String> {
    steps
        .iter()
        .rev()
        .find_map(|one| one.said.strip_prefix("AUTH "))
        .and_then(|rest| rest.split(' ').next())
        .map(str::to_owned)
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
