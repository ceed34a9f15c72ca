//! Weekly partitions of events, deliveries, attempts and pictures.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Zoned};

use super::pool::{Checkout, VerbError};
use crate::domain::Timestamp;

/// Tables with partitions.
const TABLES: [&str; 4] = ["events", "deliveries", "attempts", "pictures"];
/// Weeks that exist ahead of time, with the current one.
const AHEAD: i64 = 3;

/// Partitions on record.
const WEEKS: &str = "SELECT DISTINCT substr(c.relname, length('deliveries_') + 1) AS week FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
     WHERE i.inhparent = to_regclass('jobbell.deliveries') AND c.relname ~ '^deliveries_[0-9]{8}$' ORDER BY 1";

/// The partitions of one week, which begins on a Monday, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Week(Date);

impl Week {
    /// The week of a time.
    pub(super) fn of(at: Timestamp) -> Self {
        let date = at.to_jiff().to_zoned(TimeZone::UTC).date();
        let since_monday = i64::from(date.weekday().to_monday_zero_offset());
        Self(date.saturating_sub(since_monday.days()))
    }

    fn parse(text: &str) -> Option<Self> {
        Date::strptime("%Y%m%d", text).ok().map(Self)
    }

    fn after(self, weeks: i64) -> Self {
        Self(self.0.saturating_add(weeks.weeks()))
    }

    /// The suffix of its tables.
    pub(super) fn name(self) -> String {
        self.0.strftime("%Y%m%d").to_string()
    }

    /// Its first millisecond, and the first of the next week.
    pub(super) fn bounds(self) -> (i64, i64) {
        (millis(self.0), millis(self.after(1).0))
    }
}

fn millis(date: Date) -> i64 {
    let start: Option<Zoned> = date.to_zoned(TimeZone::UTC).ok();
    start.map_or(0, |start| start.timestamp().as_millisecond())
}

/// Creates the partitions of this week and the next ones, by the clock of the database. Rows of a week
/// without partitions go to the default ones.
pub(super) async fn ensure(connection: &mut Checkout<'_>) -> Result<(), VerbError> {
    let known = weeks(connection).await?;
    let rows = connection.query("SELECT jobbell.now_ms()", &[]).await?;
    let now = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
    let first = Week::of(Timestamp::from_millis(now));
    for week in (0..AHEAD).map(|ahead| first.after(ahead)) {
        if known.contains(&week) {
            continue;
        }
        match connection.batch(&create(week)).await {
            // Rows of the week are in the default partitions, because no node ran when they had to be
            // created; or a reader holds the tables.
            Err(error) if !error.is_outage() => {
                tracing::warn!(%error, week = week.name(), "cannot create the partitions of a week; its rows go to the default ones");
            }
            done => done?,
        }
    }
    Ok(())
}

fn create(week: Week) -> String {
    let (name, (first, last)) = (week.name(), week.bounds());
    let table = |table: &str| {
        let options = if table == "deliveries" {
            // Room for the update at the end of each delivery.
            " WITH (fillfactor = 85)"
        } else {
            ""
        };
        format!(
            "CREATE TABLE IF NOT EXISTS jobbell.{table}_{name} PARTITION OF jobbell.{table} FOR VALUES FROM ({first}) TO ({last}){options};"
        )
    };
    // Others wait behind a table lock that waits, so it does not wait long.
    let tables: String = TABLES.map(table).concat();
    format!(
        "BEGIN; SET LOCAL lock_timeout = '2s'; SELECT pg_advisory_xact_lock(1247962477); {tables} COMMIT"
    )
}

/// The weeks that have partitions, oldest first.
pub(super) async fn weeks(connection: &mut Checkout<'_>) -> Result<Vec<Week>, VerbError> {
    let mut weeks = Vec::new();
    for row in connection.query(WEEKS, &[]).await? {
        weeks.extend(Week::parse(row.try_get("week")?));
    }
    Ok(weeks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn week_begins_on_monday() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        for text in ["2026-11-30T00:00:00Z", "2026-12-06T23:59:59.999Z"] {
            let week = Week::of(at(text));
            assert_eq!(week.name(), "20261130");
            let bounds = ["2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z"].map(at);
            let bounds = bounds.map(Timestamp::as_millis);
            assert_eq!(week.bounds(), (bounds[0], bounds[1]));
            assert_eq!(Week::parse("20261130"), Some(week));
        }
        assert_eq!(Week::of(at("2027-01-01T00:00:00Z")).name(), "20261228");
    }
}
