//! Whether PostgreSQL removes dead rows at all.

use super::super::connection::Connection;
use super::{Found, rows};
use crate::queue::symptom::{Bilingual, Symptom};

const SETTINGS: &str = "SELECT name FROM pg_settings WHERE name IN ('autovacuum', 'track_counts') AND setting = 'off' ORDER BY name";
const TABLES: &str = "SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_options_to_table(c.reloptions) o \
     WHERE n.nspname = 'jobbell' AND o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean ORDER BY c.relname";

pub(super) async fn examine(connection: &Connection) -> Found {
    let mut found = Vec::new();
    for row in rows(connection, SETTINGS).await? {
        let name: &str = row.try_get("name")?;
        let symptom = Symptom::new(
            "autovacuum",
            true,
            Bilingual::new(
                format!("{name} is off, so dead rows are never removed and claims become slow"),
                format!("{name} 已关闭，死行永不清除，领取会越来越慢"),
            ),
            Bilingual::new(
                format!("run ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()"),
                format!("请执行 ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()"),
            ),
        );
        found.push(symptom.with("setting", Some(name)));
    }
    for row in rows(connection, TABLES).await? {
        let name: &str = row.try_get("name")?;
        let symptom = Symptom::new(
            "autovacuum",
            true,
            Bilingual::new(
                format!("autovacuum is off for the table jobbell.{name}"),
                format!("表 jobbell.{name} 已关闭 autovacuum"),
            ),
            Bilingual::new(
                format!("run ALTER TABLE jobbell.{name} RESET (autovacuum_enabled)"),
                format!("请执行 ALTER TABLE jobbell.{name} RESET (autovacuum_enabled)"),
            ),
        );
        found.push(symptom.with("table", Some(name)));
    }
    Ok(found)
}
