//! Intake: the one door through which every event comes in.
//!
//! A source makes an [`IncomingEvent`] of what it was told, [`Intake::accept`] routes it and returns
//! when it is on disk. There is no task and no channel of our own: the queue's writer takes
//! whatever waits in one commit.

#[cfg(feature = "server")]
mod charset;
#[cfg(feature = "server")]
mod events;
#[cfg(feature = "server")]
mod grant;
pub mod hooks;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
mod messages;
#[cfg(feature = "server")]
mod parsing;
#[cfg(feature = "server")]
mod request;
#[cfg(feature = "server")]
mod response;
#[cfg(feature = "server")]
mod state;

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::domain::{Clock, Event, EventId, Parsed, Source, Timestamp};
#[cfg(feature = "server")]
use crate::queue::UnmappedPayload;
use crate::queue::{EnqueueError, Enqueued, NewEvent, Queue, StoreError};
use crate::routing::{NoRecipient, Routes};
use crate::telemetry::Metrics;

/// The one door. Clones are the same door.
#[derive(Debug, Clone)]
pub struct Intake(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Queue,
    routes: Arc<ArcSwap<Routes>>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// An event at the door.
#[derive(Debug, Clone, PartialEq)]
pub struct IncomingEvent {
    /// The event.
    pub event: Event,
    /// Whether the producer named it; a name made here is left out when contents are compared.
    pub id_given: bool,
    /// Where it came in.
    pub source: Source,
}

impl IncomingEvent {
    /// What a parsed job event or message is at the door.
    pub fn new<T: Into<Event>>(parsed: Parsed<T>, source: Source) -> Self {
        Self {
            event: parsed.event.into(),
            id_given: parsed.id_given,
            source,
        }
    }
}

/// An event that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id: the earlier event's when it was taken before.
    pub id: EventId,
    /// Whether it was taken before; nothing was added then.
    pub duplicate: bool,
}

/// Why a group of events was not taken. None of the group was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// An event has no recipient, and there is no default.
    #[error("event {index} {NoRecipient}")]
    NoRecipient {
        /// Which event of the group, from 0.
        index: usize,
    },
    /// An id is taken by an event with other content.
    #[error("the event {id} is on record with other content")]
    Conflict {
        /// Which event of the group, from 0.
        index: usize,
        /// The event that is on record.
        id: EventId,
    },
    /// An id has the form that only webhooks may give.
    #[error("the event {id} has an id of webhooks' events")]
    HookId {
        /// Which event of the group, from 0.
        index: usize,
        /// The id.
        id: EventId,
    },
    /// The group makes more than [`Intake::MAX_DELIVERIES`] deliveries.
    #[error("the events make more than {} deliveries", Intake::MAX_DELIVERIES)]
    TooMany,
    /// The request's key names another request.
    #[error("the key is on record for another request")]
    KeyTaken,
    /// The queue holds `queue.max_pending` deliveries.
    #[error("the queue is full")]
    Full,
    /// Too many writes wait for the disk.
    #[error("too many requests are waiting for the disk")]
    Busy,
    /// The store refuses.
    #[error(transparent)]
    Store(StoreError),
}

impl Refusal {
    /// The refusal's name in `jobbell_events_total`.
    const fn outcome(&self) -> &'static str {
        match self {
            Self::NoRecipient { .. } | Self::HookId { .. } | Self::TooMany => "invalid",
            Self::Conflict { .. } | Self::KeyTaken => "conflict",
            Self::Full | Self::Busy | Self::Store(_) => "refused",
        }
    }
}

impl From<EnqueueError> for Refusal {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Conflict { index, id } => Self::Conflict { index, id },
            EnqueueError::KeyTaken => Self::KeyTaken,
            EnqueueError::Full => Self::Full,
            EnqueueError::Busy => Self::Busy,
            EnqueueError::Store(error) => Self::Store(error),
        }
    }
}

impl Intake {
    /// The most deliveries that one group may make.
    pub const MAX_DELIVERIES: usize = 10_000;

    /// A door to `queue` by the rules of `routes`, which may change while it is open.
    pub fn new(
        queue: Queue,
        routes: Arc<ArcSwap<Routes>>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self(Arc::new(Inner {
            queue,
            routes,
            clock,
            metrics,
        }))
    }

