//! What `jobbell check` says about the database of a queue that nodes share.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::block_on;
use super::i18n::tr;
use crate::config::Config;
use crate::domain::Locale;
use crate::queue::OpenError;
use crate::queue::postgres::{self, Finding, Inspection, Verdict};

/// What was found out about the database.
pub(super) enum Checked {
    /// The server's settings.
    Found(Inspection),
    /// The login, the key or the schema are wrong.
    Wrong(String),
    /// It cannot be reached at the moment. The daemon starts and waits for it.
    Away(String),
}

/// Asks the database; `None` if the queue is in a file.
pub(super) fn check(config: &Config) -> Option<Checked> {
    let settings = config.queue.location.postgres()?;
    let inspected = match block_on(postgres::inspect(settings)) {
        Ok(inspected) => inspected,
        Err(error) => return Some(Checked::Away(error.to_string())),
    };
    Some(match inspected {
        Ok(inspection) => Checked::Found(inspection),
        Err(error) => {
            let error = OpenError::from(error);
            if error.is_configuration() {
                Checked::Wrong(error.to_string())
            } else {
                Checked::Away(error.to_string())
            }
        }
    })
}

impl Checked {
    /// Whether the daemon could use it.
    pub(super) fn is_good(&self) -> bool {
        match self {
            Self::Found(inspection) => !inspection.is_refused(),
            Self::Wrong(_) => false,
            Self::Away(_) => true,
        }
    }

    pub(super) fn print(
        &self,
        locale: Locale,
        out: &mut impl Write,
        err: &mut impl Write,
    ) -> io::Result<()> {
        let place = tr(locale, "database", "数据库");
        let colon = tr(locale, ": ", "：");
        let warning = tr(locale, "warning: ", "警告：");
        match self {
            Self::Wrong(why) => writeln!(err, "{place}{colon}{why}"),
            Self::Away(why) => {
                let waits = tr(
                    locale,
                    "the daemon starts all the same, refuses events, and goes on trying",
                    "守护进程仍会启动，暂不接收事件，并持续重试",
                );
                writeln!(err, "{warning}{place}{colon}{why} ({waits})")
            }
            Self::Found(inspection) => {
                if inspection.is_empty {
                    let empty = tr(
                        locale,
                        "has no queue yet; the first node creates it",
                        "尚无队列；第一个节点启动时创建",
                    );
                    writeln!(out, "{place}{colon}{empty}")?;
                }
                for finding in &inspection.findings {
                    let Finding { name, value, .. } = finding;
                    match finding.verdict {
                        Verdict::Ok => writeln!(out, "{place}{colon}{name} = {value}")?,
                        Verdict::Advice => {
                            writeln!(err, "{warning}{place}{colon}{}", said(finding, locale))?;
                        }
                        Verdict::Refuse => {
                            writeln!(err, "{place}{colon}{}", said(finding, locale))?;
                        }
                    }
                }
                Ok(())
            }
        }
    }

    pub(super) fn as_json(&self) -> Value {
        match self {
            Self::Wrong(why) => json!({ "ok": false, "problem": why }),
            Self::Away(why) => json!({ "ok": true, "unreachable": why }),
            Self::Found(inspection) => {
                let finding = |finding: &Finding| {
                    let verdict = match finding.verdict {
                        Verdict::Ok => "ok",
                        Verdict::Advice => "advice",
                        Verdict::Refuse => "refuse",
                    };
                    json!({ "name": finding.name, "value": finding.value, "verdict": verdict, "message": finding.english })
                };
                json!({
                    "ok": self.is_good(),
                    "version": inspection.version,
                    "empty": inspection.is_empty,
                    "findings": inspection.findings.iter().map(finding).collect::<Vec<_>>(),
                })
            }
        }
    }
}

fn said(finding: &Finding, locale: Locale) -> &str {
    tr(locale, &finding.english, &finding.chinese)
}
