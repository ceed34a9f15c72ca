//! `jobbell queue list`: one line per delivery, fitted to the terminal; tab-separated in a pipe.

use std::collections::HashMap;

use serde_json::Value;

use super::super::columns::{clipped, columns, padded, terminal_width};
use super::super::i18n::Words;
use super::access::{Access, SHORT_ID};
use super::access_error::AccessError;
use super::show::{state, text};
use crate::domain::{Event, Timestamp};
use crate::queue::DeliveryRecord;
use crate::render::{MailContext, Renderer};

/// Columns between two cells.
const GAP: usize = 2;
/// Minimum width of a subject or a recipient.
const NARROWEST: usize = 8;

/// One delivery.
struct Row {
    id: String,
    event: String,
    to: String,
    state: String,
    created: String,
    subject: String,
}

/// Prints a page of deliveries.
pub(super) async fn print(
    page: &Value,
    access: &Access,
    renderer: &Renderer,
    words: &Words,
    now: Timestamp,
) -> Result<(), AccessError> {
    let deliveries = page
        .get("deliveries")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if deliveries.is_empty() {
        println!("{}", words.queue_empty);
        return Ok(());
    }
    let subjects = subjects(deliveries, access, renderer).await?;
    let rows = deliveries.iter().map(|delivery| Row {
        id: text(delivery, "id").to_owned(),
        event: text(delivery, "event_id").to_owned(),
        to: text(delivery, "to").to_owned(),
        state: state(delivery),
        created: text(delivery, "created_at").to_owned(),
        subject: subjects
            .get(text(delivery, "event_id"))
            .cloned()
            .unwrap_or_default(),
    });
    let rows: Vec<Row> = rows.collect();
    match terminal_width() {
        Some(width) => table(&rows, words, width, now)
            .iter()
            .for_each(|line| println!("{line}")),
        None => lines(&rows, words)
            .iter()
            .for_each(|line| println!("{line}")),
    }
    let cursor = text(page, "next_cursor");
    if !cursor.is_empty() {
        println!("{} {cursor}", words.more);
    }
    Ok(())
}

/// The subject of each event's mail; empty if the event's content has been removed.
async fn subjects(
    deliveries: &[Value],
    access: &Access,
    renderer: &Renderer,
) -> Result<HashMap<String, String>, AccessError> {
    let mut subjects = HashMap::new();
    for delivery in deliveries {
        let id = text(delivery, "event_id");
        if subjects.contains_key(id) {
            continue;
        }
        let record = access.event(id).await?;
        let subject = record
            .as_ref()
            .and_then(|record| subject(record.get("event")?, delivery, renderer));
        subjects.insert(id.to_owned(), subject.unwrap_or_default());
    }
    Ok(subjects)
}

fn subject(event: &Value, delivery: &Value, renderer: &Renderer) -> Option<String> {
    let event: Event = serde_json::from_value(event.clone()).ok()?;
    let delivery: DeliveryRecord = serde_json::from_value(delivery.clone()).ok()?;
    let addressed = MailContext {
        delivery: delivery.id,
        message_id: &delivery.message_id,
        recipient: &delivery.to,
        kind: delivery.kind,
        created_at: delivery.created_at,
        pictures: None,
    };
    renderer
        .render(&event, &addressed)
        .ok()
        .map(|email| email.subject)
}

/// For other programs: all columns, separated by tabs.
fn lines(rows: &[Row], words: &Words) -> Vec<String> {
    let header = words.columns.map(str::to_owned);
    let cells = rows.iter().map(|row| {
        [
            &row.id,
            &row.event,
            &row.to,
            &row.state,
            &row.created,
            &row.subject,
        ]
        .map(|cell| plain(cell))
    });
    std::iter::once(header)
        .chain(cells)
        .map(|cells| cells.join("\t"))
        .collect()
}

