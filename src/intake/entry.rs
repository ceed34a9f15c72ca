//! The entry point of every event: plans its deliveries and enqueues them.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::domain::{Event, EventId, Parsed, Source, Timestamp};
#[cfg(feature = "server")]
use crate::queue::UnmappedPayload;
use crate::queue::{EnqueueError, Enqueued, NewEvent, Queue};
use crate::routing::{NoRecipient, Routes};
use crate::telemetry::Metrics;

/// Accepts events. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Queue,
    routes: Arc<ArcSwap<Routes>>,
    clock: Clock,
    metrics: Arc<Metrics>,
}

/// An event that has not been accepted yet.
#[derive(Debug, Clone, PartialEq)]
pub struct IncomingEvent {
    /// The event.
    pub event: Event,
    /// Whether the producer chose the id. A generated id is ignored when contents are compared.
    pub id_given: bool,
    /// Which source it came from.
    pub source: Source,
}

impl IncomingEvent {
    /// Wraps a parsed job event or message.
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
    /// The event's id; for a duplicate, the id of the earlier event.
    pub id: EventId,
    /// Whether the event was already stored. A duplicate adds nothing.
    pub duplicate: bool,
}

/// Why a group of events was refused. Nothing of the group is stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// An event has no recipient, and no default is configured.
    #[error("event {index}: {NoRecipient}")]
    NoRecipient {
        /// Index of the event in the group.
        index: usize,
    },
    /// A producer chose an id from the range reserved for webhooks.
    #[error(
        "event {id}: ids that begin with \"{}\" are reserved for webhooks",
        EventId::OF_HOOKS
    )]
    HookId {
        /// Index of the event in the group.
        index: usize,
        /// The id.
        id: EventId,
    },
    /// The group makes more than [`Intake::MAX_DELIVERIES`] deliveries.
    #[error("the events make more than {} deliveries", Intake::MAX_DELIVERIES)]
    TooMany,
    /// The queue refused the group.
    #[error(transparent)]
    Queue(#[from] EnqueueError),
}

impl Refusal {
    /// Value of the label `outcome` in `jobbell_events_total`.
    const fn outcome(&self) -> &'static str {
        match self {
            Self::NoRecipient { .. } | Self::HookId { .. } | Self::TooMany => "invalid",
            Self::Queue(EnqueueError::Conflict { .. } | EnqueueError::KeyTaken) => "conflict",
            Self::Queue(EnqueueError::Superseded { .. }) => "duplicate",
            Self::Queue(_) => "refused",
        }
    }

    /// Whether the same group may be accepted later.
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Queue(EnqueueError::Full | EnqueueError::Busy | EnqueueError::Store(_))
        )
    }
}

impl Intake {
    /// The maximum number of deliveries that one group may make.
    pub const MAX_DELIVERIES: usize = 10_000;

    /// An intake that plans by `routes`, which may be replaced at any time, and stores in `queue`.
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

    /// Stores a group of events, all or none, and returns once they are on disk: one answer per
    /// event, in order.
    ///
    /// `key` is the producer's name for the whole group (`Idempotency-Key`, `webhook-id`), at most
    /// 200 characters. The same group sent again under the same key gets the same answer; another
    /// group under that key is refused.
    ///
    /// # Errors
    /// Returns the first event that cannot be accepted, or the reason why the queue accepts nothing.
    pub async fn accept(
        &self,
        group: Vec<IncomingEvent>,
        key: Option<String>,
    ) -> Result<Vec<Accepted>, Refusal> {
        let started = Instant::now();
        let sources: Vec<Source> = group
            .iter()
            .map(|incoming| incoming.source.clone())
            .collect();
        let reserved = group
            .iter()
            .enumerate()
            .find(|(_, incoming)| incoming.event.id().is_of_a_hook());
        let result = match reserved {
            Some((index, incoming)) => Err(Refusal::HookId {
                index,
                id: incoming.event.id().clone(),
            }),
            None => self.store(group, key, &[]).await,
        };
        self.record_metrics(&sources, result.as_deref(), started);
        result
    }

