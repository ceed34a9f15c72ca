//! Any sequence of verbs, steps of the clock, crashes and copies: the store does what some lines of
//! plain Rust do.

use std::time::Duration;

use jobbell::domain::{
    DeadReason, DeliveryId, EventId, Lane, Outcome, State, SuppressReason, Timestamp,
};
use jobbell::queue::{ClaimLimit, EnqueueError, Enqueued, Lease, OperatorError, Queue, Settled};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::fixture::{LEASE, PAUSE, QueueFixture};

#[derive(Debug, Clone)]
enum Step {
    Enqueue {
        event: u8,
        title: bool,
        urgent: u8,
        normal: u8,
    },
    Claim {
        urgent: usize,
        normal: usize,
    },
    /// A pending claim and an event that arrives after it.
    Stand {
        limit: (usize, usize),
        event: u8,
        urgent: u8,
        normal: u8,
    },
    Settle {
        lease: usize,
        verdict: u8,
    },
    Wait {
        seconds: u64,
    },
    Cancel {
        row: usize,
    },
    Retry {
        row: usize,
    },
    Purge {
        age: u64,
        limit: u32,
    },
    Forget {
        age: u64,
        limit: u32,
    },
    SetClock {
        seconds: i64,
    },
    Crash,
    Copy,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..8u8, any::<bool>(), 0..3u8, 0..3u8).prop_map(|(event, title, urgent, normal)| Step::Enqueue { event, title, urgent, normal }),
        3 => (0..3usize, 0..4usize).prop_map(|(urgent, normal)| Step::Claim { urgent, normal }),
        3 => ((0..3usize, 0..4usize), 0..8u8, 0..3u8, 0..3u8).prop_map(|(limit, event, urgent, normal)| Step::Stand { limit, event, urgent, normal }),
        6 => (0..6usize, 0..6u8).prop_map(|(lease, verdict)| Step::Settle { lease, verdict }),
        2 => (0..90u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => (0..12usize).prop_map(|row| Step::Cancel { row }),
        2 => (0..12usize).prop_map(|row| Step::Retry { row }),
        1 => (0..60u64, 1..4u32).prop_map(|(age, limit)| Step::Purge { age, limit }),
        1 => (0..60u64, 1..4u32).prop_map(|(age, limit)| Step::Forget { age, limit }),
        1 => (-100..100i64).prop_map(|seconds| Step::SetClock { seconds }),
        1 => Just(Step::Crash),
        1 => Just(Step::Copy),
    ]
}

#[derive(Debug)]
struct Row {
    id: DeliveryId,
    event: u8,
    lane: Lane,
    state: State,
    due: Timestamp,
    attempts: u32,
    tries: usize,
    /// Number and time of the attempts that were settled.
    settled: Vec<(u32, Timestamp)>,
    token: u64,
    created: Timestamp,
    ended: Option<Timestamp>,
    retried: Option<Timestamp>,
}

#[derive(Debug)]
struct Accepted {
    event: u8,
    title: bool,
    at: Timestamp,
    forgotten: bool,
}

#[derive(Default)]
struct Model {
    /// Whether leases that are over return to the queue before a claim, whatever it takes.
    sweeps: bool,
    rows: Vec<Row>,
    events: Vec<Accepted>,
}

impl Model {
    fn claim(&mut self, limit: ClaimLimit, now: Timestamp) -> Vec<(DeliveryId, u32)> {
        let is_over = |row: &&mut Row| row.state == State::Sending && row.due <= now;
        for row in self.rows.iter_mut().filter(is_over).filter(|_| self.sweeps) {
            row.state = State::Queued;
        }
        let mut taken = Vec::new();
        for lane in [Lane::Urgent, Lane::Normal] {
            let most = if lane == Lane::Urgent {
                limit.urgent + limit.normal
            } else {
                limit.normal.saturating_sub(taken.len())
            };
            let due = |row: &&mut Row| {
                row.lane == lane
                    && matches!(row.state, State::Queued | State::Sending)
                    && row.due <= now
            };
            let mut due: Vec<_> = self.rows.iter_mut().filter(due).collect();
            due.sort_by_key(|row| row.due);
            for row in due.into_iter().take(most) {
                (row.state, row.due, row.attempts) =
                    (State::Sending, now.after(LEASE), row.attempts + 1);
                taken.push((row.id, row.attempts));
            }
        }
        taken
    }

