//! Ends leases.

use std::collections::HashMap;

use tokio_postgres::Row as SqlRow;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::attempt_rows::AttemptRows;
use super::codes::{int, state_code, token_number, uuid_millis};
use super::connection::Value;
use super::pool::VerbError;
use super::store::{Shared, Store};
use crate::domain::{DeadReason, State, Timestamp};
use crate::queue::lease::EventKey;
use crate::queue::transition::{self, Row};
use crate::queue::vault;
use crate::queue::{SettleError, Settled, Settlement, StoreError};

/// How often a statement is repeated whose result is unknown or that met a conflict.
const TRIES: usize = 3;

/// `s` is what each settlement changes; the row of `held` with its token drives everything else. What
/// was not held is returned: it was settled by a commit whose answer was lost, or fenced. Attempts of
/// stale settlements are recorded as well, and once.
macro_rules! settle {
    ($more:literal) => {
        concat!(
            "WITH t AS MATERIALIZED (SELECT coalesce($1::bigint, jobbell.now_ms()) AS now), \
             s AS MATERIALIZED (SELECT * FROM unnest($4::uuid[], $5::bigint[], $6::bigint[], $7::smallint[], $8::bigint[], $9::int[], $10::text[], $11::text[]) \
                WITH ORDINALITY AS s (delivery, at, token, state, delay, attempts, reason, preferred_server, ord)), \
             h AS (DELETE FROM jobbell.held USING s WHERE held.delivery = s.delivery AND held.token = s.token RETURNING held.lane, s.*), \
             q AS (INSERT INTO jobbell.due (delivery, at, lane, due_at, attempts, token, preferred_server) \
                SELECT delivery, at, lane, (SELECT now FROM t) + delay, attempts, token, preferred_server FROM h WHERE state = 0), \
             u AS (UPDATE jobbell.deliveries d SET state = h.state, reason = h.reason, attempts = h.attempts, token = h.token, \
                ended_at = (SELECT now FROM t), preferred_server = h.preferred_server \
                FROM h WHERE h.state > 0 AND d.at = h.at AND d.id = h.delivery), \
             x AS (INSERT INTO jobbell.unsent (state, at, delivery) SELECT state, at, delivery FROM h WHERE state > 2), \
             a AS (INSERT INTO jobbell.attempts (at, delivery, token, place, number, server, started_at, took_ms, result, stage, code, enhanced, reply, \
                detail, cause, advice) \
                SELECT * FROM unnest($12::bigint[], $13::uuid[], $14::bigint[], $15::smallint[], $16::int[], $17::text[], $18::bigint[], $19::bigint[], \
                $20::text[], $21::text[], $22::int[], $23::text[], $24::text[], $25::text[], $26::text[], $27::text[]) ON CONFLICT DO NOTHING), \
             c AS (INSERT INTO jobbell.counts AS c (node, writer, sending, queued, sent, dead, suppressed) \
                SELECT $2, $3, -count(*), count(*) FILTER (WHERE state = 0), count(*) FILTER (WHERE state = 2), count(*) FILTER (WHERE state = 3), \
                count(*) FILTER (WHERE state = 4) FROM h HAVING count(*) > 0 \
                ON CONFLICT (node, writer) DO UPDATE SET sending = c.sending + excluded.sending, queued = c.queued + excluded.queued, \
                sent = c.sent + excluded.sent, dead = c.dead + excluded.dead, suppressed = c.suppressed + excluded.suppressed)",
            $more,
            " SELECT s.ord, EXISTS (SELECT FROM jobbell.deliveries d WHERE d.at = s.at AND d.id = s.delivery AND d.token = s.token) \
                OR EXISTS (SELECT FROM jobbell.due d WHERE d.delivery = s.delivery AND d.token = s.token) AS is_done \
             FROM s WHERE NOT EXISTS (SELECT FROM h WHERE h.ord = s.ord)"
        )
    };
}

const SETTLE: &str = settle!("");
/// Also masks the secrets of events, unless another of their deliveries is pending. Two nodes that end
/// the last two at once leave that to maintenance.
const SETTLE_SECRETS: &str = settle!(
    ", m AS (UPDATE jobbell.events e SET payload = m.masked, secret = false \
        FROM unnest($28::bigint[], $29::uuid[], $30::bytea[]) AS m (at, event, masked) \
        WHERE e.at = m.at AND e.event = m.event AND NOT EXISTS (SELECT FROM unnest(e.deliveries) AS o (id) \
            WHERE NOT EXISTS (SELECT FROM h WHERE h.delivery = o.id AND h.state > 0) \
            AND (EXISTS (SELECT FROM jobbell.due WHERE due.delivery = o.id) OR EXISTS (SELECT FROM jobbell.held WHERE held.delivery = o.id))))"
);

/// A claimed delivery that ends without an attempt.
pub(super) struct Unreadable {
    pub(super) delivery: Uuid,
    pub(super) token: i64,
    pub(super) attempts: i32,
}

/// The values of a statement that ends leases, one entry a lease.
#[derive(Default)]
struct Ends {
    deliveries: Vec<Uuid>,
    at: Vec<i64>,
    tokens: Vec<i64>,
    states: Vec<i16>,
    delays: Vec<i64>,
    attempts: Vec<i32>,
    reasons: Vec<Option<&'static str>>,
    preferred: Vec<Option<String>>,
    tried: AttemptRows,
    secrets: Secrets,
}

