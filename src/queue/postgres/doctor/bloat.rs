//! Dead rows and the sizes of the tables that a claim reads.

use std::time::Duration;

use super::super::connection::Connection;
use super::super::verb_error::VerbError;
use super::{count, rows, size};
use crate::queue::symptom::{Bilingual, Symptom, TableSize};

/// Fewer dead rows slow nobody down.
const MANY: u64 = 10_000;
/// At 6,000 mails a second, as many die in a minute, the pause of autovacuum.
const VERY_MANY: u64 = 500_000;
/// Autovacuum looks at these tables every minute, unless it is busy with others.
const VACUUM_PAUSE: Duration = Duration::from_mins(5);
/// A row with its index entries, generously.
const ROW: u64 = 300;
/// Larger than its rows need: worth knowing, and worth mending.
const EXCESS: (u64, u64) = (64_000_000, 256_000_000);

const SIZES: &str = "SELECT s.relname::text AS name, s.n_live_tup AS live, s.n_dead_tup AS dead, pg_total_relation_size(s.relid) AS bytes, \
     (extract(epoch FROM clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum)) * 1000)::bigint AS since_vacuum \
     FROM pg_stat_user_tables s WHERE s.schemaname = 'jobbell' AND s.relname IN ('due', 'held', 'nodes', 'counts') ORDER BY s.relname";

pub(super) async fn examine(
    connection: &Connection,
) -> Result<(Vec<TableSize>, Vec<Symptom>), VerbError> {
    let (mut tables, mut found) = (Vec::new(), Vec::new());
    for row in rows(connection, SIZES).await? {
        let since_vacuum: Option<i64> = row.try_get("since_vacuum")?;
        let table = TableSize {
            table: row.try_get("name")?,
            rows: count(&row, "live")?,
            dead_rows: count(&row, "dead")?,
            bytes: count(&row, "bytes")?,
            since_vacuum: since_vacuum
                .map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0))),
        };
        found.extend(dead_rows(&table));
        found.extend(excess(&table));
        tables.push(table);
    }
    Ok((tables, found))
}

fn dead_rows(table: &TableSize) -> Option<Symptom> {
    let is_late = table.since_vacuum.is_none_or(|since| since > VACUUM_PAUSE);
    if table.dead_rows < MANY || (!is_late && table.dead_rows < VERY_MANY) {
        return None;
    }
    let TableSize {
        table: name,
        dead_rows,
        ..
    } = table;
    let last = match table.since_vacuum {
        Some(since) => {
            let since = Bilingual::span(since);
            Bilingual::new(
                format!("removed last {} ago", since.english),
                format!("上次清除在 {}前", since.chinese),
            )
        }
        None => Bilingual::new("never removed yet", "尚未清除过"),
    };
    let message = Bilingual::new(
        format!(
            "the table jobbell.{name} has {dead_rows} dead rows ({}), over which each claim reads",
            last.english
        ),
        format!(
            "表 jobbell.{name} 有 {dead_rows} 个死行（{}），每次领取都要读过它们",
            last.chinese
        ),
    );
    let advice = Bilingual::new(
        format!(
            "first end what holds a snapshot; then run VACUUM jobbell.{name}; if it comes again, give autovacuum more workers (autovacuum_max_workers) or a shorter pause (autovacuum_naptime)"
        ),
        format!(
            "请先结束持有快照者，再执行 VACUUM jobbell.{name}；若再次出现，请增加 autovacuum_max_workers 或缩短 autovacuum_naptime"
        ),
    );
    Some(with_size(
        Symptom::new("bloat", true, message, advice),
        table,
    ))
}

fn excess(table: &TableSize) -> Option<Symptom> {
    let needed = table
        .rows
        .saturating_add(table.dead_rows)
        .saturating_mul(ROW);
    let excess = table.bytes.saturating_sub(needed);
    if excess < EXCESS.0 {
        return None;
    }
    let (name, rows, bytes) = (&table.table, table.rows, size(table.bytes));
    let message = Bilingual::new(
        format!("the table jobbell.{name} takes {bytes} for {rows} rows; it was larger once"),
        format!("表 jobbell.{name} 有 {rows} 行，却占用 {bytes}；它曾经更大"),
    );
    let advice = Bilingual::new(
        format!(
            "the room is used again; to return it, run REINDEX TABLE CONCURRENTLY jobbell.{name}, and in a quiet minute VACUUM (FULL) jobbell.{name}, during which no mail is claimed"
        ),
        format!(
            "空间会被重复利用；如要归还，请执行 REINDEX TABLE CONCURRENTLY jobbell.{name}，并在空闲时执行 VACUUM (FULL) jobbell.{name}，其间不会领取邮件"
        ),
    );
    let symptom = Symptom::new("bloat", excess >= EXCESS.1, message, advice);
    Some(with_size(symptom, table))
}

fn with_size(symptom: Symptom, table: &TableSize) -> Symptom {
    symptom
        .with("table", Some(table.table.as_str()))
        .with("rows", Some(table.rows))
        .with("dead_rows", Some(table.dead_rows))
        .with("bytes", Some(table.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: u64, dead_rows: u64, bytes: u64, minutes: Option<u64>) -> TableSize {
        TableSize {
            table: "due".to_owned(),
            rows,
            dead_rows,
            bytes,
            since_vacuum: minutes.map(Duration::from_mins),
        }
    }

    #[test]
    fn dead_rows_count_if_vacuum_is_late_or_they_are_very_many() {
        let is_found = |dead, minutes| dead_rows(&table(5, dead, 0, minutes)).is_some();
        assert!(!is_found(9_999, None) && !is_found(400_000, Some(1)));
        assert!(is_found(10_000, None) && is_found(10_000, Some(6)) && is_found(500_000, Some(0)));
    }

    #[test]
    fn size_counts_beyond_what_rows_need() {
        let found =
            |rows, bytes| excess(&table(rows, 0, bytes, None)).map(|found| found.needs_action);
        assert_eq!(found(0, 50_000_000), None);
        assert_eq!(found(1_000_000, 300_000_000), None);
        assert_eq!(found(0, 100_000_000), Some(false));
        assert_eq!(found(1_000, 300_000_000), Some(true));
    }
}
