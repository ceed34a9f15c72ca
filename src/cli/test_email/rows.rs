//! Turns a recorded conversation into rows to show, one per step: done, failed or not reached.
//! Pure.

use serde_json::json;

use super::row::{Mark, Row, row};
use crate::cli::i18n::tr;
use crate::domain::{Failure, Locale, Stage, Timestamp};
use crate::transport::smtp::{Settings, Step, Tls, Trace};

/// Names of the steps, in protocol order.
const ENCRYPTED_FIRST: [&str; 9] = [
    "dns", "tcp", "tls", "greeting", "ehlo", "auth", "mail", "rcpt", "data",
];
const GREETED_FIRST: [&str; 9] = [
    "dns", "tcp", "greeting", "ehlo", "tls", "auth", "mail", "rcpt", "data",
];

/// The conversation and how to show it.
pub(super) struct View<'a> {
    pub(super) trace: &'a Trace,
    pub(super) settings: &'a Settings,
    /// Whether the test was to stop before DATA.
    pub(super) dry_run: bool,
    pub(super) now: Timestamp,
    pub(super) locale: Locale,
}

/// The row of a stage; `None` for QUIT, RSET and NOOP.
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
    /// The nine steps, each once; EHLO before and after STARTTLS are one row.
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
        // Replies after the refused one belong to the rest of a pipelined envelope and are not
        // shown.
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
                (Some(failure), _) => self.described(step, Mark::Failed, &steps, Some(failure)),
                (None, false) => self.described(step, Mark::Done, &steps, None),
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
                "off (tls = \"none\"): not encrypted",
                "已关闭（tls = \"none\"），不加密",
            )),
            "tls" if !failed => Some(tr(
                locale,
                "not offered by the server: not encrypted",
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

    fn described(
        &self,
        step: &'static str,
        mark: Mark,
        steps: &[&Step],
        failure: Option<&Failure>,
    ) -> Row {
        let took = steps
            .iter()
            .map(|one| one.duration)
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
        let heard = steps.iter().rev().find_map(|one| one.reply.as_ref());
        match (failure, heard) {
            (
                Some(Failure {
                    reply: Some(reply), ..
                }),
                _,
            ) => row.heard(reply),
            // The certificate and the cause are explanation enough.
            (
                Some(Failure {
                    stage: Stage::Tls,
                    explanation: Some(_),
                    ..
                }),
                _,
            ) if self.trace.certificate.is_some() => {}
            // Each attempted address has a line already.
            (Some(failure), _) if step != "tcp" || row.lines.is_empty() => {
                row.lines.push(failure.detail.clone());
            }
            (None, Some(reply)) if !matches!(step, "tls" | "ehlo") => row.heard(reply),
            _ => {}
        }
        if step == "tls"
            && let Some(certificate) = &self.trace.certificate
        {
            row.add_certificate(certificate, self.now, self.locale);
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

/// Extensions offered by the last EHLO, one per line.
fn offers(steps: &[&Step]) -> Vec<String> {
    let last = steps
        .iter()
        .rev()
        .find(|one| one.command.starts_with("EHLO"))
        .and_then(|one| one.reply.as_ref());
    last.map(|reply| reply.text.lines().skip(1).map(str::to_owned).collect())
        .unwrap_or_default()
}

/// `PLAIN` of `AUTH PLAIN ***`; the last one if several were tried.
fn mechanism(steps: &[&Step]) -> Option<String> {
    steps
        .iter()
        .rev()
        .find_map(|one| one.command.strip_prefix("AUTH "))
        .and_then(|rest| rest.split(' ').next())
        .map(str::to_owned)
}
