//! Stores the results of jobs: one result per job makes one email.

use std::time::Instant;

use super::{Hook, Settings, ids};
use crate::domain::{Event, EventId, JobEvent, Parsed, Source};
use crate::intake::{Accepted, IncomingEvent, Intake, Refusal};
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
pub(super) async fn take(
    intake: &Intake,
    hook: &Hook,
    source: Source,
    events: Vec<Parsed>,
    key: Option<String>,
) -> Result<StoreOutcome, Refusal> {
    let (begun, sources) = (Instant::now(), vec![source.clone(); events.len()]);
    let taken = once(intake, hook, source, events, key).await;
    match &taken {
        Ok(StoreOutcome::Accepted(accepted)) => {
            intake.record_metrics(&sources, Ok(accepted), begun);
        }
        Ok(StoreOutcome::EndedBefore(_)) => sources
            .iter()
            .for_each(|source| intake.count(source, "duplicate")),
        Err(refusal) => intake.record_metrics(&sources, Err(refusal), begun),
    }
    taken
}

async fn once(
    intake: &Intake,
    hook: &Hook,
    source: Source,
    mut events: Vec<Parsed>,
    key: Option<String>,
) -> Result<StoreOutcome, Refusal> {
    let ends_once = events.len() == 1 && hook.settings.kind.ends_once();
    let others = events
        .first()
        .filter(|_| ends_once)
        .map(|parsed| ids::other_ends(&parsed.event.id))
        .unwrap_or_default();
    let known = on_record(intake, hook, &events, &others).await?;
    let earlier = |id: &EventId| {
        ids::earlier(id, hook.settings.kind).filter(|earlier| known.contains(earlier))
    };
    if let Some(first) = others.iter().find_map(earlier) {
        if key.is_some() {
            // Stores nothing, but detects a key that was used for another delivery.
            intake.store(Vec::new(), key, &[]).await?;
        }
        return Ok(StoreOutcome::EndedBefore(first));
    }
    for parsed in &mut events {
        if let Some(earlier) = earlier(&parsed.event.id) {
            parsed.event.id = earlier;
        }
    }
    let lone = <&[Parsed; 1]>::try_from(events.as_slice())
        .ok()
        .map(|[parsed]| parsed.event.clone());
    let group: Vec<IncomingEvent> = events
        .into_iter()
        .map(|parsed| IncomingEvent::new(parsed, source.clone()))
        .collect();
    if hook.settings.kind.names_ends() {
        return match by_name(intake, group, key, &others).await {
            Err(Refusal::Queue(EnqueueError::Superseded { id, .. })) => {
                Ok(StoreOutcome::EndedBefore(id))
            }
            accepted => accepted.map(StoreOutcome::Accepted),
        };
    }
    match (intake.store(group, key, &others).await, lone) {
        (Err(Refusal::Queue(EnqueueError::Superseded { id, .. })), _) => {
            Ok(StoreOutcome::EndedBefore(id))
        }
        (Err(Refusal::Queue(EnqueueError::Conflict { index, id })), Some(event)) => {
            let same = intake
                .find_event(&id)
                .await
                .is_some_and(|known| is_the_same(event, known));
            if same {
                Ok(StoreOutcome::Accepted(vec![Accepted {
                    id,
                    duplicate: true,
                }]))
            } else {
                Err(Refusal::Queue(EnqueueError::Conflict { index, id }))
            }
        }
        (accepted, _) => accepted.map(StoreOutcome::Accepted),
    }
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
    group: Vec<IncomingEvent>,
    key: Option<String>,
    excludes: &[EventId],
) -> Result<Vec<Accepted>, Refusal> {
    let mut known: Vec<Option<Accepted>> = vec![None; group.len()];
    let mut rest: Vec<(usize, IncomingEvent)> = group.into_iter().enumerate().collect();
    while !rest.is_empty() {
        let batch = rest.iter().map(|(_, incoming)| incoming.clone()).collect();
        let (index, id) = match intake.store(batch, key.clone(), excludes).await {
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
async fn same_delivery(intake: &Intake, group: &[(usize, IncomingEvent)]) -> Option<EventId> {
    let [(_, only)] = group else { return None };
    intake
        .find_event(only.event.id())
        .await
        .map(|known| known.id().clone())
}

/// Whether two events differ only in fields that change between deliveries: times, and values that
/// the configuration adds.
fn is_the_same(mut one: JobEvent, known: Event) -> bool {
    let Event::Job(mut known) = known else {
        return false;
    };
    for event in [&mut one, &mut *known] {
        (event.started_at, event.finished_at, event.locale) = (None, None, None);
        event.to.clear();
    }
    one == *known
}
