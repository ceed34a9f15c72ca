//! `jobbell hooks failed`: lists unmapped payloads, through the running daemon or from the store.

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::super::client::{Answer, Client, ClientError, explain};
use super::super::i18n::{terminal_locale, tr};
use crate::config::Config;
use crate::domain::Locale;
use crate::queue::StoreError;
use crate::queue::{OpenError, Queue};

/// Maximum number of payloads in a list.
const MAX_LISTED: u32 = 500;

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum FailedError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{}", explain(.0, Locale::En))]
    Refused(Answer),
    #[error("no payload has the number {0}")]
    Unknown(i64),
}

impl FailedError {
    /// The message in the operator's language.
    pub(super) fn said(&self, locale: Locale) -> String {
        match (self, locale) {
            (Self::Client(error), _) => error.said(locale),
            (Self::Refused(answer), _) => explain(answer, locale),
            (Self::Unknown(id), Locale::ZhCn) => format!("没有编号为 {id} 的请求内容"),
            (error, _) => error.to_string(),
        }
    }
}

/// Lists the payloads, or shows one.
pub(super) async fn run(
    client: &Client,
    config: &Config,
    id: Option<i64>,
    as_json: bool,
) -> Result<(), FailedError> {
    let found = find(client, config, id).await?;
    let locale = terminal_locale();
    if as_json {
        println!("{found:#}");
    } else if id.is_some() {
        show(&found, locale);
    } else {
        list(&found, locale);
    }
    Ok(())
}

async fn find(client: &Client, config: &Config, id: Option<i64>) -> Result<Value, FailedError> {
    let path = id.map_or_else(
        || "/v1/hook-failures".to_owned(),
        |id| format!("/v1/hook-failures/{id}"),
    );
    match (client.get(&path).await, id) {
        (Ok(answer), _) if answer.status == 200 => Ok(answer.body),
        (Ok(answer), Some(id)) if answer.status == 404 => Err(FailedError::Unknown(id)),
        (Ok(answer), _) => Err(FailedError::Refused(answer)),
        (Err(ClientError::Unreachable { .. }), _) => on_store(config, id).await,
        (Err(error), _) => Err(error.into()),
    }
}

async fn on_store(config: &Config, id: Option<i64>) -> Result<Value, FailedError> {
    let queue = Queue::open_to_read(&config.queue).await?;
    let found = match id {
        Some(id) => serde_json::to_value(
            queue
                .find_unmapped(id)
                .await?
                .ok_or(FailedError::Unknown(id))?,
        )?,
        None => json!({ "failures": queue.unmapped(MAX_LISTED).await? }),
    };
    queue.close().await;
    Ok(found)
}

fn list(found: &Value, locale: Locale) {
    let failures = found
        .get("failures")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    if failures.is_empty() {
        return println!(
            "{}",
            tr(locale, "no unmapped payloads", "收到的内容均已识别")
        );
    }
    let mut table = Table::new();
    let header = match locale {
        Locale::En => ["ID", "last", "hook", "times", "why"],
        Locale::ZhCn => ["编号", "最近", "来源", "次数", "原因"],
    };
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_header(header);
    for failure in failures {
        table.add_row(["id", "last_at", "hook", "times", "why"].map(|name| text(failure, name)));
    }
    println!("{table}");
}

fn show(failure: &Value, locale: Locale) {
    for (name, en, zh) in [
        ("hook", "hook", "来源"),
        ("first_at", "first", "首次"),
        ("last_at", "last", "最近"),
        ("times", "times", "次数"),
        ("why", "why", "原因"),
    ] {
        println!("{}: {}", tr(locale, en, zh), text(failure, name));
    }
    println!("{}", text(failure, "payload"));
}

fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
