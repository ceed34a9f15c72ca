//! The rate limit of one server over all nodes.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::codes::int;
use super::grants::{Answer, Grants, Lanes, Request, Taken};
use super::limit_context::Context;
use super::mutex::lock;
use super::pool::VerbError;
use crate::clock::since_boot;
use crate::domain::{Lane, ServerName};
use crate::queue::limit_values::{Available, RateCap};

/// When a node asks again that has lost its lease or its database.
const SOON: Duration = Duration::from_secs(1);
const GRANT: &str =
    "SELECT * FROM jobbell.grant_permits($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// The rate limit of one server over all nodes. Clones are the same.
#[derive(Debug, Clone)]
pub struct SharedRate(Arc<Rate>);

#[derive(Debug)]
struct Rate {
    server: ServerName,
    context: Arc<Context>,
    cap: Mutex<RateCap>,
    grants: Mutex<Grants>,
    /// Wakes the task that asks the database.
    wake: Notify,
    /// Notified after each answer.
    answered: Notify,
}

impl SharedRate {
    pub(super) fn new(server: ServerName, cap: RateCap, context: Arc<Context>) -> Self {
        Self(Arc::new(Rate {
            server,
            context,
            cap: Mutex::new(cap),
            grants: Mutex::new(Grants::new(cap.per)),
            wake: Notify::new(),
            answered: Notify::new(),
        }))
    }

    /// Changes the limit.
    pub(super) fn set_cap(&self, cap: RateCap) {
        let old = std::mem::replace(&mut *lock(&self.0.cap), cap);
        if old != cap {
            self.0.change(|grants, _| grants.change_limit(cap.per));
        }
    }

    /// How many permits are free.
    pub fn available(&self) -> Available {
        if !self.0.context.is_alive() {
            return Available {
                normal: 0,
                all: 0,
                more_in: Some(SOON),
            };
        }
        self.0.change(Grants::available)
    }

    /// Whether the database has not told how many permits are free.
    pub fn is_unknown(&self) -> bool {
        self.0.grants().is_unknown()
    }

    /// Reserves a permit for a mail. [`SharedPermit::granted`] must follow before it is sent.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub fn reserve(&self, lane: Lane) -> Result<SharedPermit, Duration> {
        if !self.0.context.is_alive() {
            return Err(SOON);
        }
        let state = match self.0.change(|grants, now| grants.take(lane, now)) {
            Taken::Granted(from) => State::Granted(from),
            Taken::Promised(request) => State::Promised { lane, request },
            Taken::Refused(wait) => return Err(wait),
        };
        Ok(SharedPermit {
            rate: Arc::clone(&self.0),
            state,
        })
    }

    /// Asks the database until the queue is closed.
    pub(super) async fn run(self) {
        loop {
            let now = since_boot();
            let next = self.0.grants().next_request(now);
            let pause = next.map(|at| at.saturating_sub(now));
            tokio::select! {
                () = self.0.context.closed.cancelled() => return,
                () = self.0.wake.notified() => continue,
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
            }
            self.0.ask().await;
        }
    }

    /// Returns the permits that are not in use, and reports the used ones.
    pub(super) async fn surrender(&self) {
        let is_empty = {
            let mut grants = self.0.grants();
            grants.surrender();
            grants.is_empty()
        };
        if !is_empty {
            self.0.ask().await;
        }
    }
}

