//! Takes away what has ended long enough ago, in batches so small that intake never waits for one.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::domain::{Clock, Timestamp};
use crate::queue::{Queue, Settings, StoreError};

/// How many rows one commit takes away.
const BATCH: u32 = 500;
/// The pause between two batches, which leaves the writer to others.
const BREATH: Duration = Duration::from_millis(20);
/// How often it looks for more.
const ROUND: Duration = Duration::from_mins(1);
/// How often events are looked for again whose payloads were passed because they had not ended.
const ANEW: Duration = Duration::from_hours(1);

/// Works until `stop`.
pub(super) async fn run(queue: Queue, settings: Settings, clock: Clock, stop: CancellationToken) {
    let mut payloads = Payloads {
        after: 0,
        begun: clock.now(),
    };
    while !stop.is_cancelled() {
        let now = clock.now();
        let more = match take_away(&queue, &settings, &mut payloads, now).await {
            Ok(more) => more,
            Err(error) => {
                warn!("what has ended cannot be taken away now: {error}");
                false
            }
        };
        let pause = if more { BREATH } else { ROUND };
        tokio::select! {
            () = stop.cancelled() => {}
            () = clock.sleep_until(now.after(pause)) => {}
        }
    }
}

/// How far the search for payloads has come.
struct Payloads {
    after: i64,
    begun: Timestamp,
}

/// One batch of each; says whether there is more.
async fn take_away(
    queue: &Queue,
    settings: &Settings,
    payloads: &mut Payloads,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let purged = queue
        .purge(now.before(settings.retention), BATCH, now)
        .await?;
    let more = purged >= u64::from(BATCH);
    queue
        .purge_unmapped(now.before(settings.payload_retention))
        .await?;
    if settings.payload_retention >= settings.retention {
        return Ok(more);
    }
    if now.since(payloads.begun) >= ANEW || now < payloads.begun {
        *payloads = Payloads {
            after: 0,
            begun: now,
        };
    }
    let forgotten = queue
        .redact_payloads(
            now.before(settings.payload_retention),
            payloads.after,
            BATCH,
            now,
        )
        .await?;
    payloads.after = forgotten.after;
    Ok(more || forgotten.more)
}
