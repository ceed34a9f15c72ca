//! The answers to the requests of a batch.

use std::collections::HashMap;

use super::waiting::{Answer, Waiting};
use crate::domain::EventId;
use crate::queue::{EnqueueError, Enqueued, StoreError};

/// What the database knew of a batch.
#[derive(Default)]
pub(super) struct Known {
    /// By the number of the event: whether the content is the same, and whether this batch stored it.
    pub(super) events: HashMap<i32, (bool, bool)>,
    /// By the number of the request: the same, and the ids that were answered.
    pub(super) keys: HashMap<i32, (bool, bool, String)>,
    /// By the number of the event: the end of its job on record.
    pub(super) ended: HashMap<i32, String>,
    /// The tokens that this node holds.
    pub(super) held: Vec<i64>,
}

impl Known {
    /// Whether this batch has stored the event, now or by an earlier try, unless its request was
    /// refused.
    pub(super) fn is_stored(&self, event: i32) -> bool {
        self.events.get(&event).is_none_or(|(_, is_own)| *is_own)
    }
}

/// The answer to a request. `number` is that of its first event, and of the next request's after.
pub(super) fn answer(
    request: i32,
    number: &mut i32,
    one: &Waiting,
    known: &Known,
    full: &[bool],
) -> Answer {
    let first = *number;
    let mut seen: HashMap<&EventId, (i32, [u8; 32])> = HashMap::new();
    for entry in &one.request.entries {
        if !seen.contains_key(&entry.id) {
            seen.insert(&entry.id, (*number, entry.content.digest));
            *number += 1;
        }
    }
    if let Some((is_same, false, ids)) = known.keys.get(&request) {
        return earlier(*is_same, ids);
    }
    let (mut answers, mut next) = (Vec::with_capacity(one.request.entries.len()), first);
    for (index, entry) in one.request.entries.iter().enumerate() {
        let (event, content) = seen.get(&entry.id).copied().unwrap_or_default();
        let id = entry.id.clone();
        let is_repeated = event < next;
        next = next.max(event + 1);
        let ended = known
            .ended
            .get(&event)
            .and_then(|id| EventId::parse(id).ok());
        if let Some(id) = ended.filter(|end| *end != entry.id) {
            return Err(EnqueueError::Superseded { index, id });
        }
        let at = usize::try_from(event - 1).unwrap_or(usize::MAX);
        answers.push(match known.events.get(&event) {
            _ if content != entry.content.digest => {
                return Err(EnqueueError::Conflict { index, id });
            }
            _ if is_repeated => Enqueued::Duplicate { id },
            Some((true, false)) => Enqueued::Duplicate { id },
            Some((false, false)) => return Err(EnqueueError::Conflict { index, id }),
            None if full.get(at).copied().unwrap_or_default() => return Err(EnqueueError::Full),
            Some((_, true)) | None => Enqueued::New,
        });
    }
    Ok(answers)
}

/// The answer to a key that is on record.
fn earlier(is_same: bool, ids: &str) -> Answer {
    if !is_same {
        return Err(EnqueueError::KeyTaken);
    }
    let unreadable = |error| StoreError::failed("read the answer to a key", error);
    let ids: Vec<EventId> = serde_json::from_str(ids).map_err(unreadable)?;
    let duplicate = |id| Enqueued::Duplicate { id };
    Ok(ids.into_iter().map(duplicate).collect())
}
