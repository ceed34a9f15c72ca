//! Tells other nodes that there is something to do, and hears it from them.
//!
//! A notification is a hint: what it announces is in the tables, which every node also reads by
//! itself now and then. It is sent after the commit, as a statement of its own, since transactions
//! that notify commit one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_postgres::Notification;
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::connector::Connector;
use super::query_error::QueryError;
use super::store::Shared;

/// How long LISTEN may take.
const LIMIT: Duration = Duration::from_secs(3);
/// The pause after a notification was sent, so that a busy node sends 20 a second at most.
const PAUSE: Duration = Duration::from_millis(50);
/// How often a node proves that it hears, by a notification to itself.
const PROOF_PERIOD: Duration = Duration::from_mins(1);
/// How long such a notification may take.
const PROOF_LIMIT: Duration = Duration::from_secs(5);
/// The pause before the next attempt to listen after the connection was lost.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How many notifications wait to be read; more of them would say the same.
const WAITING: usize = 64;

/// There may be work. The words stand after the sender in the payload.
const WORK: &str = "work";
/// The table of nodes has changed, and what a node held may wait again.
const NODES: &str = "nodes";

const NOTIFY: &str = "SELECT pg_notify('jobbell', $1 || ' ' || $2)";
const LISTEN: &str = "LISTEN jobbell";

/// Sends notifications until the store is closed.
pub(super) async fn send(shared: Arc<Shared>, closed: CancellationToken) {
    loop {
        // What waits is sent before the end.
        let word = tokio::select! {
            biased;
            () = shared.notify.nodes.notified() => NODES,
            () = shared.notify.work.notified() => WORK,
            () = closed.cancelled() => return,
        };
        let is_alone = word == WORK && shared.others.load(Ordering::Relaxed) == 0;
        if !is_alone && let Err(error) = notify(&shared, word).await {
            tracing::debug!("other nodes are not notified, they find the work later: {error}");
        }
        tokio::select! {
            () = closed.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn notify(shared: &Shared, word: &str) -> Result<(), super::pool::VerbError> {
    let values = [
        (&shared.notify.id() as _, Type::TEXT),
        (&word as _, Type::TEXT),
    ];
    shared.work.query(NOTIFY, &values).await.map(drop)
}

/// Says that a node has ended, or that it is to drain: every node sends a heartbeat at once.
pub(super) async fn nodes_changed(connection: &Connection) {
    let values =
        [(&"node", Type::TEXT), (&NODES, Type::TEXT)].map(|(text, kind)| (text as _, kind));
    if let Err(error) = connection.query(NOTIFY, &values).await {
        tracing::debug!("other nodes are not notified: {error}");
    }
}

/// Why a node stops listening on a connection.
enum Deaf {
    /// The connection was lost or could not be made.
    Lost(QueryError),
    /// Notifications do not arrive.
    Pooled,
}

impl From<QueryError> for Deaf {
    fn from(error: QueryError) -> Self {
        Self::Lost(error)
    }
}

fn lost() -> Deaf {
    Deaf::Lost(QueryError::NoConnection(
        "the connection was lost".to_owned(),
    ))
}

/// Listens until the store is closed, on a connection of its own.
pub(super) async fn receive(
    shared: Arc<Shared>,
    connector: Arc<Connector>,
    closed: CancellationToken,
) {
    let mut is_told = false;
    loop {
        let deaf = tokio::select! {
            () = closed.cancelled() => return,
            deaf = listen(&shared, &connector) => deaf,
        };
        shared.claims.set_notified(false);
        let pause = match deaf {
            Deaf::Lost(error) => {
                tracing::debug!("notifications of other nodes are not heard: {error}");
                RETRY_PAUSE + connector.pause()
            }
            Deaf::Pooled => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(
                        "notifications of PostgreSQL do not arrive, perhaps because of a connection pooler; this node asks for work every second instead. Set queue.listen_url to the address of the server itself"
                    );
                }
                PROOF_PERIOD
            }
        };
        tokio::select! {
            () = closed.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Listens on one connection until it is of no use.
async fn listen(shared: &Shared, connector: &Connector) -> Deaf {
    match try_listen(shared, connector).await {
        Ok(never) => match never {},
        Err(deaf) => deaf,
    }
}

async fn try_listen(
    shared: &Shared,
    connector: &Connector,
) -> Result<std::convert::Infallible, Deaf> {
    let (sender, mut heard) = mpsc::channel(WAITING);
    let connection = connector.connect_now(Some(sender)).await?;
    connection.batch(LIMIT, LISTEN).await?;
    let mut is_proved = false;
    loop {
        let begun = Instant::now();
        let proof = format!("proof {:016x}", fastrand::u64(..));
        // If the other connections fail, it is not known whether notifications arrive.
        let is_sent = notify(shared, &proof).await.is_ok();
        let mut deadline = begun + PROOF_PERIOD;
        if is_sent {
            if !wait(shared, &mut heard, Some(&proof), begun + PROOF_LIMIT).await? {
                return Err(if is_proved { lost() } else { Deaf::Pooled });
            }
            is_proved = true;
            shared.claims.set_notified(true);
            // What was announced before cannot have been heard.
            shared.claims.woken();
        } else {
            deadline = begun + RETRY_PAUSE;
        }
        wait(shared, &mut heard, None, deadline).await?;
    }
}

/// Handles what is heard, until the proof arrives or the time is over. Returns whether it has arrived.
async fn wait(
    shared: &Shared,
    heard: &mut mpsc::Receiver<Notification>,
    proof: Option<&str>,
    deadline: Instant,
) -> Result<bool, Deaf> {
    loop {
        let Ok(notification) = tokio::time::timeout_at(deadline, heard.recv()).await else {
            return Ok(false);
        };
        // The channel is closed with the connection.
        let notification = notification.ok_or_else(lost)?;
        let Some((sender, word)) = notification.payload().split_once(' ') else {
            continue;
        };
        if sender == shared.notify.id() {
            if Some(word) == proof {
                return Ok(true);
            }
            continue;
        }
        if word == NODES {
            shared.beat_now.notify_one();
        }
        shared.claims.woken();
    }
}
