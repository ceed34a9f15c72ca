//! Keeps the servers of a pipeline in step with the other nodes.

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::{info, warn};

use super::breaker::Agreed;
use super::pipeline::Pipeline;
use super::seats;
use super::server::Server;
use crate::clock::Clock;
use crate::domain::Lane;
use crate::queue::limits::Pause;
use crate::telemetry::Metrics;

/// Starts the tasks for the shared servers of a pipeline. They end when it is drained and its last
/// connection is closed.
pub(super) fn spawn(
    tasks: &mut JoinSet<()>,
    pipeline: &Arc<Pipeline>,
    clock: &Clock,
    metrics: &Arc<Metrics>,
) {
    for (index, server) in pipeline.servers.iter().enumerate() {
        let Some(limits) = server.shared() else {
            continue;
        };
        let pipeline = Arc::clone(pipeline);
        for lane in Lane::ALL {
            let capacity = server.transport.permits().capacity(*lane);
            if capacity > 0 {
                let account = limits.seats(*lane, capacity);
                tasks.spawn(seats::keep(Arc::clone(&pipeline), index, account, *lane));
            }
        }
        let follow = follow(pipeline, index, clock.clone(), Arc::clone(metrics));
        tasks.spawn(follow);
    }
}

/// Makes the breaker of a server follow those of the other nodes.
async fn follow(pipeline: Arc<Pipeline>, index: usize, clock: Clock, metrics: Arc<Metrics>) {
    let Some(server) = pipeline.servers.get(index) else {
        return;
    };
    let Some(mut pause) = server.shared().map(|limits| limits.breaker().watch()) else {
        return;
    };
    loop {
        let known = pause.borrow_and_update().clone();
        adopt(server, known.as_ref(), &clock);
        metrics.server_up(server.transport.name(), server.breaker().is_closed());
        tokio::select! {
            () = pipeline.draining() => return,
            changed = pause.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

fn adopt(server: &Server, pause: Option<&Pause>, clock: &Clock) {
    let (now, name) = (clock.now(), server.transport.name());
    let agreed = match pause {
        None => Agreed::Closed,
        Some(pause) if pause.is_probed => Agreed::Probed { step: pause.step },
        Some(pause) => Agreed::Open {
            until: now.after(pause.left()),
            step: pause.step,
        },
    };
    let mut breaker = server.breaker();
    let was_closed = breaker.is_closed();
    breaker.follow(agreed, now);
    match (pause, was_closed) {
        (Some(pause), true) if !pause.left().is_zero() => {
            warn!(server = %name, "mail server paused for {} s by another node: {}", pause.left().as_secs(), pause.why);
        }
        (None, false) => {
            info!(server = %name, "mail server works again, as another node has found");
        }
        _ => {}
    }
}
