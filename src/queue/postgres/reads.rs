//! Reads. Each is one statement, so it sees one commit.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::codes::{int, lane, lane_code, time, uuid_millis};
use super::pool::VerbError;
use super::query_error::QueryError;
use super::rows::{self, unknown};
use super::store::Store;
use crate::domain::{DeliveryId, EventId, Lane, Timestamp};
use crate::queue::vault::{self, Vault};
use crate::queue::{
    CountCheck, Counts, DeliveryRecord, EventRecord, SentCount, StoreError, thumbnails,
};

/// How long it may take to count all rows.
const COUNTING: Duration = Duration::from_mins(2);

/// One row for each delivery, and one for an event without any. The payload and the pictures are in
/// the first row only. OFFSET 0 keeps the lookup of a delivery by its key.
const FIND: &str = concat!(
    "SELECT e.source, e.received_at, e.thumbnails, o.place, d.*, CASE WHEN coalesce(o.place, 1) = 1 THEN e.payload END AS payload, \
        EXISTS (SELECT FROM jobbell.thumbnail_jobs j WHERE j.event = e.event) AS waits, \
        CASE WHEN coalesce(o.place, 1) = 1 THEN (SELECT json_agg(json_build_object('place', p.place, 'reason', p.reason, 'width', p.width, \
            'height', p.height, 'bytes', octet_length(p.jpeg)))::text FROM jobbell.pictures p WHERE p.at = e.at AND p.event = e.event) END AS pictures \
     FROM jobbell.event_ids i JOIN LATERAL (SELECT * FROM jobbell.events e WHERE e.at = i.at AND e.event = i.event OFFSET 0) e ON true \
        LEFT JOIN LATERAL unnest(e.deliveries) WITH ORDINALITY AS o (id, place) ON true \
        LEFT JOIN LATERAL (SELECT ",
    rows::delivery_columns!(),
    " FROM jobbell.deliveries d WHERE d.at = jobbell.uuid_ms(o.id) AND d.id = o.id OFFSET 0) d ON true \
     WHERE i.id = $1 ORDER BY o.place"
);
const FIND_DELIVERY: &str = concat!(
    "SELECT ",
    rows::delivery_columns!(),
    " FROM jobbell.deliveries d WHERE d.at = $1 AND d.id = $2"
);
const SOURCES: &str = "SELECT w.n, e.source FROM unnest($1::text[]) WITH ORDINALITY AS w (id, n) JOIN jobbell.event_ids i ON i.id = w.id \
     JOIN LATERAL (SELECT e.source FROM jobbell.events e WHERE e.at = i.at AND e.event = i.event OFFSET 0) e ON true ORDER BY w.n";
const COUNTS: &str = "SELECT sum(accepted)::bigint AS accepted, sum(queued)::bigint AS queued, sum(sending)::bigint AS sending, sum(sent)::bigint AS sent, \
     sum(dead)::bigint AS dead, sum(suppressed)::bigint AS suppressed, sum(cancelled)::bigint AS cancelled FROM jobbell.counts";
/// The kept counts, then those of the rows. A pending delivery without a row in `due` and `held`, or
/// such a row without a delivery, makes the numbers differ.
const VERIFY: &str = "SELECT sum(accepted)::bigint AS accepted, sum(queued)::bigint AS queued, sum(sending)::bigint AS sending, sum(sent)::bigint AS sent, \
        sum(dead)::bigint AS dead, sum(suppressed)::bigint AS suppressed, sum(cancelled)::bigint AS cancelled, false AS is_found FROM jobbell.counts \
     UNION ALL SELECT count(*), (SELECT count(*) FROM jobbell.due), (SELECT count(*) FROM jobbell.held), count(*) FILTER (WHERE state = 2), \
        count(*) FILTER (WHERE state = 3), count(*) FILTER (WHERE state = 4), count(*) FILTER (WHERE state = 5), true FROM jobbell.deliveries";
const OLDEST: &str = "WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now) \
     SELECT l.lane::smallint AS lane, (SELECT now FROM t) - (SELECT due_at FROM jobbell.due d WHERE d.lane = l.lane AND d.due_at <= (SELECT now FROM t) \
        ORDER BY d.due_at LIMIT 1) AS age FROM unnest($2::smallint[]) AS l (lane)";

impl Store {
    pub(in crate::queue) async fn sources_of(
        &self,
        ids: Vec<EventId>,
    ) -> Result<Vec<(EventId, String)>, StoreError> {
        let names: Vec<&str> = ids.iter().map(EventId::as_str).collect();
        let rows = self.read(SOURCES, &[(&names, Type::TEXT_ARRAY)]).await?;
        Ok(sources(&ids, &rows)?)
    }