impl Rate {
    fn grants(&self) -> MutexGuard<'_, Grants> {
        lock(&self.grants)
    }

    /// Changes the grants, and wakes the task if it has to ask earlier than before.
    fn change<T>(&self, change: impl FnOnce(&mut Grants, Duration) -> T) -> T {
        let now = since_boot();
        let mut grants = self.grants();
        let before = grants.next_request(now);
        let result = change(&mut grants, now);
        let after = grants.next_request(now);
        drop(grants);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.wake.notify_one();
        }
        result
    }

    async fn ask(&self) {
        let node = self.context.shared.node();
        let request = self.grants().request(node, since_boot());
        let answer = match self.send(&request).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(server = %self.server, "no permits from the database: {error}");
                None
            }
        };
        self.grants().answered(&request, answer, since_boot());
        self.answered.notify_waiters();
        self.context.changed.notify_one();
    }

    /// `None` if the node is not alive any more.
    async fn send(&self, request: &Request) -> Result<Option<Answer>, VerbError> {
        let cap = *lock(&self.cap);
        let mut connection = self.context.shared.work.get().await?;
        let batch = request.batch.as_ref();
        let (ages, mails) = batch
            .map(|batch| batch.ages(since_boot()))
            .unwrap_or_default();
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let seq = number(request.number);
        let booked = batch.map_or(0, |batch| number(batch.number));
        let (mails_cap, share) = (i64::from(cap.mails), i64::from(cap.urgent));
        let period = int(cap.per.as_millis());
        let outstanding = number(request.outstanding);
        let (normal, urgent) = (number(request.want.normal), number(request.want.urgent));
        let rows = connection
            .query(
                GRANT,
                &[
                    (&&*self.server, Type::TEXT),
                    (&request.node, Type::INT8),
                    (&seq, Type::INT8),
                    (&mails_cap, Type::INT8),
                    (&share, Type::INT8),
                    (&period, Type::INT8),
                    (&booked, Type::INT8),
                    (&ages, Type::INT8_ARRAY),
                    (&mails, Type::INT8_ARRAY),
                    (&outstanding, Type::INT8),
                    (&normal, Type::INT8),
                    (&urgent, Type::INT8),
                ],
            )
            .await?;
        rows.first().map_or(Ok(None), answer)
    }
}

fn answer(row: &Row) -> Result<Option<Answer>, VerbError> {
    if !row.try_get::<_, bool>("is_valid")? {
        return Ok(None);
    }
    let number = |column| {
        row.try_get::<_, i64>(column)
            .map(|value| u64::try_from(value).unwrap_or_default())
    };
    let wait = |column| {
        row.try_get::<_, Option<i64>>(column)
            .map(|millis| millis.map(|millis| Duration::from_millis(millis.unsigned_abs())))
    };
    Ok(Some(Answer {
        granted: Lanes {
            normal: number("normal")?,
            urgent: number("urgent")?,
        },
        free: Lanes {
            normal: number("free_normal")?,
            urgent: number("free_all")?,
        },
        chunk: number("chunk")?,
        free_in: Lanes {
            normal: wait("normal_in")?,
            urgent: wait("urgent_in")?,
        },
    }))
}

/// The right to send one mail to one server. Dropping it frees it for another mail.
#[derive(Debug)]
pub struct SharedPermit {
    rate: Arc<Rate>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// One of those for this lane.
    Granted(Lane),
    /// It is granted or refused with the answer to this request.
    Promised {
        lane: Lane,
        request: u64,
    },
    Ended,
}

impl SharedPermit {
    /// Waits until the database has granted it, at most as long as a verb takes.
    ///
    /// # Errors
    /// How long to wait before asking again, if it is not granted.
    pub async fn granted(&mut self) -> Result<(), Duration> {
        let rate = Arc::clone(&self.rate);
        while let State::Promised { lane, request } = self.state {
            let mut answered = std::pin::pin!(rate.answered.notified());
            answered.as_mut().enable();
            match rate.change(|grants, now| grants.redeem(lane, request, now)) {
                Taken::Granted(from) => self.state = State::Granted(from),
                Taken::Refused(wait) => {
                    self.state = State::Ended;
                    return Err(wait);
                }
                Taken::Promised(request) => {
                    self.state = State::Promised { lane, request };
                    tokio::select! {
                        () = answered => {}
                        () = rate.context.closed.cancelled() => return Err(SOON),
                    }
                }
            }
        }
        Ok(())
    }

    /// Uses it up: the server has counted the mail.
    pub fn commit(mut self) {
        if let State::Granted(_) = std::mem::replace(&mut self.state, State::Ended) {
            self.rate.change(Grants::used);
        }
    }
}

impl Drop for SharedPermit {
    fn drop(&mut self) {
        match self.state {
            State::Granted(from) => self.rate.change(|grants, now| grants.returned(from, now)),
            State::Promised { lane, .. } => self.rate.change(|grants, _| grants.unpromise(lane)),
            State::Ended => {}
        }
    }
}
