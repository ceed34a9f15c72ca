//! Partitions that are missing, and rows that therefore are in the default ones.

use tokio_postgres::types::Type;

use super::super::connection::{Connection, Value};
use super::super::partitions::{MOST_MOVED, TABLES, Week};
use super::super::verb_error::VerbError;
use super::{Found, ask, count, rows};
use crate::queue::symptom::{Bilingual, Symptom};

const NOW: &str = "SELECT jobbell.now_ms() AS now";
/// The tables without a partition for a week; whether the nodes believe that it has one.
const MISSING: &str = "SELECT array_agg(t.name ORDER BY t.name) AS names, \
        EXISTS (SELECT FROM jobbell.weeks w WHERE w.week = $2) AS is_recorded FROM unnest($1::text[]) t (name) \
     WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = to_regclass('jobbell.' || t.name) \
        AND i.inhrelid = to_regclass('jobbell.' || t.name || '_' || $2))";

pub(super) async fn examine(connection: &Connection) -> Found {
    let answer = rows(connection, NOW).await?;
    let now = answer.first().map(|row| row.try_get("now")).transpose()?;
    let this = Week::of(now.unwrap_or_default());
    let mut found = Vec::new();
    for week in [this, this.next()] {
        found.extend(missing(connection, week).await?);
    }
    found.extend(in_default(connection).await?);
    Ok(found)
}

async fn missing(connection: &Connection, week: Week) -> Result<Option<Symptom>, VerbError> {
    let (name, tables) = (week.name(), TABLES.map(str::to_owned).to_vec());
    let values: [Value<'_>; 2] = [(&tables, Type::TEXT_ARRAY), (&name, Type::TEXT)];
    let answer = ask(connection, MISSING, &values).await?;
    let Some(row) = answer.first() else {
        return Ok(None);
    };
    let Some(tables) = row.try_get::<_, Option<Vec<String>>>("names")? else {
        return Ok(None);
    };
    let list = tables.join(", ");
    let advice = if row.try_get("is_recorded")? {
        Bilingual::new(
            format!(
                "run DELETE FROM jobbell.weeks WHERE week = '{name}'; a running node then creates them within minutes, unless more than {MOST_MOVED} rows of that week are in the default partition"
            ),
            format!(
                "请执行 DELETE FROM jobbell.weeks WHERE week = '{name}'；运行中的节点会在几分钟内创建它们，除非默认分区中该周已超过 {MOST_MOVED} 行"
            ),
        )
    } else {
        Bilingual::new(
            "a running node creates them within minutes; if it does not, its log says why (\"cannot create the partitions\")",
            "运行中的节点会在几分钟内创建它们；否则其日志会说明原因（“cannot create the partitions”）",
        )
    };
    let symptom = Symptom::new(
        "partitions",
        true,
        Bilingual::new(
            format!(
                "the week {name} has no partitions of {list}; its rows go to the default ones, from which they are removed one by one"
            ),
            format!("{name} 这一周缺少 {list} 的分区；其数据进入默认分区，只能逐行清除"),
        ),
        advice,
    );
    Ok(Some(
        symptom
            .with("week", Some(name))
            .with("tables", Some(tables)),
    ))
}

/// Rows of weeks without partitions. A few are usual: they were pending when their week was dropped.
async fn in_default(connection: &Connection) -> Result<Option<Symptom>, VerbError> {
    let counts = TABLES.map(|table| {
        format!(
            "(SELECT count(*) FROM (SELECT FROM jobbell.{table}_default LIMIT {MOST_MOVED} + 1) s)"
        )
    });
    let statement = format!("SELECT greatest({}) AS most", counts.join(", "));
    let answer = rows(connection, &statement).await?;
    let most = answer.first().map(|row| count(row, "most")).transpose()?;
    let Some(most) = most.filter(|most| *most > 0) else {
        return Ok(None);
    };
    let at_least = if most > MOST_MOVED { ">" } else { "" };
    let most = most.min(MOST_MOVED);
    let symptom = Symptom::new(
        "partitions",
        false,
        Bilingual::new(
            format!(
                "the default partitions contain rows, up to {at_least}{most} a table: of weeks without partitions, or of mails that were still pending when their week was dropped"
            ),
            format!(
                "默认分区中有数据，每表最多 {at_least}{most} 行：属于没有分区的周，或在其周被删除时仍未完成的邮件"
            ),
        ),
        Bilingual::new(
            "nothing, unless it grows: they are removed one by one after queue.retention",
            "无需处理，除非持续增长：到 queue.retention 后会逐行清除",
        ),
    );
    Ok(Some(symptom.with("rows", Some(most))))
}
