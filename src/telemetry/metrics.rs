//! The closed list of metrics (docs/operations.md), as one value that every module shares.
//!
//! Labels are small closed sets: server names, sources, lanes, states, results. Never an address,
//! never an event ID.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::node_metrics::NodeMetrics;

/// Histogram buckets in seconds for operations that take milliseconds.
const FAST: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];
/// Histogram buckets in seconds for the time from accepted to sent.
const DELIVERY: [f64; 12] = [
    0.001, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 86_400.0,
];

/// One label: its name and value.
type Label = [(&'static str, String); 1];
/// Two labels.
type Labels = [(&'static str, String); 2];
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

fn label(name: &'static str, value: &str) -> Label {
    [(name, value.to_owned())]
}

fn labels(first: (&'static str, &str), second: (&'static str, &str)) -> Labels {
    [first, second].map(|(name, value)| (name, value.to_owned()))
}

/// Every metric of the daemon. Share it in an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    events: Family<Labels, Counter>,
    deliveries: Family<Label, Gauge<i64, AtomicI64>>,
    oldest: Family<Label, Gauge<f64, AtomicU64>>,
    attempts: Family<Labels, Counter>,
    stale_settlements: Counter,
    intake: Histogram,
    delivery: Histograms<Label>,
    step: Histograms<Labels>,
    server_up: Family<Label, Gauge<i64, AtomicI64>>,
    body_bytes: Gauge<i64, AtomicI64>,
    refused: Family<Label, Counter>,
    smtp_enabled: Gauge<i64, AtomicI64>,
    node: NodeMetrics,
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
    /// Creates and registers all metrics.
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
            node: NodeMetrics::default(),
        };
        metrics.register_deliveries();
        metrics.register_process();
        metrics.node.register(&mut metrics.registry);
        metrics
    }

    fn register_deliveries(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "jobbell_events",
            "Events by source and outcome",
            self.events.clone(),
        );
        registry.register(
            "jobbell_deliveries",
            "Stored deliveries by state",
            self.deliveries.clone(),
        );
        registry.register(
            "jobbell_queue_oldest_seconds",
            "Age of the oldest due delivery by lane",
            self.oldest.clone(),
        );
        registry.register(
            "jobbell_attempts",
            "Delivery attempts by server and result",
            self.attempts.clone(),
        );
        registry.register(
            "jobbell_stale_settlements",
            "Attempts whose lease expired before they ended",
            self.stale_settlements.clone(),
        );
        registry.register(
            "jobbell_intake_seconds",
            "Time from an event's arrival to its commit",
            self.intake.clone(),
        );
        registry.register(
            "jobbell_delivery_seconds",
            "Time from accepted to sent by lane",
            self.delivery.clone(),
        );
        registry.register(
            "jobbell_smtp_step_seconds",
            "Duration of each step of a transmission",
            self.step.clone(),
        );
        registry.register(
            "jobbell_server_up",
            "1 while the server is in use, 0 while it is paused",
            self.server_up.clone(),
        );
    }

    fn register_process(&mut self) {
        let registry = &mut self.registry;
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
            .get_or_create(&labels(("source", source), ("outcome", outcome)))
            .inc();
    }

    /// Counts an attempt; `result` is `sent` or the name of a failure kind.
    pub fn attempt(&self, server: &str, result: &'static str) {
        self.attempts
            .get_or_create(&labels(("server", server), ("result", result)))
            .inc();
    }

    /// Counts an attempt whose lease expired before it ended.
    pub fn stale_settlement(&self) {
        self.stale_settlements.inc();
    }

    /// Records the time from an event's arrival to its commit.
    pub fn intake(&self, took: Duration) {
        self.intake.observe(took.as_secs_f64());
    }

    /// Records the time of a delivery from accepted to sent.
    pub fn delivered(&self, lane: &str, took: Duration) {
        self.delivery
            .get_or_create(&label("lane", lane))
            .observe(took.as_secs_f64());
    }

    /// Records the duration of a step of a transmission.
    pub fn step(&self, server: &str, step: &str, took: Duration) {
        self.step
            .get_or_create(&labels(("server", server), ("step", step)))
            .observe(took.as_secs_f64());
    }

    /// Sets whether a server is in use.
    pub fn server_up(&self, server: &str, up: bool) {
        self.server_up
            .get_or_create(&label("server", server))
            .set(i64::from(up));
    }

    /// Counts refusals; `why` is a value of `http::refusals::Why`. Adding 0 exports the series
    /// before its first refusal.
    pub fn refused(&self, why: &'static str, number: u64) {
        self.refused
            .get_or_create(&label("why", why))
            .inc_by(number);
    }

    /// Sets the bytes of request bodies in memory.
    pub fn set_body_bytes(&self, bytes: usize) {
        self.body_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Sets whether sending is enabled (`smtp.enable`).
    pub fn set_smtp_enabled(&self, enabled: bool) {
        self.smtp_enabled.set(i64::from(enabled));
    }

    /// Whether sending is enabled.
    pub fn smtp_enabled(&self) -> bool {
        self.smtp_enabled.get() == 1
    }

    /// Sets the number of deliveries in a state.
    pub fn set_deliveries(&self, state: &str, number: u64) {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.deliveries
            .get_or_create(&label("state", state))
            .set(number);
    }

    /// Sets the age of the oldest due delivery of a lane.
    pub fn set_oldest(&self, lane: &str, age: Duration) {
        self.oldest
            .get_or_create(&label("lane", lane))
            .set(age.as_secs_f64());
    }

    /// The metrics of a node that shares its queue.
    pub const fn node(&self) -> &NodeMetrics {
        &self.node
    }

    /// All metrics as `OpenMetrics` text.
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
    fn metric_names_match_the_contract() {
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
        let local = metrics.encode().unwrap();
        assert!(!local.contains("jobbell_node") && !local.contains("horizon"));
        metrics.node().set_name("a", "7");
        metrics.node().set_name("a", "8");
        metrics.node().set_work("a", 2, true);
        metrics.node().set_lease("a", Duration::from_millis(24_500));
        metrics.node().set_horizon("a", Duration::ZERO);
        let text = metrics.encode().unwrap();
        assert!(!text.contains("id=\"7\""), "{text}");
        for line in [
            concat!(
                "jobbell_node_info{name=\"a\",id=\"8\",version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            ),
            "jobbell_node_in_flight{name=\"a\"} 2",
            "jobbell_node_draining{name=\"a\"} 1",
            "jobbell_node_lease_seconds{name=\"a\"} 24.5",
            "jobbell_store_horizon_seconds{name=\"a\"} 0",
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