/// For people: no line exceeds the terminal's width.
fn table(rows: &[Row], words: &Words, width: usize, now: Timestamp) -> Vec<String> {
    let [id, _, to, state, _, subject] = words.columns;
    let header = [id, subject, to, state, words.age].map(str::to_owned);
    let cells = rows.iter().map(|row| {
        [
            short(&row.id),
            plain(&row.subject),
            plain(&row.to),
            row.state.clone(),
            age(&row.created, now),
        ]
    });
    let cells: Vec<[String; 5]> = std::iter::once(header).chain(cells).collect();
    let natural = |at: usize| {
        cells
            .iter()
            .filter_map(|row| row.get(at))
            .map(|cell| columns(cell))
            .max()
            .unwrap_or(0)
    };
    let fixed = [0, 3, 4].map(natural).iter().sum::<usize>() + 4 * GAP;
    let room = width.saturating_sub(fixed).max(2 * NARROWEST);
    let to_width = natural(2).min((room / 2).max(NARROWEST));
    let subject_width = natural(1).min(room.saturating_sub(to_width));
    let widths = [natural(0), subject_width, to_width, natural(3), natural(4)];
    let line = |row: &[String; 5]| {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| padded(&clipped(cell, width), width))
            .collect();
        cells.join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    cells.iter().map(line).collect()
}

fn short(id: &str) -> String {
    id.get(id.len().saturating_sub(SHORT_ID)..)
        .unwrap_or(id)
        .to_owned()
}

/// Makes a cell a single line without tabs.
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// The age in its largest unit: `40s`, `5m`, `2h`, `3d`.
fn age(created: &str, now: Timestamp) -> String {
    let Ok(created) = created.parse::<Timestamp>() else {
        return String::new();
    };
    let seconds = now.as_millis().saturating_sub(created.as_millis()).max(0) / 1_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Locale;

    fn row(subject: &str, to: &str, state: &str) -> Row {
        Row {
            id: "01a22d8d-cb5e-7bdf-97c2-74ccac44f2a8".to_owned(),
            event: "gen-1".to_owned(),
            to: to.to_owned(),
            state: state.to_owned(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            subject: subject.to_owned(),
        }
    }

    #[test]
    fn the_table_fits_the_terminal() {
        let now: Timestamp = "2026-01-01T02:30:00Z".parse().unwrap();
        let rows = [
            row(
                "Image ready: a cat with a very long name that goes on and on and on",
                "somebody.with.a.long.name@department.example.org",
                "dead (rejected)",
            ),
            row(
                "图片已生成：一只可爱的小猫在窗台上晒太阳，旁边有一盆花",
                "me@qq.com",
                "suppressed (not_allowed)",
            ),
        ];
        for locale in [Locale::En, Locale::ZhCn] {
            for width in [60, 80, 100, 120] {
                let lines = table(&rows, Words::of(locale), width, now);
                assert_eq!(lines.len(), 3);
                for line in &lines {
                    assert!(columns(line) <= width, "{width}: {line}");
                }
                assert!(
                    lines[1].starts_with("ac44f2a8  Image")
                        && lines[1].ends_with("2h")
                        && lines[1].contains("dead (rejected)"),
                    "{lines:?}"
                );
            }
        }
    }

    #[test]
    fn a_pipe_gets_every_cell_whole() {
        let lines = lines(&[row("a\tb", "me@qq.com", "sent")], Words::of(Locale::En));
        assert_eq!(
            lines[1],
            "01a22d8d-cb5e-7bdf-97c2-74ccac44f2a8\tgen-1\tme@qq.com\tsent\t2026-01-01T00:00:00Z\ta b"
        );
        assert!(lines[0].starts_with("delivery\tevent\tto\tstate\t"));
    }

    #[test]
    fn ages_are_short() {
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
        let ages = [
            "2026-01-09T23:59:20Z",
            "2026-01-09T23:55:00Z",
            "2026-01-09T22:00:00Z",
            "2026-01-07T00:00:00Z",
            "2026-02-01T00:00:00Z",
        ];
        assert_eq!(
            ages.map(|created| age(created, now)),
            ["40s", "5m", "2h", "3d", "0s"]
        );
    }
}
