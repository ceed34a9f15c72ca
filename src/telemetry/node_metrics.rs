//! Metrics of a node that shares its queue. They do not exist for a queue in SQLite.

use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The name of the node.
type Name = [(&'static str, String); 1];
type Labels = [(&'static str, String); 3];

/// The gauges of this node.
#[derive(Debug, Default)]
pub struct NodeMetrics {
    info: Family<Labels, Gauge<i64, AtomicI64>>,
    in_flight: Family<Name, Gauge<i64, AtomicI64>>,
    draining: Family<Name, Gauge<i64, AtomicI64>>,
    lease: Family<Name, Gauge<f64, AtomicU64>>,
    horizon: Family<Name, Gauge<f64, AtomicU64>>,
}

impl NodeMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "jobbell_node_info",
            "This node of a shared queue; the id changes with each start",
            self.info.clone(),
        );
        registry.register(
            "jobbell_node_in_flight",
            "Deliveries that this node holds",
            self.in_flight.clone(),
        );
        registry.register(
            "jobbell_node_draining",
            "1 while this node accepts and claims nothing",
            self.draining.clone(),
        );
        registry.register(
            "jobbell_node_lease_seconds",
            "How long this node may send without another heartbeat",
            self.lease.clone(),
        );
        registry.register(
            "jobbell_store_horizon_seconds",
            "Age of the oldest snapshot that keeps the database from removing dead rows",
            self.horizon.clone(),
        );
    }

    /// Sets the name of this node and the number of its life.
    pub fn set_name(&self, name: &str, id: &str) {
        // An earlier life has ended.
        self.info.clear();
        let version = env!("CARGO_PKG_VERSION");
        let labels = [("name", name), ("id", id), ("version", version)];
        let labels = labels.map(|(name, value)| (name, value.to_owned()));
        self.info.get_or_create(&labels).set(1);
    }

    /// Sets how many deliveries this node holds, and whether it is draining.
    pub fn set_work(&self, name: &str, in_flight: usize, draining: bool) {
        let in_flight = i64::try_from(in_flight).unwrap_or(i64::MAX);
        self.in_flight.get_or_create(&label(name)).set(in_flight);
        self.draining
            .get_or_create(&label(name))
            .set(i64::from(draining));
    }

    /// Sets how long this node may send without another heartbeat.
    pub fn set_lease(&self, name: &str, left: Duration) {
        self.lease
            .get_or_create(&label(name))
            .set(left.as_secs_f64());
    }

    /// Sets the age of the oldest snapshot in the database.
    pub fn set_horizon(&self, name: &str, age: Duration) {
        self.horizon
            .get_or_create(&label(name))
            .set(age.as_secs_f64());
    }
}

fn label(name: &str) -> Name {
    [("name", name.to_owned())]
}
