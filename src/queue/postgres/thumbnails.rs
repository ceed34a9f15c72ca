//! Thumbnail jobs and thumbnails. Each job is done once, by one node; its fencing token is never used
//! again.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::codes::{int, parse, time, unsigned, uuid_millis};
use super::connection::Value;
use super::pool::VerbError;
use super::rows::unknown;
use super::store::Store;
use crate::domain::{EventId, MissingReason, Thumbnail, ThumbnailResult, Timestamp};
use crate::queue::lease::EventKey;
use crate::queue::{StoreError, ThumbnailJob};

/// How often jobs are looked for that another node has accepted or released.
const POLL: Duration = Duration::from_secs(5);

const PICTURES: &str = "SELECT place, reason, width, height, jpeg, partial FROM jobbell.pictures WHERE at = $1 AND event = $2 ORDER BY place";
/// Jobs after $1 that no node holds, oldest first. Those with this token were claimed by the same
/// statement, whose answer was lost.
const CLAIM: &str = "WITH j AS MATERIALIZED (SELECT seq FROM jobbell.thumbnail_jobs WHERE seq > $1 AND (node = 0 OR token = $4) \
        AND EXISTS (SELECT FROM jobbell.nodes WHERE node = $3 AND alive_until > jobbell.now_ms() AND NOT draining) ORDER BY seq LIMIT $2 FOR UPDATE SKIP LOCKED), \
     c AS (UPDATE jobbell.thumbnail_jobs t SET node = $3, token = $4 FROM j WHERE t.seq = j.seq RETURNING t.seq, t.event, t.at, t.deadline) \
     SELECT c.seq, c.deadline, e.id, e.payload FROM c JOIN LATERAL \
        (SELECT e.id, e.payload FROM jobbell.events e WHERE e.at = c.at AND e.event = c.event OFFSET 0) e ON true ORDER BY c.seq";
/// Returns jobs to the queue, except those whose lease is over.
const RELEASE: &str = "UPDATE jobbell.thumbnail_jobs j SET node = 0, token = 0 FROM unnest($1::bigint[], $2::bigint[]) AS r (seq, token) \
     WHERE j.seq = r.seq AND j.token = r.token";
/// Stores thumbnails, unless the lease is over, and makes the event's deliveries due. A delivery that
/// is being claimed is skipped: its claim waits for the job.
const FINISH: &str = "WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now), \
     j AS (DELETE FROM jobbell.thumbnail_jobs WHERE seq = $2 AND token = $3 RETURNING event, at), \
     p AS (INSERT INTO jobbell.pictures (at, event, place, reason, width, height, jpeg, partial) SELECT j.at, j.event, u.* FROM j, \
        unnest($4::int[], $5::text[], $6::int[], $7::int[], $8::bytea[], $9::bool[]) AS u), \
     o AS MATERIALIZED (SELECT delivery FROM jobbell.due WHERE delivery = ANY (ARRAY(SELECT unnest(e.deliveries) FROM j \
        JOIN jobbell.events e ON e.at = j.at AND e.event = j.event)) FOR UPDATE SKIP LOCKED), \
     u AS (UPDATE jobbell.due SET due_at = least(due_at, (SELECT now FROM t)) WHERE delivery = ANY (ARRAY(SELECT delivery FROM o)) RETURNING 1) \
     SELECT EXISTS (SELECT FROM j) AS is_done, EXISTS (SELECT FROM u) AS is_due";

