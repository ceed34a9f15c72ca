//! Limits that hold over all nodes: rates (`rate`), connections (`seats`) and circuit breakers
//! (`breaker`), each by the name of the mail server.
//!
//! The row of `server_state` is locked by every change of a server's limits, so they happen one
//! after the other, and by the time of the database. What a node has granted to it is in its memory.
//! What others change, it learns by polling.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::breaker::SharedBreaker;
use super::codes::lane_code;
use super::limit_context::Context;
use super::mutex::lock;
use super::pool::VerbError;
use super::rate::SharedRate;
use super::seats::{Contention, Seats};
use super::store::Store;
use crate::domain::{Lane, ServerName};
use crate::queue::limit_values::RateCap;

/// The pause between two polls: what one node changes, the others know within a second.
const POLL: Duration = Duration::from_millis(500);
/// How long returning everything may delay the shutdown.
const SURRENDER_TIMEOUT: Duration = Duration::from_secs(2);

const STATE: &str = "WITH t AS MATERIALIZED (SELECT jobbell.now_ms() AS now) \
     SELECT s.server, s.resting_until, s.resting_until - t.now AS resting_in, s.step, s.why, \
        s.prober <> $2 AND s.probe_until > t.now AND EXISTS (SELECT FROM jobbell.nodes n WHERE n.node = s.prober AND n.alive_until > t.now) AS is_probed \
     FROM jobbell.server_state s, t WHERE s.server = ANY ($1)";
const CONTENTION: &str = "SELECT s.server, s.lane, coalesce(sum(s.want - s.held) FILTER (WHERE w.waits), 0) AS wanted, \
        count(*) FILTER (WHERE s.held > 0 OR w.waits) AS others \
     FROM jobbell.seats s, LATERAL (SELECT s.wanted_at IS NOT NULL AND s.asked_at > jobbell.now_ms() - 2000 AS waits) w \
     WHERE s.server = ANY ($1) AND s.node <> $2 GROUP BY s.server, s.lane";

/// The limits of all servers. Clones are the same.
#[derive(Debug, Clone)]
pub struct SharedLimits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Arc<Context>,
    servers: Mutex<HashMap<ServerName, ServerLimits>>,
}

/// The limits of one server. Clones are the same.
#[derive(Debug, Clone)]
pub struct ServerLimits(Arc<Server>);

#[derive(Debug)]
struct Server {
    name: ServerName,
    context: Arc<Context>,
    rate: Mutex<Option<SharedRate>>,
    breaker: SharedBreaker,
    urgent: Arc<Contention>,
    normal: Arc<Contention>,
}

impl SharedLimits {
    /// The limits of a store. It needs one for as long as it is open.
    pub(in crate::queue) fn new(store: &Store) -> Self {
        Self(Arc::new(Inner {
            context: Arc::new(Context {
                shared: Arc::clone(&store.shared),
                closed: store.closed.clone(),
                changed: Notify::new(),
                poll: Notify::new(),
            }),
            servers: Mutex::default(),
        }))
    }

    /// The limits of a server.
    pub fn server(&self, name: &ServerName) -> ServerLimits {
        let context = &self.0.context;
        let mut servers = lock(&self.0.servers);
        if servers.is_empty() {
            tokio::spawn(poll(self.clone()));
        }
        let server = servers.entry(Arc::clone(name)).or_insert_with(|| {
            context.poll.notify_one();
            ServerLimits(Arc::new(Server {
                name: Arc::clone(name),
                context: Arc::clone(context),
                rate: Mutex::default(),
                breaker: SharedBreaker::new(Arc::clone(name), Arc::clone(context)),
                urgent: Arc::default(),
                normal: Arc::default(),
            }))
        });
        server.clone()
    }

    /// Completes when more may be sent than before. One caller is woken at a time.
    pub async fn changed(&self) {
        self.0.context.changed.notified().await;
    }

    /// Returns what this node does not use, before it ends.
    pub(in crate::queue) async fn surrender(&self) {
        let servers = self.servers();
        let surrender = async {
            for server in &servers {
                let rate = lock(&server.0.rate).clone();
                if let Some(rate) = rate {
                    rate.surrender().await;
                }
            }
        };
        drop(tokio::time::timeout(SURRENDER_TIMEOUT, surrender).await);
    }

    fn servers(&self) -> Vec<ServerLimits> {
        lock(&self.0.servers).values().cloned().collect()
    }
}

impl ServerLimits {
    /// Its rate limit. A new limit replaces the earlier one, whose used permits still count.
    ///
    /// Each node is granted permits under its own limit. While nodes have different ones, all
    /// together stay within the largest.
    pub fn rate(&self, cap: RateCap) -> SharedRate {
        let mut rate = lock(&self.0.rate);
        if let Some(rate) = &*rate {
            rate.set_cap(cap);
            return rate.clone();
        }
        let new = SharedRate::new(Arc::clone(&self.0.name), cap, Arc::clone(&self.0.context));
        tokio::spawn(new.clone().run());
        *rate = Some(new.clone());
        new
    }

    /// Its circuit breaker.
    pub fn breaker(&self) -> &SharedBreaker {
        &self.0.breaker
    }

    /// A new account for connections, of which all nodes together may have this number for this
    /// lane.
    pub fn seats(&self, lane: Lane, capacity: usize) -> Seats {
        Seats::new(
            Arc::clone(&self.0.name),
            lane,
            capacity,
            Arc::clone(self.contention(lane)),
            Arc::clone(&self.0.context),
        )
    }

    fn contention(&self, lane: Lane) -> &Arc<Contention> {
        match lane {
            Lane::Urgent => &self.0.urgent,
            Lane::Normal => &self.0.normal,
        }
    }
}

/// Publishes what this node has found out, and learns what others have, until the queue is closed.
async fn poll(limits: SharedLimits) {
    let context = Arc::clone(&limits.0.context);
    loop {
        let servers = limits.servers();
        for server in &servers {
            server.0.breaker.publish().await;
        }
        if let Err(error) = poll_once(&context, &servers).await {
            tracing::debug!("could not read the limits of other nodes: {error}");
        }
        tokio::select! {
            () = context.closed.cancelled() => return,
            () = context.poll.notified() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn poll_once(context: &Context, servers: &[ServerLimits]) -> Result<(), VerbError> {
    let names: Vec<&str> = servers.iter().map(|server| &*server.0.name).collect();
    let node = context.shared.node();
    let values = [(&names as _, Type::TEXT_ARRAY), (&node as _, Type::INT8)];
    let mut connection = context.shared.work.get().await?;
    let states = connection.query(STATE, &values).await?;
    let contention = connection.query(CONTENTION, &values).await?;
    drop(connection);
    for server in servers {
        let row = find(&states, &server.0.name, None)?;
        if server.0.breaker.learn(row)? {
            context.changed.notify_one();
        }
        for lane in Lane::ALL {
            let row = find(&contention, &server.0.name, Some(lane_code(*lane)))?;
            server.contention(*lane).learn(row)?;
        }
    }
    Ok(())
}

/// The row of a server, and of a lane.
fn find<'a>(
    rows: &'a [Row],
    server: &str,
    lane: Option<i16>,
) -> Result<Option<&'a Row>, VerbError> {
    for row in rows {
        if row.try_get::<_, &str>("server")? == server
            && lane.map_or(Ok(true), |lane| {
                row.try_get::<_, i16>("lane").map(|found| found == lane)
            })?
        {
            return Ok(Some(row));
        }
    }
    Ok(None)
}