    /// Notes the tokens of leases, which are higher for each claim.
    fn taken(&mut self, leases: &[Lease]) {
        for lease in leases {
            let row = self.rows.iter_mut().find(|row| row.id == lease.id);
            let last = &mut row.unwrap().token;
            assert!(lease.token > *last);
            *last = lease.token;
        }
    }

    fn settle(&mut self, lease: &Lease, verdict: &Outcome, now: Timestamp) -> Settled {
        let holds = |row: &&mut Row| {
            row.id == lease.id && row.token == lease.token && row.state == State::Sending
        };
        let Some(row) = self.rows.iter_mut().find(holds) else {
            // Its attempt is on record all the same, but once.
            if let Some(row) = self.rows.iter_mut().find(|row| row.id == lease.id)
                && *verdict != Outcome::Released
                && !row.settled.contains(&(lease.attempt, now))
            {
                row.tries += 1;
                row.settled.push((lease.attempt, now));
            }
            return Settled::Stale;
        };
        (row.state, row.due) = match verdict {
            Outcome::RetryAt { at, .. } => (State::Queued, *at),
            Outcome::Released => (State::Queued, now),
            Outcome::Sent => (State::Sent, now),
            Outcome::Dead(_) => (State::Dead, now),
            Outcome::Suppressed(_) => (State::Suppressed, now),
        };
        if matches!(
            verdict,
            Outcome::Released | Outcome::RetryAt { counted: false, .. }
        ) {
            row.attempts -= 1;
        }
        if *verdict != Outcome::Released {
            row.tries += 1;
            row.settled.push((lease.attempt, now));
        }
        row.ended = (row.state != State::Queued).then_some(now);
        Settled::Done
    }

    fn purge(&mut self, before: Timestamp, limit: usize) -> usize {
        let old = |row: &&Row| row.ended.is_some_and(|ended| ended < before);
        // The search ends at the first that is young.
        let doomed: Vec<_> = self
            .rows
            .iter()
            .take_while(|row| row.created < before)
            .filter(old)
            .take(limit)
            .map(|row| row.id)
            .collect();
        self.rows.retain(|row| !doomed.contains(&row.id));
        let rows = &self.rows;
        self.events
            .retain(|accepted| rows.iter().any(|row| row.event == accepted.event));
        doomed.len()
    }

    fn forget(&mut self, before: Timestamp, limit: usize) -> usize {
        let rows = &self.rows;
        let ended = |event| {
            rows.iter()
                .filter(|row| row.event == event)
                .all(|row| row.ended.is_some_and(|ended| ended < before))
        };
        let old = |accepted: &&mut Accepted| {
            accepted.at < before && !accepted.forgotten && ended(accepted.event)
        };
        self.events
            .iter_mut()
            .filter(old)
            .take(limit)
            .map(|accepted| accepted.forgotten = true)
            .count()
    }

    fn is_forgotten(&self, event: u8) -> bool {
        self.events
            .iter()
            .any(|accepted| accepted.event == event && accepted.forgotten)
    }
}

fn verdict(number: u8, now: Timestamp) -> Outcome {
    let at = now.after(Duration::from_secs(20));
    match number {
        0 => Outcome::Sent,
        1 => Outcome::Dead(DeadReason::Rejected),
        2 => Outcome::RetryAt {
            at,
            counted: true,
            preferred_server: None,
        },
        3 => Outcome::RetryAt {
            at,
            counted: false,
            preferred_server: None,
        },
        4 => Outcome::Suppressed(SuppressReason::NotAllowed),
        _ => Outcome::Released,
    }
}

