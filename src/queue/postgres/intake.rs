//! Stores groups of events: all that wait become one statement and one commit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::enqueue;
use super::pool::VerbError;
use super::query_error::VERB_TIMEOUT;
use super::store::{Shared, Store};
use super::waiting::{Answer, Inbox, Waiting};
use crate::domain::Timestamp;
use crate::queue::prepared::PreparedRequest;
use crate::queue::{EnqueueError, NewEvent, StoreError};

/// The most requests and payload bytes of one statement; bounds how long the first of them waits.
const MAX_BATCH: usize = 1024;
const MAX_BYTES: usize = 8 << 20;
/// How long a request may take, repetitions of its statement included: the producer waits for it.
const PATIENCE: Duration = Duration::from_secs(13);
/// The shortest time that a statement is given.
const SHORTEST: Duration = Duration::from_secs(1);
/// The pause before a statement is repeated whose result is unknown.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a statement is repeated that met a conflict, before its requests are divided.
const CONFLICTS: usize = 3;

impl Store {
    pub(in crate::queue) async fn enqueue(
        &self,
        events: Vec<NewEvent>,
        key: Option<String>,
        now: Timestamp,
    ) -> Answer {
        self.check_open()?;
        // Refuses at once while the database is away.
        self.shared.accepting()?;
        let request = PreparedRequest::new(events, key, self.shared.vault()?)?;
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting {
            request,
            now,
            since: Instant::now(),
            reply,
        };
        // Producers do not wait for a place.
        self.intake
            .0
            .try_send(waiting)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => EnqueueError::Busy,
                mpsc::error::TrySendError::Closed(_) => StoreError::Closed.into(),
            })?;
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }
}

/// Stores what waits until the store is closed, then what is left.
pub(super) async fn run(shared: Arc<Shared>, inbox: Inbox, closed: CancellationToken) {
    // Requests that share a name with the batch before them.
    let mut left = Vec::new();
    loop {
        if left.is_empty() {
            let mut inbox = inbox.lock().await;
            tokio::select! {
                biased;
                taken = inbox.recv_many(&mut left, MAX_BATCH) => if taken == 0 { return },
                () = closed.cancelled(), if !inbox.is_closed() => inbox.close(),
            }
        }
        let (batch, rest) = split(left);
        left = rest;
        store(&shared, batch).await;
    }
}

/// The requests that one statement can store, and those that must follow it.
fn split(waiting: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
    let (mut batch, mut rest) = (Vec::with_capacity(waiting.len()), Vec::new());
    let (mut names, mut bytes) = (HashSet::new(), 0);
    for one in waiting {
        let own: Vec<_> = one
            .names()
            .map(|(of, name)| (of, name.to_owned()))
            .collect();
        bytes += one.bytes();
        let is_first = batch.is_empty();
        let is_free = own.iter().all(|name| !names.contains(name));
        // A name that waits keeps its order: what shares it with a later batch waits as well.
        names.extend(own);
        if is_first || (is_free && bytes <= MAX_BYTES) {
            batch.push(one);
        } else {
            rest.push(one);
        }
    }
    (batch, rest)
}

/// Stores requests. If the statement fails because of one of them, they are divided until it is alone,
/// so that it does not fail the others.
async fn store(shared: &Arc<Shared>, requests: Vec<Waiting>) {
    let mut parts = vec![requests];
    while let Some(part) = parts.pop() {
        if let Some((first, rest)) = store_part(shared, part).await {
            parts.extend([rest, first]);
        }
    }
}

/// Stores requests and answers them, or returns them in two parts.
async fn store_part(
    shared: &Arc<Shared>,
    requests: Vec<Waiting>,
) -> Option<(Vec<Waiting>, Vec<Waiting>)> {
    let (late, requests): (Vec<_>, Vec<_>) =
        (requests.into_iter()).partition(|one| one.age() + SHORTEST > PATIENCE);
    for one in late {
        one.answer(Err(EnqueueError::Busy));
    }
    if requests.is_empty() {
        return None;
    }
    let life = match shared.life() {
        Ok(life) => life,
        Err(error) => {
            let refused = requests.into_iter();
            refused.for_each(|one| one.answer(Err(error.clone().into())));
            return None;
        }
    };
    let mut batch = Batch::new(shared, life, requests);
    let mut conflicts = 0;
    loop {
        let left = PATIENCE.saturating_sub(batch.age());
        let error = match enqueue::run(shared, &batch, left.min(VERB_TIMEOUT)).await {
            Ok(known) => {
                batch.finish(shared, known);
                return None;
            }
            Err(error) => error,
        };
        batch.is_repeated |= error.may_be_committed();
        let is_late = batch.age() + SHORTEST > PATIENCE;
        if error.is_conflict() && conflicts < CONFLICTS {
            conflicts += 1;
        } else if batch.is_repeated && !is_late && !is_final(&error) {
            // The same values again: rows with this batch's id are its own.
            tokio::time::sleep(PAUSE).await;
        } else if !batch.is_repeated && is_fault_of_one(&error) && batch.len() > 1 {
            return Some(batch.into_halves());
        } else {
            batch.fail(shared, &error.into());
            return None;
        }
    }
}

/// Whether a repetition would fail in the same way: the statement was refused.
fn is_final(error: &VerbError) -> bool {
    !error.may_be_committed() && is_fault_of_one(error)
        || matches!(error, VerbError::Store(StoreError::Closed))
}

/// Whether one of the requests may be to blame, and not the database.
fn is_fault_of_one(error: &VerbError) -> bool {
    matches!(error, VerbError::Query(error) if !error.is_outage() && !error.may_be_committed())
}
