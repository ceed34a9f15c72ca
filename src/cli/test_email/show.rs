//! Output of `test-email` for people and programs.

use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Color, Style};
use serde_json::{Value, json};

use super::row::{Mark, Row};
use crate::cli::columns::{columns, padded, right, wrapped};
use crate::cli::explained_error::{self, ExplainedError};
use crate::cli::i18n::tr;
use crate::domain::{Locale, Receipt};

/// Column widths of a step's name and duration.
const NAME: usize = 9;
const TIME: usize = 7;

/// One server and its test result.
pub(super) struct Tested {
    /// Name in the configuration.
    pub(super) name: String,
    /// Host, port and encryption as text.
    pub(super) place: String,
    /// The same as JSON.
    pub(super) address: Value,
    /// The sender, masked.
    pub(super) from: String,
    /// The recipient, masked.
    pub(super) to: String,
    /// The steps.
    pub(super) rows: Vec<Row>,
    /// Why the test failed, if it did.
    pub(super) trouble: Option<ExplainedError>,
    /// The known mail service that refused the login, if any.
    pub(super) service: Option<&'static str>,
    /// The server's receipt, if a mail was sent.
    pub(super) receipt: Option<Receipt>,
    /// The Message-ID, without angle brackets.
    pub(super) message_id: String,
}

const GOOD: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Green)));
const BAD: Style = Style::new()
    .bold()
    .fg_color(Some(Color::Ansi(AnsiColor::Red)));
const DIM: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();

/// Writes the result of one server.
pub(super) fn write(
    out: &mut impl Write,
    tested: &Tested,
    locale: Locale,
    width: Option<usize>,
) -> io::Result<()> {
    let place = tested
        .place
        .strip_prefix(&tested.name)
        .map_or_else(|| format!("  {}", tested.place), str::to_owned);
    writeln!(out, "{STRONG}{}{STRONG:#}{place}", tested.name)?;
    writeln!(out, "{DIM}{} → {}{DIM:#}\n", tested.from, tested.to)?;
    for row in &tested.rows {
        write_row(out, row, locale, width)?;
    }
    writeln!(out)?;
    match (&tested.trouble, &tested.receipt) {
        (Some(trouble), _) => {
            explained_error::write(out, trouble, locale, width)?;
            let more = tr(
                locale,
                "How to get its password, step by step:",
                "获取其授权码或密码的步骤：",
            );
            tested.service.map_or(Ok(()), |service| {
                writeln!(out, "{more} jobbell providers {service}")
            })
        }
        (None, Some(_)) => {
            writeln!(
                out,
                "{GOOD}{} {}{GOOD:#}",
                tr(locale, "Email sent to", "邮件已发送至"),
                tested.to
            )?;
            let look = tr(
                locale,
                "Check the inbox, then the spam folder.",
                "请查看收件箱；若没有，再看垃圾邮件箱。",
            );
            writeln!(out, "{look}")
        }
        (None, None) => writeln!(
            out,
            "{}",
            tr(
                locale,
                "The server would accept the email; nothing was sent.",
                "服务器愿意接收该邮件；未实际发送。"
            )
        ),
    }
}

fn write_row(
    out: &mut impl Write,
    row: &Row,
    locale: Locale,
    width: Option<usize>,
) -> io::Result<()> {
    let (style, mark) = match row.mark {
        Mark::Done => (GOOD, '✓'),
        Mark::Failed => (BAD, '✗'),
        Mark::Skipped => (DIM, '–'),
    };
    let time = row.took.map(|took| span(took, locale)).unwrap_or_default();
    let beginning = format!(
        "{}{}",
        padded(label(row.step, locale), NAME),
        right(&time, TIME)
    );
    let indent = 4 + columns(&beginning) + 2;
    let room = width.map(|width| width.saturating_sub(indent));
    let mut lines = row.lines.iter().flat_map(|line| wrapped(line, room));
    let first = lines.next().unwrap_or_default();
    writeln!(
        out,
        "{}",
        format_args!("  {style}{mark}{style:#} {beginning}  {first}")
            .to_string()
            .trim_end()
    )?;
    lines.try_for_each(|line| writeln!(out, "{}{line}", " ".repeat(indent)))
}

fn label(step: &'static str, locale: Locale) -> &'static str {
    match step {
        "dns" => "DNS",
        "tcp" => "TCP",
        "tls" => "TLS",
        "greeting" => tr(locale, "greeting", "问候"),
        "ehlo" => "EHLO",
        "auth" => "AUTH",
        "mail" => "MAIL",
        "rcpt" => "RCPT",
        "data" => "DATA",
        "api" => "API",
        _ => tr(locale, "mail", "邮件"),
    }
}

fn span(took: Duration, locale: Locale) -> String {
    let millis = took.as_secs_f64() * 1_000.0;
    match () {
        () if millis >= 1_000.0 => format!("{:.1} {}", millis / 1_000.0, tr(locale, "s", "秒")),
        () if millis >= 10.0 => format!("{millis:.0} ms"),
        () => format!("{millis:.1} ms"),
    }
}

/// The result of one server as JSON.
pub(super) fn record(tested: &Tested) -> Value {
    let steps: Vec<Value> = tested.rows.iter().map(step).collect();
    let mut record = json!({
        "name": tested.name,
        "ok": tested.trouble.is_none(),
        "sent": tested.receipt.is_some(),
        "from": tested.from,
        "to": tested.to,
        "message_id": tested.message_id,
        "steps": steps,
        "reply": tested.receipt.as_ref().map(|receipt| &receipt.reply),
        "error": tested.trouble.as_ref().map(explained_error::record),
    });
    if let (Some(record), Some(address)) = (record.as_object_mut(), tested.address.as_object()) {
        record.extend(address.clone());
    }
    record
}

fn step(row: &Row) -> Value {
    let mut facts = row.facts.clone();
    facts.insert("step".to_owned(), json!(row.step));
    facts.insert("status".to_owned(), json!(row.mark.as_str()));
    facts.insert(
        "took_ms".to_owned(),
        json!(
            row.took
                .map(|took| (took.as_secs_f64() * 10_000.0).round() / 10.0)
        ),
    );
    facts.insert("detail".to_owned(), json!(row.lines.join("\n")));
    Value::Object(facts)
}
