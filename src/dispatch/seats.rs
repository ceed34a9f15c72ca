//! Acquires connections to a server that other nodes use as well, and gives them back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use super::pipeline::Pipeline;
use super::server::Server;
use crate::domain::Lane;
use crate::queue::limits::{Others, Seats, TURN};
use crate::transport::permits::ConnectionPermits;

/// The pause between two requests while all connections are in use.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The pause after the database has not answered.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// How often to look for connections that are not needed, and whether this node is still alive.
const LOOK: Duration = Duration::from_secs(1);
/// How long permits without a connection are kept.
const KEPT: Duration = Duration::from_secs(5);

/// The connections for one lane of one server.
struct Keeper<'a> {
    server: &'a Server,
    permits: &'a ConnectionPermits,
    account: Seats,
    lane: Lane,
    /// How many the database counts for this node, at least as many as there are.
    counted: usize,
    /// The life of this node for which it does.
    life: i64,
    /// When the last one was acquired.
    turn: Instant,
    /// When mails last waited for one.
    needed: Instant,
    ask_at: Instant,
}

/// Keeps as many connections as mails need and the other nodes leave, until the pipeline is drained
/// and the last one is closed.
pub(super) async fn keep(pipeline: Arc<Pipeline>, index: usize, account: Seats, lane: Lane) {
    let Some(server) = pipeline.servers.get(index) else {
        return;
    };
    let now = Instant::now();
    let mut keeper = Keeper {
        server,
        permits: server.transport.permits(),
        account,
        lane,
        counted: 0,
        life: 0,
        turn: now,
        needed: now,
        ask_at: now,
    };
    let mut others = keeper.account.others();
    loop {
        // Until then, its idle connections are being closed.
        let is_over = pipeline.is_closed();
        if is_over || !keeper.account.is_valid() {
            keeper.permits.shrink(lane, 0);
        }
        let wake_at = keeper.exchange(is_over).await;
        if is_over && keeper.counted == 0 {
            return;
        }
        tokio::select! {
            () = keeper.permits.changed(lane) => {}
            () = tokio::time::sleep_until(wake_at) => keeper.drop_unused(),
            () = pipeline.closed(), if !is_over => {}
            Ok(()) = others.changed() => {
                let others = *others.borrow_and_update();
                keeper.make_way(others);
            }
        }
    }
}

impl Keeper<'_> {
    /// Gives back what was removed, and asks for what mails wait for. Returns when to look again.
    async fn exchange(&mut self, is_over: bool) -> Instant {
        let held = self.permits.held(self.lane);
        // Connections are closed before another node may open one instead.
        self.server
            .transport
            .trim(self.counted.saturating_sub(held))
            .await;
        let (now, demand) = (Instant::now(), self.permits.demand(self.lane));
        if demand > 0 {
            self.needed = now;
        }
        let may_ask = !is_over && now >= self.ask_at && self.account.is_valid();
        let room = self.account.capacity().saturating_sub(held);
        let more = if may_ask { demand.min(room) } else { 0 };
        let life = self.account.life();
        let is_known = held == self.counted && (held == 0 || life == self.life);
        if is_known && more == 0 {
            let waits = !is_over && demand.min(room) > 0;
            return if waits { self.ask_at } else { now + LOOK };
        }
        match self.account.exchange(held, held + more).await {
            Ok(counted) => {
                (self.counted, self.life) = (counted, life);
                let added = counted.saturating_sub(held);
                if added > 0 {
                    self.turn = Instant::now();
                    self.permits.add(self.lane, added);
                }
                self.ask_at = now + ASK_AGAIN;
            }
            Err(error) => {
                debug!(server = %self.server.transport.name(), "no connections from the database: {error}");
                self.ask_at = now + AFTER_FAILURE;
                // The death of this node frees them.
                if is_over {
                    self.counted = 0;
                }
            }
        }
        self.ask_at
    }

    /// Removes connections for other nodes: idle ones at once, those above the fair share after
    /// their current mail, and one after its turn if there are fewer connections than nodes.
    fn make_way(&self, others: Others) {
        let held = self.permits.held(self.lane);
        let idle = if self.permits.demand(self.lane) == 0 {
            self.permits.free().min(held)
        } else {
            0
        };
        let fair = self.account.fair(others);
        let takes_turns = self.account.capacity() <= others.nodes;
        let too_many = match held.saturating_sub(fair) {
            0 if takes_turns && held > 0 && self.turn.elapsed() >= TURN => 1,
            more => more,
        };
        let fewer = idle.max(too_many).min(others.wanted);
        self.permits.shrink(self.lane, held - fewer);
    }

    /// Removes permits that no connection needs.
    fn drop_unused(&self) {
        if self.needed.elapsed() >= KEPT && self.permits.demand(self.lane) == 0 {
            let unused = (self.permits.free()).saturating_sub(self.server.transport.idle());
            let held = self.permits.held(self.lane);
            self.permits.shrink(self.lane, held - unused.min(held));
        }
    }
}
