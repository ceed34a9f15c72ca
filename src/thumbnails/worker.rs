//! The worker between the queue and the thumbnailer: takes up what waits for its pictures, oldest first,
//! and puts down what came of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::thumbnailer::Thumbnailer;
use crate::domain::{Clock, Event, Image, ThumbnailResult};
use crate::queue::{PendingThumbnails, Queue, StoreError};

/// The most events that are looked at at a time. Most of them wait for their turn, which costs
/// little: of each only its pictures' links are held.
const EVENTS: usize = 1_024;
/// How many of them are read from the store at a time.
const BATCH: usize = 16;
/// How long before the mails would go by themselves the copies are put down, so that those that are
/// there go along.
const MARGIN: Duration = Duration::from_millis(500);
/// The pause after the store could not be asked.
const PAUSE: Duration = Duration::from_secs(1);

/// The worker. Whatever waits is in the queue, so nothing is lost with it; what is left when it
/// stops is taken up by the next one, if there is still time.
#[derive(Debug)]
pub struct ThumbnailWorker {
    queue: Queue,
    thumbnailer: Arc<ArcSwapOption<Thumbnailer>>,
    clock: Clock,
    running: JoinSet<()>,
    held: HashMap<Id, PendingThumbnails>,
    begun: u64,
}

impl ThumbnailWorker {
    /// A worker on `queue`; without a thumbnailer (`email.preview` was turned off) it lets go what still
    /// waits.
    pub fn new(queue: Queue, thumbnailer: Arc<ArcSwapOption<Thumbnailer>>, clock: Clock) -> Self {
        Self {
            queue,
            thumbnailer,
            clock,
            running: JoinSet::new(),
            held: HashMap::new(),
            begun: 0,
        }
    }

    /// Works until it is stopped, and drops what it is at then.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let again = self.take_up().await;
            let pause = async {
                match again {
                    Again::WhenCalled => self.queue.wait_for_thumbnails().await,
                    Again::Now => {}
                    Again::Soon => tokio::time::sleep(PAUSE).await,
                    Again::WhenRoom => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return self.release().await,
                Some(ended) = self.running.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    self.held.remove(&id);
                }
                () = pause => {}
            }
        }
    }

    /// Begins with some of those that wait, if there is room.
    async fn take_up(&mut self) -> Again {
        let room = EVENTS.saturating_sub(self.held.len()).min(BATCH);
        if room == 0 {
            return Again::WhenRoom;
        }
        // The clock goes on as it does from reading until when they wait to knowing how long that
        // is.
        let _planning = self.clock.planning().await;
        let begun = match self.begin(room).await {
            Ok(begun) => begun,
            Err(error) => {
                warn!("events that wait for their pictures cannot be taken up now: {error}");
                return Again::Soon;
            }
        };
        if begun.is_empty() {
            return Again::WhenCalled;
        }
        for event in begun {
            let end = self.clock.sleep_until(event.deadline.before(MARGIN));
            let (images, sensitive) = match event.event() {
                Ok(Event::Job(job)) => (job.images, job.sensitive),
                _ => (Vec::new(), false),
            };
            let event = event.without_event();
            self.begun += 1;
            let work = Work {
                queue: self.queue.clone(),
                thumbnailer: self.thumbnailer.load_full(),
                clock: self.clock.clone(),
                waiting: event.clone(),
                number: self.begun,
            };
            self.held.insert(
                self.running.spawn(work.run(images, sensitive, end)).id(),
                event,
            );
        }
        Again::Now
    }

    async fn begin(&self, room: usize) -> Result<Vec<PendingThumbnails>, StoreError> {
        let waiting = self.queue.pending_thumbnails(room).await?;
        if waiting.is_empty() {
            Ok(waiting)
        } else {
            self.queue.begin_thumbnails(waiting, self.clock.now()).await
        }
    }

    /// Puts back what it is at.
    async fn release(mut self) {
        self.running.shutdown().await;
        let held = self.held.into_values().collect::<Vec<_>>();
        if !held.is_empty()
            && let Err(error) = self.queue.release_thumbnails(held, self.clock.now()).await
        {
            warn!(
                "events that wait for their pictures cannot be put back, so their mails go without: {error}"
            );
        }
    }
}

/// When to look into the queue again, besides whenever an event is done.
enum Again {
    WhenCalled,
    WhenRoom,
    Now,
    Soon,
}

/// What is needed to make the copies of one event.
struct Work {
    queue: Queue,
    thumbnailer: Option<Arc<Thumbnailer>>,
    clock: Clock,
    waiting: PendingThumbnails,
    number: u64,
}

impl Work {
    /// Makes the copies and puts them down.
    async fn run(self, images: Vec<Image>, sensitive: bool, end: impl Future<Output = ()>) {
        let captures = match &self.thumbnailer {
            Some(thumbnailer) => {
                thumbnailer
                    .capture(self.number, &images, sensitive, end)
                    .await
            }
            None => Vec::new(),
        };
        report(&self.waiting, &captures);
        loop {
            let planning = self.clock.planning().await;
            let kept = self
                .queue
                .finish_thumbnails(&self.waiting, captures.clone(), self.clock.now())
                .await;
            drop(planning);
            let Err(error) = kept else { return };
            warn!(event = %self.waiting.event_id, "the copies of its pictures cannot be stored: {error}");
            // Its mails go by themselves when their time has come.
            if self.clock.now() >= self.waiting.deadline {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn report(waiting: &PendingThumbnails, captures: &[ThumbnailResult]) {
    for ThumbnailResult { place, result } in captures {
        match result {
            Ok(preview) => {
                debug!(event = %waiting.event_id, picture = place, bytes = preview.jpeg.len(), "picture copied");
            }
            Err(why) => {
                warn!(event = %waiting.event_id, picture = place, reason = %why, "a mail goes without its picture");
            }
        }
    }
}
