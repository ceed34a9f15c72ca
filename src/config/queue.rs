//! The `[queue]` table.

use std::path::{Path, PathBuf};

use super::Sources;
#[cfg(feature = "postgres")]
use super::database::read as shared;
use super::files::file_name;
use super::layers::BUILT_IN;
use super::message::Message;
use super::values::{Refusal, Values};
use crate::dispatch::RetryPolicy;
use crate::queue::{Location, Settings};

const STATE_DIR: &str = "queue.state_dir";
const URL: &str = "queue.url";
/// Keys that only PostgreSQL needs.
const ONLY_POSTGRES: [&str; 4] = [
    "queue.password_file",
    "queue.tls_ca_file",
    "queue.listen_url",
    "queue.secret_key_file",
];
/// The most characters of a node's name.
const MAX_NAME: usize = 63;

pub(super) fn read(values: &mut Values, sources: &Sources, retry: &RetryPolicy) -> Settings {
    let state_dir = state_dir(values, sources);
    // With SQLite, too: a state directory has one node in any case.
    let node_name = values.parsed("queue.node_name", node_name);
    let retention = values.span("queue.retention");
    let payload_retention = if values.has("queue.payload_retention") {
        values.span("queue.payload_retention").min(retention)
    } else {
        retention
    };
    let location = location(values, sources, &state_dir, node_name);
    Settings {
        location,
        state_dir,
        max_pending: values.whole("queue.max_pending").unwrap_or(1),
        retention,
        payload_retention,
        recovery_delay: retry.initial,
    }
}

fn state_dir(values: &mut Values, sources: &Sources) -> PathBuf {
    if !values.has(STATE_DIR) {
        let systemd = sources
            .variable("STATE_DIRECTORY")
            .and_then(|paths| paths.into_string().ok());
        match systemd.as_deref().and_then(|paths| paths.split(':').next()) {
            Some(first) => values.supply(STATE_DIR, "$STATE_DIRECTORY", first),
            None => values.supply(STATE_DIR, BUILT_IN, "./data"),
        }
    }
    let state_dir = values.parsed(STATE_DIR, file_name).unwrap_or_default();
    sources.resolve(
        state_dir
            .strip_prefix(".")
            .ok()
            .filter(|rest| !rest.as_os_str().is_empty())
            .unwrap_or(&state_dir),
    )
}

fn location(
    values: &mut Values,
    sources: &Sources,
    state_dir: &Path,
    node_name: Option<String>,
) -> Location {
    let is_postgres =
        |text: &str| Ok(text.starts_with("postgres://") || text.starts_with("postgresql://"));
    if values.parsed(URL, is_postgres) == Some(true) {
        return shared(values, sources, node_name);
    }
    for key in ONLY_POSTGRES {
        if values.parsed(key, |text| Ok(text.len())).is_some() {
            let why = [
                "is for PostgreSQL, but queue.url is a SQLite file; remove it, or set queue.url",
                "只用于 PostgreSQL，而 queue.url 是 SQLite 文件；请删去，或设置 queue.url",
            ];
            values.problem(key, why);
        }
    }
    let file = values.parsed(URL, store_path).unwrap_or_default();
    Location::Sqlite(state_dir.join(file))
}

#[cfg(not(feature = "postgres"))]
fn shared(values: &mut Values, _: &Sources, _: Option<String>) -> Location {
    let why = [
        "this build has no PostgreSQL (feature `postgres`); set a SQLite file, or use a build that has it",
        "此版本不含 PostgreSQL 支持（feature `postgres`）；请改用 SQLite 文件，或使用含该功能的版本",
    ];
    values.problem(URL, why);
    Location::Sqlite(PathBuf::new())
}

fn node_name(text: &str) -> Result<String, Refusal> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=MAX_NAME).contains(&text.len()) && text.chars().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err(None)
    }
}

fn store_path(url: &str) -> Result<PathBuf, Refusal> {
    let refuse = |message: [&str; 2]| Err(Some(Message::from(message)));
    let file = url.strip_prefix("sqlite://").ok_or(None)?;
    if file.contains(":memory:") {
        return refuse([
            "a queue in memory would lose accepted events",
            "内存中的队列会丢失已接收的事件",
        ]);
    }
    if file.is_empty() || file.ends_with('/') || file.contains(|c: char| c == '?' || c.is_control())
    {
        return refuse(["name a file, without parameters", "请指定文件，不带参数"]);
    }
    Ok(PathBuf::from(file))
}
