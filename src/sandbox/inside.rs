//! The child's side: sets limits, then answers what it is asked.

use std::io::{self, Read as _};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::{DONE, UNCONFINED, frame};

/// What the child may use.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes of address space, the program itself included.
    pub memory: u64,
    /// Seconds of CPU time for one request; the kernel kills the process that uses more.
    pub seconds: u64,
    /// The most bytes of a request.
    pub request: usize,
}

/// Answers requests from standard input on standard output until the input ends.
///
/// # Errors
/// When the parent is gone or sends what it must not.
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

/// Limits this process. `prlimit64`, which rustix calls, is allowed by systemd's
/// `SystemCallFilter=~@resources`; `setrlimit` would not be.
fn confine(budget: Budget) -> rustix::io::Result<()> {
    // Where memory runs out altogether, this process goes first and not the daemon.
    drop(std::fs::write("/proc/self/oom_score_adj", "1000"));
    limit(Resource::As, budget.memory)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)
}

/// Lowers a limit for good; one that is lower already stays.
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

/// Lets the process go on for so many seconds of CPU time from now.
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
