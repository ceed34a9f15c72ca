//! The closed list of metrics of contract 2, as one value that is handed to every stage.
//!
//! Labels are server names, sources, lanes, states and results: small closed sets. Never an
//! address, never an event's id.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Upper bounds in seconds for things that take milliseconds.
const FAST: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];
/// Upper bounds in seconds for the way from accepted to sent.
const DELIVERY: [f64; 12] = [
    0.001, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 86_400.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    source: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    server: String,
    result: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    server: String,
    step: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabel {
    lane: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabel {
    server: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhyLabel {
    why: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Every metric of the daemon. Share it in an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    events: Family<EventLabels, Counter>,
    deliveries: Family<StateLabel, Gauge<i64, AtomicI64>>,
    oldest: Family<LaneLabel, Gauge<f64, AtomicU64>>,
    attempts: Family<AttemptLabels, Counter>,
    stale_settlements: Counter,
    intake: Histogram,
    delivery: Histograms<LaneLabel>,
    step: Histograms<StepLabels>,
    server_up: Family<ServerLabel, Gauge<i64, AtomicI64>>,
    body_bytes: Gauge<i64, AtomicI64>,
    refused: Family<WhyLabel, Counter>,
    smtp_enabled: Gauge<i64, AtomicI64>,
}

fn fast() -> Histogram {
    Histogram::new(FAST)
}

fn slow() -> Histogram {
    Histogram::new(DELIVERY)
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers the closed list.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            events: Family::default(),
            deliveries: Family::default(),
            oldest: Family::default(),
            attempts: Family::default(),
            stale_settlements: Counter::default(),
            intake: fast(),
            delivery: Family::new_with_constructor(slow),
            step: Family::new_with_constructor(fast),
            server_up: Family::default(),
            body_bytes: Gauge::default(),
            refused: Family::default(),
            smtp_enabled: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "jobbell_events",
            "Events by where they came in and what became of them",
            self.events.clone(),
        );
        registry.register(
            "jobbell_deliveries",
            "Deliveries on record by state",
            self.deliveries.clone(),
        );
        registry.register(
            "jobbell_queue_oldest_seconds",
            "Age of the oldest delivery that is due, by lane",
            self.oldest.clone(),
        );
        registry.register(
            "jobbell_attempts",
            "Tries by server and result",
            self.attempts.clone(),
        );
        registry.register(
            "jobbell_stale_settlements",
            "Attempts whose lease had expired before they ended",
            self.stale_settlements.clone(),
        );
        registry.register(
            "jobbell_intake_seconds",
            "From the event's arrival to its commit",
            self.intake.clone(),
        );
        registry.register(
            "jobbell_delivery_seconds",
            "From accepted to sent, by lane",
            self.delivery.clone(),
        );
        registry.register(
            "jobbell_smtp_step_seconds",
            "Time of each step of a transmission",
            self.step.clone(),
        );
        registry.register(
            "jobbell_server_up",
            "1 while the server is in use, 0 while it rests",
            self.server_up.clone(),
        );
        registry.register(
            "jobbell_refused",
            "Refused requests and connections by reason",
            self.refused.clone(),
        );
        registry.register(
            "jobbell_body_bytes",
            "Bytes of request bodies in memory",
            self.body_bytes.clone(),
        );
        registry.register(
            "jobbell_smtp_enabled",
            "1 while mails are sent, 0 while smtp.enable is false",
            self.smtp_enabled.clone(),
        );
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("jobbell_build", "The running version", build);
    }

    /// Counts an event; `outcome` is `accepted`, `duplicate`, `conflict`, `invalid`, `refused` or
    /// `ignored`.
    pub fn event(&self, source: &str, outcome: &'static str) {
        self.events
            .get_or_create(&EventLabels {
                source: source.to_owned(),
                outcome: outcome.to_owned(),
            })
            .inc();
    }

    /// Counts a try; `result` is `sent` or the name of a failure's kind.
    pub fn attempt(&self, server: &str, result: &'static str) {
        self.attempts
            .get_or_create(&AttemptLabels {
                server: server.to_owned(),
                result: result.to_owned(),
            })
            .inc();
    }

    /// Counts an attempt whose lease had expired before it ended.
    pub fn stale_settlement(&self) {
        self.stale_settlements.inc();
    }

    /// Notes how long an event took from its arrival to its commit.
    pub fn intake(&self, took: Duration) {
        self.intake.observe(took.as_secs_f64());
    }

    /// Notes how long a delivery took from accepted to sent.
    pub fn delivered(&self, lane: &str, took: Duration) {
        self.delivery
            .get_or_create(&LaneLabel {
                lane: lane.to_owned(),
            })
            .observe(took.as_secs_f64());
    }

    /// Notes how long a step of a transmission took.
    pub fn step(&self, server: &str, step: &str, took: Duration) {
        self.step
            .get_or_create(&StepLabels {
                server: server.to_owned(),
                step: step.to_owned(),
            })
            .observe(took.as_secs_f64());
    }

    /// Says whether a server is in use.
    pub fn server_up(&self, server: &str, up: bool) {
        self.server_up
            .get_or_create(&ServerLabel {
                server: server.to_owned(),
            })
            .set(i64::from(up));
    }

    /// Counts refusals; `why` is a value of `http::refusals::Why`. Zero makes the series visible
    /// before its first refusal.
    pub fn refused(&self, why: &'static str, number: u64) {
        self.refused.get_or_create(&WhyLabel { why }).inc_by(number);
    }

    /// Sets how many bytes of request bodies are in memory.
    pub fn set_body_bytes(&self, bytes: usize) {
        self.body_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Says whether mails are sent at all.
    pub fn set_smtp_enabled(&self, enabled: bool) {
        self.smtp_enabled.set(i64::from(enabled));
    }

    /// Whether mails are sent at all.
    pub fn smtp_enabled(&self) -> bool {
        self.smtp_enabled.get() == 1
    }

    /// Sets how many deliveries are in a state.
    pub fn set_deliveries(&self, state: &str, number: u64) {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.deliveries
            .get_or_create(&StateLabel {
                state: state.to_owned(),
            })
            .set(number);
    }

    /// Sets the age of the oldest due delivery of a lane.
    pub fn set_oldest(&self, lane: &str, age: Duration) {
        self.oldest
            .get_or_create(&LaneLabel {
                lane: lane.to_owned(),
            })
            .set(age.as_secs_f64());
    }

    /// The `OpenMetrics` text of everything.
    ///
    /// # Errors
    /// Never in practice: writing to a `String` does not fail.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_names_is_the_contracts() {
        let metrics = Metrics::new();
        metrics.event("http", "accepted");
        metrics.attempt("primary", "sent");
        metrics.stale_settlement();
        metrics.intake(Duration::from_millis(1));
        metrics.delivered("normal", Duration::from_millis(1));
        metrics.step("primary", "mail", Duration::from_millis(1));
        metrics.server_up("primary", true);
        metrics.set_body_bytes(5);
        metrics.refused("host", 2);
        metrics.set_deliveries("queued", 3);
        metrics.set_smtp_enabled(true);
        metrics.set_oldest("urgent", Duration::from_secs(2));
        let text = metrics.encode().unwrap();
        for line in [
            "jobbell_events_total{source=\"http\",outcome=\"accepted\"} 1",
            "jobbell_deliveries{state=\"queued\"} 3",
            "jobbell_queue_oldest_seconds{lane=\"urgent\"} 2",
            "jobbell_attempts_total{server=\"primary\",result=\"sent\"} 1",
            "jobbell_stale_settlements_total 1",
            "jobbell_intake_seconds_count 1",
            "jobbell_delivery_seconds_count{lane=\"normal\"} 1",
            "jobbell_smtp_step_seconds_count{server=\"primary\",step=\"mail\"} 1",
            "jobbell_server_up{server=\"primary\"} 1",
            "jobbell_refused_total{why=\"host\"} 2",
            "jobbell_body_bytes 5",
            "jobbell_build_info{version=",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