impl Store {
    pub(in crate::queue) async fn thumbnails(
        &self,
        event: EventKey,
    ) -> Result<Vec<ThumbnailResult>, StoreError> {
        let EventKey::Id(event) = event else {
            return Ok(Vec::new());
        };
        let at = uuid_millis(event);
        let values: [Value<'_>; 2] = [(&at, Type::INT8), (&event, Type::UUID)];
        let rows = self.read(PICTURES, &values).await?;
        let results: Result<Vec<_>, _> = rows.iter().map(thumbnail).collect();
        Ok(results?)
    }

    pub(in crate::queue) async fn claim_thumbnails(
        &self,
        after: i64,
        limit: usize,
        _now: Timestamp,
    ) -> Result<Vec<ThumbnailJob>, StoreError> {
        let life = self.shared.life()?;
        let (limit, token) = (int(limit), life.tokens(1));
        let values: [Value<'_>; 4] = [
            (&after, Type::INT8),
            (&limit, Type::INT8),
            (&life.node, Type::INT8),
            (&token, Type::INT8),
        ];
        let rows = self.shared.work.write(CLAIM, &values).await?;
        let jobs: Result<Vec<_>, _> = rows.iter().map(|row| job(row, token)).collect();
        Ok(jobs?)
    }

    pub(in crate::queue) async fn release_thumbnails(
        &self,
        jobs: Vec<ThumbnailJob>,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut keys: Vec<_> = jobs.iter().map(|job| (job.event_seq, job.token)).collect();
        keys.sort_unstable();
        let (seqs, tokens): (Vec<i64>, Vec<i64>) = keys.into_iter().unzip();
        let values: [Value<'_>; 2] = [(&seqs, Type::INT8_ARRAY), (&tokens, Type::INT8_ARRAY)];
        self.shared.work.write(RELEASE, &values).await?;
        Ok(())
    }

    pub(in crate::queue) async fn finish_thumbnails(
        &self,
        job: ThumbnailJob,
        results: Vec<ThumbnailResult>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let given = self.shared.given(now);
        let pictures = Pictures::of(results);
        let mut values: Vec<Value<'_>> = vec![
            (&given, Type::INT8),
            (&job.event_seq, Type::INT8),
            (&job.token, Type::INT8),
        ];
        values.extend(pictures.values());
        let rows = self.shared.work.write(FINISH, &values).await?;
        let (is_done, is_due) = match rows.first() {
            Some(row) => finished(row)?,
            None => (false, false),
        };
        if is_due {
            self.shared.claims.woken();
        }
        Ok(is_done)
    }

    /// Other nodes' jobs are found by looking from time to time.
    pub(in crate::queue) async fn wait_for_thumbnails(&self) {
        let poll = POLL.mul_f64(0.8 + fastrand::f64() * 0.4);
        drop(tokio::time::timeout(poll, self.shared.thumbnails.notified()).await);
    }
}

fn job(row: &Row, token: i64) -> Result<ThumbnailJob, VerbError> {
    let id = parse(row, "id", |text| EventId::parse(text).ok())?;
    Ok(ThumbnailJob {
        event_id: id.ok_or_else(|| unknown("id"))?,
        deadline: time(row, "deadline")?,
        event_seq: row.try_get("seq")?,
        token,
        payload: Arc::from(row.try_get::<_, &[u8]>("payload")?),
    })
}

fn finished(row: &Row) -> Result<(bool, bool), VerbError> {
    Ok((row.try_get("is_done")?, row.try_get("is_due")?))
}

fn thumbnail(row: &Row) -> Result<ThumbnailResult, VerbError> {
    let result = match row.try_get::<_, Option<Vec<u8>>>("jpeg")? {
        Some(jpeg) => Ok(Thumbnail {
            width: unsigned(row, "width")?,
            height: unsigned(row, "height")?,
            partial: row.try_get("partial")?,
            jpeg,
        }),
        None => {
            let reason = parse(row, "reason", MissingReason::from_name)?;
            Err(reason.ok_or_else(|| unknown("reason"))?)
        }
    };
    Ok(ThumbnailResult {
        place: usize::try_from(unsigned(row, "place")?).unwrap_or(usize::MAX),
        result,
    })
}

/// Rows of `pictures` as columns.
#[derive(Default)]
struct Pictures {
    places: Vec<i32>,
    reasons: Vec<Option<&'static str>>,
    widths: Vec<Option<i32>>,
    heights: Vec<Option<i32>>,
    jpegs: Vec<Option<Vec<u8>>>,
    partial: Vec<bool>,
}

impl Pictures {
    fn of(results: Vec<ThumbnailResult>) -> Self {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let mut columns = Self::default();
        for ThumbnailResult { place, result } in results {
            let place = i32::try_from(place).unwrap_or(i32::MAX);
            let (reason, made) = match result {
                Ok(made) => (None, Some(made)),
                Err(reason) => (Some(reason.as_str()), None),
            };
            columns.places.push(place);
            columns.reasons.push(reason);
            columns
                .widths
                .push(made.as_ref().map(|it| number(it.width)));
            columns
                .heights
                .push(made.as_ref().map(|it| number(it.height)));
            columns
                .partial
                .push(made.as_ref().is_some_and(|it| it.partial));
            columns.jpegs.push(made.map(|it| it.jpeg));
        }
        columns
    }

    fn values(&self) -> [Value<'_>; 6] {
        [
            (&self.places, Type::INT4_ARRAY),
            (&self.reasons, Type::TEXT_ARRAY),
            (&self.widths, Type::INT4_ARRAY),
            (&self.heights, Type::INT4_ARRAY),
            (&self.jpegs, Type::BYTEA_ARRAY),
            (&self.partial, Type::BOOL_ARRAY),
        ]
    }
}
