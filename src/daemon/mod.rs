//! Connects all modules: starts them, supervises their tasks, stops them in order.
//!
//! [`Jobbell`] is the part that a program can embed: intake, queue and dispatch, without HTTP.
//! `serve` adds the HTTP server, signals and systemd.

mod in_process;
#[cfg(feature = "server")]
pub mod jwks_fetch;
mod pipeline;
#[cfg(feature = "server")]
mod reload;
mod retention;
#[cfg(feature = "server")]
mod running;
#[cfg(feature = "server")]
pub mod serve;
#[cfg(feature = "server")]
mod signals;
mod supervise;
#[cfg(feature = "server")]
mod systemd;
mod thumbnails;
mod tokens;

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::Clock;
use crate::config::Config;
use crate::dispatch::{Dispatcher, Pipeline, ReloadHandle};
use crate::domain::{Event, JobEvent, Source};
use crate::intake::{Accepted, Intake, Refusal};
use crate::queue::{OpenError, Queue};
use crate::routing::Routes;
use crate::telemetry::Metrics;
use crate::transport::SetupError;
pub use pipeline::pipeline;
pub use supervise::TaskEnded;
use supervise::Tasks;
use thumbnails::Thumbnails;
pub use tokens::token_home;
#[cfg(feature = "cli")]
pub(crate) use tokens::token_home_of_command;

/// Capacity of the channel for in-process events.
const CHANNEL_CAPACITY: usize = 1_024;
/// How long mails in flight may take to finish after the stop signal.
pub const GRACE: Duration = Duration::from_secs(30);

