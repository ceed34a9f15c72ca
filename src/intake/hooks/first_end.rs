//! How the ends of jobs go through the door: one end of one job makes one mail.

use std::sync::Arc;
use std::time::Instant;

use super::{Hook, Settings, ids};
use crate::domain::{Event, EventId, JobEvent, Parsed, Source};
use crate::intake::{Accepted, IncomingEvent, Intake, Refusal};
use crate::queue::StoreError;

/// What became of what a hook brought.
#[derive(Debug)]
pub(super) enum StoreOutcome {
    /// It is on record, from now on or before.
    Accepted(Vec<Accepted>),
    /// Another end of the same job is on record, which stands.
    EndedBefore(EventId),
}

/// Puts the ends that one delivery brought through the door; `key` is the sender's name for it.
///
/// Goes on when nobody waits any more: a sender that hangs up must not let another end of its job
/// in before its own is on disk.
///
/// # Errors
/// As the door.
pub(super) async fn take(
    intake: Intake,
    hook: Arc<Hook>,
    source: Source,
    events: Vec<Parsed>,
    key: Option<String>,
) -> Result<StoreOutcome, Refusal> {
    match tokio::spawn(counted(intake, hook, source, events, key)).await {
        Ok(taken) => taken,
        Err(lost) => match lost.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The daemon is going down.
            Err(_) => Err(Refusal::Store(StoreError::Closed)),
        },
    }
}

async fn counted(
    intake: Intake,
    hook: Arc<Hook>,
    source: Source,
    events: Vec<Parsed>,
    key: Option<String>,
) -> Result<StoreOutcome, Refusal> {
    let (begun, sources) = (Instant::now(), vec![source.clone(); events.len()]);
    let taken = once(&intake, &hook, source, events, key).await;
    match &taken {
        Ok(StoreOutcome::Accepted(accepted)) => {
            intake.record_metrics(&sources, Ok(accepted), begun)
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
        .and_then(|parsed| ids::other_ends(&parsed.event.id));
    let others = others.map(|(job, ends)| (job.to_owned(), ends));
    let _ending = if let Some((job, _)) = &others {
        Some(hook.ending(job).await)
    } else {
        None
    };
    let others = others.map(|(_, ends)| ends).unwrap_or_default();
    let known = on_record(intake, hook, &events, &others).await?;
    let earlier = |id: &EventId| {
        ids::earlier(id, hook.settings.kind).filter(|earlier| known.contains(earlier))
    };
    if let Some(first) = others.iter().find_map(|other| {
        known
            .contains(other)
            .then(|| other.clone())
            .or_else(|| earlier(other))
    }) {
        if key.is_some() {
            // Adds nothing, but a key that named another delivery is refused all the same.
            intake.store(Vec::new(), key).await?;
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
        return by_name(intake, group, key)
            .await
            .map(StoreOutcome::Accepted);
    }
    match (intake.store(group, key).await, lone) {
        (Err(Refusal::Conflict { index, id }), Some(event)) => {
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
                Err(Refusal::Conflict { index, id })
            }
        }
        (accepted, _) => accepted.map(StoreOutcome::Accepted),
    }
}

/// Which of the ids are on record, that these ends, or the others of their job, have now or were
/// given by earlier versions. What another source has put under an earlier id is none of this
/// hook's business.
async fn on_record(
    intake: &Intake,
    hook: &Hook,
    events: &[Parsed],
    others: &[EventId],
) -> Result<Vec<EventId>, Refusal> {
    let Settings { name, kind, .. } = &hook.settings;
    let ends = events.iter().map(|parsed| &parsed.event.id).chain(others);
    // A hook may be named as one of the other sources is, whose events could then not be told from
    // its own.
    let is_like_another = [Source::HTTP, Source::MESSAGES, Source::IN_PROCESS]
        .iter()
        .any(|source| source.0 == name.as_str());
    let earlier = ends
        .filter_map(|id| ids::earlier(id, *kind))
        .filter(|_| !is_like_another);
    let asked: Vec<EventId> = others.iter().cloned().chain(earlier).collect();
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

/// Takes ends that are known by their names: one that is on record with other details (a service
/// has added its metrics meanwhile) is the same end.
async fn by_name(
    intake: &Intake,
    group: Vec<IncomingEvent>,
    key: Option<String>,
) -> Result<Vec<Accepted>, Refusal> {
    let mut known: Vec<Option<Accepted>> = vec![None; group.len()];
    let mut rest: Vec<(usize, IncomingEvent)> = group.into_iter().enumerate().collect();
    while !rest.is_empty() {
        let batch = rest.iter().map(|(_, incoming)| incoming.clone()).collect();
        let (index, id) = match intake.store(batch, key.clone()).await {
            Ok(accepted) => {
                let mut accepted = accepted.into_iter();
                return Ok(known
                    .into_iter()
                    .filter_map(|known| known.or_else(|| accepted.next()))
                    .collect());
            }
            Err(Refusal::Conflict { index, id }) => (index, id),
            Err(Refusal::KeyTaken) => (
                0,
                same_delivery(intake, &rest)
                    .await
                    .ok_or(Refusal::KeyTaken)?,
            ),
            Err(refusal) => return Err(refusal),
        };
        if index >= rest.len() {
            return Err(Refusal::Conflict { index, id });
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

/// The end that a delivery of one end brings, when it is on record already: the delivery came again
/// with other details.
async fn same_delivery(intake: &Intake, group: &[(usize, IncomingEvent)]) -> Option<EventId> {
    let [(_, only)] = group else { return None };
    intake
        .find_event(only.event.id())
        .await
        .map(|known| known.id().clone())
}

/// Whether two events differ only in what a repeated delivery may change: the time at which it came
/// in, and what the configuration adds.
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