async fn enqueue(
    fixture: &QueueFixture,
    model: &mut Model,
    event: u8,
    title: bool,
    urgent: u8,
    normal: u8,
) {
    let mut builder =
        fixture
            .event(&format!("e{event}"))
            .title(if title { "one" } else { "other" });
    for _ in 0..urgent {
        builder = builder.urgent("u@example.com");
    }
    // At least one, since an event without deliveries cannot be planned.
    for _ in 0..normal.max(u8::from(urgent == 0)) {
        builder = builder.to("n@example.com");
    }
    let planned: Vec<_> = builder
        .new
        .deliveries
        .iter()
        .map(|delivery| (delivery.id, delivery.lane))
        .collect();
    let answer = fixture
        .queue
        .enqueue(vec![builder.new], None, fixture.now())
        .await;
    match model.events.iter().find(|known| known.event == event) {
        Some(known) if known.title == title => {
            assert!(matches!(answer.unwrap()[..], [Enqueued::Duplicate { .. }]));
        }
        Some(_) => assert!(matches!(answer, Err(EnqueueError::Conflict { .. }))),
        None => {
            assert_eq!(answer.unwrap(), [Enqueued::New]);
            let now = fixture.now();
            model.events.push(Accepted {
                event,
                title,
                at: now,
                forgotten: false,
            });
            let row = |(id, lane)| Row {
                id,
                event,
                lane,
                state: State::Queued,
                due: now,
                attempts: 0,
                tries: 0,
                settled: Vec::new(),
                token: 0,
                created: now,
                ended: None,
                retried: None,
            };
            model.rows.extend(planned.into_iter().map(row));
        }
    }
}

async fn operate(fixture: &QueueFixture, model: &mut Model, row: usize, retry: bool) {
    let forgotten = model.is_forgotten(model.rows[row].event);
    let row = &mut model.rows[row];
    let (now, state) = (fixture.now(), row.state);
    let answer = if retry {
        fixture.queue.retry(row.id, Timestamp::MAX, now).await
    } else {
        fixture.queue.cancel(row.id, now).await
    };
    let too_soon = row
        .retried
        .is_some_and(|last| last <= now && now.since(last) < Duration::from_mins(1));
    match (retry, state) {
        (true, State::Dead | State::Cancelled) if forgotten => {
            return assert!(
                matches!(answer, Err(OperatorError::PayloadRemoved)),
                "{answer:?}"
            );
        }
        (true, State::Queued | State::Dead | State::Cancelled) if too_soon => {
            return assert!(
                matches!(answer, Err(OperatorError::TooSoon { .. })),
                "{answer:?}"
            );
        }
        (true, State::Queued) => row.due = now,
        (true, State::Dead | State::Cancelled) => {
            (row.state, row.due, row.attempts, row.ended) = (State::Queued, now, 0, None);
        }
        (false, State::Queued) => (row.state, row.ended) = (State::Cancelled, Some(now)),
        _ => {
            return assert!(
                matches!(answer, Err(OperatorError::Conflict { state: found }) if found == state)
            );
        }
    }
    if retry {
        row.retried = Some(now);
    }
    assert_eq!(answer.unwrap().state, row.state);
}

