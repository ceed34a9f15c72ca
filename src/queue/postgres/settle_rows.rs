//! Settlements and attempts as the arrays of a statement.

use std::borrow::Cow;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::codes::{state_code, text, uuid_millis};
use super::connection::Value;
use crate::domain::{Attempt, DeliveryId, Timestamp};
use crate::queue::transition::Change;

/// The end of a lease, in any outcome.
pub(super) struct Ended<'a> {
    pub(super) id: DeliveryId,
    pub(super) token: i64,
    pub(super) change: Change<'a>,
    pub(super) attempts: &'a [Attempt],
    /// An event with secrets and its payload without them, if the delivery has ended.
    pub(super) masked: Option<(Uuid, Vec<u8>)>,
}

/// The columns of ended leases.
#[derive(Default)]
pub(super) struct EndedColumns<'a> {
    ids: Vec<Uuid>,
    ats: Vec<i64>,
    tokens: Vec<i64>,
    states: Vec<i16>,
    /// Due times, after now.
    delays: Vec<i64>,
    attempts: Vec<i32>,
    reasons: Vec<Option<&'static str>>,
    servers: Vec<Option<Cow<'a, str>>>,
    /// The earliest and the latest of `ats`: other partitions are not looked at.
    first_at: i64,
    last_at: i64,
}

impl<'a> EndedColumns<'a> {
    pub(super) fn new(ended: &[&'a Ended<'a>], now: Timestamp) -> Self {
        let mut columns = Self::default();
        for one in ended {
            let change = &one.change;
            columns.ids.push(one.id.0);
            columns.ats.push(uuid_millis(one.id.0));
            columns.tokens.push(one.token);
            columns.states.push(state_code(change.state));
            let delay = change.due_at.as_millis().saturating_sub(now.as_millis());
            columns.delays.push(delay);
            let attempts = i32::try_from(change.attempts);
            columns.attempts.push(attempts.unwrap_or(i32::MAX));
            columns.reasons.push(change.reason);
            columns.servers.push(change.preferred_server.map(text));
        }
        (columns.first_at, columns.last_at) = range(&columns.ats);
        columns
    }

    /// The ids, the times within them, the tokens, and the range of the times.
    pub(super) fn keys(&self) -> [Value<'_>; 5] {
        [
            (&self.ids, Type::UUID_ARRAY),
            (&self.ats, Type::INT8_ARRAY),
            (&self.tokens, Type::INT8_ARRAY),
            (&self.first_at, Type::INT8),
            (&self.last_at, Type::INT8),
        ]
    }

    /// State, delay, attempts, reason and preferred server.
    pub(super) fn changes(&self) -> [Value<'_>; 5] {
        [
            (&self.states, Type::INT2_ARRAY),
            (&self.delays, Type::INT8_ARRAY),
            (&self.attempts, Type::INT4_ARRAY),
            (&self.reasons, Type::TEXT_ARRAY),
            (&self.servers, Type::TEXT_ARRAY),
        ]
    }
}

/// The columns of events whose secrets are masked.
#[derive(Default)]
pub(super) struct MaskedColumns<'a> {
    ats: Vec<i64>,
    ids: Vec<Uuid>,
    payloads: Vec<&'a [u8]>,
    first_at: i64,
    last_at: i64,
}

impl<'a> MaskedColumns<'a> {
    pub(super) fn new(ended: &[&'a Ended<'a>]) -> Self {
        let mut columns = Self::default();
        for (id, payload) in ended.iter().filter_map(|one| one.masked.as_ref()) {
            columns.ats.push(uuid_millis(*id));
            columns.ids.push(*id);
            columns.payloads.push(payload);
        }
        (columns.first_at, columns.last_at) = range(&columns.ats);
        columns
    }

    pub(super) fn values(&self) -> [Value<'_>; 5] {
        [
            (&self.ats, Type::INT8_ARRAY),
            (&self.ids, Type::UUID_ARRAY),
            (&self.payloads, Type::BYTEA_ARRAY),
            (&self.first_at, Type::INT8),
            (&self.last_at, Type::INT8),
        ]
    }
}

/// The first and the last time.
fn range(times: &[i64]) -> (i64, i64) {
    let (first, last) = (times.iter().min(), times.iter().max());
    (first.copied().unwrap_or(0), last.copied().unwrap_or(0))
}
