//! Connections to one server over all nodes: `max_connections` counts those of every node.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::codes::lane_code;
use super::limit_context::Context;
use super::pool::VerbError;
use crate::domain::{Lane, ServerName};
use crate::queue::StoreError;
use crate::queue::limit_values::Others;

const TAKE: &str = "SELECT * FROM jobbell.take_seats($1, $2, $3, $4, $5, $6, $7, $8)";

/// How many connections other nodes use and want.
#[derive(Debug)]
pub(super) struct Contention(watch::Sender<Others>);

impl Default for Contention {
    fn default() -> Self {
        Self(watch::Sender::new(Others::default()))
    }
}

impl Contention {
    pub(super) fn learn(&self, row: Option<&Row>) -> Result<(), VerbError> {
        let others = match row {
            Some(row) => others(row, "others", "wanted")?,
            None => Others::default(),
        };
        self.set(others);
        Ok(())
    }

    /// Notifies also if nothing changed while others wait: each poll may take back one seat.
    fn set(&self, others: Others) {
        self.0.send_if_modified(|known| {
            let is_news = *known != others || others.wanted > 0;
            *known = others;
            is_news
        });
    }
}

fn others(row: &Row, nodes: &str, wanted: &str) -> Result<Others, VerbError> {
    let number = |column| {
        row.try_get::<_, i64>(column)
            .map(|number| usize::try_from(number).unwrap_or_default())
    };
    Ok(Others {
        nodes: number(nodes)?,
        wanted: number(wanted)?,
    })
}

/// An account of connections.
#[derive(Debug)]
pub struct Seats {
    server: ServerName,
    lane: Lane,
    capacity: usize,
    account: OnceLock<i64>,
    requests: AtomicI64,
    contention: Arc<Contention>,
    context: Arc<Context>,
}

impl Seats {
    pub(super) const fn new(
        server: ServerName,
        lane: Lane,
        capacity: usize,
        contention: Arc<Contention>,
        context: Arc<Context>,
    ) -> Self {
        Self {
            server,
            lane,
            capacity,
            account: OnceLock::new(),
            requests: AtomicI64::new(0),
            contention,
            context,
        }
    }

    /// How many connections all nodes together may have.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether the connections of this node still count for it. When they do not, other nodes take
    /// them.
    pub fn is_valid(&self) -> bool {
        self.context.is_alive()
    }

    /// The current life of this node: connections count for one life.
    pub fn life(&self) -> i64 {
        self.context.shared.node()
    }

    /// What the other nodes have and want.
    pub fn others(&self) -> watch::Receiver<Others> {
        self.contention.0.subscribe()
    }

    /// The fair share of this node.
    pub fn fair(&self, others: Others) -> usize {
        (self.capacity / (others.nodes + 1)).max(1)
    }

    /// Tells how many connections this account has, and asks for `want` in all. Returns how many it
    /// has now, at least `held`.
    ///
    /// # Errors
    /// When the database does not answer, or this node has lapsed. What it may have given is taken
    /// back by the next call.
    pub async fn exchange(&self, held: usize, want: usize) -> Result<usize, StoreError> {
        let life = self.context.shared.life()?;
        let account = *self.account.get_or_init(|| life.tokens(1));
        let seq = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let int = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let (lane, capacity) = (lane_code(self.lane), int(self.capacity));
        let (has, wants) = (int(held), int(want.max(held)));
        let values = [
            (&&*self.server as _, Type::TEXT),
            (&lane as _, Type::INT2),
            (&account as _, Type::INT8),
            (&life.node as _, Type::INT8),
            (&seq as _, Type::INT8),
            (&capacity as _, Type::INT4),
            (&has as _, Type::INT4),
            (&wants as _, Type::INT4),
        ];
        let rows = self.context.shared.work.query(TAKE, &values).await?;
        let now_held = match rows.first() {
            Some(row) => self.answer(row)?,
            None => None,
        };
        now_held.ok_or_else(|| StoreError::unavailable(Lapsed))
    }

    /// `None` if the node has lapsed.
    fn answer(&self, row: &Row) -> Result<Option<usize>, VerbError> {
        if !row.try_get::<_, bool>("is_valid")? {
            return Ok(None);
        }
        self.contention.set(others(row, "others", "others_want")?);
        let held: i32 = row.try_get("now_held")?;
        Ok(Some(usize::try_from(held).unwrap_or_default()))
    }
}

/// The database does not count this node's connections any more.
#[derive(Debug, thiserror::Error)]
#[error("this node has lapsed")]
struct Lapsed;
