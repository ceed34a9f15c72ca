//! The child process: sets its limits, then answers requests.

use std::io::{self, Read as _};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::{DONE, UNCONFINED, frame};

/// Limits of the child.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes of address space, including the program itself.
    pub memory: u64,
    /// Seconds of CPU time per request; the kernel kills a process that uses more.
    pub seconds: u64,
    /// Maximum bytes of a request.
    pub request: usize,
}

/// Answers requests from standard input on standard output until the input ends.
///
/// # Errors
/// If the parent has exited or sends an invalid message.
pub fn serve(budget: Budget, mut answer: impl FnMut(Vec<u8>) -> Vec<u8>) -> io::Result<()> {
    let confined = confine(budget);
    let (mut requests, mut answers) = (io::stdin().lock(), io::stdout().lock());
    while let Some(request) = frame::read(requests.by_ref(), budget.request)? {
        let reply = match confined.and_then(|()| allow_cpu_time(budget.seconds)) {
            Ok(()) => [vec![DONE], answer(request)].concat(),
            Err(error) => [vec![UNCONFINED], error.to_string().into_bytes()].concat(),
        };
        frame::write(&mut answers, &reply)?;
    }
    Ok(())
}

/// Limits this process. systemd's `SystemCallFilter=~@resources` allows `prlimit64`, which rustix
/// calls, but not `setrlimit`.
fn confine(budget: Budget) -> rustix::io::Result<()> {
    // If the system runs out of memory, the kernel kills this process before the daemon.
    drop(std::fs::write("/proc/self/oom_score_adj", "1000"));
    limit(Resource::As, budget.memory)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)
}

/// Lowers a limit permanently; keeps one that is already lower.
fn limit(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let now = getrlimit(resource);
    let least = |limit: Option<u64>| Some(limit.map_or(most, |limit| limit.min(most)));
    setrlimit(
        resource,
        Rlimit {
            current: least(now.current),
            maximum: least(now.maximum),
        },
    )
}

/// Allows this many further seconds of CPU time.
fn allow_cpu_time(seconds: u64) -> rustix::io::Result<()> {
    let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
    let maximum = getrlimit(Resource::Cpu).maximum;
    let until = used.saturating_add(1).saturating_add(seconds);
    setrlimit(
        Resource::Cpu,
        Rlimit {
            current: Some(maximum.map_or(until, |maximum| maximum.min(until))),
            maximum,
        },
    )
}
