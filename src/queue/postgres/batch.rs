//! The requests of one statement as columns, and their answers.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::answers::{Known, answer};
use super::claims::Reservation;
use super::codes::{int, lane, state_code, token_code, uuid_millis};
use super::columns::{Deliveries, Ends, Events, Excludes, Keys, job, span};
use super::store::{Life, Shared};
use super::waiting::Waiting;
use crate::domain::{Lane, State, Timestamp, uuid_v7};
use crate::queue::counts::capacity;
use crate::queue::lease::EventKey;
use crate::queue::prepared::PreparedEvent;
use crate::queue::{Enqueued, Lease, StoreError};

/// The requests of one statement. The columns stay the same when it is repeated.
pub(super) struct Batch {
    requests: Vec<Waiting>,
    /// Marks the rows that this batch stores, so that they are known again if the answer is lost.
    pub(super) intake: Uuid,
    /// Whether the statement may have been committed before.
    pub(super) is_repeated: bool,
    pub(super) now: Timestamp,
    pub(super) events: Events,
    pub(super) deliveries: Deliveries,
    pub(super) keys: Keys,
    pub(super) ends: Ends,
    pub(super) excludes: Excludes,
    /// Requests that contradict themselves.
    pub(super) refused: Vec<i32>,
    /// Events whose job ends before, in the same request, and that end.
    superseded: HashMap<i32, String>,
    reservation: Option<Reservation>,
    life: Arc<Life>,
    until: Timestamp,
}

impl Batch {
    pub(super) fn new(shared: &Arc<Shared>, life: Arc<Life>, requests: Vec<Waiting>) -> Self {
        let now = requests.iter().map(|one| one.now).max();
        let now = now.unwrap_or(Timestamp::from_millis(0));
        let mut batch = Self {
            requests,
            intake: uuid_v7(now),
            is_repeated: false,
            now,
            events: Events::default(),
            deliveries: Deliveries::default(),
            keys: Keys::default(),
            ends: Ends::default(),
            excludes: Excludes::default(),
            refused: Vec::new(),
            superseded: HashMap::new(),
            reservation: None,
            life,
            until: now,
        };
        batch.fill(shared);
        batch.claim(shared);
        batch
    }

    fn fill(&mut self, shared: &Shared) {
        let mut pending = shared.pending.get();
        let requests = std::mem::take(&mut self.requests);
        for (number, one) in (1..).zip(&requests) {
            let mut contents = HashMap::new();
            for entry in &one.request.entries {
                let content = entry.content.digest;
                match contents.entry(&entry.id) {
                    Entry::Vacant(first) => {
                        first.insert(content);
                    }
                    Entry::Occupied(first) => {
                        if *first.get() != content {
                            self.refused.push(number);
                        }
                        continue;
                    }
                }
                if let Some(end) = entry.excludes.iter().find(|id| contents.contains_key(id)) {
                    self.refused.push(number);
                    let event = i32::try_from(self.events.ids.len() + 1).unwrap_or(i32::MAX);
                    self.superseded.insert(event, end.as_str().to_owned());
                }
                let limit = capacity(shared.settings.max_pending, entry.is_urgent);
                let is_full = pending.saturating_add(entry.waiting) > limit;
                pending += if is_full { 0 } else { entry.waiting };
                self.add(number, entry, one.now, is_full);
            }
            if let Some(key) = &one.request.key {
                let ids = one.request.entries.iter().map(|entry| entry.id.as_str());
                let ids: serde_json::Value = ids.collect();
                self.keys.requests.push(number);
                self.keys.names.push(key.name.clone());
                self.keys.contents.push(key.content.digest.to_vec());
                self.keys.ids.push(ids.to_string());
                self.keys.at.push(one.now.as_millis());
            }
        }
        self.requests = requests;
    }

    fn add(&mut self, request: i32, entry: &PreparedEvent, now: Timestamp, is_full: bool) {
        let (key, events) = (uuid_v7(now), &mut self.events);
        events.requests.push(request);
        events.keys.push(key);
        events.at.push(uuid_millis(key));
        events.ids.push(entry.id.as_str().to_owned());
        events.contents.push(entry.content.digest.to_vec());
        events.sources.push(entry.source.0.to_string());
        events.payloads.push(entry.payload.clone());
        events.secret.push(entry.is_sealed);
        let until = entry.thumbnails_until;
        let thumbnails_in = until.map(|until| span(now, until));
        events.thumbnails_in.push(thumbnails_in);
        events.full.push(is_full);
        let number = i32::try_from(events.ids.len()).unwrap_or(i32::MAX);
        for delivery in &entry.deliveries {
            self.deliveries.add(number, delivery, now);
        }
        if !entry.excludes.is_empty() {
            self.ends.events.push(number);
            self.ends.jobs.push(job(&entry.id, &entry.excludes));
            for id in &entry.excludes {
                self.excludes.events.push(number);
                self.excludes.ids.push(id.as_str().to_owned());
            }
        }
    }

