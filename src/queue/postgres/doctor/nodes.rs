//! The nodes: their clocks, and whether there are any.

use tokio_postgres::Row;

use super::super::connection::Connection;
use super::super::server_check::LARGEST_SKEW;
use super::super::verb_error::VerbError;
use super::{Found, count, rows};
use crate::queue::symptom::{Bilingual, Symptom};

const NODES: &str =
    "SELECT name, clock_skew FROM jobbell.nodes WHERE alive_until > jobbell.now_ms() ORDER BY name";
const WAITING: &str = "SELECT count(*) AS waiting FROM (SELECT FROM jobbell.due UNION ALL SELECT FROM jobbell.held) d";

pub(super) async fn examine(connection: &Connection) -> Found {
    let nodes = rows(connection, NODES).await?;
    let mut found = Vec::new();
    for row in &nodes {
        found.extend(clock(row)?);
    }
    if nodes.is_empty() {
        let waiting = rows(connection, WAITING).await?;
        let waiting = waiting.first().map(|row| count(row, "waiting"));
        found.extend(none_lives(waiting.transpose()?.unwrap_or(0)));
    }
    Ok(found)
}

fn clock(row: &Row) -> Result<Option<Symptom>, VerbError> {
    let (name, skew): (String, i64) = (row.try_get("name")?, row.try_get("clock_skew")?);
    if skew.abs() <= LARGEST_SKEW {
        return Ok(None);
    }
    let seconds = skew / 1_000;
    let symptom = Symptom::new(
        "clock",
        true,
        Bilingual::new(
            format!("the clock of the node {name} and that of the database differ by {seconds} s"),
            format!("节点 {name} 的时钟与数据库时钟相差 {seconds} 秒"),
        ),
        Bilingual::new(
            "times in the queue are those of the database; set both clocks by NTP (timedatectl status)",
            "队列中的时间以数据库为准；请用 NTP 校准两者（timedatectl status）",
        ),
    );
    Ok(Some(
        symptom.with("node", Some(name)).with("skew_ms", Some(skew)),
    ))
}

fn none_lives(waiting: u64) -> Option<Symptom> {
    let symptom = Symptom::new(
        "nodes",
        true,
        Bilingual::new(
            format!("no node is running, and {waiting} mails wait"),
            format!("没有节点在运行，有 {waiting} 封邮件在等待"),
        ),
        Bilingual::new(
            "start one: jobbell serve, with this queue.url",
            "请启动一个节点：jobbell serve，并使用此 queue.url",
        ),
    );
    (waiting > 0).then(|| symptom.with("waiting", Some(waiting)))
}