    /// Counts the outcome of a group, each event under its source.
    pub(crate) fn record_metrics(
        &self,
        sources: &[Source],
        result: Result<&[Accepted], &Refusal>,
        started: Instant,
    ) {
        match result {
            Ok(accepted) => {
                for (source, accepted) in sources.iter().zip(accepted) {
                    let outcome = if accepted.duplicate {
                        "duplicate"
                    } else {
                        "accepted"
                    };
                    self.count(source, outcome);
                }
                self.0.metrics.intake(started.elapsed());
            }
            Err(refusal) => sources
                .iter()
                .for_each(|source| self.count(source, refusal.outcome())),
        }
    }

    /// [`Intake::accept`] without metrics, and with ids reserved for webhooks. The group is refused
    /// as superseded if an event of `excludes` is stored.
    ///
    /// # Errors
    /// As [`Intake::accept`].
    pub(crate) async fn store(
        &self,
        group: Vec<IncomingEvent>,
        key: Option<String>,
        excludes: &[EventId],
    ) -> Result<Vec<Accepted>, Refusal> {
        let _planning = self.0.clock.planning().await;
        let now = self.now();
        let ids: Vec<EventId> = group
            .iter()
            .map(|incoming| incoming.event.id().clone())
            .collect();
        let planned = self.plan(group, excludes, now)?;
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

    /// Plans the deliveries of a group.
    fn plan(
        &self,
        group: Vec<IncomingEvent>,
        excludes: &[EventId],
        now: Timestamp,
    ) -> Result<Vec<NewEvent>, Refusal> {
        let routes = self.0.routes.load();
        let mut total = 0;
        let mut planned = Vec::with_capacity(group.len());
        for (index, incoming) in group.into_iter().enumerate() {
            let IncomingEvent {
                event,
                id_given,
                source,
            } = incoming;
            let deliveries = routes
                .plan(&event, now)
                .map_err(|NoRecipient| Refusal::NoRecipient { index })?;
            total += deliveries.len();
            if total > Self::MAX_DELIVERIES {
                return Err(Refusal::TooMany);
            }
            let thumbnails_until = routes.thumbnails_until(&event, &deliveries, now);
            planned.push(NewEvent {
                event,
                id_given,
                source,
                deliveries,
                thumbnails_until,
                excludes: excludes.to_vec(),
            });
        }
        Ok(planned)
    }

    /// Whether events without recipients are sent to a configured default.
    pub fn has_default_recipient(&self) -> bool {
        !self.0.routes.load().default_to.is_empty()
    }

    /// The stored event with this id, if it exists and can be read.
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

    /// The sources of those of these events that are stored.
    ///
    /// # Errors
    /// When the store cannot be read.
    #[cfg(feature = "server")]
    pub(crate) async fn sources_of(
        &self,
        ids: Vec<EventId>,
    ) -> Result<Vec<(EventId, String)>, Refusal> {
        self.0
            .queue
            .sources_of(ids)
            .await
            .map_err(|error| Refusal::Queue(EnqueueError::Store(error)))
    }

    /// Stores a webhook payload that could not be mapped. If the store fails, the payload is lost,
    /// which is logged.
    #[cfg(feature = "server")]
    pub(crate) async fn keep_unmapped(&self, hook: &str, why: String, payload: String) {
        let failure = UnmappedPayload {
            hook: hook.to_owned(),
            why,
            payload,
        };
        if let Err(error) = self.0.queue.keep_unmapped(failure, self.now()).await {
            tracing::error!(hook, %error, "could not store a webhook payload that was not understood; it is lost");
        }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Counts one event in `jobbell_events_total`. Sources count unreadable events as `invalid`.
    pub(crate) fn count(&self, source: &Source, outcome: &'static str) {
        self.0.metrics.event(&source.0, outcome);
    }
}
