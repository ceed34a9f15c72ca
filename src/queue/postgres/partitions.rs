//! Weekly partitions of events, deliveries, attempts and pictures.
//!
//! Others wait behind a statement that waits for a table, so each of these waits only a moment, and
//! for one table in its transaction: two of them in another order than a verb's would be a deadlock.

use std::time::Duration;

use jiff::civil::ISOWeekDate;
use jiff::tz::TimeZone;
use tokio_postgres::types::Type;

use super::connection::Connection;
use super::query_error::QueryError;
use crate::domain::Timestamp;

/// The tables with partitions.
pub(super) const TABLES: [&str; 4] = ["events", "deliveries", "attempts", "pictures"];
/// How many weeks have partitions, with the current one.
const AHEAD: usize = 3;
/// Milliseconds of a week, and from the start of a week to that of 1970, a Thursday.
const WEEK: i64 = 7 * 86_400_000;
const MONDAY: i64 = 3 * 86_400_000;
/// How many rows of the default partition are moved into a new one. With more, the week has none.
pub(super) const MOST_MOVED: u64 = 10_000;
const LIMIT: Duration = Duration::from_mins(1);
/// One node at a time changes tables. The number is "Jbep".
pub(super) const LOCK: i64 = 1_247_962_480;

const NAMES: &str = "SELECT week FROM jobbell.weeks WHERE week = ANY ($1)";
const RECORD: &str =
    "INSERT INTO jobbell.weeks (week, first, until) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const NOW: &str = "SELECT jobbell.now_ms() AS now";

/// A week, from Monday 0:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Week {
    /// Its first millisecond.
    pub(super) first: i64,
}

impl Week {
    pub(super) const fn of(millis: i64) -> Self {
        let since = (millis + MONDAY).rem_euclid(WEEK);
        Self {
            first: millis - since,
        }
    }

    /// The first millisecond after it.
    pub(super) const fn until(self) -> i64 {
        self.first + WEEK
    }

    pub(super) const fn next(self) -> Self {
        Self {
            first: self.until(),
        }
    }

    /// The end of the names of its partitions: year and number (ISO 8601).
    pub(super) fn name(self) -> String {
        let monday = Timestamp::from_millis(self.first).to_jiff();
        let week: ISOWeekDate = monday.to_zoned(TimeZone::UTC).date().iso_week_date();
        format!("{}w{:02}", week.year(), week.week())
    }
}

/// A week that has partitions.
#[derive(Debug, Clone)]
pub(super) struct Weekly {
    pub(super) week: String,
    pub(super) first: i64,
    pub(super) until: i64,
    /// Whether it was marked as ending, perhaps by a node that died.
    pub(super) is_ending: bool,
    /// Whether its deliveries are still attached.
    pub(super) is_whole: bool,
}

/// This week, by the clock of the database, and the next ones.
fn wanted(now: i64) -> Vec<Week> {
    let weeks = std::iter::successors(Some(Week::of(now)), |week| Some(week.next()));
    weeks.take(AHEAD).collect()
}

/// The weeks that need partitions.
pub(super) fn missing(now: i64, known: &[String]) -> Vec<Week> {
    let mut weeks = wanted(now);
    weeks.retain(|week| !known.contains(&week.name()));
    weeks
}

/// Creates the partitions of this week and the next ones. Rows of a week without partitions go to the
/// default ones.
pub(super) async fn ensure(connection: &Connection) -> Result<(), QueryError> {
    let rows = connection.query(NOW, &[]).await?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let now: i64 = row.try_get("now")?;
    let names: Vec<String> = wanted(now).iter().map(|week| week.name()).collect();
    let rows = connection
        .query(NAMES, &[(&names, Type::TEXT_ARRAY)])
        .await?;
    let mut known = Vec::with_capacity(rows.len());
    for row in rows {
        known.push(row.try_get("week")?);
    }
    create(connection, &missing(now, &known)).await
}

pub(super) async fn create(connection: &Connection, weeks: &[Week]) -> Result<(), QueryError> {
    for week in weeks {
        for table in TABLES {
            connection.batch(LIMIT, &creation(table, *week)).await?;
        }
        let values: [super::connection::Value<'_>; 3] = [
            (&week.name(), Type::TEXT),
            (&week.first, Type::INT8),
            (&week.until(), Type::INT8),
        ];
        connection.query(RECORD, &values).await?;
    }
    Ok(())
}

/// Creates a partition. To attach a table locks the parent less than to create it in place. Rows that
/// came before it are moved out of the default partition, which must contain none of its range.
fn creation(table: &str, week: Week) -> String {
    let (name, first, until) = (week.name(), week.first, week.until());
    // Room for the update at the end of each delivery, on the same page.
    let options = match table {
        "deliveries" => " WITH (fillfactor = 85)",
        _ => "",
    };
    format!(
        "DO $$ BEGIN \
            PERFORM set_config('lock_timeout', '2s', true); \
            PERFORM pg_advisory_xact_lock({LOCK}); \
            IF to_regclass('jobbell.{table}_{name}') IS NOT NULL THEN RETURN; END IF; \
            LOCK TABLE ONLY jobbell.{table} IN SHARE UPDATE EXCLUSIVE MODE; \
            LOCK TABLE jobbell.{table}_default IN ACCESS EXCLUSIVE MODE; \
            IF (SELECT count(*) FROM (SELECT FROM jobbell.{table}_default WHERE at >= {first} AND at < {until} LIMIT {MOST_MOVED} + 1) s) > {MOST_MOVED} \
                THEN RETURN; END IF; \
            CREATE TABLE jobbell.{table}_{name} (LIKE jobbell.{table} INCLUDING ALL){options}; \
            WITH moved AS (DELETE FROM jobbell.{table}_default WHERE at >= {first} AND at < {until} RETURNING *) \
                INSERT INTO jobbell.{table}_{name} SELECT * FROM moved; \
            ALTER TABLE jobbell.{table} ATTACH PARTITION jobbell.{table}_{name} FOR VALUES FROM ({first}) TO ({until}); \
         END $$"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millis()
    }

    #[test]
    fn week_begins_on_monday() {
        for text in ["2026-11-30T00:00:00Z", "2026-12-06T23:59:59.999Z"] {
            let week = Week::of(at(text));
            assert_eq!(week.name(), "2026w49");
            assert_eq!(
                (week.first, week.until()),
                (at("2026-11-30T00:00:00Z"), at("2026-12-07T00:00:00Z"))
            );
        }
        assert_eq!(Week::of(at("1970-01-01T00:00:00Z")).name(), "1970w01");
        assert_eq!(Week::of(at("2027-01-01T00:00:00Z")).name(), "2026w53");
    }

    #[test]
    fn three_weeks_have_partitions() {
        let now = at("2026-12-01T12:00:00Z");
        let names = |known: &[&str]| {
            let known: Vec<_> = known.iter().map(ToString::to_string).collect();
            let missing = missing(now, &known).into_iter();
            missing.map(Week::name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["2026w49", "2026w50", "2026w51"]);
        assert_eq!(names(&["2026w48", "2026w49", "2026w51"]), ["2026w50"]);
    }
}
