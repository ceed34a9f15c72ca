//! Who keeps dead rows from being removed.

use std::time::Duration;

use tokio_postgres::Row;

use super::super::connection::Connection;
use super::super::horizon::HOLDERS;
use super::super::verb_error::VerbError;
use super::session::Session;
use super::{Found, rows};
use crate::queue::symptom::{Bilingual, Symptom};

/// A younger snapshot holds nobody up.
const SESSION_AGE: Duration = Duration::from_secs(5);
/// Standbys report theirs every ten seconds.
const STANDBY_AGE: Duration = Duration::from_secs(30);
/// An older one needs somebody.
const LONG: Duration = Duration::from_mins(1);
/// The same for a standby.
const LONG_STANDBY: Duration = Duration::from_mins(5);

pub(super) async fn examine(connection: &Connection) -> Found {
    let mut found = Vec::new();
    for row in rows(connection, HOLDERS).await? {
        found.extend(symptom(&row)?);
    }
    Ok(found)
}

fn symptom(row: &Row) -> Result<Option<Symptom>, VerbError> {
    let age: i64 = row.try_get("age")?;
    let age = Duration::from_millis(u64::try_from(age).unwrap_or(0));
    let transactions = row.try_get::<_, Option<i32>>("xids")?;
    let symptom = match row.try_get("kind")? {
        "session" if age >= SESSION_AGE => session(Session::read(row)?, age),
        "standby" if age >= STANDBY_AGE => standby(Session::read(row)?, age),
        "prepared" if age >= SESSION_AGE => prepared(row, age)?,
        // Without a reader, it is a symptom of its own.
        "slot" if age >= STANDBY_AGE && row.try_get::<_, Option<i32>>("pid")?.is_some() => {
            slot(row, age)?
        }
        _ => return Ok(None),
    };
    Ok(Some(
        symptom
            .with("age_s", Some(age.as_secs()))
            .with("transactions", transactions),
    ))
}

fn session(session: Session, age: Duration) -> Symptom {
    let (name, query, pid) = (session.named(), session.quoted(), session.pid);
    let (is_idle, age_text) = (session.is_idle(), Bilingual::span(age));
    let message = Bilingual::new(
        format!(
            "session {name} has held a snapshot for {}, so dead rows of the queue are not removed{query}",
            age_text.english
        ),
        format!(
            "会话 {name} 持有快照已 {}，期间队列中的死行无法清除{query}",
            age_text.chinese
        ),
    );
    let advice = if is_idle {
        Bilingual::new(
            format!(
                "end its transaction, or run SELECT pg_terminate_backend({pid}); to prevent it, set idle_in_transaction_session_timeout for that role"
            ),
            format!(
                "请结束该事务，或执行 SELECT pg_terminate_backend({pid})；可为该角色设置 idle_in_transaction_session_timeout 以防再次发生"
            ),
        )
    } else {
        Bilingual::new(
            format!(
                "wait for it, or run SELECT pg_cancel_backend({pid}); run long reports and dumps on a standby"
            ),
            format!(
                "请等待其结束，或执行 SELECT pg_cancel_backend({pid})；耗时的报表和转储请在备库上运行"
            ),
        )
    };
    session.add_to(Symptom::new(
        "snapshot",
        is_idle || age >= LONG,
        message,
        advice,
    ))
}

fn standby(session: Session, age: Duration) -> Symptom {
    let (name, text) = (session.named(), Bilingual::span(age));
    let message = Bilingual::new(
        format!(
            "the standby of session {name} has needed dead rows for at least {}, by hot_standby_feedback",
            text.english
        ),
        format!(
            "会话 {name} 的备库因 hot_standby_feedback 需保留死行，已至少 {}",
            text.chinese
        ),
    );
    session.add_to(Symptom::new(
        "standby",
        age >= LONG_STANDBY,
        message,
        on_standby(),
    ))
}

fn on_standby() -> Bilingual {
    Bilingual::new(
        "end the long query on that standby, or set hot_standby_feedback = off there",
        "请结束该备库上的长查询，或在其上设置 hot_standby_feedback = off",
    )
}

fn slot(row: &Row, age: Duration) -> Result<Symptom, VerbError> {
    let (name, text): (String, _) = (row.try_get("name")?, Bilingual::span(age));
    let message = Bilingual::new(
        format!(
            "the reader of the replication slot {name} has needed dead rows for at least {}",
            text.english
        ),
        format!("复制槽 {name} 的读取者需保留死行，已至少 {}", text.chinese),
    );
    let symptom = Symptom::new("standby", age >= LONG_STANDBY, message, on_standby());
    Ok(symptom
        .with("slot", Some(name))
        .with("pid", row.try_get::<_, Option<i32>>("pid")?))
}

fn prepared(row: &Row, age: Duration) -> Result<Symptom, VerbError> {
    let role: Option<String> = row.try_get("role")?;
    let database: Option<String> = row.try_get("database")?;
    let (name, text): (String, _) = (row.try_get("name")?, Bilingual::span(age));
    let owner = role.as_deref().unwrap_or("?");
    let message = Bilingual::new(
        format!(
            "the prepared transaction '{name}' of {owner} has been open for {}, so dead rows of the queue are not removed",
            text.english
        ),
        format!(
            "{owner} 的预备事务 '{name}' 已打开 {}，期间队列中的死行无法清除",
            text.chinese
        ),
    );
    let quoted = name.replace('\'', "''");
    let place = database.as_deref().unwrap_or("?");
    let advice = Bilingual::new(
        format!(
            "in the database {place}, run COMMIT PREPARED '{quoted}' or ROLLBACK PREPARED '{quoted}'"
        ),
        format!(
            "请在数据库 {place} 中执行 COMMIT PREPARED '{quoted}' 或 ROLLBACK PREPARED '{quoted}'"
        ),
    );
    let symptom = Symptom::new("prepared_transaction", age >= LONG, message, advice);
    Ok(symptom
        .with("transaction", Some(name))
        .with("user", role)
        .with("database", database))
}
