//! Pages of deliveries, newest first.
//!
//! No index serves `state`, `to` and `since` of pending and sent rows, because every mail would pay
//! for it. Rows are scanned in strides instead, newest partition first; those that ended without a
//! mail, wait or are held have narrow tables of their own.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::codes::{int, state_code, uuid_millis};
use super::connection::Value;
use super::pool::VerbError;
use super::query_error::QueryError;
use super::rows;
use super::store::Store;
use crate::domain::{Recipient, State, Timestamp};
use crate::queue::{DeliveryRecord, Filter, ListError, Page, StoreError};

/// How long a list may take.
const LIMIT: Duration = Duration::from_secs(5);
/// How many rows the first stride scans, and the most of one stride. Each is four times the last.
const STRIDES: (usize, usize) = (2_000, 50_000);
/// How far before `since` a stride still looks: the time in a delivery's id is that of its
/// acceptance, except for those of earlier versions, whose times were corrected.
const SLACK: i64 = 86_400_000;

/// Where a list finds its rows.
struct Source {
    table: &'static str,
    /// The column of the delivery's id.
    id: &'static str,
    /// A condition that all rows meet, with `AND`.
    only: &'static str,
}

impl Source {
    const fn of(state: Option<State>) -> Self {
        match state {
            None | Some(State::Sent) => Self {
                table: "jobbell.deliveries",
                id: "id",
                only: "",
            },
            Some(State::Queued) => Self::keys("jobbell.due", ""),
            Some(State::Sending) => Self::keys("jobbell.held", ""),
            Some(State::Dead | State::Suppressed | State::Cancelled) => {
                Self::keys("jobbell.unsent", "s.state = $6 AND ")
            }
        }
    }

    const fn keys(table: &'static str, only: &'static str) -> Self {
        Self {
            table,
            id: "delivery",
            only,
        }
    }

    /// A statement that scans a stride below the key ($1, $2): at most $3 rows, not before $4. It
    /// returns the first $5 rows with state $6, recipient $7 and created since $8. If there are
    /// fewer, one more row names the last one of the stride, unless the table ends before it.
    fn stride(&self) -> String {
        let Self { table, id, only } = self;
        let below = format!(
            "FROM {table} s WHERE {only}s.at <= $1 AND s.at >= $4 AND (s.at, s.{id}) < ($1, $2) ORDER BY s.at DESC, s.{id} DESC"
        );
        let found = if *id == "id" {
            format!("(SELECT s.* {below} LIMIT $3) d")
        } else {
            format!(
                "(SELECT s.at, s.delivery {below} LIMIT $3) p CROSS JOIN LATERAL \
                 (SELECT * FROM jobbell.deliveries d WHERE d.at = p.at AND d.id = p.delivery OFFSET 0) d"
            )
        };
        format!(
            "WITH hit AS MATERIALIZED (SELECT d.* FROM {found} WHERE ($6::smallint IS NULL OR d.state = $6) \
                AND ($7::text IS NULL OR lower(d.recipient COLLATE \"C\") = lower($7 COLLATE \"C\")) \
                AND ($8::bigint IS NULL OR d.created_at >= $8) ORDER BY d.at DESC, d.id DESC LIMIT $5) \
             SELECT {}, NULL::uuid AS edge FROM hit d \
             UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
                (SELECT s.{id} {below} OFFSET $3 - 1 LIMIT 1) WHERE (SELECT count(*) FROM hit) < $5",
            rows::delivery_columns!()
        )
    }
}

/// The result of a stride.
struct Stride {
    found: Vec<DeliveryRecord>,
    /// The last row that was scanned, if there may be more.
    edge: Option<Uuid>,
}

impl Store {
    pub(in crate::queue) async fn list(
        &self,
        filter: Filter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, ListError> {
        let before = match cursor {
            Some(text) => parse_cursor(text).ok_or(ListError::Cursor)?,
            None => Uuid::max(),
        };
        let limit = usize::try_from(limit.clamp(1, 500)).unwrap_or(500);
        let mut found = self.newest(&filter, before, limit + 1).await?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| has_more);
        Ok(Page {
            next_cursor: last.map(|record| cursor_of(record.id.0)),
            deliveries: found,
        })
    }

    /// The first `limit` rows below `before`.
    async fn newest(
        &self,
        filter: &Filter,
        before: Uuid,
        limit: usize,
    ) -> Result<Vec<DeliveryRecord>, StoreError> {
        let end = Instant::now() + LIMIT;
        let statement = Source::of(filter.state).stride();
        // Without a further condition, every row is one of the page.
        let is_whole =
            filter.to.is_none() && filter.since.is_none() && filter.state != Some(State::Sent);
        let mut stride = if is_whole { limit } else { STRIDES.0 };
        let (mut found, mut below) = (Vec::new(), Some(before));
        while let Some(edge) = below
            && found.len() < limit
        {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(StoreError::TooSlow);
            }
            let more = limit - found.len();
            let answer = self.stride(&statement, filter, edge, (stride, more), left);
            let scanned = answer.await?;
            found.extend(scanned.found);
            below = scanned.edge;
            stride = (stride * 4).min(STRIDES.1);
        }
        Ok(found)
    }

    async fn stride(
        &self,
        statement: &str,
        filter: &Filter,
        before: Uuid,
        (stride, limit): (usize, usize),
        left: Duration,
    ) -> Result<Stride, StoreError> {
        let before_at = match before {
            newest if newest.is_max() => i64::MAX,
            id => uuid_millis(id),
        };
        let since = filter.since.map(Timestamp::as_millis);
        let first = since.map_or(i64::MIN, |since| since.saturating_sub(SLACK));
        let (stride, limit) = (int(stride), int(limit));
        let state = filter.state.map(state_code);
        let to = filter.to.as_ref().map(Recipient::as_str);
        let values: [Value<'_>; 8] = [
            (&before_at, Type::INT8),
            (&before, Type::UUID),
            (&stride, Type::INT8),
            (&first, Type::INT8),
            (&limit, Type::INT8),
            (&state, Type::INT2),
            (&to, Type::TEXT),
            (&since, Type::INT8),
        ];
        let mut connection = self.shared.reads.get().await?;
        let rows = match connection.query_long(left, statement, &values).await {
            Err(QueryError::TimedOut) => return Err(StoreError::TooSlow),
            rows => rows?,
        };
        Ok(Stride::read(&rows)?)
    }
}

impl Stride {
    fn read(rows: &[tokio_postgres::Row]) -> Result<Self, VerbError> {
        let (mut found, mut edge) = (Vec::with_capacity(rows.len()), None);
        for row in rows {
            match row.try_get::<_, Option<Uuid>>("id")? {
                Some(_) => found.push(rows::delivery(row)?),
                None => edge = row.try_get("edge")?,
            }
        }
        // An id begins with its time.
        found.sort_by_key(|record| std::cmp::Reverse(record.id));
        Ok(Self { found, edge })
    }
}

fn cursor_of(id: Uuid) -> String {
    format!("d{}", id.simple())
}

/// The delivery behind a cursor.
fn parse_cursor(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text.strip_prefix('d')?).ok()?;
    (cursor_of(id) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_only_that_of_a_delivery() {
        let id = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001);
        assert_eq!(parse_cursor(&cursor_of(id)), Some(id));
        for text in ["", "d", "d1", "d+1", &id.to_string(), &format!("d{id}")] {
            assert_eq!(parse_cursor(text), None, "{text}");
        }
    }
}
