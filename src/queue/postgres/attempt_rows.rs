//! Attempts as columns, for statements that insert many.

use std::borrow::Cow;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::codes::{int, text, uuid_millis};
use super::connection::Value;
use crate::domain::{Attempt, AttemptResult};

/// The columns of `attempts`, one entry an attempt.
#[derive(Default)]
pub(super) struct AttemptRows<'a> {
    at: Vec<i64>,
    deliveries: Vec<Uuid>,
    tokens: Vec<i64>,
    places: Vec<i16>,
    numbers: Vec<i32>,
    servers: Vec<Cow<'a, str>>,
    started_at: Vec<i64>,
    took_ms: Vec<i64>,
    results: Vec<&'static str>,
    stages: Vec<Option<&'static str>>,
    codes: Vec<Option<i32>>,
    enhanced: Vec<Option<Cow<'a, str>>>,
    replies: Vec<Option<Cow<'a, str>>>,
    details: Vec<Option<Cow<'a, str>>>,
    causes: Vec<Option<Cow<'a, str>>>,
    advice: Vec<Option<Cow<'a, str>>>,
}

impl<'a> AttemptRows<'a> {
    /// Adds the attempt that stands at `place` in the settlement of the claim `token`, from 1. Place 0
    /// is for what the end of a node leaves behind.
    pub(super) fn add(&mut self, delivery: Uuid, token: i64, place: i16, attempt: &'a Attempt) {
        let (result, failure, reply) = match &attempt.result {
            AttemptResult::Sent(receipt) => ("sent", None, Some(&receipt.reply)),
            AttemptResult::Failed(failure) => {
                (failure.kind.as_str(), Some(failure), failure.reply.as_ref())
            }
        };
        let explanation = failure.and_then(|failure| failure.explanation.as_ref());
        self.at.push(uuid_millis(delivery));
        self.deliveries.push(delivery);
        self.tokens.push(token);
        self.places.push(place);
        self.numbers
            .push(i32::try_from(attempt.number).unwrap_or(i32::MAX));
        self.servers.push(text(&attempt.server));
        self.started_at.push(attempt.at.as_millis());
        self.took_ms.push(int(attempt.took.as_millis()));
        self.results.push(result);
        self.stages
            .push(failure.map(|failure| failure.stage.as_str()));
        self.codes.push(reply.map(|reply| i32::from(reply.code)));
        self.enhanced
            .push(reply.and_then(|reply| reply.enhanced.as_deref().map(text)));
        self.replies.push(reply.map(|reply| text(&reply.text)));
        self.details
            .push(failure.map(|failure| text(&failure.detail)));
        self.causes.push(explanation.map(|it| text(&it.cause)));
        self.advice.push(explanation.map(|it| text(&it.advice)));
    }

    /// The columns in the order of `attempts`.
    pub(super) fn values(&self) -> [Value<'_>; 16] {
        [
            (&self.at, Type::INT8_ARRAY),
            (&self.deliveries, Type::UUID_ARRAY),
            (&self.tokens, Type::INT8_ARRAY),
            (&self.places, Type::INT2_ARRAY),
            (&self.numbers, Type::INT4_ARRAY),
            (&self.servers, Type::TEXT_ARRAY),
            (&self.started_at, Type::INT8_ARRAY),
            (&self.took_ms, Type::INT8_ARRAY),
            (&self.results, Type::TEXT_ARRAY),
            (&self.stages, Type::TEXT_ARRAY),
            (&self.codes, Type::INT4_ARRAY),
            (&self.enhanced, Type::TEXT_ARRAY),
            (&self.replies, Type::TEXT_ARRAY),
            (&self.details, Type::TEXT_ARRAY),
            (&self.causes, Type::TEXT_ARRAY),
            (&self.advice, Type::TEXT_ARRAY),
        ]
    }
}
