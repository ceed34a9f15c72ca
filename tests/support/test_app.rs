//! Jobbell embedded in the test, with a clock that the test controls.

use std::sync::Arc;
use std::time::Instant;

use jobbell::Jobbell;
use jobbell::clock::Clock;
use jobbell::domain::{EventId, JobEvent, JobStatus, Recipient, State, Timestamp};
use jobbell::queue::{DeliveryRecord, Queue};

use super::test_config::{PATIENCE, TestConfig};

/// 2026-01-01T00:00:00Z.
pub const NEW_YEAR: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A running Jobbell with a temporary directory and a clock.
pub struct TestApp {
    /// The handle.
    pub jobbell: Jobbell,
    /// Its clock.
    pub clock: Clock,
    #[expect(dead_code, reason = "removed when dropped")]
    home: Arc<tempfile::TempDir>,
}

impl TestApp {
    /// Starts at New Year.
    pub async fn start(home: &TestConfig) -> Self {
        Self::start_at(home, Clock::manual(NEW_YEAR)).await
    }

    /// Starts with this clock.
    pub async fn start_at(home: &TestConfig, clock: Clock) -> Self {
        jobbell::sandbox::use_program(env!("CARGO_BIN_EXE_jobbell"));
        let jobbell = Jobbell::start_at(&home.load(), clock.clone())
            .await
            .unwrap();
        Self {
            jobbell,
            clock,
            home: home.keep(),
        }
    }

    /// Submits a success for one recipient.
    pub async fn submit(&self, id: &str, to: &str) {
        let accepted = self.jobbell.submit(event(id, to)).await.unwrap();
        assert!(!accepted.duplicate, "{id}");
    }

    /// The only delivery of an event.
    pub async fn delivery(&self, id: &str) -> DeliveryRecord {
        delivery(self.jobbell.queue(), id).await
    }

    /// Waits until the only delivery of an event is in this state after this number of attempts.
    pub async fn reached(&self, id: &str, state: State, tries: usize) -> DeliveryRecord {
        reached(self.jobbell.queue(), id, state, tries).await
    }
}

/// A success for one recipient.
pub fn event(id: &str, to: &str) -> JobEvent {
    let mut event = JobEvent::new(EventId::parse(id).unwrap(), JobStatus::Succeeded);
    event.to = vec![Recipient::parse(to).unwrap()];
    event
}

/// The only delivery of an event.
pub async fn delivery(queue: &Queue, id: &str) -> DeliveryRecord {
    let record = queue
        .find(&EventId::parse(id).unwrap())
        .await
        .unwrap()
        .unwrap();
    let [delivery] = <[DeliveryRecord; 1]>::try_from(record.deliveries).unwrap();
    delivery
}

/// Waits until the only delivery of an event is in this state after this number of attempts.
pub async fn reached(queue: &Queue, id: &str, state: State, tries: usize) -> DeliveryRecord {
    let begun = Instant::now();
    loop {
        let found = delivery(queue, id).await;
        if found.state == state && found.attempts.len() == tries {
            return found;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "waited for {state} after {tries} tries: {found:#?}"
        );
        tokio::task::yield_now().await;
    }
}
