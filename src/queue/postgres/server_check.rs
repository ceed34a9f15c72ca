//! Judges a database server: whether it keeps what it acknowledges, and what this role may do.

use std::time::Duration;

use tokio_postgres::Row;

use super::connection::Connection;
use super::inspection::{Finding, Verdict};
use super::open_error::OpenError;
use super::query_error::QueryError;
use crate::clock::Reading;

/// PostgreSQL 14.
const OLDEST: i32 = 140_000;
/// A clock that is further off gets a warning.
pub(super) const LARGEST_SKEW: i64 = 2_000;
/// How long the question may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Works on servers that are too old as well.
const ASK: &str = "SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version, \
        current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes, \
        current_setting('synchronous_commit') AS synchronous_commit, current_setting('synchronous_standby_names') AS standby_names, \
        current_setting('data_checksums') AS data_checksums, current_setting('port')::int AS port, pg_is_in_recovery() AS is_standby, \
        current_user::text AS role, current_database()::text AS database, has_database_privilege(current_database(), 'CREATE') AS may_create, \
        (SELECT bool_and(pg_has_role(n.nspowner, 'USAGE')) FROM pg_namespace n WHERE n.nspname = 'jobbell') AS owns_schema, \
        coalesce((SELECT bool_and(pg_has_role(c.relowner, 'USAGE')) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
            WHERE n.nspname = 'jobbell' AND c.relkind IN ('r', 'p')), true) AS owns_tables, \
        coalesce((SELECT s.ssl FROM pg_stat_ssl s WHERE s.pid = pg_backend_pid()), false) AS is_encrypted, \
        (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now";

/// What a server says of itself, on one connection.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "facts, not states")]
pub(super) struct ServerFacts {
    number: i32,
    pub(super) version: String,
    fsync: String,
    full_page_writes: String,
    synchronous_commit: String,
    standby_names: String,
    data_checksums: String,
    port: i32,
    is_standby: bool,
    role: String,
    database: String,
    may_create: bool,
    /// `None` if there is no schema yet.
    owns_schema: Option<bool>,
    owns_tables: bool,
    is_encrypted: bool,
    /// This machine's clock minus that of the database, in milliseconds.
    skew: i64,
    /// The ports of the URL; empty for a socket's default.
    ports: Vec<u16>,
    has_listen_url: bool,
}

impl ServerFacts {
    /// Asks the server. `ports` are those of the URL.
    pub(super) async fn ask(
        connection: &Connection,
        ports: &[u16],
        has_listen_url: bool,
    ) -> Result<Self, QueryError> {
        let before = Reading::system();
        let rows = connection.query_within(LIMIT, ASK, &[]).await?;
        let after = Reading::system();
        let Some(row) = rows.first() else {
            return Err(QueryError::TimedOut);
        };
        let half = after.since_boot.saturating_sub(before.since_boot) / 2;
        let now = row.try_get::<_, i64>("now")?;
        let skew = after.wall.before(half).as_millis() - now;
        Ok(Self::read(row, skew, ports.to_vec(), has_listen_url)?)
    }

    fn read(
        row: &Row,
        skew: i64,
        ports: Vec<u16>,
        has_listen_url: bool,
    ) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            number: row.try_get("number")?,
            version: row.try_get("version")?,
            fsync: row.try_get("fsync")?,
            full_page_writes: row.try_get("full_page_writes")?,
            synchronous_commit: row.try_get("synchronous_commit")?,
            standby_names: row.try_get("standby_names")?,
            data_checksums: row.try_get("data_checksums")?,
            port: row.try_get("port")?,
            is_standby: row.try_get("is_standby")?,
            role: row.try_get("role")?,
            database: row.try_get("database")?,
            may_create: row.try_get("may_create")?,
            owns_schema: row.try_get("owns_schema")?,
            owns_tables: row.try_get("owns_tables")?,
            is_encrypted: row.try_get("is_encrypted")?,
            skew,
            ports,
            has_listen_url,
        })
    }

    /// Whether the connection leads straight to the server: a connection pooler has another port.
    fn is_direct(&self) -> bool {
        self.ports.is_empty() || self.ports.iter().any(|port| i32::from(*port) == self.port)
    }

    /// Fails if this server must not be used.
    pub(super) fn verify(&self) -> Result<(), OpenError> {
        if self.number < OLDEST {
            return Err(OpenError::TooOld(self.version.clone()));
        }
        let mut refused = self.findings().into_iter();
        match refused.rfind(|finding| finding.verdict == Verdict::Refuse) {
            Some(finding) => Err(OpenError::Unsafe(finding.english)),
            None => Ok(()),
        }
    }

    /// What an operator should know.
    pub(super) fn findings(&self) -> Vec<Finding> {
        [self.durability(), self.replication(), self.access()].concat()
    }

    fn durability(&self) -> Vec<Finding> {
        let Self { version, .. } = self;
        let mut found = vec![if self.number < OLDEST {
            Finding::refuse(
                "server_version",
                version,
                format!("PostgreSQL {version} is too old; jobbell needs PostgreSQL 14 or newer"),
                format!("PostgreSQL {version} 过旧；jobbell 需要 PostgreSQL 14 或更新版本"),
            )
        } else {
            Finding::ok("server_version", version)
        }];
        found.push(if self.fsync == "on" {
            Finding::ok("fsync", &self.fsync)
        } else {
            Finding::refuse(
                "fsync",
                &self.fsync,
                "the database server has fsync = off, so a power cut loses acknowledged events and may damage the database; set fsync = on in postgresql.conf".to_owned(),
                "数据库服务器设置了 fsync = off，断电会丢失已确认的事件，并可能损坏数据库；请在 postgresql.conf 中设置 fsync = on".to_owned(),
            )
        });
        found.push(if self.full_page_writes == "on" {
            Finding::ok("full_page_writes", &self.full_page_writes)
        } else {
            Finding::advice(
                "full_page_writes",
                &self.full_page_writes,
                "full_page_writes = off is safe only on a file system that never writes half a page; set it to on otherwise".to_owned(),
                "只有文件系统保证不会写出半页时 full_page_writes = off 才安全；否则请设为 on".to_owned(),
            )
        });
        found.push(if self.data_checksums == "on" {
            Finding::ok("data_checksums", &self.data_checksums)
        } else {
            Finding::advice(
                "data_checksums",
                &self.data_checksums,
                "without data checksums, the server does not notice a disk that returns wrong data; enable them with pg_checksums while the server is stopped".to_owned(),
                "未启用数据校验和，磁盘返回错误数据时服务器无法察觉；请在停止服务器后用 pg_checksums 启用".to_owned(),
            )
        });
        found
    }

    fn replication(&self) -> Vec<Finding> {
        let role = &self.role;
        let commit = &self.synchronous_commit;
        let mut found = vec![match commit.as_str() {
            "off" => Finding::refuse(
                "synchronous_commit",
                commit,
                format!(
                    "synchronous_commit is off and cannot be set through a connection pooler, so acknowledged events could be lost; run ALTER ROLE \"{role}\" SET synchronous_commit = on"
                ),
                format!(
                    "synchronous_commit 为 off，且无法经连接池更改，已确认的事件可能丢失；请执行 ALTER ROLE \"{role}\" SET synchronous_commit = on"
                ),
            ),
            "local" => Finding::advice(
                "synchronous_commit",
                commit,
                format!(
                    "commits do not wait for the synchronous standby; run ALTER ROLE \"{role}\" SET synchronous_commit = on"
                ),
                format!(
                    "提交不会等待同步备库；请执行 ALTER ROLE \"{role}\" SET synchronous_commit = on"
                ),
            ),
            _ => Finding::ok("synchronous_commit", commit),
        }];
        found.push(if self.standby_names.is_empty() {
            Finding::advice(
                "synchronous_standby_names",
                "",
                "no synchronous standby: if this server is lost, so are the latest acknowledged events, and mails that were just sent are sent again; set synchronous_standby_names if another server is to take over".to_owned(),
                "没有同步备库：若该服务器损毁，最近确认的事件会丢失，刚发送的邮件会再次发送；如需由其他服务器接管，请设置 synchronous_standby_names".to_owned(),
            )
        } else {
            Finding::ok("synchronous_standby_names", &self.standby_names)
        });
        if self.is_standby {
            found.push(Finding::refuse(
                "pg_is_in_recovery",
                "true",
                "the server is a read-only standby; name the primary in queue.url, or all hosts with target_session_attrs=read-write".to_owned(),
                "该服务器是只读备库；请在 queue.url 中填写主库，或列出所有主机并加上 target_session_attrs=read-write".to_owned(),
            ));
        }
        found
    }

    fn access(&self) -> Vec<Finding> {
        let mut found = vec![self.pooler(), self.encryption(), self.rights()];
        let skew = format!("{} ms", self.skew);
        found.push(if self.skew.abs() <= LARGEST_SKEW {
            Finding::ok("clock", &skew)
        } else {
            let seconds = self.skew / 1_000;
            Finding::advice(
                "clock",
                &skew,
                format!(
                    "the clock of this machine and that of the database differ by {seconds} s; times are those of the database, but set both by NTP"
                ),
                format!("本机时钟与数据库时钟相差 {seconds} 秒；时间以数据库为准，但请用 NTP 校准两者"),
            )
        });
        found
    }

    fn pooler(&self) -> Finding {
        if self.is_direct() {
            return Finding::ok("pooler", "no");
        }
        if self.has_listen_url {
            return Finding::ok("pooler", "yes");
        }
        Finding::advice(
            "pooler",
            "yes",
            format!(
                "queue.url seems to lead to a connection pooler (the server itself has port {}), which cannot pass on notifications; set queue.listen_url to the server itself, otherwise nodes look for work once a second",
                self.port
            ),
            format!(
                "queue.url 似乎指向连接池（服务器自身端口为 {}），连接池无法转发通知；请将 queue.listen_url 设为服务器本身，否则各节点每秒轮询一次",
                self.port
            ),
        )
    }

    fn encryption(&self) -> Finding {
        let found = if self.is_encrypted { "yes" } else { "no" };
        // Other machines are never reached without TLS.
        Finding::ok("tls", found)
    }

    /// The role makes partitions, so it must own the tables.
    fn rights(&self) -> Finding {
        let Self { role, database, .. } = self;
        match self.owns_schema {
            None if self.may_create => Finding::ok("rights", role),
            None => Finding::refuse(
                "rights",
                role,
                format!(
                    "the role {role} may not create the schema jobbell; run GRANT CREATE ON DATABASE \"{database}\" TO \"{role}\""
                ),
                format!(
                    "角色 {role} 无权创建模式 jobbell；请执行 GRANT CREATE ON DATABASE \"{database}\" TO \"{role}\""
                ),
            ),
            Some(true) if self.owns_tables => Finding::ok("rights", role),
            Some(_) => Finding::refuse(
                "rights",
                role,
                format!(
                    "the schema jobbell in the database {database} belongs to another role than {role}; use that role on every node, or run GRANT that role TO \"{role}\""
                ),
                format!(
                    "数据库 {database} 中的模式 jobbell 不属于角色 {role}；请在所有节点使用其所有者，或将该角色授予 \"{role}\""
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> ServerFacts {
        ServerFacts {
            number: 150_018,
            version: "15.18".to_owned(),
            fsync: "on".to_owned(),
            full_page_writes: "on".to_owned(),
            synchronous_commit: "on".to_owned(),
            standby_names: "ANY 1 (b)".to_owned(),
            data_checksums: "on".to_owned(),
            port: 5432,
            is_standby: false,
            role: "bell".to_owned(),
            database: "mail".to_owned(),
            may_create: false,
            owns_schema: Some(true),
            owns_tables: true,
            is_encrypted: true,
            skew: -1_999,
            ports: vec![5432],
            has_listen_url: false,
        }
    }

    fn judged(change: impl FnOnce(&mut ServerFacts)) -> Vec<(&'static str, Verdict)> {
        let mut facts = facts();
        change(&mut facts);
        let findings = facts.findings().into_iter();
        let odd = findings.filter(|finding| finding.verdict != Verdict::Ok);
        odd.map(|finding| {
            assert!(!finding.english.is_empty() && !finding.chinese.is_empty());
            (finding.name, finding.verdict)
        })
        .collect()
    }

    #[test]
    fn good_server_has_no_findings() {
        assert_eq!(judged(|_| {}), []);
        facts().verify().unwrap();
    }

    #[test]
    fn server_that_loses_acknowledged_events_is_refused() {
        use Verdict::Refuse;
        let off = || "off".to_owned();
        assert_eq!(judged(|facts| facts.fsync = off()), [("fsync", Refuse)]);
        assert_eq!(
            judged(|facts| facts.synchronous_commit = off()),
            [("synchronous_commit", Refuse)]
        );
        let standby = judged(|facts| facts.is_standby = true);
        assert_eq!(standby, [("pg_is_in_recovery", Refuse)]);
        let error = ServerFacts {
            fsync: off(),
            ..facts()
        };
        let error = error.verify().unwrap_err().to_string();
        assert!(error.contains("fsync = off"), "{error}");
        let old = ServerFacts {
            number: 130_011,
            version: "13.11".to_owned(),
            ..facts()
        };
        let error = old.verify().unwrap_err();
        assert!(matches!(&error, OpenError::TooOld(found) if found == "13.11"));
    }

    #[test]
    fn missing_rights_are_refused() {
        use Verdict::Refuse;
        assert_eq!(
            judged(|facts| facts.owns_schema = None),
            [("rights", Refuse)]
        );
        let creates = judged(|facts| (facts.owns_schema, facts.may_create) = (None, true));
        assert_eq!(creates, []);
        assert_eq!(
            judged(|facts| facts.owns_schema = Some(false)),
            [("rights", Refuse)]
        );
        assert_eq!(
            judged(|facts| facts.owns_tables = false),
            [("rights", Refuse)]
        );
    }

    #[test]
    fn weaker_settings_are_advised_against() {
        use Verdict::Advice;
        let found = judged(|facts| {
            facts.full_page_writes = "off".to_owned();
            facts.data_checksums = "off".to_owned();
            facts.synchronous_commit = "local".to_owned();
            facts.standby_names = String::new();
            facts.ports = vec![6432];
            facts.skew = 2_001;
        });
        let names = [
            "full_page_writes",
            "data_checksums",
            "synchronous_commit",
            "synchronous_standby_names",
            "pooler",
            "clock",
        ];
        assert_eq!(found, names.map(|name| (name, Advice)));
        let listens = judged(|facts| (facts.ports, facts.has_listen_url) = (vec![6432], true));
        assert_eq!(listens, []);
    }
}
