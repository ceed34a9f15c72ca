//! Keeps this node alive, on a connection of its own, and watches the others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::beat::{self, Beat, Report};
use super::clocks::Clocks;
use super::connection::Connection;
use super::failure::Failure;
use super::node::{self, Home};
use super::open_error::OpenError;
use super::reap::{self, Ended};
use super::store::{Life, Shared, lock};
use super::watch::{Sight, Watch};
use crate::clock::Reading;

/// The pause after a problem that a person must mend.
const REFUSED_PAUSE: Duration = Duration::from_secs(3);
/// The shortest pause after an outage.
const OUTAGE_PAUSE: Duration = Duration::from_millis(100);

/// How old the number of pending deliveries becomes while events arrive.
const PENDING_PERIOD: Duration = Duration::from_secs(1);

/// The task that keeps a node alive.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    home: Home,
    link: Option<Link>,
    watch: Watch,
    next_beat: Instant,
    /// The number of pending deliveries, when it was last read.
    counted: u64,
    clocks: Clocks,
}

/// The connection of the heartbeat.
struct Link {
    connection: Connection,
    generation: u64,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, home: Home) -> Self {
        Self {
            shared,
            home,
            link: None,
            watch: Watch::default(),
            next_beat: Instant::now(),
            counted: 0,
            clocks: Clocks::default(),
        }
    }

    /// The first step. Only what a person must mend is an error.
    pub(super) async fn start(&mut self) -> Result<(), OpenError> {
        match self.step().await {
            Err(Failure::Open(error)) if !matches!(error, OpenError::Unreachable(_)) => Err(error),
            Err(Failure::Query(error)) if error.is_permanent() => Err(error.into()),
            Err(failure) => {
                self.note(failure);
                Ok(())
            }
            Ok(pause) => {
                self.next_beat = Instant::now() + pause;
                Ok(())
            }
        }
    }

    /// Keeps the node alive until the store is closed.
    pub(super) async fn run(mut self, closed: CancellationToken) {
        loop {
            tokio::select! {
                () = closed.cancelled() => return,
                () = self.work() => {}
            }
        }
    }

    /// Waits for the next heartbeat and sends it. Dropped when the store is closed.
    async fn work(&mut self) {
        let is_due = tokio::select! {
            () = self.shared.beat_now.notified() => true,
            () = self.shared.connector.outage_began() => {
                // Also after an outage that this task has found itself.
                let pause = self.shared.connector.pause();
                tokio::time::sleep(pause.max(OUTAGE_PAUSE)).await;
                true
            }
            () = tokio::time::sleep_until(self.next_beat) => true,
            () = tokio::time::sleep(PENDING_PERIOD) => false,
        };
        let done = if is_due {
            let done = self.step().await;
            done.map(|pause| self.next_beat = Instant::now() + pause)
        } else {
            self.count().await
        };
        if let Err(failure) = done {
            self.next_beat = Instant::now() + self.note(failure);
        }
    }

    /// Reads how many deliveries are pending, if this node has changed that.
    async fn count(&mut self) -> Result<(), Failure> {
        let Some(link) = (self.link.as_ref()).filter(|_| self.shared.pending.get() != self.counted)
        else {
            return Ok(());
        };
        let reading = self.shared.pending.read();
        self.counted = beat::pending(&link.connection).await?;
        reading.finish(self.counted);
        Ok(())
    }

    /// Connects and registers if need be, and sends a heartbeat. Returns the pause until the next.
    async fn step(&mut self) -> Result<Duration, Failure> {
        let generation = self.shared.connector.generation();
        let usable = (self.link.take())
            .filter(|link| !link.connection.is_closed() && link.generation == generation);
        let link = match usable {
            Some(link) => link,
            None => {
                self.watch.restart();
                self.clocks.restart();
                let connection = self.shared.connector.connect_now(None).await?;
                node::prepare(&self.shared, &connection).await?;
                Link {
                    connection,
                    generation,
                }
            }
        };
        let pause = self.beat_or_register(&link.connection).await?;
        // An outage that was seen meanwhile drops this connection as well, at the next step.
        self.link = Some(link);
        self.shared.connector.succeeded();
        self.shared.set_trouble(None);
        Ok(pause)
    }

    async fn beat_or_register(&mut self, connection: &Connection) -> Result<Duration, Failure> {
        if let Some(life) = self.shared.life.load_full() {
            if let Some(pause) = self.beat(connection, &life).await? {
                return Ok(pause);
            }
            // Another node has returned to the queue what this life held.
            life.fence.end();
            self.home.draining = life.draining.load(Ordering::Acquire);
            tracing::warn!(
                "this node was silent for longer than its lease of {} s; other nodes have taken over its mails",
                self.shared.pace.lease.as_secs()
            );
        }
        let life = Arc::new(node::register(&self.shared, &mut self.home, connection).await?);
        let Some(pause) = self.beat(connection, &life).await? else {
            return Ok(OUTAGE_PAUSE);
        };
        tracing::debug!(node = life.node, name = self.shared.name, "registered");
        self.shared.life.store(Some(life));
        self.shared.claims.woken();
        self.shared.notify.nodes_changed();
        Ok(pause)
    }

    /// Renews the lease; `None` if the life was ended.
    async fn beat(
        &mut self,
        connection: &Connection,
        life: &Arc<Life>,
    ) -> Result<Option<Duration>, Failure> {
        let (reading, sent) = (self.shared.pending.read(), Reading::system());
        let report = Report {
            node: life.node,
            lease: self.shared.pace.lease_millis(),
            in_flight: self.shared.held.len(),
            skew: self.clocks.skew(),
        };
        let beat = beat::send(connection, &report).await?;
        let (database, precision) = self.clocks.compare(beat.now, sent, Reading::system());
        self.shared.clock.follow(database, precision);
        let Some(draining) = beat.draining else {
            return Ok(None);
        };
        life.fence.extend_to(self.shared.pace.end_after(sent));
        self.counted = beat.pending;
        reading.finish(beat.pending);
        self.drain(life, draining);
        self.look_around(connection, beat).await.map(Some)
    }

    fn drain(&self, life: &Life, draining: bool) {
        if life.draining.swap(draining, Ordering::AcqRel) == draining {
            return;
        }
        if draining {
            tracing::info!("this node is draining: it accepts and claims nothing");
        } else {
            tracing::info!("this node is not draining any more");
            self.shared.claims.woken();
        }
    }

    /// Ends the lives of other nodes that are over. Returns the pause until the next heartbeat.
    async fn look_around(
        &mut self,
        connection: &Connection,
        beat: Beat,
    ) -> Result<Duration, Failure> {
        let living = usize::try_from(beat.living).unwrap_or_default();
        self.shared.others.store(living, Ordering::Relaxed);
        let sight = Sight {
            lapsed: beat.lapsed,
            orphans: beat.orphans,
            living,
            step: self.clocks.step(),
        };
        let pause = self.shared.pace.beat;
        let ended = self.watch.judge(sight, Instant::now(), pause);
        if !ended.nodes.is_empty() || !ended.orphans.is_empty() {
            self.end_others(connection, ended).await?;
        }
        // Another node's death is noticed at once.
        let next_lapse = beat
            .next_lapse
            .and_then(|millis| u64::try_from(millis).ok());
        let next_lapse = next_lapse.map(|millis| Duration::from_millis(millis + 10));
        Ok(next_lapse.map_or(pause, |next| next.min(pause)))
    }

    async fn end_others(&self, connection: &Connection, ended: Ended) -> Result<(), Failure> {
        let reaped = reap::run(&self.shared, connection, ended).await?;
        if !reaped.names.is_empty() {
            tracing::warn!(
                nodes = reaped.names.join(", "),
                mails = reaped.mails,
                "nodes have been silent for {} s; what they were sending is tried again",
                self.shared.pace.lease.as_secs()
            );
        } else if reaped.mails > 0 {
            tracing::warn!(
                mails = reaped.mails,
                "mails of ended nodes were found; they are tried again"
            );
        }
        Ok(())
    }

    /// Records why a step failed. Returns the pause until the next.
    fn note(&mut self, failure: Failure) -> Duration {
        self.link = None;
        match failure {
            Failure::Query(error) if error.is_permanent() => {
                self.shared
                    .set_trouble(Some(OpenError::from(error).to_string()));
                REFUSED_PAUSE
            }
            Failure::Query(error) => self.outage(&error),
            Failure::Open(OpenError::Unreachable(reason)) => self.outage(&reason),
            Failure::Open(error) => {
                self.shared.set_trouble(Some(error.to_string()));
                REFUSED_PAUSE
            }
            Failure::NameTaken(reason) => {
                self.shared.set_trouble(Some(reason));
                OUTAGE_PAUSE * 10
            }
        }
    }

    fn outage(&self, reason: &dyn std::fmt::Display) -> Duration {
        self.shared.connector.failed(reason);
        // The connector logs an outage once.
        *lock(&self.shared.trouble) = None;
        self.shared.connector.pause().max(OUTAGE_PAUSE)
    }
}
