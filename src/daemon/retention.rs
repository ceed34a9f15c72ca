//! Removes expired data, in batches small enough not to delay intake.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::queue::{Queue, Retention, Settings};

/// Maximum rows removed per commit.
const BATCH: u32 = 500;
/// Pause between two batches, so that other writes can run.
const BATCH_PAUSE: Duration = Duration::from_millis(20);
/// Pause between two rounds.
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
                error.log("cannot remove expired records, will retry");
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
