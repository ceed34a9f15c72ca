//! Removes data that retention no longer keeps, in batches so small that intake never waits for one.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::Clock;
use crate::queue::{Queue, Retention, Settings};

/// The most rows removed by one commit.
const BATCH: u32 = 500;
/// The pause between two batches, which leaves the writer to others.
const BATCH_PAUSE: Duration = Duration::from_millis(20);
/// The pause between two rounds.
const ROUND_PAUSE: Duration = Duration::from_mins(1);
/// How often the search for payloads restarts.
const RESCAN: Duration = Duration::from_hours(1);

/// Runs until `stop`.
pub(super) async fn run(queue: Queue, settings: Settings, clock: Clock, stop: CancellationToken) {
    let retention = Retention {
        deliveries: settings.retention,
        payloads: settings.payload_retention,
        rescan: RESCAN,
    };
    while !stop.is_cancelled() {
        let now = clock.now();
        let more = match queue.maintain(&retention, BATCH, now).await {
            Ok(done) => done.more,
            Err(error) => {
                warn!("cannot remove expired records now: {error}");
                false
            }
        };
        let pause = if more { BATCH_PAUSE } else { ROUND_PAUSE };
        tokio::select! {
            () = stop.cancelled() => {}
            () = clock.sleep_until(now.after(pause)) => {}
        }
    }
}
