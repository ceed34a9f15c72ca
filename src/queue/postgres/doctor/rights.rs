//! Whether this role may see the sessions of other roles.

use super::super::connection::Connection;
use super::super::open_error::OpenError;
use crate::queue::symptom::{Bilingual, Symptom};

const ASK: &str = "SELECT current_setting('server_version') AS version, current_user::text AS role, \
     pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all";

/// The version of the server, and what this role does not see.
pub(super) async fn examine(connection: &Connection) -> Result<(String, Vec<Symptom>), OpenError> {
    let rows = connection.query(ASK, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok((String::new(), Vec::new()));
    };
    let (version, role): (String, String) = (row.try_get("version")?, row.try_get("role")?);
    let mut found = Vec::new();
    if !row.try_get::<_, bool>("sees_all")? {
        found.push(hidden(&role));
    }
    Ok((version, found))
}

fn hidden(role: &str) -> Symptom {
    let symptom = Symptom::new(
        "rights",
        false,
        Bilingual::new(
            format!(
                "the role {role} may not see the sessions of other roles: their queries are hidden, their ages are estimated, and some may be missing"
            ),
            format!("角色 {role} 无权查看其他角色的会话：其查询被隐藏，时长为估计值，且可能有遗漏"),
        ),
        Bilingual::new(
            format!("as a superuser: GRANT pg_read_all_stats TO \"{role}\""),
            format!("以超级用户执行：GRANT pg_read_all_stats TO \"{role}\""),
        ),
    );
    symptom.with("user", Some(role))
}
