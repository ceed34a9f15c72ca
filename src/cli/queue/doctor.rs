//! `jobbell queue doctor`: what slows a queue in PostgreSQL down.

use serde_json::{Value, json};

use super::super::columns::{columns, terminal_width, wrapped};
use super::super::i18n::{terminal_locale, tr};
use super::super::{DONE, FAILED};
use super::access_error::AccessError;
use crate::config::Config;
use crate::domain::Locale;
use crate::queue::{Bilingual, Examination, Symptom, TableSize, doctor};
use crate::render::format::bytes_text;

/// Examines the database. Returns the exit status: 1 if somebody has to do something.
pub(super) async fn run(config: &Config, json: bool) -> Result<u8, AccessError> {
    let examination = doctor::examine(&config.queue).await?;
    let Some(examination) = examination else {
        sqlite(json);
        return Ok(DONE);
    };
    if json {
        println!("{}", as_json(&examination));
    } else {
        tell(&examination, terminal_locale());
    }
    Ok(if examination.is_well() { DONE } else { FAILED })
}

/// SQLite has none of these problems; damage is found by another command.
fn sqlite(json: bool) {
    if json {
        println!(
            "{}",
            json!({ "ok": true, "server_version": null, "findings": [], "tables": [] })
        );
    } else {
        let text = tr(
            terminal_locale(),
            "the queue is in SQLite, which needs no doctor; `jobbell queue check` looks for damage",
            "该队列使用 SQLite，无需诊断；请用 `jobbell queue check` 检查是否损坏",
        );
        println!("{text}");
    }
}

fn as_json(examination: &Examination) -> Value {
    let findings = examination.symptoms.iter().map(|symptom| {
        let mut finding = symptom.facts.clone();
        finding.insert("check".to_owned(), symptom.check.into());
        finding.insert("needs_action".to_owned(), symptom.needs_action.into());
        finding.insert("message".to_owned(), json!(symptom.message.english));
        finding.insert("advice".to_owned(), json!(symptom.advice.english));
        Value::from(finding)
    });
    let tables = examination.tables.iter().map(|table| {
        json!({
            "table": table.table,
            "rows": table.rows,
            "dead_rows": table.dead_rows,
            "bytes": table.bytes,
            "vacuum_s": table.since_vacuum.map(|since| since.as_secs()),
        })
    });
    json!({
        "ok": examination.is_well(),
        "server_version": examination.server_version,
        "findings": findings.collect::<Vec<_>>(),
        "tables": tables.collect::<Vec<_>>(),
    })
}

fn tell(examination: &Examination, locale: Locale) {
    println!("PostgreSQL {}", examination.server_version);
    for table in &examination.tables {
        println!("  {}", size(table, locale));
    }
    let width = terminal_width();
    for symptom in &examination.symptoms {
        for line in lines(symptom, locale, width) {
            println!("{line}");
        }
    }
    let text = if examination.is_well() {
        tr(locale, "nothing needs you", "无需处理")
    } else {
        tr(
            locale,
            "something needs you: see what is marked ✗",
            "需要处理：见标有 ✗ 的各项",
        )
    };
    println!("{text}");
}

fn size(table: &TableSize, locale: Locale) -> String {
    let TableSize {
        table: name,
        rows,
        dead_rows,
        ..
    } = table;
    let bytes = bytes_text(table.bytes);
    match locale {
        Locale::En => format!("{name}: {rows} rows, {dead_rows} dead, {bytes}"),
        Locale::ZhCn => format!("{name}：{rows} 行，{dead_rows} 死行，{bytes}"),
    }
}

/// The finding and what to do, wrapped to the terminal.
fn lines(symptom: &Symptom, locale: Locale, width: Option<usize>) -> Vec<String> {
    let mark = if symptom.needs_action { "✗ " } else { "· " };
    let advice = tr(locale, "  What to do: ", "  处理办法：");
    let mut lines = Vec::new();
    for (first, text) in [(mark, &symptom.message), (advice, &symptom.advice)] {
        let indent = columns(first);
        let room = width.map(|width| width.saturating_sub(indent));
        for (number, line) in wrapped(said(text, locale), room).into_iter().enumerate() {
            if number == 0 {
                lines.push(format!("{first}{line}"));
            } else {
                lines.push(format!("{}{line}", " ".repeat(indent)));
            }
        }
    }
    lines
}

fn said(text: &Bilingual, locale: Locale) -> &str {
    tr(locale, &text.english, &text.chinese)
}
