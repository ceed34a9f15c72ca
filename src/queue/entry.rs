//! What intake hands in: an event with its deliveries, made ready for the store on the caller's own thread.

use std::sync::Arc;

use ring::digest::{Context, SHA256};

use super::StoreError;
use crate::domain::{Delivery, Event, EventId, Plan, Source, Timestamp};

/// An event with the deliveries that it makes.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The event.
    pub event: Event,
    /// Whether the producer gave the id; a made one is left out when contents are compared.
    pub id_given: bool,
    /// Where it came in.
    pub source: Source,
    /// What it makes, as planned.
    pub deliveries: Vec<Delivery>,
    /// Until when its deliveries wait for small copies of its pictures, if they do.
    pub pictures_until: Option<Timestamp>,
}

/// What became of one event of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It is on disk.
    New,
    /// The same was taken before; nothing was added.
    Duplicate {
        /// The event that was taken then; another id than the one handed in when the request's key led to it.
        id: EventId,
    },
}

/// A group of events as the writer wants it.
pub(super) struct Group {
    pub(super) entries: Vec<Entry>,
    pub(super) key: Option<Key>,
}

/// A producer's name for a whole request.
pub(super) struct Key {
    pub(super) name: String,
    /// Digest over the contents of all events, in order.
    pub(super) content: [u8; 32],
}

impl Group {
    pub(super) fn new(events: Vec<NewEvent>, key: Option<String>) -> Result<Self, StoreError> {
        let entries = events.into_iter().map(Entry::new).collect::<Result<Vec<_>, _>>()?;
        let key = key.map(|name| Key { name, content: digest(entries.iter().map(|entry| entry.content.as_slice())) });
        Ok(Self { entries, key })
    }
}

/// A [`NewEvent`] as the writer wants it: serialised and digested, so that the one writer thread does neither.
pub(super) struct Entry {
    pub(super) id: EventId,
    pub(super) content: [u8; 32],
    pub(super) source: Source,
    pub(super) payload: Vec<u8>,
    pub(super) deliveries: Vec<Delivery>,
    /// How many of the deliveries will wait to be sent.
    pub(super) waiting: u64,
    pub(super) pictures_until: Option<Timestamp>,
}

impl Entry {
    pub(super) fn new(new: NewEvent) -> Result<Self, StoreError> {
        let unreadable = |error: serde_json::Error| StoreError::Unreadable { source: Arc::new(error) };
        let payload = serde_json::to_vec(&new.event).map_err(unreadable)?;
        let id = new.event.id().clone();
        let content = if new.id_given { digest([payload.as_slice()]) } else { digest_without_id(&payload, &id).map_err(unreadable)? };
        let waiting = new.deliveries.iter().filter(|delivery| matches!(delivery.plan, Plan::Send(_))).count() as u64;
        Ok(Self { id, content, source: new.source, payload, deliveries: new.deliveries, waiting, pictures_until: new.pictures_until })
    }
}

/// Whether a stored event is still what its digest was made of; one without a payload has nothing to differ.
pub(super) fn is_as_accepted(id: &str, content: &[u8], payload: &[u8]) -> bool {
    let without_id = || EventId::parse(id).ok().and_then(|id| digest_without_id(payload, &id).ok());
    payload.is_empty() || content == digest([payload]) || without_id().is_some_and(|digest| content == digest)
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut hasher = Context::new(&SHA256);
    parts.into_iter().for_each(|part| hasher.update(part));
    let mut content = [0; 32];
    content.copy_from_slice(hasher.finish().as_ref());
    content
}

/// The id is the first field after the tag, so its first appearance is the field itself; cutting it out spares a second serialisation.
fn digest_without_id(payload: &[u8], id: &EventId) -> Result<[u8; 32], serde_json::Error> {
    let field = format!("\"id\":{}", serde_json::to_string(id)?);
    let at = payload.windows(field.len()).position(|window| window == field.as_bytes());
    let (head, tail) = at.map_or((payload, [].as_slice()), |at| {
        let (head, rest) = payload.split_at(at);
        (head, rest.get(field.len()..).unwrap_or_default())
    });
    Ok(digest([head, tail]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{JobEvent, JobStatus};

    fn content(id: &str, title: &str, id_given: bool) -> [u8; 32] {
        let mut job = JobEvent::new(EventId::parse(id).unwrap(), JobStatus::Succeeded);
        job.title = Some(title.to_owned());
        let new = NewEvent { event: Event::Job(Box::new(job)), id_given, source: Source::HTTP, deliveries: Vec::new(), pictures_until: None };
        Entry::new(new).unwrap().content
    }

    #[test]
    fn a_made_id_is_not_part_of_the_content_and_a_given_one_is() {
        assert_eq!(content("a", "t", false), content("b\"\\c", "t", false));
        assert_ne!(content("a", "t", false), content("a", "u", false));
        assert_ne!(content("a", "t", true), content("b", "t", true));
        assert_eq!(content("a", "t", true), content("a", "t", true));
    }
}
