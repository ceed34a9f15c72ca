//! `jobbell queue move`: moves the queue between a file and a PostgreSQL database.

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::json;

use super::super::i18n::{terminal_locale, tr};
use super::super::progress::Bar;
use super::super::{CONFIG, DONE, FAILED, block_on, failed, load_without_mail};
use crate::config::Sources;
use crate::domain::Locale;
use crate::queue::Settings;
use crate::queue::moving::{self, MoveError, Moved, Phase, Progress};

/// The word for the configured `queue.url`.
const CONFIGURED: &str = "config";

/// Both ends of a move.
#[derive(Debug, Args)]
pub(super) struct Ends {
    /// The queue to move: sqlite://PATH, postgres://…, or the word config for queue.url
    #[arg(value_name = "FROM")]
    from: String,
    /// Where it goes: the same; empty, or from a move that was broken off
    #[arg(value_name = "TO")]
    to: String,
}

/// Moves a queue.
pub(super) fn run(sources: &Sources, ends: &Ends, json: bool) -> u8 {
    let locale = terminal_locale();
    let settings = settings(sources, &ends.from, "FROM")
        .and_then(|source| Ok((source, settings(sources, &ends.to, "TO")?)));
    let (source, target) = match settings {
        Ok(both) => both,
        Err(status) => return status,
    };
    let mut shown = Shown::new(locale);
    let moved = block_on(moving::run(&source, &target, &mut |progress| {
        shown.update(progress);
    }));
    drop(shown);
    match moved {
        Ok(Ok(moved)) => {
            report(&moved, json, locale);
            DONE
        }
        Ok(Err(error)) => {
            failed(&error);
            if error.is_configuration() || matches!(error, MoveError::SameKind) {
                CONFIG
            } else {
                FAILED
            }
        }
        Err(error) => failed(error),
    }
}

/// The queue of the configuration, with another URL.
fn settings(sources: &Sources, url: &str, place: &str) -> Result<Settings, u8> {
    let mut sources = sources.clone();
    if url != CONFIGURED {
        let value = ("queue.url".to_owned(), url.to_owned(), place.to_owned());
        sources.overrides.push(value);
    }
    load_without_mail(&sources).map(|loaded| loaded.config.queue)
}

fn report(moved: &Moved, json: bool, locale: Locale) {
    let Moved {
        events,
        deliveries,
        queued,
        was_moved,
    } = moved;
    if json {
        println!(
            "{}",
            json!({ "events": events, "deliveries": deliveries, "queued": queued, "was_moved": was_moved })
        );
        return;
    }
    match (locale, was_moved) {
        (Locale::En, false) => println!(
            "moved {events} events with {deliveries} deliveries, {queued} of them queued; the copy was compared with the source\n\
             Set queue.url to the new place before you start the daemon. Do not start one on the old queue: it would send the queued mails again."
        ),
        (Locale::En, true) => {
            println!("nothing to do: the target has all {deliveries} deliveries already");
        }
        (Locale::ZhCn, false) => println!(
            "已迁移 {events} 个事件、{deliveries} 个投递（其中 {queued} 个待发送），并与来源逐一核对\n\
             启动守护进程前，请将 queue.url 改为新位置。不要再在旧队列上启动守护进程，否则待发送的邮件会重复发送。"
        ),
        (Locale::ZhCn, true) => println!("无需迁移：目标中已有全部 {deliveries} 个投递"),
    }
}

/// The progress on a terminal, or a line a phase elsewhere.
struct Shown {
    bar: Bar,
    phase: Option<Phase>,
    locale: Locale,
}

impl Shown {
    fn new(locale: Locale) -> Self {
        Self {
            bar: Bar::new(),
            phase: None,
            locale,
        }
    }

    fn update(&mut self, progress: Progress) {
        let Progress {
            phase,
            events,
            total,
        } = progress;
        let locale = self.locale;
        let words = match phase {
            Phase::Counting => tr(locale, "reading the source", "读取来源"),
            Phase::Copying => tr(locale, "copying", "复制"),
            Phase::Verifying => tr(locale, "comparing", "核对"),
        };
        if self.phase.replace(phase) != Some(phase) && !std::io::stderr().is_terminal() {
            eprintln!("jobbell: {words}");
        }
        self.bar.show(words, events, total);
    }
}
