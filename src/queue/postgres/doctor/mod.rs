//! What slows the queue down: examined on one connection, without changing anything. Each statement
//! works with the rights of an ordinary role, which sees less of the sessions of others.

mod autovacuum;
mod bloat;
mod locks;
mod nodes;
mod query_text;
mod rights;
mod session;
mod slots;
mod snapshots;
mod weeks;

use std::time::Duration;

use tokio_postgres::Row;

use super::command;
use super::connection::{Connection, Value};
use super::open_error::OpenError;
use super::verb_error::VerbError;
use crate::queue::PostgresSettings;
use crate::queue::symptom::{Bilingual, Examination, Symptom};

const LIMIT: Duration = Duration::from_secs(5);
const BEGIN: &str = "BEGIN READ ONLY; SET LOCAL lock_timeout = '2s'";

type Found = Result<Vec<Symptom>, VerbError>;

/// Examines the database of a queue.
///
/// # Errors
/// When it cannot be reached, or contains no queue.
pub(in crate::queue) async fn examine(
    settings: &PostgresSettings,
) -> Result<Examination, OpenError> {
    let connection = command::visit(settings).await?;
    let (server_version, rights) = rights::examine(&connection).await?;
    let mut examination = Examination {
        server_version,
        symptoms: rights,
        tables: Vec::new(),
    };
    let symptoms = &mut examination.symptoms;
    add(symptoms, "lock", locks::examine(&connection).await);
    add(symptoms, "snapshot", snapshots::examine(&connection).await);
    add(
        symptoms,
        "replication_slot",
        slots::examine(&connection).await,
    );
    match bloat::examine(&connection).await {
        Ok((tables, found)) => {
            examination.tables = tables;
            symptoms.extend(found);
        }
        Err(error) => symptoms.push(failed("bloat", &error)),
    }
    add(
        symptoms,
        "autovacuum",
        autovacuum::examine(&connection).await,
    );
    add(symptoms, "partitions", weeks::examine(&connection).await);
    add(symptoms, "nodes", nodes::examine(&connection).await);
    Ok(examination)
}

fn add(symptoms: &mut Vec<Symptom>, check: &'static str, found: Found) {
    match found {
        Ok(found) => symptoms.extend(found),
        Err(error) => symptoms.push(failed(check, &error)),
    }
}

/// What could not be examined needs somebody: it may be as bad as anything.
fn failed(check: &'static str, error: &VerbError) -> Symptom {
    if matches!(error, VerbError::Query(error) if error.is_lock_timeout()) {
        return locked(check);
    }
    Symptom::new(
        check,
        true,
        Bilingual::new(
            format!("could not be examined: {error}"),
            format!("无法检查：{error}"),
        ),
        Bilingual::new(
            "run the command again; if a right is missing, run it as the owner of the database",
            "请重新运行该命令；如缺少权限，请以数据库所有者的身份运行",
        ),
    )
}

/// Who has locked the table is found by the check of locks.
fn locked(check: &'static str) -> Symptom {
    let text = "could not be examined, since a table is locked by a session that is named above";
    Symptom::new(
        check,
        true,
        Bilingual::new(text, "无法检查：有表被上面列出的会话锁住"),
        Bilingual::new(
            "run the command again after that",
            "请在处理后重新运行该命令",
        ),
    )
}

/// Runs a statement without values.
async fn rows(connection: &Connection, statement: &str) -> Result<Vec<Row>, VerbError> {
    ask(connection, statement, &[]).await
}

/// Runs a statement that waits for nobody's lock, not even for the size of a table. The setting is that
/// of a transaction, so no pooler hands it to others.
async fn ask(
    connection: &Connection,
    statement: &str,
    values: &[Value<'_>],
) -> Result<Vec<Row>, VerbError> {
    connection.batch(LIMIT, BEGIN).await?;
    let answer = connection.query(statement, values).await;
    connection.batch(LIMIT, "ROLLBACK").await?;
    Ok(answer?)
}

/// A number that is never negative; 0 if it is not known.
fn count(row: &Row, column: &str) -> Result<u64, VerbError> {
    let number: Option<i64> = row.try_get(column)?;
    Ok(u64::try_from(number.unwrap_or(0)).unwrap_or(0))
}

/// Bytes in steps of 1,000.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} KB", bytes / 1_000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}
