//! Events with their deliveries, prepared for the store on the thread of the caller.

use std::sync::Arc;

use ring::digest::{Context, SHA256};

use super::StoreError;
#[cfg(feature = "postgres")]
use super::lease::StoredEvent;
use super::vault::{self, Opened, Vault};
use crate::domain::{Delivery, Event, EventId, Lane, Plan, Source, Timestamp};

/// An event with the deliveries that it makes.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The event.
    pub event: Event,
    /// Whether the producer chose the id. A generated id is not part of the content hash.
    pub id_given: bool,
    /// Its source.
    pub source: Source,
    /// Its deliveries.
    pub deliveries: Vec<Delivery>,
    /// The deadline of its thumbnails, if its deliveries wait for them.
    pub thumbnails_until: Option<Timestamp>,
    /// Other ends of the same job: the event is refused if one of them is on record.
    pub excludes: Vec<EventId>,
}

/// The result for one event of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It is on disk.
    New,
    /// The same event is on record; nothing was added.
    Duplicate {
        /// The event on record. Its id differs from that of the request if the key led to it.
        id: EventId,
    },
}

/// A group of events, prepared for the writer.
pub(super) struct PreparedRequest {
    pub(super) entries: Vec<PreparedEvent>,
    pub(super) key: Option<Key>,
}

/// A producer's name for a whole request.
pub(super) struct Key {
    pub(super) name: String,
    /// Digest of the contents of all events, in order.
    pub(super) content: Content,
}

/// The digest that tells a repetition from another event with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    /// The stored form.
    pub(super) digest: [u8; 32],
    /// The form stored by versions that did not use a key, if it differs.
    unkeyed: Option<[u8; 32]>,
}

impl Content {
    /// Whether it equals the stored digest.
    pub(super) fn is(&self, stored: &[u8; 32]) -> bool {
        self.digest == *stored || self.unkeyed.as_ref() == Some(stored)
    }

    fn over(parts: &[Self]) -> Self {
        let unkeyed = || {
            digest(
                parts
                    .iter()
                    .map(|part| part.unkeyed.as_ref().unwrap_or(&part.digest).as_slice()),
            )
        };
        let is_keyed = parts.iter().any(|part| part.unkeyed.is_some());
        Self {
            digest: digest(parts.iter().map(|part| part.digest.as_slice())),
            unkeyed: is_keyed.then(unkeyed),
        }
    }
}

impl PreparedRequest {
    pub(super) fn new(
        events: Vec<NewEvent>,
        key: Option<String>,
        vault: &Vault,
    ) -> Result<Self, StoreError> {
        let entries = events
            .into_iter()
            .map(|event| PreparedEvent::new(event, vault))
            .collect::<Result<Vec<_>, _>>()?;
        let key = key.map(|name| Key {
            name,
            content: Content::over(
                &entries
                    .iter()
                    .map(|entry| entry.content)
                    .collect::<Vec<_>>(),
            ),
        });
        Ok(Self { entries, key })
    }
}

/// A [`NewEvent`], serialised and digested so that the writer thread does neither.
pub(super) struct PreparedEvent {
    pub(super) id: EventId,
    pub(super) content: Content,
    pub(super) source: Source,
    /// The stored form: encrypted if it contains a code or a secret link.
    pub(super) payload: Vec<u8>,
    /// Whether the payload is encrypted.
    #[cfg(feature = "postgres")]
    pub(super) is_sealed: bool,
    /// The event with its plain JSON, for a claim in the same commit.
    #[cfg(feature = "postgres")]
    pub(super) stored: Arc<StoredEvent>,
    pub(super) deliveries: Vec<Delivery>,
    /// How many of the deliveries will be queued.
    pub(super) waiting: u64,
    /// Whether all of them are in the urgent lane.
    pub(super) is_urgent: bool,
    pub(super) thumbnails_until: Option<Timestamp>,
    pub(super) excludes: Vec<EventId>,
}

