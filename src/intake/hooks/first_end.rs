//! Stores the results of jobs: one result per job makes one email.

use std::time::Instant;

use super::{Hook, Settings, ids};
use crate::domain::{Event, EventId, JobEvent, Parsed, Source};
use crate::intake::{Accepted, Intake, Refusal};
use crate::queue::EnqueueError;

/// Outcome of storing a delivery.
#[derive(Debug)]
pub(super) enum StoreOutcome {
    /// Stored, now or earlier.
    Accepted(Vec<Accepted>),
    /// Another result of the same job is already stored; the first one wins.
    EndedBefore(EventId),
}

/// Stores the results of one delivery; `key` is the sender's id of the delivery.
///
/// # Errors
/// As [`Intake::accept`].
pub(super) async fn store(
    intake: &Intake,
    hook: &Hook,
    source: &Source,
    events: Vec<Parsed>,
    key: Option<String>,
) -> Result<StoreOutcome, Refusal> {
    let (started, number) = (Instant::now(), events.len());
    let stored = store_once(intake, hook, source, events, key).await;
    match &stored {
        Ok(StoreOutcome::Accepted(accepted)) => {
            intake.record_metrics(source, number, Ok(accepted), started);
        }
        Ok(StoreOutcome::EndedBefore(_)) => {
            (0..number).for_each(|_| intake.count(source, "duplicate"));
        }
        Err(refusal) => intake.record_metrics(source, number, Err(refusal), started),
    }
    stored
}

async fn store_once(
    intake: &Intake,
    hook: &Hook,
    source: &Source,
    mut events: Vec<Parsed>,
    key: Option<String>,
) -> Result<StoreOutcome, Refusal> {
    let kind = hook.settings.kind;
    let ends_once = events.len() == 1 && kind.ends_once();
    let others = events
        .first()
        .filter(|_| ends_once)
        .map(|parsed| ids::other_ends(&parsed.event.id))
        .unwrap_or_default();
    let known = on_record(intake, hook, &events, &others).await?;
    let earlier = |id: &EventId| ids::earlier(id, kind).filter(|earlier| known.contains(earlier));
    if let Some(first) = others.iter().find_map(earlier) {
        if key.is_some() {
            // Stores nothing, but detects a key that was used for another delivery.
            intake.store(source, Vec::new(), key, &[]).await?;
        }
        return Ok(StoreOutcome::EndedBefore(first));
    }
    for parsed in &mut events {
        if let Some(earlier) = earlier(&parsed.event.id) {
            parsed.event.id = earlier;
        }
    }
    let stored = if kind.names_ends() {
        by_name(intake, source, events, key, &others).await
    } else {
        by_content(intake, source, events, key, &others).await
    };
    match stored {
        Err(Refusal::Queue(EnqueueError::Superseded { id, .. })) => {
            Ok(StoreOutcome::EndedBefore(id))
        }
        stored => stored.map(StoreOutcome::Accepted),
    }
}

/// Stores results that are identified by their content. A stored result that differs only in times
/// and configured values is the same result.
async fn by_content(
    intake: &Intake,
    source: &Source,
    events: Vec<Parsed>,
    key: Option<String>,
    excludes: &[EventId],
) -> Result<Vec<Accepted>, Refusal> {
    let only = match events.as_slice() {
        [only] => Some(only.event.clone()),
        _ => None,
    };
    let group = events.into_iter().map(Parsed::into_event).collect();
    let stored = intake.store(source, group, key, excludes).await;
    if let (Err(Refusal::Queue(EnqueueError::Conflict { id, .. })), Some(event)) = (&stored, only)
        && let Some(known) = intake.find_event(id).await
        && is_same(event, known)
    {
        return Ok(vec![Accepted {
            id: id.clone(),
            duplicate: true,
        }]);
    }
    stored
}

/// Finds stored results of these jobs under the ids of earlier versions.
/// Events of other sources do not count.
async fn on_record(
    intake: &Intake,
    hook: &Hook,
    events: &[Parsed],
    others: &[EventId],
) -> Result<Vec<EventId>, Refusal> {
    let Settings { name, kind, .. } = &hook.settings;
    let ends = events.iter().map(|parsed| &parsed.event.id).chain(others);
    // A hook may have the name of a built-in source, whose events would look like its own.
    let is_like_another = [Source::HTTP, Source::MESSAGES, Source::IN_PROCESS]
        .iter()
        .any(|source| source.0 == name.as_str());
    let earlier = ends
        .filter_map(|id| ids::earlier(id, *kind))
        .filter(|_| !is_like_another);
    let asked: Vec<EventId> = earlier.collect();
    let found = if asked.is_empty() {
        Vec::new()
    } else {
        intake.sources_of(asked).await?
    };
    Ok(found
        .into_iter()
        .filter(|(_, source)| Source::parts(source).0 == name)
        .map(|(id, _)| id)
        .collect())
}

/// Stores results that are identified by name: a stored result with other details (a service adds
/// metrics later) is the same result.
async fn by_name(
    intake: &Intake,
    source: &Source,
    events: Vec<Parsed>,
    key: Option<String>,
    excludes: &[EventId],
) -> Result<Vec<Accepted>, Refusal> {
    let mut known: Vec<Option<Accepted>> = vec![None; events.len()];
    let mut rest: Vec<(usize, Parsed)> = events.into_iter().enumerate().collect();
    while !rest.is_empty() {
        let batch = rest
            .iter()
            .map(|(_, parsed)| parsed.clone().into_event())
            .collect();
        let (index, id) = match intake.store(source, batch, key.clone(), excludes).await {
            Ok(accepted) => {
                let mut accepted = accepted.into_iter();
                return Ok(known
                    .into_iter()
                    .filter_map(|known| known.or_else(|| accepted.next()))
                    .collect());
            }
            Err(Refusal::Queue(EnqueueError::Conflict { index, id })) => (index, id),
            Err(Refusal::Queue(EnqueueError::KeyTaken)) => (
                0,
                same_delivery(intake, &rest)
                    .await
                    .ok_or(Refusal::Queue(EnqueueError::KeyTaken))?,
            ),
            Err(refusal) => return Err(refusal),
        };
        if index >= rest.len() {
            return Err(Refusal::Queue(EnqueueError::Conflict { index, id }));
        }
        let (place, _) = rest.remove(index);
        if let Some(known) = known.get_mut(place) {
            *known = Some(Accepted {
                id,
                duplicate: true,
            });
        }
    }
    Ok(known.into_iter().flatten().collect())
}

/// The stored result of a delivery with one result, if it was sent again with other details.
async fn same_delivery(intake: &Intake, group: &[(usize, Parsed)]) -> Option<EventId> {
    let [(_, only)] = group else { return None };
    intake
        .find_event(&only.event.id)
        .await
        .map(|known| known.id().clone())
}

/// Whether two events differ only in fields that change between deliveries: times, and values that
/// the configuration adds.
fn is_same(mut one: JobEvent, known: Event) -> bool {
    let Event::Job(mut known) = known else {
        return false;
    };
    for event in [&mut one, &mut *known] {
        (event.started_at, event.finished_at, event.locale) = (None, None, None);
        event.to.clear();
    }
    one == *known
}
