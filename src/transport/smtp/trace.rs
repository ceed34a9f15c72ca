//! Records the steps of a session: their durations as metrics and, on request, a transcript.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::certificate::Certificate;
use crate::domain::{Reply, ServerName, Stage};
use crate::telemetry::metrics::Metrics;

/// The maximum number of steps in a transcript. A mail takes about a dozen.
const MAX_STEPS: usize = 100;

/// A step of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The stage.
    pub stage: Stage,
    /// Its duration.
    pub duration: Duration,
    /// The command, with secrets and addresses masked; empty if there is none.
    pub command: String,
    /// The server's reply.
    pub reply: Option<Reply>,
    /// More information: addresses tried, the TLS version, why there was no reply.
    pub note: String,
}

/// Records steps. Clones share the transcript.
#[derive(Debug, Clone)]
pub struct TraceRecorder {
    server: ServerName,
    metrics: Arc<Metrics>,
    transcript: Option<Arc<Mutex<Transcript>>>,
}

#[derive(Debug, Default)]
struct Transcript {
    steps: Vec<Step>,
    certificate: Option<Certificate>,
}

impl TraceRecorder {
    /// Records metrics only.
    pub const fn new(server: ServerName, metrics: Arc<Metrics>) -> Self {
        Self {
            server,
            metrics,
            transcript: None,
        }
    }

    /// Records metrics and a transcript.
    pub fn with_transcript(server: ServerName, metrics: Arc<Metrics>) -> Self {
        Self {
            transcript: Some(Arc::default()),
            ..Self::new(server, metrics)
        }
    }

    /// The steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.transcript()
            .map(|transcript| transcript.steps.clone())
            .unwrap_or_default()
    }

    /// The certificate that the server presented, trusted or not.
    pub fn certificate(&self) -> Option<Certificate> {
        self.transcript()
            .and_then(|transcript| transcript.certificate.clone())
    }

    fn transcript(&self) -> Option<MutexGuard<'_, Transcript>> {
        self.transcript
            .as_ref()
            .map(|transcript| transcript.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is a transcript.
    pub(super) const fn has_transcript(&self) -> bool {
        self.transcript.is_some()
    }

    /// Records a step. `describe` is called only if there is a transcript.
    pub(super) fn record(
        &self,
        stage: Stage,
        duration: Duration,
        describe: impl FnOnce() -> (String, Option<Reply>, String),
    ) {
        self.metrics.step(&self.server, stage.as_str(), duration);
        if let Some(mut transcript) = self.transcript() {
            let (command, reply, note) = describe();
            if transcript.steps.len() < MAX_STEPS {
                transcript.steps.push(Step {
                    stage,
                    duration,
                    command,
                    reply,
                    note,
                });
            }
        }
    }

    /// Records the certificate that the server presented.
    pub(super) fn record_certificate(&self, certificate: Option<Certificate>) {
        if let Some(mut transcript) = self.transcript() {
            transcript.certificate = certificate;
        }
    }
}