    /// Claims what is due at once, as far as this node has free slots and nothing older waits.
    fn claim(&mut self, shared: &Arc<Shared>) {
        let queued = state_code(State::Queued);
        let deliveries = &mut self.deliveries;
        let new: Vec<_> = (deliveries
            .lanes
            .iter()
            .zip(&deliveries.due_in)
            .zip(&deliveries.states))
        .map(|((code, due_in), state)| {
            let lane = lane(*code).unwrap_or(Lane::Normal);
            (lane, *due_in <= 0 && *state == queued)
        })
        .collect();
        let Some(reservation) = shared.claims.reserve(&new) else {
            return;
        };
        self.until = self.now.after(reservation.lease());
        let first = self.life.tokens(int(new.len()));
        for (token, ((slot, holding), is_mine)) in (first..).zip(
            (deliveries.tokens.iter_mut().zip(&mut deliveries.holdings)).zip(reservation.mine()),
        ) {
            if *is_mine {
                *slot = token;
                // Known before the statement runs, so that no sweep takes it for a lost one.
                *holding = Some(shared.held.hold((0, token_code(token)), self.until));
            }
        }
        self.reservation = Some(reservation);
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn life(&self) -> &Life {
        &self.life
    }

    /// How long a lease lasts that nobody renews, in milliseconds.
    pub(super) fn lease(&self) -> i64 {
        span(self.now, self.until)
    }

    pub(super) fn age(&self) -> Duration {
        let ages = self.requests.iter().map(Waiting::age);
        ages.max().unwrap_or_default()
    }

    /// The requests in two parts, to run again.
    pub(super) fn into_halves(mut self) -> (Vec<Waiting>, Vec<Waiting>) {
        let rest = self.requests.split_off(self.requests.len() / 2);
        (self.requests, rest)
    }

    /// Refuses all requests. What may have been stored all the same is found again by the producer's
    /// repetition, and what it may hold is returned to the queue.
    pub(super) fn fail(self, shared: &Shared, error: &StoreError) {
        if self.is_repeated {
            let tokens = self.deliveries.tokens.iter().copied();
            shared.lost.add(tokens.filter(|token| *token != 0));
        }
        for one in self.requests {
            one.answer(Err(error.clone().into()));
        }
    }

    /// Answers the requests after the commit, and hands out what was claimed.
    pub(super) fn finish(mut self, shared: &Shared, mut known: Known) {
        known.ended.extend(std::mem::take(&mut self.superseded));
        let leases = self.leases(&known);
        if let Some(reservation) = self.reservation.take() {
            reservation.answer(leases);
        }
        self.announce(shared, &known);
        let mut number = 1;
        for (request, one) in (1..).zip(std::mem::take(&mut self.requests)) {
            let answer = answer(request, &mut number, &one, &known, &self.events.full);
            let stored = (one.request.entries.iter().zip(answer.iter().flatten()))
                .filter(|(_, enqueued)| **enqueued == Enqueued::New);
            // Before its producer can send more.
            let accepted = stored.map(|(entry, _)| entry.waiting).sum::<u64>();
            shared.pending.accepted(accepted);
            one.answer(answer);
        }
        if self.events.thumbnails_in.iter().any(Option::is_some) {
            shared.thumbnails.notify_one();
        }
    }

    /// Tells the pending claim, and other nodes if this one is busy, what waits now.
    fn announce(&self, shared: &Shared, known: &Known) {
        let queued = state_code(State::Queued);
        let rows = self.deliveries.events.iter().zip(&self.deliveries.tokens);
        let rows = rows
            .zip(&self.deliveries.due_in)
            .zip(&self.deliveries.states);
        let waiting = rows.filter(|(((event, token), _), state)| {
            **state == queued && known.is_stored(**event) && !known.held.contains(token)
        });
        let Some(due_in) = waiting.map(|(((_, _), due_in), _)| *due_in).min() else {
            return;
        };
        for lane in Lane::ALL {
            shared.claims.added(*lane, self.now.shifted(due_in));
        }
        if due_in <= 0 {
            shared.notify.wake();
        }
    }

    /// The leases of what was claimed, from what is in memory.
    fn leases(&mut self, known: &Known) -> Vec<Lease> {
        if known.held.is_empty() {
            return Vec::new();
        }
        let mut leases = Vec::with_capacity(known.held.len());
        let (mut event, mut delivery) = (0, 0);
        for one in &self.requests {
            let mut names = HashSet::new();
            for entry in &one.request.entries {
                if !names.insert(&entry.id) {
                    continue;
                }
                let key = self.events.keys.get(event).copied().unwrap_or_default();
                event += 1;
                let stored = &entry.stored;
                for planned in &entry.deliveries {
                    let at = delivery;
                    delivery += 1;
                    let token = self.deliveries.tokens.get(at).copied().unwrap_or_default();
                    let holding = self.deliveries.holdings.get_mut(at).and_then(Option::take);
                    if token == 0 || !known.held.contains(&token) {
                        continue;
                    }
                    leases.push(Lease {
                        id: planned.id,
                        event_id: entry.id.clone(),
                        message_id: planned.message_id.clone(),
                        recipient: planned.recipient.clone(),
                        kind: planned.kind,
                        lane: planned.lane,
                        attempt: 1,
                        token: token_code(token),
                        until: self.until,
                        created_at: planned.created_at,
                        expires_at: planned.expires_at,
                        preferred_server: None,
                        stored: Arc::clone(stored),
                        event_key: EventKey::Id(key),
                        has_thumbnails: entry.thumbnails_until.is_some(),
                        row_seq: 0,
                        fence: self.life.fence.fence(),
                        holding,
                    });
                }
            }
        }
        leases
    }
}