/// Events whose secrets are masked.
#[derive(Default)]
struct Secrets {
    at: Vec<i64>,
    events: Vec<Uuid>,
    masked: Vec<Vec<u8>>,
}

impl Ends {
    fn add(&mut self, settlement: &Settlement, now: Timestamp) {
        let lease = &settlement.lease;
        let row = Row {
            attempts: lease.attempt,
            preferred_server: lease.preferred_server.as_deref(),
        };
        let change = transition::settle(row, &settlement.outcome, now);
        let token = token_number(lease.token);
        self.deliveries.push(lease.id.0);
        self.at.push(uuid_millis(lease.id.0));
        self.tokens.push(token);
        self.states.push(state_code(change.state));
        self.delays
            .push(change.due_at.as_millis() - now.as_millis());
        self.attempts
            .push(i32::try_from(change.attempts).unwrap_or(i32::MAX));
        self.reasons.push(change.reason);
        self.preferred
            .push(change.preferred_server.map(str::to_owned));
        for (place, attempt) in (0..).zip(&settlement.attempts) {
            self.tried.add(lease.id.0, token, place, attempt);
        }
        if change.ended_at.is_some()
            && lease.kind.holds_secret()
            && let EventKey::Id(event) = lease.event_key
        {
            self.secrets.at.push(uuid_millis(event));
            self.secrets.events.push(event);
            self.secrets.masked.push(vault::masked(lease.stored.json()));
        }
    }

    fn add_unreadable(&mut self, end: &Unreadable, reason: DeadReason) {
        self.deliveries.push(end.delivery);
        self.at.push(uuid_millis(end.delivery));
        self.tokens.push(end.token);
        self.states.push(state_code(State::Dead));
        self.delays.push(0);
        self.attempts.push(end.attempts);
        self.reasons.push(Some(reason.as_str()));
        self.preferred.push(None);
    }

    /// Runs the statement, again if its result is unknown: it settles nothing twice. Returns whether
    /// each lease was settled.
    async fn run(&self, shared: &Shared, now: Timestamp) -> Result<Vec<Settled>, VerbError> {
        let mut tries = 1;
        loop {
            match self.run_once(shared, now).await {
                Err(VerbError::Query(error))
                    if tries < TRIES && (error.is_conflict() || error.may_be_committed()) =>
                {
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    async fn run_once(&self, shared: &Shared, now: Timestamp) -> Result<Vec<Settled>, VerbError> {
        let mut connection = shared.work.get().await?;
        let (given, node, writer) = (shared.given(now), shared.node(), connection.writer());
        let mut values: Vec<Value<'_>> = vec![
            (&given, Type::INT8),
            (&node, Type::INT8),
            (&writer, Type::INT2),
            (&self.deliveries, Type::UUID_ARRAY),
            (&self.at, Type::INT8_ARRAY),
            (&self.tokens, Type::INT8_ARRAY),
            (&self.states, Type::INT2_ARRAY),
            (&self.delays, Type::INT8_ARRAY),
            (&self.attempts, Type::INT4_ARRAY),
            (&self.reasons, Type::TEXT_ARRAY),
            (&self.preferred, Type::TEXT_ARRAY),
        ];
        values.extend(self.tried.values());
        let rows = if self.secrets.events.is_empty() {
            connection.query(SETTLE, &values).await?
        } else {
            values.extend([
                (&self.secrets.at as _, Type::INT8_ARRAY),
                (&self.secrets.events as _, Type::UUID_ARRAY),
                (&self.secrets.masked as _, Type::BYTEA_ARRAY),
            ]);
            connection.query(SETTLE_SECRETS, &values).await?
        };
        drop(connection);
        self.announce(shared, now);
        self.answers(&rows)
    }

    /// Tells the pending claim when the next of the returned deliveries is due.
    fn announce(&self, shared: &Shared, now: Timestamp) {
        let queued = state_code(State::Queued);
        let delays = self.states.iter().zip(&self.delays);
        let next = delays
            .filter(|(state, _)| **state == queued)
            .map(|(_, delay)| *delay);
        if let Some(delay) = next.min() {
            shared.claims.added(now.shifted(delay), now);
        }
    }

    /// The rows name the leases that were not held.
    fn answers(&self, rows: &[SqlRow]) -> Result<Vec<Settled>, VerbError> {
        let mut missing = HashMap::new();
        for row in rows {
            missing.insert(
                row.try_get::<_, i64>("ord")?,
                row.try_get::<_, bool>("is_done")?,
            );
        }
        let answer = |ord| match missing.get(&ord) {
            Some(false) => Settled::Stale,
            Some(true) | None => Settled::Done,
        };
        Ok((1..=int(self.deliveries.len())).map(answer).collect())
    }
}

/// Ends claimed deliveries that this version cannot read.
pub(super) async fn bury(
    shared: &Shared,
    unreadable: &[Unreadable],
    reason: DeadReason,
    now: Timestamp,
) -> Result<(), VerbError> {
    let mut ends = Ends::default();
    for end in unreadable {
        ends.add_unreadable(end, reason);
    }
    ends.run(shared, now).await.map(drop)
}

impl Store {
    pub(in crate::queue) async fn settle(
        &self,
        settlements: Vec<Settlement>,
        now: Timestamp,
    ) -> Result<Vec<Settled>, SettleError> {
        let mut ends = Ends::default();
        for settlement in &settlements {
            ends.add(settlement, now);
        }
        ends.run(&self.shared, now)
            .await
            .map_err(|error| SettleError {
                error: StoreError::from(error),
                settlements,
            })
    }
}
