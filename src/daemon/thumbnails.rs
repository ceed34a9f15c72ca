//! Thumbnails in the daemon; empty without the feature `thumbnails`.

#[cfg(feature = "thumbnails")]
mod present {
    use std::sync::Arc;

    use arc_swap::ArcSwapOption;
    use tokio_util::sync::CancellationToken;

    use crate::clock::Clock;
    use crate::daemon::supervise::Tasks;
    use crate::queue::Queue;
    use crate::thumbnails::thumbnailer::Thumbnailer;
    use crate::thumbnails::worker::ThumbnailWorker;
    use crate::thumbnails::{Settings, SetupError};

    /// The current thumbnailer, if thumbnails are enabled.
    #[derive(Debug)]
    pub(in crate::daemon) struct Thumbnails(Arc<ArcSwapOption<Thumbnailer>>);

    impl Thumbnails {
        pub(in crate::daemon) fn new(settings: &Settings) -> Result<Self, SetupError> {
            Ok(Self(Arc::new(ArcSwapOption::from(thumbnailer(settings)?))))
        }

        /// Applies other settings to thumbnails started from now on.
        pub(in crate::daemon) fn reload(&self, settings: &Settings) -> Result<(), SetupError> {
            self.0.store(thumbnailer(settings)?);
            Ok(())
        }

        /// Starts the worker. It runs even if thumbnails are disabled, to release mails that an earlier
        /// configuration made wait.
        pub(in crate::daemon) fn spawn(
            &self,
            tasks: &mut Tasks,
            queue: Queue,
            clock: Clock,
            stop: CancellationToken,
        ) {
            tasks.spawn(
                "thumbnails",
                ThumbnailWorker::new(queue, Arc::clone(&self.0), clock).run(stop),
            );
        }
    }

    fn thumbnailer(settings: &Settings) -> Result<Option<Arc<Thumbnailer>>, SetupError> {
        if settings.enabled {
            Ok(Some(Arc::new(Thumbnailer::new(settings)?)))
        } else {
            Ok(None)
        }
    }
}

#[cfg(not(feature = "thumbnails"))]
mod absent {
    use tokio_util::sync::CancellationToken;

    use crate::clock::Clock;
    use crate::daemon::supervise::Tasks;
    use crate::queue::Queue;
    use crate::thumbnails::{Settings, SetupError};

    /// Does nothing; mails that wait for thumbnails are sent after their timeout.
    #[derive(Debug)]
    pub(in crate::daemon) struct Thumbnails;

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "same interface as with the feature"
    )]
    impl Thumbnails {
        pub(in crate::daemon) fn new(_: &Settings) -> Result<Self, SetupError> {
            Ok(Self)
        }

        pub(in crate::daemon) fn reload(&self, _: &Settings) -> Result<(), SetupError> {
            Ok(())
        }

        pub(in crate::daemon) fn spawn(
            &self,
            _: &mut Tasks,
            _: Queue,
            _: Clock,
            _: CancellationToken,
        ) {
        }
    }
}

#[cfg(not(feature = "thumbnails"))]
pub(super) use absent::Thumbnails;
#[cfg(feature = "thumbnails")]
pub(super) use present::Thumbnails;
