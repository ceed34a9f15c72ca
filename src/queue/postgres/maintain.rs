//! Removes expired data: weeks at once, other rows one by one. One node at a time does it.

use tokio_postgres::types::Type;

use super::connection::Connection;
use super::partitions::{self, Weekly};
use super::pool::VerbError;
use super::retire::{self, Retired, Terms};
use super::store::{Shared, Store};
use super::{purge, redact};
use crate::domain::Timestamp;
use crate::queue::{Maintenance, Retention, StoreError};

const WEEKS: &str = "SELECT jobbell.now_ms() AS now, week, first, until, ending <> 0 AS is_ending, \
     EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass('jobbell.deliveries_' || week)) AS is_whole \
     FROM (SELECT) one LEFT JOIN jobbell.weeks ON true ORDER BY first";
/// Of a node that died.
const REOPEN: &str = "UPDATE jobbell.weeks SET ending = 0 WHERE week = $1";
const PURGE_UNMAPPED: &str = "DELETE FROM jobbell.unmapped_payloads WHERE last_at < $1";

impl Store {
    pub(in crate::queue) async fn maintain(
        &self,
        retention: &Retention,
        limit: u32,
        now: Timestamp,
    ) -> Result<Maintenance, StoreError> {
        let mut round = Round {
            shared: &self.shared,
            before: now.before(retention.deliveries),
            limit: limit.min(10_000),
            done: Maintenance::default(),
        };
        round.weeks().await?;
        round.purge("deliveries_default").await?;
        let payloads = now.before(retention.payloads).as_millis();
        let work = &self.shared.work;
        work.write(PURGE_UNMAPPED, &[(&payloads, Type::INT8)])
            .await?;
        redact::mask(work, self.shared.vault()?).await?;
        if retention.payloads < retention.deliveries {
            let search = &self.shared.upkeep.search;
            let redacted = redact::run(work, search, retention, round.limit, now).await?;
            round.done.redacted = redacted.events;
            round.done.more |= redacted.more;
        }
        Ok(round.done)
    }
}

/// One call of `maintain`.
struct Round<'a> {
    shared: &'a Shared,
    before: Timestamp,
    limit: u32,
    done: Maintenance,
}

impl Round<'_> {
    /// Creates the partitions of coming weeks, and drops those of weeks that are over.
    async fn weeks(&mut self) -> Result<(), VerbError> {
        if !self.shared.upkeep.is_time_for_weeks() {
            return Ok(());
        }
        let (now, weeks) = self.known_weeks().await?;
        let names: Vec<_> = weeks.iter().map(|weekly| weekly.week.clone()).collect();
        let mut missing = partitions::missing(now, &names);
        // The time of a test may be far ahead of the database's.
        missing.retain(|week| week.until() > self.before.as_millis());
        let is_over = |weekly: &Weekly| weekly.until <= self.before.as_millis();
        let over: Vec<_> = weeks
            .iter()
            .filter(|weekly| is_over(weekly) || (weekly.is_ending && !weekly.is_whole))
            .collect();
        for weekly in &weeks {
            if weekly.is_ending && weekly.is_whole && !is_over(weekly) {
                let week = [(&weekly.week as _, Type::TEXT)];
                self.shared.work.write(REOPEN, &week).await?;
            }
        }
        if missing.is_empty() && over.is_empty() {
            return Ok(());
        }
        // A connection of its own: such a statement may take long.
        let connection = self.shared.connector.connect().await;
        let connection = connection.map_err(StoreError::from)?;
        if let Err(error) = partitions::create(&connection, &missing).await {
            tracing::warn!("cannot create the partitions of the next weeks, will retry: {error}");
            self.shared.upkeep.put_weeks_off();
        }
        for weekly in over {
            self.retire(&connection, weekly).await?;
        }
        Ok(())
    }

    /// The time of the database, and the weeks that have partitions.
    async fn known_weeks(&self) -> Result<(i64, Vec<Weekly>), VerbError> {
        let (mut now, mut weeks) = (0, Vec::new());
        for row in self.shared.work.query(WEEKS, &[]).await? {
            now = row.try_get("now")?;
            let Some(week) = row.try_get::<_, Option<String>>("week")? else {
                continue;
            };
            weeks.push(Weekly {
                week,
                first: row.try_get("first")?,
                until: row.try_get("until")?,
                is_ending: row.try_get("is_ending")?,
                is_whole: row.try_get("is_whole")?,
            });
        }
        Ok((now, weeks))
    }

    async fn retire(&mut self, connection: &Connection, weekly: &Weekly) -> Result<(), VerbError> {
        let terms = Terms {
            before: self.before,
            token: self.shared.life()?.tokens(1),
            node: self.shared.node(),
        };
        let week = &weekly.week;
        match retire::retire(connection, weekly, &terms).await {
            Ok(Retired::Gone(deliveries)) => {
                tracing::info!(week, deliveries, "dropped an expired week");
                self.done.purged += deliveries;
            }
            Ok(Retired::ByAnother) => tracing::debug!(week, "another node drops this week"),
            Ok(Retired::Open) => self.purge(&format!("deliveries_{week}")).await?,
            Err(error) => {
                tracing::warn!("cannot drop the expired week {week}, will retry: {error}");
                self.shared.upkeep.put_weeks_off();
            }
        }
        Ok(())
    }

    async fn purge(&mut self, table: &str) -> Result<(), VerbError> {
        let node = self.shared.node();
        let purged = purge::run(&self.shared.work, table, node, self.before, self.limit).await?;
        self.done.purged += purged;
        self.done.more |= purged >= u64::from(self.limit);
        Ok(())
    }
}
