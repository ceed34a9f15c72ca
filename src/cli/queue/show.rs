//! The queue's records for people: tables and indented lines.

use serde_json::Value;

use super::super::columns::right;
use super::super::i18n::Words;
use super::super::thumbnails::absence;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{FailureKind, MissingReason, Timestamp};

/// Columns of a label.
const LABEL: usize = 12;

/// A text field, or an empty string.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The state with its reason, if any.
pub(super) fn state(delivery: &Value) -> String {
    match text(delivery, "reason") {
        "" => text(delivery, "state").to_owned(),
        reason => format!("{} ({reason})", text(delivery, "state")),
    }
}

/// Prints an event with its deliveries, or one delivery.
pub(super) fn record(record: &Value, config: &Config, words: &Words) {
    let Some(deliveries) = record.get("deliveries").and_then(Value::as_array) else {
        return delivery(record, config, words);
    };
    let event = record.get("event").unwrap_or(record);
    let what = if event.is_null() {
        words.payload_removed
    } else {
        text(event, "status")
    };
    println!(
        "{} {}: {what} {}",
        words.event,
        text(record, "id"),
        text(event, "title")
    );
    println!(
        "  {} · {}",
        text(record, "source"),
        text(record, "received_at")
    );
    for picture in record
        .get("pictures")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        println!("{}", self::picture(picture, words));
    }
    for one in deliveries {
        delivery(one, config, words);
    }
}

/// `picture 1: kept (560×315, 31204 B)`, or why there is no thumbnail.
fn picture(picture: &Value, words: &Words) -> String {
    let number = |key| picture.get(key).and_then(Value::as_u64).unwrap_or_default();
    let reason = MissingReason::from_name(text(picture, "reason"))
        .map(|why| format!(" ({})", absence(why, words.locale)));
    let size = (number("bytes") > 0).then(|| {
        format!(
            " ({}×{}, {} B)",
            number("width"),
            number("height"),
            number("bytes")
        )
    });
    let about = reason.or(size).unwrap_or_default();
    format!(
        "{} {}: {}{about}",
        words.picture,
        number("index") + 1,
        text(picture, "state")
    )
}

fn delivery(delivery: &Value, config: &Config, words: &Words) {
    println!(
        "{} {} → {}: {}",
        words.delivery,
        text(delivery, "id"),
        text(delivery, "to"),
        state(delivery)
    );
    for attempt in delivery
        .get("attempts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let number = attempt
            .get("number")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let took = attempt
            .get("took_ms")
            .and_then(Value::as_u64)
            .unwrap_or_default();
        let reply = attempt.get("reply").filter(|reply| reply.is_object());
        let code = reply
            .and_then(|reply| reply.get("code"))
            .map(Value::to_string)
            .unwrap_or_default();
        let said = reply
            .map_or_else(|| text(attempt, "detail"), |reply| text(reply, "text"))
            .replace('\n', " ");
        println!(
            "  {} {number} {} · {} · {} {} · {took} ms · {code} {said}",
            words.attempt,
            text(attempt, "at"),
            text(attempt, "server"),
            text(attempt, "result"),
            text(attempt, "stage"),
        );
        for key in ["cause", "advice"] {
            if !text(attempt, key).is_empty() {
                println!("      {}", text(attempt, key));
            }
        }
    }
    let next = text(delivery, "next_attempt_at");
    match paused(delivery, config, Clock::System.now()) {
        Some((server, until)) if !next.is_empty() => {
            println!("  {}", words.paused(server, &until.to_string()));
        }
        _ if !next.is_empty() => println!("  {}: {next}", words.next_attempt),
        _ => {}
    }
}

/// The server that refused the last attempt because of its settings, and until when it is paused.
/// The daemon does not store pauses; they follow from the attempt. With a second server, the
/// delivery does not wait.
fn paused<'a>(
    delivery: &'a Value,
    config: &Config,
    now: Timestamp,
) -> Option<(&'a str, Timestamp)> {
    let [only] = config.smtp.as_slice() else {
        return None;
    };
    let last = delivery.get("attempts")?.as_array()?.last()?;
    let at: Timestamp = text(last, "at").parse().ok()?;
    let until = at.after(only.common.cooldown_max);
    let server = text(last, "server");
    (text(last, "result") == FailureKind::Misconfigured.as_str()
        && *only.common.name == *server
        && until > now)
        .then_some((server, until))
}

/// The six states and whether they are consistent.
pub(super) fn stats(stats: &Value, words: &Words) {
    counts(stats, words);
    let balanced = stats
        .get("balanced")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    println!(
        "{}",
        if balanced {
            words.adds_up
        } else {
            words.does_not_add_up
        }
    );
}

/// The six states.
pub(super) fn counts(stats: &Value, words: &Words) {
    for state in crate::domain::State::ALL {
        println!(
            "{}  {}",
            right(state.as_str(), LABEL),
            stats.get(state.as_str()).unwrap_or(&Value::from(0))
        );
    }
    println!(
        "{}  {}",
        right(words.accepted_in_all, LABEL),
        stats.get("accepted").unwrap_or(&Value::from(0))
    );
}
