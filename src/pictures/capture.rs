//! The worker between the queue and the camera: takes up what waits for its pictures, oldest first, and puts down what came of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::camera::Camera;
use crate::domain::{Capture, Clock, Event};
use crate::queue::{Queue, WaitingEvent};

/// The most events that are looked at at a time.
const EVENTS: usize = 16;
/// How long before the mails would go by themselves the copies are put down, so that those that are there go along.
const MARGIN: Duration = Duration::from_millis(500);
/// The pause after the store could not be asked.
const PAUSE: Duration = Duration::from_secs(1);

/// The worker. Whatever waits is in the queue, so nothing is lost with it; what is left when it stops is taken up by the next one, if there is still time.
#[derive(Debug)]
pub struct Capturer {
    queue: Queue,
    camera: Arc<ArcSwapOption<Camera>>,
    clock: Clock,
    running: JoinSet<()>,
    held: HashMap<Id, WaitingEvent>,
}

impl Capturer {
    /// A worker on `queue`; without a camera (`email.preview` was turned off) it lets go what still waits.
    pub fn new(queue: Queue, camera: Arc<ArcSwapOption<Camera>>, clock: Clock) -> Self {
        Self { queue, camera, clock, running: JoinSet::new(), held: HashMap::new() }
    }

    /// Works until it is stopped, and drops what it is at then.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let again = self.take_up().await;
            let pause = async {
                match again {
                    Again::WhenCalled => self.queue.pictures_wanted().await,
                    Again::Soon => tokio::time::sleep(PAUSE).await,
                    Again::WhenRoom => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                Some(ended) = self.running.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    self.held.remove(&id);
                }
                () = pause => {}
            }
        }
    }

    /// Begins with as many events as there is room for.
    async fn take_up(&mut self) -> Again {
        let Some(room) = EVENTS.checked_sub(self.held.len()).filter(|room| *room > 0) else { return Again::WhenRoom };
        // The clock goes on as it does from reading until when they wait to knowing how long that is.
        let _planning = self.clock.planning().await;
        let waiting = match self.queue.waiting_for_pictures(EVENTS).await {
            Ok(waiting) => waiting,
            Err(error) => {
                warn!("events that wait for their pictures cannot be read now: {error}");
                return Again::Soon;
            }
        };
        let news = waiting.into_iter().filter(|event| !self.held.values().any(|held| held.is(event))).take(room);
        for event in news.collect::<Vec<_>>() {
            let end = self.clock.sleep_until(event.until.before(MARGIN));
            let work = look(self.queue.clone(), self.camera.load_full(), self.clock.clone(), event.clone(), end);
            self.held.insert(self.running.spawn(work).id(), event);
        }
        if self.held.len() < EVENTS { Again::WhenCalled } else { Again::WhenRoom }
    }
}

/// When to look into the queue again, besides whenever an event is done.
enum Again {
    WhenCalled,
    WhenRoom,
    Soon,
}

/// Makes the copies of one event and puts them down.
async fn look(queue: Queue, camera: Option<Arc<Camera>>, clock: Clock, waiting: WaitingEvent, end: impl Future<Output = ()>) {
    let captures = match (camera, waiting.event()) {
        (Some(camera), Ok(Event::Job(job))) => camera.capture(&job, end).await,
        _ => Vec::new(),
    };
    report(&waiting, &captures);
    let planning = clock.planning().await;
    let kept = queue.keep_pictures(&waiting, captures, clock.now()).await;
    drop(planning);
    // A store that refuses keeps the event waiting: it is taken up again, or its mails go without.
    if let Err(error) = kept {
        warn!(event = %waiting.event_id, "the copies of its pictures cannot be stored: {error}");
        tokio::time::sleep(PAUSE).await;
    }
}

fn report(waiting: &WaitingEvent, captures: &[Capture]) {
    for Capture { place, result } in captures {
        match result {
            Ok(preview) => debug!(event = %waiting.event_id, picture = place, bytes = preview.jpeg.len(), "picture copied"),
            Err(why) => warn!(event = %waiting.event_id, picture = place, reason = %why, "a mail goes without its picture"),
        }
    }
}
