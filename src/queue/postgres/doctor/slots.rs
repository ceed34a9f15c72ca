//! Replication slots without a reader.

use tokio_postgres::Row;

use super::super::connection::Connection;
use super::super::verb_error::VerbError;
use super::{Found, count, rows, size};
use crate::queue::symptom::{Bilingual, Symptom};

/// A slot that has never been read reserves nothing yet.
const UNUSED: &str = "SELECT slot_name::text AS name, slot_type, restart_lsn IS NOT NULL OR xmin IS NOT NULL OR catalog_xmin IS NOT NULL AS keeps, \
     xmin IS NOT NULL OR catalog_xmin IS NOT NULL AS holds_rows, wal_status = 'lost' AS is_lost, \
     pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn)::bigint AS bytes \
     FROM pg_replication_slots WHERE NOT active ORDER BY slot_name";

pub(super) async fn examine(connection: &Connection) -> Found {
    let rows = rows(connection, UNUSED).await?;
    rows.iter().map(symptom).collect()
}

fn symptom(row: &Row) -> Result<Symptom, VerbError> {
    let name: String = row.try_get("name")?;
    let bytes = count(row, "bytes")?;
    let keeps: bool = row.try_get("keeps")?;
    let is_lost = row.try_get::<_, Option<bool>>("is_lost")? == Some(true);
    let (english, chinese) = if is_lost {
        (
            ", and the WAL that it needs is gone".to_owned(),
            "，且所需的 WAL 已被删除".to_owned(),
        )
    } else if row.try_get("holds_rows")? {
        (
            format!(
                ", and keeps {} of WAL and dead rows of the database",
                size(bytes)
            ),
            format!("，保留了 {} 的 WAL 以及数据库中的死行", size(bytes)),
        )
    } else if keeps {
        (
            format!(", and keeps {} of WAL", size(bytes)),
            format!("，保留了 {} 的 WAL", size(bytes)),
        )
    } else {
        (
            "; it has never been used".to_owned(),
            "，且从未使用过".to_owned(),
        )
    };
    let quoted = name.replace('\'', "''");
    let symptom = Symptom::new(
        "replication_slot",
        keeps,
        Bilingual::new(
            format!("the replication slot {name} has no reader{english}"),
            format!("复制槽 {name} 没有读取者{chinese}"),
        ),
        Bilingual::new(
            format!(
                "start its reader before the disk is full, or run SELECT pg_drop_replication_slot('{quoted}'); max_slot_wal_keep_size limits what slots keep"
            ),
            format!(
                "请在磁盘写满前启动其读取者，或执行 SELECT pg_drop_replication_slot('{quoted}')；max_slot_wal_keep_size 可限制复制槽保留的数据量"
            ),
        ),
    );
    Ok(symptom
        .with("slot", Some(name))
        .with("type", row.try_get::<_, Option<String>>("slot_type")?)
        .with("wal_bytes", Some(bytes)))
}
