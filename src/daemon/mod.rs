//! The only place where the stages meet: starts them, keeps them running, stops them in order.
//!
//! [`Jobbell`] is the part that a program can embed: intake, queue and dispatch, without HTTP. The
//! program `jobbell` puts the HTTP server, signals and systemd around it (`serve`).

mod in_process;
#[cfg(feature = "server")]
pub mod jwks_fetch;
#[cfg(feature = "server")]
pub mod reload;
mod retention;
#[cfg(feature = "server")]
pub mod serve;
pub mod supervise;
#[cfg(feature = "server")]
pub mod systemd;
mod thumbnails;

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::Clock;
use crate::config::Config;
use crate::dispatch::{
    Dispatcher, Limits, Permitted, Pipeline, ReloadHandle, Server, failover::Breaker,
};
use crate::domain::{Event, JobEvent, Source};
use crate::intake::{Accepted, IncomingEvent, Intake, Refusal};
use crate::queue::{OpenError, Queue, StoreError};
use crate::render::Renderer;
use crate::routing::Routes;
use crate::telemetry::Metrics;
use crate::transport::explain::Table;
use crate::transport::{self, Context, SetupError, Transport};
use supervise::{TaskEnded, Tasks};
use thumbnails::Thumbnails;

/// How many in-process events may wait for their commit.
const CHANNEL_CAPACITY: usize = 1_024;
/// How long mails under way may take to end after the stop signal (contract 5).
pub const GRACE: Duration = Duration::from_secs(30);

/// Why Jobbell could not be started. Nothing was left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A mail server's settings do not work, a root certificate for example.
    #[error(transparent)]
    Transport(#[from] SetupError),
    /// Fetching thumbnails cannot be set up.
    #[error(transparent)]
    Thumbnails(#[from] crate::thumbnails::SetupError),
}

/// A running Jobbell: takes events, keeps them, delivers them.
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
        Self::start_at(config.borrow(), Clock::steady()).await
    }

    /// The same by another clock.
    ///
    /// # Errors
    /// As [`Jobbell::start`].
    pub async fn start_at(config: &Config, clock: Clock) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let pipeline = pipeline(config, &metrics, &clock)?;
        let thumbnails = Thumbnails::new(&config.thumbnails)?;
        let settings = config.queue.clone();
        let store_clock = clock.clone();
        let opening = tokio::task::spawn_blocking(move || Queue::open(&settings, &store_clock));
        let queue = opening
            .await
            .map_err(|error| OpenError::Thread(std::io::Error::other(error)))??;
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

    /// A channel for events that nobody waits for. It holds 1,024 events: a full channel makes
    /// `send` wait and `try_send` fail. [`Jobbell::stop`] commits what the channel holds. An event
    /// that is refused (no recipient, for example) is logged; use [`Jobbell::submit`] to learn of it.
    pub fn events(&self) -> mpsc::Sender<JobEvent> {
        self.events.clone()
    }

    /// Stores a job event or a message. When it returns, the event is on disk and survives a crash.
    ///
    /// # Errors
    /// If the event has no recipient, its ID exists with other content, or the queue is full or
    /// cannot be written.
    pub async fn submit(&self, event: impl Into<Event>) -> Result<Accepted, Refusal> {
        let incoming = IncomingEvent {
            event: event.into(),
            id_given: true,
            source: Source::IN_PROCESS,
        };
        let mut accepted = self.intake.accept(vec![incoming], None).await?;
        accepted
            .pop()
            .ok_or(Refusal::Queue(StoreError::Closed.into()))
    }

    /// The entry point that every event source shares.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// The queue, for reading.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The clock of this instance.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The routes in force.
    pub fn routes(&self) -> &Arc<ArcSwap<Routes>> {
        &self.routes
    }

    /// Puts another configuration in force, but for the queue's table: routes, mails, pictures,
    /// servers, retry.
    ///
    /// # Errors
    /// When a server's settings do not work, or pictures cannot be fetched; then nothing has
    /// changed.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        let pipeline = pipeline(config, &self.metrics, &self.clock)?;
        self.thumbnails.reload(&config.thumbnails)?;
        self.routes.store(Arc::new(config.routes.clone()));
        self.metrics.set_smtp_enabled(config.routes.enabled);
        self.reload.replace(pipeline);
        Ok(())
    }

    /// Waits until one of the tasks ends unasked, which must not happen.
    pub async fn task_failed(&mut self) -> TaskEnded {
        tokio::select! {
            ended = self.intake_tasks.ended() => ended,
            ended = self.dispatch_tasks.ended() => ended,
        }
    }

    /// Begins no further mail; what is accepted from now on waits in the queue for the next start.
    /// Mails under way have 30 s from here.
    pub fn stop_claiming(&self) {
        self.stopping.cancel();
    }

    /// Stops in order: commits the events in the channel, waits up to 30 s for mails in flight,
    /// records their results and closes the queue. Mails that are still queued stay on disk; the
    /// next start sends them.
    pub async fn stop(&mut self) {
        self.closing.cancel();
        let mut broken = self.intake_tasks.finish().await;
        self.stopping.cancel();
        broken.append(&mut self.dispatch_tasks.finish().await);
        for ended in broken {
            warn!("while stopping: {ended}");
        }
        self.queue.close().await;
    }
}

/// Puts the dispatcher's pipeline together.
///
/// # Errors
/// When a server's settings do not work.
pub fn pipeline(
    config: &Config,
    metrics: &Arc<Metrics>,
    clock: &Clock,
) -> Result<Pipeline, SetupError> {
    let context = context(config, metrics, clock);
    let server = |settings: &transport::Settings| {
        let breaker = Breaker::new(settings.cooldown(), settings.cooldown_max());
        metrics.server_up(settings.name(), true);
        Ok(Server::new(
            Transport::new(settings, &context)?,
            breaker,
            Limits::of(settings),
        ))
    };
    let servers = if config.routes.enabled {
        config
            .smtp
            .iter()
            .map(server)
            .collect::<Result<_, SetupError>>()?
    } else {
        Vec::new()
    };
    let routes = config.routes.clone();
    let permitted = Permitted::by(move |recipient| routes.allows(recipient));
    Ok(Pipeline::new(
        servers,
        Renderer::new(config.render.clone()),
        &config.dispatch,
        config.routes.enabled,
    )
    .permitting(permitted))
}

/// What every mail server of a configuration is set up with.
pub fn context(config: &Config, metrics: &Arc<Metrics>, clock: &Clock) -> Context {
    let state_dir = Some(config.queue.state_dir.clone());
    Context {
        metrics: Arc::clone(metrics),
        replies: Arc::new(Table::new()),
        clock: clock.clone(),
        state_dir,
    }
}
