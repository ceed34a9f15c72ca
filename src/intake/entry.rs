//! The entry point of every event: plans its deliveries and enqueues them.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;

use super::outcome::{Accepted, MAX_DELIVERIES, Refusal};
use crate::clock::Clock;
use crate::domain::{Event, EventId, Parsed, Source, Timestamp};
#[cfg(feature = "server")]
use crate::queue::{EnqueueError, UnmappedPayload};
use crate::queue::{Enqueued, NewEvent, Queue, StoreError};
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

impl Intake {
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

    /// Stores a group of events from one source, all or none, and returns once they are on disk: one
    /// answer per event, in order.
    ///
    /// `key` is the producer's name for the whole group (`Idempotency-Key`, `webhook-id`), at most
    /// 200 characters. The same group sent again under the same key gets the same answer; another
    /// group under that key is refused.
    ///
    /// # Errors
    /// Returns the first event that cannot be accepted, or the reason why the queue accepts nothing.
    pub async fn accept(
        &self,
        source: &Source,
        group: Vec<Parsed<Event>>,
        key: Option<String>,
    ) -> Result<Vec<Accepted>, Refusal> {
        let (started, events) = (Instant::now(), group.len());
        let reserved = group
            .iter()
            .enumerate()
            .find(|(_, parsed)| parsed.event.id().is_of_a_hook());
        let result = match reserved {
            Some((index, parsed)) => Err(Refusal::HookId {
                index,
                id: parsed.event.id().clone(),
            }),
            None => self.store(source, group, key, &[]).await,
        };
        self.record_metrics(source, events, result.as_deref(), started);
        result
    }

    /// Stores one event of this program.
    ///
    /// # Errors
    /// As [`Intake::accept`].
    pub async fn accept_one(
        &self,
        source: &Source,
        event: impl Into<Event>,
    ) -> Result<Accepted, Refusal> {
        let parsed = Parsed {
            event: event.into(),
            id_given: true,
            warnings: Vec::new(),
        };
        let mut accepted = self.accept(source, vec![parsed], None).await?;
        accepted
            .pop()
            .ok_or(Refusal::Queue(StoreError::Closed.into()))
    }

    /// Counts the outcome of a group of `events`.
    pub(crate) fn record_metrics(
        &self,
        source: &Source,
        events: usize,
        result: Result<&[Accepted], &Refusal>,
        started: Instant,
    ) {
        match result {
            Ok(accepted) => {
                for accepted in accepted {
                    let outcome = if accepted.duplicate {
                        "duplicate"
                    } else {
                        "accepted"
                    };
                    self.count(source, outcome);
                }
                self.0.metrics.intake(started.elapsed());
            }
            Err(refusal) => (0..events).for_each(|_| self.count(source, refusal.outcome())),
        }
    }

    /// [`Intake::accept`] without metrics, and with ids reserved for webhooks. The group is refused
    /// as superseded if an event of `excludes` is stored.
    ///
    /// # Errors
    /// As [`Intake::accept`].
    pub(crate) async fn store(
        &self,
        source: &Source,
        group: Vec<Parsed<Event>>,
        key: Option<String>,
        excludes: &[EventId],
    ) -> Result<Vec<Accepted>, Refusal> {
        let now = self.now();
        let ids: Vec<EventId> = group
            .iter()
            .map(|parsed| parsed.event.id().clone())
            .collect();
        let planned = self.plan(source, group, excludes, now)?;
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
        source: &Source,
        group: Vec<Parsed<Event>>,
        excludes: &[EventId],
        now: Timestamp,
    ) -> Result<Vec<NewEvent>, Refusal> {
        let routes = self.0.routes.load();
        let mut total = 0;
        let mut planned = Vec::with_capacity(group.len());
        for (index, parsed) in group.into_iter().enumerate() {
            let Parsed {
                event, id_given, ..
            } = parsed;
            let deliveries = routes
                .plan(&event, now)
                .map_err(|NoRecipient| Refusal::NoRecipient { index })?;
            total += deliveries.len();
            if total > MAX_DELIVERIES {
                return Err(Refusal::TooMany);
            }
            let thumbnails_until = routes.thumbnails_until(&event, &deliveries, now);
            planned.push(NewEvent {
                event,
                id_given,
                source: source.clone(),
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

    /// The current store time.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The current wall time, for signatures and for times in events.
    #[cfg(feature = "server")]
    pub(crate) fn wall(&self) -> Timestamp {
        self.0.clock.wall()
    }

    /// Counts one event in `jobbell_events_total`. Sources count unreadable events as `invalid`.
    pub(crate) fn count(&self, source: &Source, outcome: &'static str) {
        self.0.metrics.event(&source.0, outcome);
    }
}
