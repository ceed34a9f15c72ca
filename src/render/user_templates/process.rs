//! The parent's side: a child process ([`crate::sandbox`]) that fills the templates of one folder,
//! restarted after a template has killed it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::filler::{Ask, Wrong};
use crate::sandbox::{FILL, Lost, Worker};

/// Maximum bytes of an answer: the largest part of a mail with every character escaped.
const MAX_ANSWER: usize = 2 * super::MAX_OUTPUT + 1_024;
/// Time limit for filling one part, generous for a busy machine.
const TIME: Duration = Duration::from_secs(10);
/// A template that killed the process this often is no longer filled.
const MAX_DEATHS: u32 = 3;

/// The process, started on demand.
#[derive(Debug)]
pub(super) struct Process {
    files: BTreeMap<String, String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    worker: Option<Worker>,
    /// How often each template has killed it.
    deaths: BTreeMap<String, u32>,
}

impl Process {
    /// Starts a process for these files. Returns their errors.
    pub(super) fn start(files: BTreeMap<String, String>) -> (Self, Vec<Wrong>) {
        let mut state = State::default();
        let faults = match state.start(&files) {
            Ok(faults) => faults,
            Err(lost) => vec![Wrong {
                name: None,
                line: 1,
                detail: format!("cannot compile these templates: {lost}"),
            }],
        };
        (
            Self {
                files,
                state: Mutex::new(state),
            },
            faults,
        )
    }

    /// Fills one template. Blocks.
    pub(super) fn fill(&self, name: &str, mail: &impl Serialize) -> Result<String, Wrong> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state
            .deaths
            .get(name)
            .is_some_and(|deaths| *deaths >= MAX_DEATHS)
        {
            return Err(Wrong::new(
                name,
                format_args!(
                    "failed this way {MAX_DEATHS} times and is disabled until the next reload"
                ),
            ));
        }
        let request = Ask::Fill(name.to_owned(), mail);
        let filled = state
            .started(&self.files)
            .and_then(|worker| ask::<Result<String, Wrong>>(worker, &request));
        filled.unwrap_or_else(|lost| {
            state.worker = None;
            if lost.blames_input() {
                *state.deaths.entry(name.to_owned()).or_default() += 1;
                return Err(Wrong::new(
                    name,
                    "exceeds the memory or time limit of templates",
                ));
            }
            Err(Wrong::new(name, format_args!("cannot be filled: {lost}")))
        })
    }

    /// Whether a template has killed it.
    pub(super) fn has_died(&self) -> bool {
        !self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .deaths
            .is_empty()
    }
}

impl State {
    fn started(&mut self, files: &BTreeMap<String, String>) -> Result<&mut Worker, Lost> {
        if self.worker.is_none() {
            self.start(files)?;
        }
        self.worker.as_mut().ok_or(Lost::Died)
    }

    fn start(&mut self, files: &BTreeMap<String, String>) -> Result<Vec<Wrong>, Lost> {
        let mut worker = Worker::start(FILL, MAX_ANSWER)?;
        let faults = ask(&mut worker, &Ask::<()>::Load(files.clone()))?;
        self.worker = Some(worker);
        Ok(faults)
    }
}

fn ask<T: DeserializeOwned>(worker: &mut Worker, request: &Ask<impl Serialize>) -> Result<T, Lost> {
    let request = serde_json::to_vec(request).map_err(|_| Lost::Died)?;
    let answer = worker.ask(request, TIME)?;
    serde_json::from_slice(&answer).map_err(|_| Lost::Died)
}