async fn apply(fixture: &mut QueueFixture, model: &mut Model, leases: &mut Vec<Lease>, step: Step) {
    let now = fixture.now();
    match step {
        Step::Enqueue {
            event,
            title,
            urgent,
            normal,
        } => enqueue(fixture, model, event, title, urgent, normal).await,
        Step::Claim { urgent, normal } => {
            let limit = ClaimLimit { urgent, normal };
            let taken = fixture.queue.claim(limit, LEASE, now).await.unwrap();
            let found: Vec<_> = taken
                .iter()
                .map(|lease| (lease.id, lease.attempt))
                .collect();
            assert_eq!(found, model.claim(limit, now));
            model.taken(&taken);
            leases.extend(taken);
        }
        Step::Stand {
            limit: (all, of_them),
            event,
            urgent,
            normal,
        } => {
            let limit = ClaimLimit {
                urgent: all,
                normal: of_them,
            };
            let mut claimer = fixture.queue.claimer(fixture.clock.clone());
            claimer.set(limit, LEASE).await.unwrap();
            fixture.queue.ping().await;
            let claim = |model: &mut Model| match limit {
                ClaimLimit::NONE => Vec::new(),
                limit => model.claim(limit, now),
            };
            let at_once = claim(model);
            enqueue(fixture, model, event, true, urgent, normal).await;
            let expected = if at_once.is_empty() {
                claim(model)
            } else {
                at_once
            };
            // With several connections, a claim that another node's word has caused may be under way
            // during the commit; the next one then takes what the commit has brought.
            fixture.queue.ping().await;
            let taken = claimer.stop().await.unwrap();
            assert_eq!(
                taken
                    .iter()
                    .map(|lease| (lease.id, lease.attempt))
                    .collect::<Vec<_>>(),
                expected
            );
            model.taken(&taken);
            leases.extend(taken);
        }
        Step::Settle {
            lease,
            verdict: number,
        } if lease < leases.len() => {
            let (lease, outcome) = (leases.remove(lease), verdict(number, now));
            let expected = model.settle(&lease, &outcome, now);
            assert_eq!(fixture.settle(lease, outcome).await, expected);
        }
        Step::Wait { seconds } => fixture.step(seconds),
        Step::Cancel { row } | Step::Retry { row } if row < model.rows.len() => {
            operate(fixture, model, row, matches!(step, Step::Retry { .. })).await;
        }
        Step::Purge { age, limit } => {
            let before = now.before(Duration::from_secs(age));
            let expected = model.purge(before, limit as usize);
            assert_eq!(fixture.purge(age, limit).await, expected as u64);
        }
        Step::Forget { age, limit } => {
            let before = now.before(Duration::from_secs(age));
            let expected = model.forget(before, limit as usize);
            assert_eq!(fixture.redact(age, limit).await.redacted, expected as u64);
        }
        Step::SetClock { seconds } => fixture.clock.set(seconds * 1000),
        Step::Copy if !fixture.survives() => {}
        // Only what outlives its process can crash.
        Step::Crash if !fixture.survives() && !fixture.is_shared() => {}
        Step::Copy => {
            let (dir, copy) = fixture.copy();
            compare(&copy, model).await;
            drop((copy, dir));
        }
        Step::Crash => {
            fixture.crash().await;
            let now = fixture.now();
            for row in model
                .rows
                .iter_mut()
                .filter(|row| row.state == State::Sending)
            {
                (row.state, row.due, row.tries) = (State::Queued, now.after(PAUSE), row.tries + 1);
            }
        }
        Step::Settle { .. } | Step::Cancel { .. } | Step::Retry { .. } => {}
    }
}

/// What holds after each step, of the store and of a copy of it.
async fn compare(queue: &Queue, model: &Model) {
    let check = queue.verify_counts().await.unwrap();
    assert!(check.agrees(), "{check:?}");
    let counts = queue.counts().await.unwrap();
    assert_eq!(
        (counts, counts.accepted),
        (check.kept, model.rows.len() as u64)
    );
    for state in State::ALL {
        assert_eq!(
            counts.of(*state),
            model.rows.iter().filter(|row| row.state == *state).count() as u64,
            "{state}"
        );
    }
    for row in &model.rows {
        let record = queue.find_delivery(row.id).await.unwrap().unwrap();
        assert_eq!(
            (
                record.state,
                record.next_attempt_at.map(|at| queue.clock().to_store(at))
            ),
            (row.state, (row.state == State::Queued).then_some(row.due)),
            "{row:?}"
        );
        assert_eq!(record.attempts.len(), row.tries, "{row:?}");
    }
    for accepted in &model.events {
        let record = queue
            .find(&EventId::parse(&format!("e{}", accepted.event)).unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(record.event.is_none(), accepted.forgotten, "{accepted:?}");
    }
}

pub(crate) async fn random_verbs_match_the_model(fixture: &mut QueueFixture) {
    let steps = proptest::collection::vec(step(), 1..60);
    let mut runner = TestRunner::new(ProptestConfig {
        // Each case in PostgreSQL has a database of its own.
        cases: if fixture.is_shared() { 8 } else { 24 },
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let (runtime, kind) = (Handle::current(), &*fixture);
    let run = |steps: Vec<Step>| {
        runtime.block_on(async {
            let (mut fixture, mut model, mut leases) =
                (kind.another().await, Model::default(), Vec::new());
            model.sweeps = kind.is_shared();
            for step in steps {
                apply(&mut fixture, &mut model, &mut leases, step).await;
                compare(&fixture.queue, &model).await;
            }
        });
        Ok(())
    };
    if let Err(failed) = block_in_place(|| runner.run(&steps, run)) {
        panic!("{failed}");
    }
}
