//! The circuit breaker of one server over all nodes: when a node leaves the server alone, all do, and
//! one mail of all nodes tries it after the pause.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::codes::int;
use super::limit_context::Context;
use super::mutex::lock;
use super::pool::VerbError;
use crate::clock::since_boot;
use crate::domain::ServerName;
use crate::queue::limit_values::{Pause, Probe};

/// The longest reason that is stored.
const WHY: usize = 500;

/// A pause that is not over stays as it is.
const OPEN: &str = "WITH t AS MATERIALIZED (SELECT jobbell.now_ms() AS now) \
     INSERT INTO jobbell.server_state AS s (server, resting_until, step, why) SELECT $1, t.now + $2, $3, $4 FROM t \
     ON CONFLICT (server) DO UPDATE SET resting_until = excluded.resting_until, step = excluded.step, why = excluded.why, prober = 0, probe_until = 0 \
     WHERE s.resting_until <= (SELECT now FROM t)";
const CLOSE: &str = "UPDATE jobbell.server_state SET resting_until = 0, step = 0, why = NULL, prober = 0, probe_until = 0 \
     WHERE server = $1 AND resting_until > 0";
const TRY_NOW: &str = "UPDATE jobbell.server_state SET resting_until = jobbell.now_ms(), prober = 0, probe_until = 0 \
     WHERE server = $1 AND resting_until > jobbell.now_ms()";
/// PostgreSQL checks the condition again after it has waited for another node's probe.
const PROBE: &str = "WITH t AS MATERIALIZED (SELECT jobbell.now_ms() AS now), \
     p AS (UPDATE jobbell.server_state s SET prober = $2, probe_until = (SELECT now FROM t) + $3 \
        WHERE s.server = $1 AND s.resting_until > 0 AND s.resting_until <= (SELECT now FROM t) AND (s.probe_until <= (SELECT now FROM t) \
        OR NOT EXISTS (SELECT FROM jobbell.nodes n WHERE n.node = s.prober AND n.alive_until > (SELECT now FROM t))) \
        AND EXISTS (SELECT FROM jobbell.nodes n WHERE n.node = $2 AND n.alive_until > (SELECT now FROM t)) RETURNING 1) \
     SELECT EXISTS (SELECT FROM p) AS is_granted, \
        NOT EXISTS (SELECT FROM jobbell.server_state s WHERE s.server = $1 AND s.resting_until > 0) AS is_closed";

/// The circuit breaker of one server over all nodes.
#[derive(Debug)]
pub struct SharedBreaker {
    server: ServerName,
    context: Arc<Context>,
    known: watch::Sender<Option<Pause>>,
    /// The end of the known pause as the database has it, and whether another node probes.
    stored: Mutex<(i64, bool)>,
    /// What the database does not know yet.
    unpublished: Mutex<Option<News>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum News {
    Opened {
        until: Duration,
        step: Duration,
        why: String,
    },
    Closed,
    TryNow,
}

impl SharedBreaker {
    pub(super) fn new(server: ServerName, context: Arc<Context>) -> Self {
        Self {
            server,
            context,
            known: watch::Sender::new(None),
            stored: Mutex::default(),
            unpublished: Mutex::default(),
        }
    }

    /// The pause that all nodes keep, if there is one.
    pub fn watch(&self) -> watch::Receiver<Option<Pause>> {
        self.known.subscribe()
    }

    /// This node has found that the server does not work.
    pub fn opened(&self, pause: Duration, why: &str) {
        let until = since_boot() + pause;
        let why = why.chars().take(WHY).collect();
        self.tell(News::Opened {
            until,
            step: pause,
            why,
        });
    }

    /// This node has found that the server works.
    pub fn closed(&self) {
        self.tell(News::Closed);
    }

    /// Ends the pause, so that a mail tries the server: its settings may have changed.
    pub fn try_now(&self) {
        self.tell(News::TryNow);
    }

    fn tell(&self, news: News) {
        *lock(&self.unpublished) = Some(news);
        self.context.poll.notify_one();
    }

    /// Asks to try the server with one mail, which ends within `limit`.
    pub async fn probe(&self, limit: Duration) -> Probe {
        self.publish().await;
        match self.probe_once(limit).await {
            Ok(probe) => probe,
            Err(error) => {
                tracing::debug!(server = %self.server, "could not ask to try the mail server: {error}");
                Probe::Denied
            }
        }
    }

    async fn probe_once(&self, limit: Duration) -> Result<Probe, VerbError> {
        let (node, limit) = (self.context.shared.node(), int(limit.as_millis()));
        let values = [
            (&&*self.server as _, Type::TEXT),
            (&node as _, Type::INT8),
            (&limit as _, Type::INT8),
        ];
        let rows = self.context.shared.work.query(PROBE, &values).await?;
        let Some(row) = rows.first() else {
            return Ok(Probe::Denied);
        };
        Ok(
            match (row.try_get("is_granted")?, row.try_get("is_closed")?) {
                (true, _) => Probe::Granted,
                (false, true) => Probe::Closed,
                (false, false) => Probe::Denied,
            },
        )
    }

    /// Stores what the database does not know yet. What fails is repeated later.
    pub(super) async fn publish(&self) {
        let news = lock(&self.unpublished).clone();
        let Some(news) = news else { return };
        let server = &&*self.server;
        let done = match &news {
            News::Opened { until, step, why } => {
                let left = int(until.saturating_sub(since_boot()).as_millis());
                let step = int(step.as_millis());
                let values = [
                    (server as _, Type::TEXT),
                    (&left as _, Type::INT8),
                    (&step as _, Type::INT8),
                    (why as _, Type::TEXT),
                ];
                self.context.shared.work.query(OPEN, &values).await
            }
            News::Closed => self.run(CLOSE).await,
            News::TryNow => self.run(TRY_NOW).await,
        };
        match done {
            Ok(_) => {
                lock(&self.unpublished).take_if(|latest| *latest == news);
                self.context.shared.notify.wake();
            }
            Err(error) => {
                tracing::debug!(server = %self.server, "other nodes are not told of the mail server's state: {error}");
            }
        }
    }

    async fn run(&self, statement: &str) -> Result<Vec<Row>, VerbError> {
        let values = [(&&*self.server as _, Type::TEXT)];
        self.context.shared.work.query(statement, &values).await
    }

    /// Learns the state in the database, unless this node knows better. Returns whether it changed.
    pub(super) fn learn(&self, row: Option<&Row>) -> Result<bool, VerbError> {
        let (stored, pause) = match row {
            Some(row) => read(row)?,
            None => ((0, false), None),
        };
        let unpublished = lock(&self.unpublished);
        let mut known = lock(&self.stored);
        if unpublished.is_some() || *known == stored {
            return Ok(false);
        }
        *known = stored;
        self.known.send_replace(pause);
        Ok(true)
    }
}

/// The state of a row: what tells it from another one, and the pause if the breaker is not closed.
fn read(row: &Row) -> Result<((i64, bool), Option<Pause>), VerbError> {
    let until: i64 = row.try_get("resting_until")?;
    let is_probed: bool = row.try_get("is_probed")?;
    let millis = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or_default());
    let pause = Pause {
        until: since_boot() + millis(row.try_get("resting_in")?),
        step: millis(row.try_get("step")?),
        why: row.try_get::<_, Option<String>>("why")?.unwrap_or_default(),
        is_probed,
    };
    Ok(((until, is_probed), (until > 0).then_some(pause)))
}
