//! Payloads of webhooks that could not be mapped to an event.

use ring::digest::{SHA256, digest};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::codes::{text, time, unsigned};
use super::connection::Value;
use super::pool::VerbError;
use super::store::Store;
use crate::domain::Timestamp;
use crate::queue::{StoreError, UnmappedPayload, UnmappedRecord};

/// Keeps a payload or counts its repetition, and removes the oldest of its hook. The statement does
/// not see its own insertion, so $6 counts the others.
const KEEP: &str = "WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now), \
     k AS (INSERT INTO jobbell.unmapped_payloads AS u (hook, digest, first_at, last_at, times, why, payload) SELECT $2, $3, now, now, 1, $4, $5 FROM t \
        ON CONFLICT (hook, digest) DO UPDATE SET last_at = excluded.last_at, times = u.times + 1, why = excluded.why RETURNING seq) \
     DELETE FROM jobbell.unmapped_payloads WHERE hook = $2 AND seq <> (SELECT seq FROM k) AND seq NOT IN \
        (SELECT seq FROM jobbell.unmapped_payloads WHERE hook = $2 AND seq <> (SELECT seq FROM k) ORDER BY last_at DESC, seq DESC LIMIT $6)";
const LIST: &str = "SELECT seq, hook, first_at, last_at, times, why, NULL::text AS payload FROM jobbell.unmapped_payloads \
     ORDER BY last_at DESC, seq DESC LIMIT $1";
const FIND: &str = "SELECT seq, hook, first_at, last_at, times, why, payload FROM jobbell.unmapped_payloads WHERE seq = $1";

impl Store {
    pub(in crate::queue) async fn keep_unmapped(
        &self,
        payload: UnmappedPayload,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let kept = payload.kept_payload();
        let digest = digest(&SHA256, kept.as_bytes());
        let given = self.shared.given(now);
        let why = payload.kept_why();
        let (why, kept) = (text(&why), text(kept));
        let others = i64::from(UnmappedPayload::MAX_KEPT) - 1;
        let values: [Value<'_>; 6] = [
            (&given, Type::INT8),
            (&payload.hook, Type::TEXT),
            (&digest.as_ref(), Type::BYTEA),
            (&why, Type::TEXT),
            (&kept, Type::TEXT),
            (&others, Type::INT8),
        ];
        self.shared.work.write(KEEP, &values).await?;
        Ok(())
    }

    pub(in crate::queue) async fn unmapped(
        &self,
        limit: u32,
    ) -> Result<Vec<UnmappedRecord>, StoreError> {
        let rows = self.read(LIST, &[(&i64::from(limit), Type::INT8)]).await?;
        let records: Result<Vec<_>, _> = rows.iter().map(record).collect();
        Ok(records?)
    }

    pub(in crate::queue) async fn find_unmapped(
        &self,
        id: i64,
    ) -> Result<Option<UnmappedRecord>, StoreError> {
        let rows = self.read(FIND, &[(&id, Type::INT8)]).await?;
        Ok(rows.first().map(record).transpose()?)
    }
}

fn record(row: &Row) -> Result<UnmappedRecord, VerbError> {
    Ok(UnmappedRecord {
        id: row.try_get("seq")?,
        hook: row.try_get("hook")?,
        first_at: time(row, "first_at")?,
        last_at: time(row, "last_at")?,
        times: unsigned(row, "times")?,
        why: row.try_get("why")?,
        payload: row.try_get("payload")?,
    })
}