/// Why Jobbell could not start. No task is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The queue cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The settings of a mail server are unusable, for example a root certificate.
    #[error(transparent)]
    Transport(#[from] SetupError),
    /// The thumbnail fetcher cannot be set up.
    #[error(transparent)]
    Thumbnails(#[from] crate::thumbnails::SetupError),
}

/// A running Jobbell: stores events and sends their mails.
///
/// Stop it with [`Jobbell::stop`]; dropping it cancels its tasks, and mails in flight may be sent
/// again after the next start.
#[derive(Debug)]
pub struct Jobbell {
    intake: Intake,
    events: mpsc::Sender<JobEvent>,
    queue: Queue,
    routes: Arc<ArcSwap<Routes>>,
    reload: ReloadHandle,
    thumbnails: Thumbnails,
    metrics: Arc<Metrics>,
    clock: Clock,
    closing: CancellationToken,
    stopping: CancellationToken,
    intake_tasks: Tasks,
    dispatch_tasks: Tasks,
}

impl Jobbell {
    /// Opens the queue and starts intake and dispatch. Deliveries that an earlier run left queued or
    /// unfinished are resumed. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the queue cannot be opened (another process uses it, for example) or a mail server's
    /// settings are unusable.
    pub async fn start(config: impl Borrow<Config>) -> Result<Self, StartError> {
        Self::start_at(config.borrow(), Clock::adjusted()).await
    }

    /// Like [`Jobbell::start`], with another clock.
    ///
    /// # Errors
    /// As [`Jobbell::start`].
    #[doc(hidden)]
    pub async fn start_at(config: &Config, clock: Clock) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let thumbnails = Thumbnails::new(&config.thumbnails)?;
        let queue = Queue::open(&config.queue, &clock).await?;
        let pipeline = match pipeline(config, &metrics, &clock, &queue) {
            Ok(pipeline) => pipeline,
            Err(error) => {
                queue.close().await;
                return Err(error.into());
            }
        };
        Ok(Self::assemble(
            config, pipeline, queue, thumbnails, clock, metrics,
        ))
    }

    fn assemble(
        config: &Config,
        pipeline: Pipeline,
        queue: Queue,
        thumbnails: Thumbnails,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Self {
        let routes = Arc::new(ArcSwap::from_pointee(config.routes.clone()));
        metrics.set_smtp_enabled(config.routes.enabled);
        let intake = Intake::new(
            queue.clone(),
            Arc::clone(&routes),
            clock.clone(),
            Arc::clone(&metrics),
        );
        let dispatcher =
            Dispatcher::new(queue.clone(), pipeline, clock.clone(), Arc::clone(&metrics));
        let reload = dispatcher.reload_handle();
        let (closing, stopping) = (CancellationToken::new(), CancellationToken::new());
        let (events, received) = mpsc::channel(CHANNEL_CAPACITY);
        let (mut intake_tasks, mut dispatch_tasks) = (Tasks::default(), Tasks::default());
        intake_tasks.spawn(
            "in-process events",
            in_process::run(received, intake.clone(), closing.clone()),
        );
        intake_tasks.spawn(
            "retention",
            retention::run(
                queue.clone(),
                config.queue.clone(),
                clock.clone(),
                closing.clone(),
            ),
        );
        thumbnails.spawn(
            &mut intake_tasks,
            queue.clone(),
            clock.clone(),
            closing.clone(),
        );
        dispatch_tasks.spawn("dispatch", dispatcher.run(stopping.clone(), GRACE));
        Self {
            intake,
            events,
            queue,
            routes,
            reload,
            thumbnails,
            metrics,
            clock,
            closing,
            stopping,
            intake_tasks,
            dispatch_tasks,
        }
    }

    /// A channel for producers that do not wait for the disk. It holds 1,024 events: if it is full,
    /// `send` waits and `try_send` fails. [`Jobbell::stop`] commits the events in the channel. A
    /// rejected event (without a recipient, for example) is only logged; [`Jobbell::submit`] returns
    /// the error.
    pub fn events(&self) -> mpsc::Sender<JobEvent> {
        self.events.clone()
    }

    /// Stores a job event or a message. When it returns, the event is on disk and survives a crash.
    ///
    /// # Errors
    /// If the event has no recipient, its ID exists with other content, or the queue is full or
    /// cannot be written.
    pub async fn submit(&self, event: impl Into<Event>) -> Result<Accepted, Refusal> {
        self.intake.accept_one(&Source::IN_PROCESS, event).await
    }

    /// The entry point of all event sources.
    #[doc(hidden)]
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The queue, for reading.
    #[doc(hidden)]
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The metrics.
    #[doc(hidden)]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The clock of this instance.
    #[doc(hidden)]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The current routes.
    #[doc(hidden)]
    pub fn routes(&self) -> &Arc<ArcSwap<Routes>> {
        &self.routes
    }

    /// Applies another configuration: routes, mail servers, rendering, thumbnails and retries. Changes
    /// of `[queue]` need a restart.
    ///
    /// # Errors
    /// If the settings of a mail server or of thumbnails are unusable; the old configuration stays.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        let pipeline = pipeline(config, &self.metrics, &self.clock, &self.queue)?;
        self.thumbnails.reload(&config.thumbnails)?;
        self.routes.store(Arc::new(config.routes.clone()));
        self.metrics.set_smtp_enabled(config.routes.enabled);
        self.reload.replace(pipeline);
        Ok(())
    }

    /// Waits until a task ends unexpectedly.
    #[doc(hidden)]
    pub async fn task_failed(&mut self) -> TaskEnded {
        tokio::select! {
            ended = self.intake_tasks.ended() => ended,
            ended = self.dispatch_tasks.ended() => ended,
        }
    }

    /// Starts no further mail; mails accepted from now on stay queued for the next start. Mails in
    /// flight have 30 s to finish.
    #[doc(hidden)]
    pub fn stop_claiming(&self) {
        self.stopping.cancel();
    }

    /// Stops in order: commits the events in the channel, waits up to 30 s for mails in flight,
    /// records their results and closes the queue. Mails that are still queued stay on disk; the
    /// next start sends them.
    pub async fn stop(&mut self) {
        self.closing.cancel();
        let mut failed = self.intake_tasks.finish().await;
        self.stopping.cancel();
        failed.append(&mut self.dispatch_tasks.finish().await);
        for ended in failed {
            warn!("while stopping: {ended}");
        }
        self.queue.close().await;
    }
}