    /// Limits are shared by all nodes and kept in the database, so a node that starts has no history
    /// of its own to count.
    #[expect(
        clippy::unused_async,
        reason = "a database of one node has to be asked"
    )]
    pub(in crate::queue) async fn send_history(
        &self,
        _after: Timestamp,
    ) -> Result<Vec<SentCount>, StoreError> {
        self.check_open()?;
        Ok(Vec::new())
    }

    pub(in crate::queue) async fn find(
        &self,
        id: EventId,
    ) -> Result<Option<EventRecord>, StoreError> {
        let rows = self.read(FIND, &[(&id.as_str(), Type::TEXT)]).await?;
        Ok(event(self.shared.vault()?, id, &rows)?)
    }

    pub(in crate::queue) async fn find_delivery(
        &self,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRecord>, StoreError> {
        let at = uuid_millis(id.0);
        let rows = self
            .read(FIND_DELIVERY, &[(&at, Type::INT8), (&id.0, Type::UUID)])
            .await?;
        Ok(rows.first().map(rows::delivery).transpose()?)
    }

    pub(in crate::queue) async fn counts(&self) -> Result<Counts, StoreError> {
        let reading = self.shared.pending.read();
        let rows = self.read(COUNTS, &[]).await?;
        let counts = rows.first().map(counts).transpose()?.unwrap_or_default();
        reading.finish(counts.pending());
        Ok(counts)
    }

    pub(in crate::queue) async fn verify_counts(&self) -> Result<CountCheck, StoreError> {
        let rows = self.read_long(COUNTING, VERIFY).await?;
        Ok(check(&rows)?)
    }

    pub(in crate::queue) async fn oldest_due(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(Lane, Duration)>, StoreError> {
        let given = self.shared.given(now);
        let lanes: Vec<i16> = Lane::ALL.iter().map(|lane| lane_code(*lane)).collect();
        let values = [(&given as _, Type::INT8), (&lanes as _, Type::INT2_ARRAY)];
        Ok(ages(&self.read(OLDEST, &values).await?)?)
    }

    pub(super) async fn read(
        &self,
        statement: &str,
        values: &[super::connection::Value<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        Ok(self.shared.reads.query(statement, values).await?)
    }

    async fn read_long(&self, limit: Duration, statement: &str) -> Result<Vec<Row>, StoreError> {
        let mut connection = self.shared.reads.get().await?;
        match connection.query_long(limit, statement, &[]).await {
            Err(QueryError::TimedOut) => Err(StoreError::TooSlow),
            answer => Ok(answer?),
        }
    }
}

fn sources(ids: &[EventId], rows: &[Row]) -> Result<Vec<(EventId, String)>, VerbError> {
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let number: i64 = row.try_get("n")?;
        let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let source = row.try_get("source")?;
        found.extend(ids.get(index).map(|id| (id.clone(), source)));
    }
    Ok(found)
}

fn event(vault: &Vault, id: EventId, rows: &[Row]) -> Result<Option<EventRecord>, VerbError> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let payload: Option<&[u8]> = first.try_get("payload")?;
    let event = vault::shown(vault, id.as_str(), payload.unwrap_or_default());
    let event = event.map_err(|error| StoreError::Unreadable {
        source: Arc::new(error),
    })?;
    let mut deliveries = Vec::with_capacity(rows.len());
    for row in rows {
        // A purged delivery is still named by its event.
        if row.try_get::<_, Option<uuid::Uuid>>("id")?.is_some() {
            deliveries.push(rows::delivery(row)?);
        }
    }
    let pictures = match &event {
        Some(event) if first.try_get("thumbnails")? => {
            thumbnails::records(event, first.try_get("waits")?, rows::pictures(first)?)
        }
        _ => Vec::new(),
    };
    Ok(Some(EventRecord {
        id,
        event,
        source: first.try_get("source")?,
        received_at: time(first, "received_at")?,
        pictures,
        deliveries,
    }))
}

fn counts(row: &Row) -> Result<Counts, VerbError> {
    // The sum over no rows is null; the sum of one node may be negative, that of all is not.
    let number = |column| {
        let sum = row.try_get::<_, Option<i64>>(column)?.unwrap_or_default();
        Ok::<_, VerbError>(u64::try_from(sum).unwrap_or(0))
    };
    Ok(Counts {
        accepted: number("accepted")?,
        queued: number("queued")?,
        sending: number("sending")?,
        sent: number("sent")?,
        dead: number("dead")?,
        suppressed: number("suppressed")?,
        cancelled: number("cancelled")?,
    })
}

fn check(rows: &[Row]) -> Result<CountCheck, VerbError> {
    let (mut kept, mut found) = (Counts::default(), Counts::default());
    for row in rows {
        let which = if row.try_get("is_found")? {
            &mut found
        } else {
            &mut kept
        };
        *which = counts(row)?;
    }
    Ok(CountCheck { kept, found })
}

fn ages(rows: &[Row]) -> Result<Vec<(Lane, Duration)>, VerbError> {
    let mut ages = Vec::with_capacity(rows.len());
    for row in rows {
        let lane = lane(row.try_get("lane")?).ok_or_else(|| unknown("lane"))?;
        let millis = row.try_get::<_, Option<i64>>("age")?.unwrap_or_default();
        let age = Duration::from_millis(u64::try_from(int(millis)).unwrap_or(0));
        ages.push((lane, age));
    }
    Ok(ages)
}