    /// Takes a group of events, all or none, and returns when they are on disk; one answer for
    /// each, in order.
    ///
    /// `key` is the producer's name for the whole group (`Idempotency-Key`, `webhook-id`), at most
    /// 200 characters: the same group may come again under it and gets the same answer, no other
    /// group may.
    ///
    /// # Errors
    /// Says which event is in the way, or that the queue takes nothing now. Nothing was taken then.
    pub async fn accept(
        &self,
        group: Vec<IncomingEvent>,
        key: Option<String>,
    ) -> Result<Vec<Accepted>, Refusal> {
        let begun = Instant::now();
        let sources: Vec<Source> = group
            .iter()
            .map(|incoming| incoming.source.clone())
            .collect();
        let forged = group
            .iter()
            .enumerate()
            .find(|(_, incoming)| incoming.event.id().is_of_a_hook());
        let answers = match forged {
            Some((index, incoming)) => Err(Refusal::HookId {
                index,
                id: incoming.event.id().clone(),
            }),
            None => self.store(group, key).await,
        };
        self.record_metrics(&sources, answers.as_deref(), begun);
        answers
    }

    /// Counts what became of a group, each event by its source.
    pub(crate) fn record_metrics(
        &self,
        sources: &[Source],
        answers: Result<&[Accepted], &Refusal>,
        begun: Instant,
    ) {
        match answers {
            Ok(accepted) => {
                for (source, accepted) in sources.iter().zip(accepted) {
                    self.count(
                        source,
                        if accepted.duplicate {
                            "duplicate"
                        } else {
                            "accepted"
                        },
                    );
                }
                self.0.metrics.intake(begun.elapsed());
            }
            Err(refusal) => sources
                .iter()
                .for_each(|source| self.count(source, refusal.outcome())),
        }
    }

    /// [`Intake::accept`] for one who counts by itself.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn store(
        &self,
        group: Vec<IncomingEvent>,
        key: Option<String>,
    ) -> Result<Vec<Accepted>, Refusal> {
        let _planning = self.0.clock.planning().await;
        let now = self.now();
        let mut ids = Vec::with_capacity(group.len());
        let mut planned = Vec::with_capacity(group.len());
        let mut owed = 0;
        {
            let routes = self.0.routes.load();
            for (
                index,
                IncomingEvent {
                    event,
                    id_given,
                    source,
                },
            ) in group.into_iter().enumerate()
            {
                let deliveries = routes
                    .plan(&event, now)
                    .map_err(|NoRecipient| Refusal::NoRecipient { index })?;
                owed += deliveries.len();
                if owed > Self::MAX_DELIVERIES {
                    return Err(Refusal::TooMany);
                }
                ids.push(event.id().clone());
                let thumbnails_until = routes.thumbnails_until(&event, &deliveries, now);
                planned.push(NewEvent {
                    event,
                    id_given,
                    source,
                    deliveries,
                    thumbnails_until,
                });
            }
        }
        let enqueued = self.0.queue.enqueue(planned, key, now).await?;
        let accept = |(id, enqueued)| match enqueued {
            Enqueued::New => Accepted {
                id,
                duplicate: false,
            },
            Enqueued::Duplicate { id } => Accepted {
                id,
                duplicate: true,
            },
        };
        Ok(ids.into_iter().zip(enqueued).map(accept).collect())
    }

    /// Whether an event that names nobody has a recipient all the same.
    pub fn has_default_recipient(&self) -> bool {
        !self.0.routes.load().default_to.is_empty()
    }

    /// The event of this id, when it is on record and can be read.
    #[cfg(feature = "server")]
    pub(crate) async fn find_event(&self, id: &EventId) -> Option<Event> {
        self.0
            .queue
            .find(id)
            .await
            .ok()
            .flatten()
            .and_then(|record| record.event)
    }

    /// Those of these events that are on record, each with its source.
    ///
    /// # Errors
    /// When the store refuses.
    #[cfg(feature = "server")]
    pub(crate) async fn sources_of(
        &self,
        ids: Vec<EventId>,
    ) -> Result<Vec<(EventId, String)>, Refusal> {
        self.0.queue.sources_of(ids).await.map_err(Refusal::Store)
    }

    /// Keeps a payload of a hook that could not be understood; a store that refuses loses it, and
    /// says so in the log.
    #[cfg(feature = "server")]
    pub(crate) async fn keep_unmapped(&self, hook: &str, why: String, payload: String) {
        let failure = UnmappedPayload {
            hook: hook.to_owned(),
            why,
            payload,
        };
        if let Err(error) = self.0.queue.keep_unmapped(failure, self.now()).await {
            tracing::error!(hook, %error, "a payload that was not understood could not be kept");
        }
    }

    /// The present moment, by the door's clock.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Counts an event by what became of it; sources count those that could not be read as
    /// `invalid`.
    pub(crate) fn count(&self, source: &Source, outcome: &'static str) {
        self.0.metrics.event(&source.0, outcome);
    }
}
