//! What happened step by step: always into the metrics, on request into a transcript for people.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::certificate::Certificate;
use crate::domain::{Reply, ServerName, Stage};
use crate::telemetry::metrics::Metrics;

/// The most steps that a transcript keeps; a whole mail takes about a dozen.
const MAX_STEPS: usize = 100;

/// One step of a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which step.
    pub stage: Stage,
    /// How long it took.
    pub took: Duration,
    /// The command, secrets and addresses masked; empty where nothing is said.
    pub said: String,
    /// The server's reply.
    pub heard: Option<Reply>,
    /// What else there is to tell: addresses tried, the TLS version, why no answer came.
    pub note: String,
}

/// Takes note of steps; clones write into the same transcript.
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
    /// Notes how long steps take, and nothing else.
    pub const fn new(server: ServerName, metrics: Arc<Metrics>) -> Self {
        Self {
            server,
            metrics,
            transcript: None,
        }
    }

    /// The same, and keeps a transcript.
    pub fn keeping(server: ServerName, metrics: Arc<Metrics>) -> Self {
        Self {
            transcript: Some(Arc::default()),
            ..Self::new(server, metrics)
        }
    }

    /// The transcript up to now.
    pub fn steps(&self) -> Vec<Step> {
        self.transcript()
            .map(|transcript| transcript.steps.clone())
            .unwrap_or_default()
    }

    /// The certificate that the server showed, good or bad.
    pub fn certificate(&self) -> Option<Certificate> {
        self.transcript()
            .and_then(|transcript| transcript.certificate.clone())
    }

    fn transcript(&self) -> Option<MutexGuard<'_, Transcript>> {
        self.transcript
            .as_ref()
            .map(|transcript| transcript.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a transcript is kept, so that its words are worth making.
    pub(super) const fn keeps(&self) -> bool {
        self.transcript.is_some()
    }

    /// Takes note of one step; `describe` runs only when a transcript is kept.
    pub(super) fn note(
        &self,
        stage: Stage,
        took: Duration,
        describe: impl FnOnce() -> (String, Option<Reply>, String),
    ) {
        self.metrics.step(&self.server, stage.as_str(), took);
        if let Some(mut transcript) = self.transcript() {
            let (said, heard, note) = describe();
            if transcript.steps.len() < MAX_STEPS {
                transcript.steps.push(Step {
                    stage,
                    took,
                    said,
                    heard,
                    note,
                });
            }
        }
    }

    /// Takes note of the certificate that the server showed.
    pub(super) fn note_certificate(&self, certificate: Option<Certificate>) {
        if let Some(mut transcript) = self.transcript() {
            transcript.certificate = certificate;
        }
    }
}
