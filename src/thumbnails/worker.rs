//! The worker between queue and thumbnailer: takes the events whose thumbnails are pending, oldest
//! first, and stores the results.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::thumbnailer::Thumbnailer;
use crate::clock::Clock;
use crate::domain::{Event, Image, Thumbnail, ThumbnailResult};
use crate::queue::{Queue, StoreError, ThumbnailJob};

/// Maximum number of events processed at a time. Most of them wait for a permit, which is cheap:
/// only the links of their images are held.
const EVENTS: usize = 1_024;
/// How many events are read from the store at a time.
const BATCH: usize = 16;
/// Slots reserved for events whose sites have few others waiting, so that a backlog for one site does
/// not block the images of others.
const RESERVED: usize = EVENTS / 4;
/// Maximum number of events waiting for a site whose next event may still get a reserved slot.
const PER_SITE: usize = 32;
/// Results are stored this long before the mails would be sent anyway, so that finished thumbnails
/// are included.
const MARGIN: Duration = Duration::from_millis(500);
/// Pause after a failed read of the store.
const PAUSE: Duration = Duration::from_secs(1);

/// The worker. Pending events stay in the queue, so stopping loses nothing; the next worker resumes
/// them if there is time left.
#[derive(Debug)]
pub struct ThumbnailWorker {
    queue: Queue,
    thumbnailer: Arc<ArcSwapOption<Thumbnailer>>,
    clock: Clock,
    running: JoinSet<()>,
    held: HashMap<Id, Held>,
    begun: u64,
    /// The last event that was looked at; those after it are new.
    seen: i64,
}

impl ThumbnailWorker {
    /// Creates a worker on `queue`. Without a thumbnailer (`email.preview` was turned off) it
    /// releases the pending events.
    pub fn new(queue: Queue, thumbnailer: Arc<ArcSwapOption<Thumbnailer>>, clock: Clock) -> Self {
        Self {
            queue,
            thumbnailer,
            clock,
            running: JoinSet::new(),
            held: HashMap::new(),
            begun: 0,
            seen: 0,
        }
    }

    /// Runs until it is stopped; work in progress is dropped.
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

    /// Starts some of the pending events if there is capacity.
    async fn take_up(&mut self) -> Again {
        let room = EVENTS.saturating_sub(self.held.len());
        if room == 0 {
            return Again::WhenRoom;
        }
        let begun = match self.begin(room).await {
            Ok(Some(begun)) => begun,
            Ok(None) => return Again::WhenCalled,
            Err(error) => {
                error.log("cannot read the events with pending thumbnails");
                return Again::Soon;
            }
        };
        for Candidate {
            job,
            sites,
            images,
            sensitive,
        } in begun
        {
            let end = self.clock.sleep_until(job.deadline.before(MARGIN));
            self.begun += 1;
            let work = Work {
                queue: self.queue.clone(),
                thumbnailer: self.thumbnailer.load_full(),
                clock: self.clock.clone(),
                job: job.clone(),
                number: self.begun,
            };
            self.held.insert(
                self.running.spawn(work.run(images, sensitive, end)).id(),
                Held { job, sites },
            );
        }
        Again::Now
    }

    /// Claims some pending events; `None` if there are no more. While there are free slots, the
    /// oldest go first. Reserved slots are only for new events whose sites have few others waiting;
    /// the rest return to the queue.
    async fn begin(&mut self, room: usize) -> Result<Option<Vec<Candidate>>, StoreError> {
        let free = room.saturating_sub(RESERVED);
        let (after, limit) = match free {
            0 => (self.seen, room.min(BATCH)),
            _ => (0, free.min(BATCH)),
        };
        let now = self.clock.now();
        let jobs = self.queue.claim_thumbnails(after, limit, now).await?;
        let Some(last) = jobs.last() else {
            return Ok(None);
        };
        self.seen = self.seen.max(last.event_seq);
        let thumbnailer = self.thumbnailer.load_full();
        let claimed = jobs
            .into_iter()
            .map(|job| Candidate::new(job, thumbnailer.as_deref()));
        let (begun, crowded): (Vec<_>, Vec<_>) = claimed.partition(|candidate| {
            free > 0 || (candidate.sites.iter()).all(|site| self.waiting_for(site) < PER_SITE)
        });
        if !crowded.is_empty() {
            let jobs = crowded.into_iter().map(|candidate| candidate.job);
            self.queue.release_thumbnails(jobs.collect(), now).await?;
        }
        Ok(Some(begun))
    }

    /// How many of the events in progress have an image of this site.
    fn waiting_for(&self, site: &String) -> usize {
        self.held
            .values()
            .filter(|held| held.sites.contains(site))
            .count()
    }

    /// Releases the events in progress.
    async fn release(mut self) {
        self.running.shutdown().await;
        let held = self
            .held
            .into_values()
            .map(|held| held.job)
            .collect::<Vec<_>>();
        if !held.is_empty()
            && let Err(error) = self.queue.release_thumbnails(held, self.clock.now()).await
        {
            warn!(
                "cannot release events with pending thumbnails; their mails are sent without: {error}"
            );
        }
    }
}

/// An event in progress.
#[derive(Debug)]
struct Held {
    job: ThumbnailJob,
    sites: Vec<String>,
}

/// A pending event with the images that its mails show.
struct Candidate {
    job: ThumbnailJob,
    /// The sites of its images.
    sites: Vec<String>,
    images: Vec<Image>,
    sensitive: bool,
}

impl Candidate {
    fn new(job: ThumbnailJob, thumbnailer: Option<&Thumbnailer>) -> Self {
        let (mut images, sensitive) = match job.event() {
            Ok(Event::Job(job)) => (job.images, job.sensitive),
            _ => (Vec::new(), false),
        };
        images.truncate(Thumbnail::MAX_PER_EVENT);
        images.shrink_to_fit();
        let mut sites: Vec<String> = images
            .iter()
            .filter_map(|image| thumbnailer?.site(image))
            .collect();
        sites.sort_unstable();
        sites.dedup();
        Self {
            job: job.without_event(),
            sites,
            images,
            sensitive,
        }
    }
}

/// When to read the queue again, besides after each finished event.
enum Again {
    WhenCalled,
    WhenRoom,
    Now,
    Soon,
}

/// The dependencies for one event's thumbnails.
struct Work {
    queue: Queue,
    thumbnailer: Option<Arc<Thumbnailer>>,
    clock: Clock,
    job: ThumbnailJob,
    number: u64,
}

impl Work {
    /// Makes the thumbnails and stores them.
    async fn run(self, images: Vec<Image>, sensitive: bool, end: impl Future<Output = ()>) {
        let captures = match &self.thumbnailer {
            Some(thumbnailer) => {
                thumbnailer
                    .capture(self.number, &images, sensitive, end)
                    .await
            }
            None => Vec::new(),
        };
        report(&self.job, &captures);
        loop {
            let kept = self
                .queue
                .finish_thumbnails(&self.job, captures.clone(), self.clock.now())
                .await;
            let Err(error) = kept else { return };
            warn!(event = %self.job.event_id, "cannot store the thumbnails: {error}");
            // Its mails are sent at the deadline in any case.
            if self.clock.now() >= self.job.deadline {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn report(job: &ThumbnailJob, captures: &[ThumbnailResult]) {
    for ThumbnailResult { place, result } in captures {
        match result {
            Ok(preview) => {
                debug!(event = %job.event_id, picture = place, bytes = preview.jpeg.len(), "picture copied");
            }
            Err(why) => {
                warn!(event = %job.event_id, picture = place, reason = %why, "mail is sent without this thumbnail");
            }
        }
    }
}
