//! The pictures' part of the daemon, which a build without the feature `thumbnails` leaves out.

#[cfg(feature = "thumbnails")]
mod present {
    use std::sync::Arc;

    use arc_swap::ArcSwapOption;
    use tokio_util::sync::CancellationToken;

    use crate::daemon::supervise::Tasks;
    use crate::domain::Clock;
    use crate::pictures::camera::Camera;
    use crate::pictures::capture::Capturer;
    use crate::pictures::{Settings, SetupError};
    use crate::queue::Queue;

    /// The camera in force, if pictures are copied.
    #[derive(Debug)]
    pub(in crate::daemon) struct Pictures(Arc<ArcSwapOption<Camera>>);

    impl Pictures {
        pub(in crate::daemon) fn new(settings: &Settings) -> Result<Self, SetupError> {
            Ok(Self(Arc::new(ArcSwapOption::from(camera(settings)?))))
        }

        /// Puts other settings in force for whatever is begun from now on.
        pub(in crate::daemon) fn reload(&self, settings: &Settings) -> Result<(), SetupError> {
            self.0.store(camera(settings)?);
            Ok(())
        }

        /// Starts the worker. It runs also while nothing is copied, for what an earlier
        /// configuration had wait.
        pub(in crate::daemon) fn spawn(
            &self,
            tasks: &mut Tasks,
            queue: Queue,
            clock: Clock,
            stop: CancellationToken,
        ) {
            tasks.spawn(
                "pictures",
                Capturer::new(queue, Arc::clone(&self.0), clock).run(stop),
            );
        }
    }

    fn camera(settings: &Settings) -> Result<Option<Arc<Camera>>, SetupError> {
        if settings.enabled {
            Ok(Some(Arc::new(Camera::new(settings)?)))
        } else {
            Ok(None)
        }
    }
}

#[cfg(not(feature = "thumbnails"))]
mod absent {
    use tokio_util::sync::CancellationToken;

    use crate::daemon::supervise::Tasks;
    use crate::domain::Clock;
    use crate::pictures::{Settings, SetupError};
    use crate::queue::Queue;

    /// Nothing is copied; mails that an earlier build had wait go when their wait is over.
    #[derive(Debug)]
    pub(in crate::daemon) struct Pictures;

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "the same as with pictures"
    )]
    impl Pictures {
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
pub(super) use absent::Pictures;
#[cfg(feature = "thumbnails")]
pub(super) use present::Pictures;
