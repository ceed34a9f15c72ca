//! Tables of the states of a service.

use super::{JobEnd, MapResult, Payload};

/// The states of a service's jobs, in lower case.
#[derive(Debug)]
pub struct States {
    /// JSON pointers to the state.
    pub at: &'static [&'static str],
    /// What the service calls a job.
    pub job: &'static str,
    /// States of success.
    pub succeeded: &'static [&'static str],
    /// States of failure.
    pub failed: &'static [&'static str],
    /// States of cancellation.
    pub canceled: &'static [&'static str],
    /// States that are not the end, or neither success nor failure.
    pub ignored: &'static [&'static str],
}

impl States {
    /// How the job ended.
    ///
    /// # Errors
    /// The outcome of a payload whose state is missing, unknown or ignored.
    pub fn end(&self, payload: &Payload<'_>) -> Result<JobEnd, MapResult> {
        let Some(word) = payload.word(self.at) else {
            return Err(MapResult::without_state(
                self.at.first().copied().unwrap_or_default(),
            ));
        };
        let is_in = |words: &[&str]| words.contains(&word.as_str());
        if is_in(self.succeeded) {
            Ok(JobEnd::Succeeded)
        } else if is_in(self.failed) {
            Ok(JobEnd::Failed)
        } else if is_in(self.canceled) {
            Ok(JobEnd::Canceled)
        } else if is_in(self.ignored) {
            Err(MapResult::Ignored(format!("the {} is {word}", self.job)))
        } else {
            Err(MapResult::Unknown(format!("unknown status {word:?}")))
        }
    }
}
