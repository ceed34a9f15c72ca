//! Commits the events of the in-process channel in batches.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::domain::{JobEvent, Source};
use crate::intake::Intake;

/// Maximum events per round of commits.
const BATCH: usize = 256;
/// Pause before an event is stored again after the queue was full or the store failed.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// Stores events until `closing`, then those left in the channel.
pub(super) async fn run(
    mut received: mpsc::Receiver<JobEvent>,
    intake: Intake,
    closing: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let taken = tokio::select! {
            taken = received.recv_many(&mut batch, BATCH) => taken,
            () = closing.cancelled(), if !received.is_closed() => {
                received.close();
                continue;
            }
        };
        if taken == 0 {
            return closing.cancelled().await;
        }
        let events = batch.drain(..).map(|event| store(&intake, event, &closing));
        let mut round = tokio::task::JoinSet::new();
        events.for_each(|event| drop(round.spawn(event)));
        while round.join_next().await.is_some() {}
    }
}

/// Commits one event. Retries while the queue is full or the store fails, because no producer waits
/// for the result.
fn store(
    intake: &Intake,
    event: JobEvent,
    closing: &CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let (intake, closing) = (intake.clone(), closing.clone());
    async move {
        let id = event.id.clone();
        loop {
            match intake.accept_one(&Source::IN_PROCESS, event.clone()).await {
                Ok(_) => return,
                Err(refusal) if !refusal.is_temporary() => {
                    return error!(event = %id, "in-process event rejected: {refusal}");
                }
                Err(refusal) if closing.is_cancelled() => {
                    return error!(event = %id, "in-process event lost at shutdown: {refusal}");
                }
                Err(refusal) => {
                    warn!(event = %id, "could not store an in-process event; retrying: {refusal}");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = closing.cancelled() => {}
            }
        }
    }
}
