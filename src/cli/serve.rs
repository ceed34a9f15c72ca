//! `jobbell serve`: runs the daemon.

use tokio::runtime::{Builder, Runtime};

use super::home;
use super::{CONFIG, DONE, FAILED, failed, load, log};
use crate::config::{self, Sources};
use crate::daemon::StartError;
use crate::daemon::serve::{ServeError, Setup, serve};
use crate::http::Listener;

/// Runs the daemon in the foreground.
pub(super) fn run(sources: &Sources) -> u8 {
    let loaded = match load(sources) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let handle = match log::start(&loaded.config.log) {
        Ok(handle) => handle,
        Err(error) => return failed(error),
    };
    let runtime = match runtime(loaded.config.server.threads) {
        Ok(runtime) => runtime,
        Err(error) => return failed(error),
    };
    let inherited = {
        // Sockets must be created inside the runtime.
        let _inside = runtime.enter();
        match inherited() {
            Ok(inherited) => inherited,
            Err(error) => {
                return failed(format_args!(
                    "cannot use the socket passed by systemd: {error}"
                ));
            }
        }
    };
    let again = sources.clone();
    let setup = Setup {
        loaded,
        read_again: Box::new(move || config::load(&again)),
        set_log: Box::new(move |settings| handle.apply(settings)),
        inherited,
        routes: home::routes(),
        on_ready: Box::new(|_| {}),
    };
    finish(runtime, setup)
}

/// Runs the daemon and turns its result into an exit status.
pub(super) fn finish(runtime: Runtime, setup: Setup) -> u8 {
    let end = runtime.block_on(serve(setup));
    // A task stuck in a blocking call must not keep the process alive; everything that matters is
    // on disk.
    runtime.shutdown_background();
    match end {
        Ok(()) => DONE,
        Err(error @ ServeError::Interrupted) => {
            tracing::warn!("{error}");
            FAILED
        }
        Err(error @ ServeError::Public(_)) => {
            failed(error);
            CONFIG
        }
        Err(ServeError::Start(StartError::Store(error))) if error.is_configuration() => {
            failed(error);
            CONFIG
        }
        Err(error) => failed(error),
    }
}

/// A runtime with this many threads. The default is one: on two cores it is faster than two
/// threads, since the store's writer, the mail server and the producer need the other core. Larger
/// machines get up to four.
pub(super) fn runtime(threads: Option<usize>) -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(threads.unwrap_or((cores / 2).clamp(1, 4)).max(1))
        .thread_name("jobbell")
        .enable_all()
        .build()
}

/// The TCP or Unix socket that systemd passes under socket activation.
fn inherited() -> std::io::Result<Option<Listener>> {
    let mut handed = listenfd::ListenFd::from_env();
    if handed.len() == 0 {
        return Ok(None);
    }
    if let Ok(Some(socket)) = handed.take_tcp_listener(0) {
        return Listener::from_tcp(socket).map(Some);
    }
    handed
        .take_unix_listener(0)?
        .map(Listener::from_unix)
        .transpose()
}
