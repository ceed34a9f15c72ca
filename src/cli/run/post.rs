//! Posts the event to the daemon, or into its store if no daemon runs, or into the database of a shared
//! queue. Retries for a while, then gives up with a message.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::super::client::{ClientError, explain};
use super::super::destination::{Destination, PostError};
use super::super::failed;
use super::super::i18n::tr;
use super::super::target;
use super::report::Report;
use crate::clock::Clock;
use crate::config::{self, Sources};
use crate::domain::{JobEvent, Locale, Source};
use crate::intake::Intake;
use crate::queue::{OpenError, Queue, sqlite};

/// Pauses between the attempts, long enough for a daemon to restart.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
];

/// The result of one attempt.
enum Try {
    /// The event is on disk.
    Done,
    /// The event is on disk and waits for the next start of the daemon.
    Stored,
    /// Try again later.
    Later(String),
    /// The event was rejected.
    Refused(String),
}

/// How to reach the daemon or the database.
pub(super) struct Way {
    destination: Destination,
    /// The language of the mail, if known.
    pub(super) mail_locale: Locale,
}

impl Way {
    /// Finds the daemon or the database before the command runs. A failure is reported and prevents
    /// the mail, not the command.
    pub(super) fn new(
        sources: &Sources,
        options: &target::DaemonOptions,
        locale: Locale,
    ) -> Option<Self> {
        match Destination::find(sources, options) {
            Ok((destination, mail_locale)) => Some(Self {
                destination,
                mail_locale: mail_locale.unwrap_or(locale),
            }),
            Err(unusable) => {
                let (_, why) = unusable.report(locale);
                if let Some(why) = why {
                    failed(why);
                }
                None
            }
        }
    }
}

/// Posts the event. Reports on standard error if that fails, or if no daemon is running.
pub(super) async fn hand_over(sources: &Sources, way: &Way, report: &Report, locale: Locale) {
    let mut pauses = PAUSES.into_iter();
    loop {
        match attempt(sources, way, report, locale).await {
            Try::Done => return,
            Try::Stored => {
                let note = tr(
                    locale,
                    "no daemon is running; the event is queued for its next start",
                    "守护进程未运行；事件已写入其队列，待下次启动时处理",
                );
                eprintln!("jobbell: {note}");
                return;
            }
            Try::Later(why) => match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return warn(locale, &why, &why),
            },
            Try::Refused(why) => return warn(locale, &why, &why),
        }
    }
}

/// Reports that the event was not posted, and why.
pub(super) fn warn(locale: Locale, en: &str, zh: &str) {
    eprintln!(
        "jobbell: {}: {}",
        tr(
            locale,
            "the command has ended, but no notification can be sent",
            "命令已结束，但未能发出通知"
        ),
        tr(locale, en, zh)
    );
}

async fn attempt(sources: &Sources, way: &Way, report: &Report, locale: Locale) -> Try {
    let event = report.0.to_string().into_bytes();
    match way.destination.post("application/json", event).await {
        Ok(answer) if matches!(answer.status, 200 | 202) => Try::Done,
        Ok(answer) if answer.status >= 500 || matches!(answer.status, 408 | 429) => {
            Try::Later(explain(&answer, locale))
        }
        Ok(answer) => Try::Refused(explain(&answer, locale)),
        Err(error @ PostError::Client(ClientError::Unreachable { .. })) => store(sources, report)
            .await
            .unwrap_or_else(|| Try::Later(error.said(locale))),
        Err(error) if error.is_configuration() => Try::Refused(error.said(locale)),
        Err(error) => Try::Later(error.said(locale)),
    }
}

/// Stores the event in the daemon's queue while no daemon runs; `None` if there is no such queue.
///
/// The recipients come from the configuration that is read here, which must be complete.
async fn store(sources: &Sources, report: &Report) -> Option<Try> {
    let config = config::load(sources).ok()?.config;
    let now = Clock::System.now();
    let event = JobEvent::parse(&report.0, now).ok()?.event;
    let queue = match Queue::open_existing(&config.queue).await {
        Ok(queue) => queue,
        // A daemon is starting or stopping.
        Err(OpenError::Sqlite(error @ sqlite::OpenError::Locked { .. })) => {
            return Some(Try::Later(error.to_string()));
        }
        Err(_) => return None,
    };
    let routes = Arc::new(ArcSwap::from_pointee(config.routes));
    let intake = Intake::new(queue.clone(), routes, queue.clock().clone(), Arc::default());
    let source = Source(std::borrow::Cow::Borrowed("run"));
    let result = intake.accept_one(&source, event).await;
    queue.close().await;
    Some(match result {
        Ok(_) => Try::Stored,
        Err(refusal) if refusal.is_temporary() => Try::Later(refusal.to_string()),
        Err(refusal) => Try::Refused(refusal.to_string()),
    })
}