impl PreparedEvent {
    pub(super) fn new(new: NewEvent, vault: &Vault) -> Result<Self, StoreError> {
        let NewEvent {
            event,
            id_given,
            source,
            deliveries,
            thumbnails_until,
            excludes,
        } = new;
        let unreadable = |error: serde_json::Error| StoreError::Unreadable {
            source: Arc::new(error),
        };
        let payload = serde_json::to_vec(&event).map_err(unreadable)?;
        let id = event.id().clone();
        let parts = if id_given {
            [payload.as_slice(), &[]]
        } else {
            without_id(&payload, id.as_str()).map_err(unreadable)?
        };
        let is_secret = event.holds_secret();
        let content = if is_secret {
            Content {
                digest: vault.digest(parts),
                unkeyed: Some(digest(parts)),
            }
        } else {
            Content {
                digest: digest(parts),
                unkeyed: None,
            }
        };
        let waiting = deliveries
            .iter()
            .filter(|delivery| matches!(delivery.plan, Plan::Send(_)))
            .count() as u64;
        let is_urgent = deliveries
            .iter()
            .all(|delivery| delivery.lane == Lane::Urgent);
        let stored = stored_form(id.as_str(), &payload, is_secret, waiting, vault)?;
        Ok(Self {
            id,
            content,
            source,
            payload: stored,
            #[cfg(feature = "postgres")]
            is_sealed: is_secret && waiting > 0,
            #[cfg(feature = "postgres")]
            stored: Arc::new(StoredEvent::accepted(payload, event)),
            deliveries,
            waiting,
            is_urgent,
            thumbnails_until,
            excludes,
        })
    }
}

/// The payload as it is stored: encrypted if it contains a secret, masked if it will never be sent.
fn stored_form(
    id: &str,
    payload: &[u8],
    is_secret: bool,
    waiting: u64,
    vault: &Vault,
) -> Result<Vec<u8>, StoreError> {
    match (is_secret, waiting) {
        (false, _) => Ok(payload.to_owned()),
        (true, 0) => Ok(vault::masked(payload)),
        (true, _) => vault
            .seal(id, payload)
            .ok_or_else(|| StoreError::failed("encrypt", NoRandomNumbers)),
    }
}

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(super) struct NoRandomNumbers;

/// Whether a stored event matches its digest. A removed one, or one encrypted with another key,
/// counts as matching.
pub(super) fn is_as_accepted(vault: &Vault, id: &str, content: &[u8], stored: &[u8]) -> bool {
    match vault::open(vault, id, stored) {
        Opened::Gone | Opened::Masked(_) => true,
        Opened::Damaged => false,
        Opened::Whole(payload) => {
            keyed_anew(vault, id, content, &payload).is_some()
                || keyed(vault, id, &payload)
                    .iter()
                    .any(|known| content == known)
        }
    }
}

/// The keyed digest of an event stored with a plain one; `None` if the plain one does not match.
pub(super) fn keyed_anew(
    vault: &Vault,
    id: &str,
    content: &[u8],
    payload: &[u8],
) -> Option<[u8; 32]> {
    let without = without_id(payload, id).ok();
    [Some([payload, &[]]), without]
        .into_iter()
        .flatten()
        .find(|parts| content == digest(*parts))
        .map(|parts| vault.digest(parts))
}

fn keyed(vault: &Vault, id: &str, payload: &[u8]) -> Vec<[u8; 32]> {
    [Some([payload, &[]]), without_id(payload, id).ok()]
        .into_iter()
        .flatten()
        .map(|parts| vault.digest(parts))
        .collect()
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = Context::new(&SHA256);
    parts.into_iter().for_each(|part| hasher.update(part));
    let mut content = [0; 32];
    content.copy_from_slice(hasher.finish().as_ref());
    content
}

/// The id is the first field after the tag, so its first occurrence is the field itself. Cutting it
/// out avoids a second serialisation.
fn without_id<'a>(payload: &'a [u8], id: &str) -> Result<[&'a [u8]; 2], serde_json::Error> {
    let field = format!("\"id\":{}", serde_json::to_string(id)?);
    let at = payload
        .windows(field.len())
        .position(|window| window == field.as_bytes());
    Ok(at.map_or([payload, &[]], |at| {
        let (head, rest) = payload.split_at(at);
        [head, rest.get(field.len()..).unwrap_or_default()]
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{JobEvent, JobStatus};

    fn content(id: &str, title: &str, id_given: bool) -> Content {
        let mut job = JobEvent::new(EventId::parse(id).unwrap(), JobStatus::Succeeded);
        job.title = Some(title.to_owned());
        let new = NewEvent {
            event: Event::Job(Box::new(job)),
            id_given,
            source: Source::HTTP,
            deliveries: Vec::new(),
            thumbnails_until: None,
            excludes: Vec::new(),
        };
        PreparedEvent::new(new, &Vault::new(&[7; 32]).unwrap())
            .unwrap()
            .content
    }

    #[test]
    fn only_an_id_from_the_producer_is_part_of_the_content() {
        assert_eq!(content("a", "t", false), content("b\"\\c", "t", false));
        assert_ne!(content("a", "t", false), content("a", "u", false));
        assert_ne!(content("a", "t", true), content("b", "t", true));
        assert_eq!(content("a", "t", true), content("a", "t", true));
    }
}
