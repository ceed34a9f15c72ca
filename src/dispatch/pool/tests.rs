mod fence;

use super::*;
use crate::dispatch::{Breaker, RetryPolicy, Server, Settings};
use crate::domain::{
    Attempt, AttemptResult, Delivery, DeliveryId, Event, EventId, Failure, FailureKind, JobEvent,
    JobStatus, Lane, Locale, MailKind, Mailbox, Outcome, Plan, Recipient, Source, Stage, State,
};
use crate::queue::{ClaimLimit, Filter, NewEvent};
use crate::render::{self, Renderer};
use crate::transport::memory::{MAX_CONNECTIONS, Memory};
use crate::transport::permits::CONNECTION_WAIT;
use crate::transport::{ConnectionPermit, RateLimit, Transport};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const MINUTE: Duration = Duration::from_mins(1);
const TTL: Duration = Duration::from_hours(10);

/// A dispatcher whose ticks are made by the test.
struct Fixture {
    dispatcher: Dispatcher,
    queue: Queue,
    clock: Clock,
    names: u32,
}

fn server(name: &str, rate: Option<u32>) -> Server {
    let rate_limit = rate.map(|mails| RateLimit { mails, per: MINUTE });
    Server::new(
        Transport::Memory(Memory::new(name)),
        Breaker::new(MINUTE, MINUTE * 4),
        rate_limit,
    )
}

fn down() -> Failure {
    let kind = FailureKind::Unavailable {
        retry_after: None,
        server_wide: true,
    };
    Failure {
        kind,
        stage: Stage::Connect,
        reply: None,
        detail: "down".to_owned(),
        explanation: None,
    }
}

/// Acquires all connections of a server.
async fn all_connections(transport: &Transport) -> Vec<ConnectionPermit<'_>> {
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        held.push(transport.acquire(Lane::Urgent).await.unwrap());
    }
    held
}

impl Fixture {
    fn new(servers: Vec<Server>, concurrency: usize) -> Self {
        Self::rendering(servers, concurrency, |renderer| renderer)
    }

    fn rendering(
        servers: Vec<Server>,
        concurrency: usize,
        change: impl FnOnce(Renderer) -> Renderer,
    ) -> Self {
        let from = Mailbox::parse("bell@jobbell.example").unwrap();
        let render = render::Settings {
            locale: Locale::En,
            timezone: jiff::tz::TimeZone::UTC,
            public_url: None,
            subject_prefix: String::new(),
            brand: render::Brand::default(),
            privacy: render::privacy::Privacy::default(),
            user_templates: None,
            from,
            reply_to: Vec::new(),
        };
        let retry = RetryPolicy {
            max_attempts: 3,
            initial: Duration::from_secs(10),
            max: MINUTE,
        };
        let pipeline = Pipeline::new(
            servers,
            change(Renderer::new(render)),
            &Settings { retry, concurrency },
        );
        let clock = Clock::manual(NOW);
        let queue = Queue::in_memory(1_000, &clock).unwrap();
        let dispatcher = Dispatcher::new(
            queue.clone(),
            pipeline,
            clock.clone(),
            Arc::new(Metrics::new()),
        );
        Self {
            dispatcher,
            queue,
            clock,
            names: 0,
        }
    }

    async fn enqueue(&mut self, lane: Lane, number: u32, not_before: Timestamp) {
        for _ in 0..number {
            self.names += 1;
            let job = JobEvent::new(
                EventId::parse(&format!("e{}", self.names)).unwrap(),
                JobStatus::Succeeded,
            );
            let delivery = Delivery {
                id: DeliveryId::new(NOW),
                event: job.id.clone(),
                recipient: Recipient::parse("reader@example.org").unwrap(),
                kind: MailKind::Success,
                lane,
                plan: Plan::Send(not_before),
                expires_at: NOW.after(TTL),
                created_at: NOW,
                message_id: "id@jobbell.example".to_owned(),
            };
            let event = Event::Job(Box::new(job));
            let new = NewEvent {
                event,
                id_given: true,
                source: Source::HTTP,
                deliveries: vec![delivery],
                thumbnails_until: None,
                excludes: Vec::new(),
            };
            self.queue.enqueue(vec![new], None, NOW).await.unwrap();
        }
    }

    /// One tick, and the start of the attempts that it claims.
    async fn tick(&mut self) {
        self.dispatcher.tick().await.unwrap();
        // The store serves requests in order, so the claim has been tried after this.
        self.queue.ping().await;
        // The first poll may find that a delivery has become due, and claim again.
        for _ in 0..2 {
            let next = self.dispatcher.claimer.next();
            if let Ok(leases) = tokio::time::timeout(Duration::ZERO, next).await {
                return self.dispatcher.take(leases).unwrap();
            }
            self.queue.ping().await;
        }
    }

    /// Ticks until nothing is running and the last tick claimed nothing. Returns how long the
    /// dispatcher would then sleep.
    async fn settle(&mut self) -> Duration {
        loop {
            self.tick().await;
            if self.dispatcher.running.is_empty() && self.dispatcher.finished.is_empty() {
                let now = self.clock.now();
                return self.dispatcher.wake_at(now).since(now);
            }
            if let Some(done) = self.dispatcher.running.join_next().await {
                self.dispatcher.finish(done);
            }
        }
    }

    fn memory(&self, index: usize) -> &Memory {
        match &self.dispatcher.current.servers[index].transport {
            Transport::Memory(memory) => memory,
            _ => panic!("not a memory transport"),
        }
    }

    async fn sent(&self) -> u64 {
        self.queue.counts().await.unwrap().sent
    }
}

#[tokio::test]
async fn reached_rate_limit_sleeps_although_mails_are_due() {
    let mut fixture = Fixture::new(vec![server("a", Some(8))], 16);
    fixture.enqueue(Lane::Normal, 20, NOW).await;
    let sleep = fixture.settle().await;
    assert_eq!(
        (fixture.sent().await, sleep),
        (7, LONGEST_SLEEP),
        "one minute takes two sleeps"
    );
    fixture.clock.step(sleep);
    assert_eq!(fixture.settle().await, LONGEST_SLEEP);
    fixture.clock.step(MINUTE.checked_sub(sleep).unwrap());
    assert_eq!(
        (fixture.settle().await, fixture.sent().await),
        (Duration::from_millis(1), 7)
    );
    fixture.clock.step(Duration::from_millis(1));
    fixture.settle().await;
    assert_eq!(fixture.sent().await, 14);
}

#[tokio::test]
async fn urgent_mail_passes_a_limit_that_normal_mails_have_reached() {
    let mut fixture = Fixture::new(vec![server("a", Some(8))], 16);
    fixture.enqueue(Lane::Normal, 20, NOW).await;
    fixture.settle().await;
    let soon = NOW.after(Duration::from_secs(5));
    fixture.enqueue(Lane::Urgent, 2, soon).await;
    fixture.settle().await;
    fixture.clock.step(Duration::from_secs(5));
    fixture.settle().await;
    assert_eq!(fixture.sent().await, 8, "one permit was reserved, not two");
    fixture.clock.step(MINUTE);
    fixture.settle().await;
    let counts = fixture.queue.counts().await.unwrap();
    assert_eq!(
        (counts.sent, counts.queued),
        (8 + 6, 8),
        "seven mails left the window, and one permit is reserved again"
    );
    let urgent: Vec<_> = (fixture.queue.list(&Filter::default(), None, 500).await)
        .unwrap()
        .deliveries
        .into_iter()
        .filter(|delivery| delivery.lane == Lane::Urgent)
        .map(|delivery| delivery.state)
        .collect();
    assert_eq!(
        urgent,
        [State::Sent, State::Sent],
        "the second urgent one went first"
    );
    let tries: usize = fixture
        .queue
        .list(&Filter::default(), None, 500)
        .await
        .unwrap()
        .deliveries
        .iter()
        .map(|delivery| delivery.attempts.len())
        .sum();
    assert_eq!(tries, 14, "no claim was wasted");
}

#[tokio::test]
async fn claim_takes_no_more_than_the_rate_limit_allows() {
    let mut fixture = Fixture::new(vec![server("a", Some(8))], 16);
    fixture.enqueue(Lane::Normal, 20, NOW).await;
    fixture.tick().await;
    fixture.tick().await;
    assert_eq!(
        fixture.queue.counts().await.unwrap().queued,
        13,
        "the rest waits in the queue"
    );
}

#[tokio::test]
async fn failover_respects_the_limit_of_the_next_server() {
    let mut fixture = Fixture::new(vec![server("a", None), server("b", Some(8))], 4);
    fixture.enqueue(Lane::Normal, 20, NOW).await;
    fixture.dispatcher.change_pipeline(NOW).await.unwrap();
    fixture.memory(0).fail_always(Some(down()));
    fixture.settle().await;
    assert_eq!(
        (
            fixture.memory(0).mails().len(),
            fixture.memory(1).mails().len()
        ),
        (0, 7)
    );
    fixture.memory(0).fail_always(None);
    fixture.clock.step(MINUTE * 2);
    fixture.settle().await;
    assert_eq!(
        fixture.sent().await,
        20,
        "the first server is used again and has no limit"
    );
    assert_eq!(fixture.memory(1).mails().len(), 7);
}

#[tokio::test]
async fn open_breakers_stop_claims_until_one_mail_is_the_probe() {
    let mut fixture = Fixture::new(vec![server("a", None)], 4);
    fixture.memory(0).fail_always(Some(down()));
    fixture.enqueue(Lane::Normal, 3, NOW).await;
    fixture.settle().await;
    fixture.enqueue(Lane::Normal, 20, NOW).await;
    assert_eq!(fixture.settle().await, LONGEST_SLEEP);
    fixture.clock.step(MINUTE);
    fixture.tick().await;
    assert_eq!(fixture.queue.counts().await.unwrap().sending, 1);
    fixture.memory(0).fail_always(None);
    fixture.settle().await;
    assert_eq!(
        fixture.sent().await,
        23,
        "the probe succeeded, so all others follow"
    );
}

#[tokio::test]
async fn mail_that_panics_the_renderer_affects_no_other_and_fails_in_the_end() {
    let mut fixture = Fixture::rendering(vec![server("a", None)], 4, |renderer| {
        renderer.breaking_at("e2")
    });
    fixture.enqueue(Lane::Normal, 3, NOW).await;
    for attempt in 1..=3 {
        fixture.settle().await;
        let (sent, dead) = (
            fixture.sent().await,
            fixture.queue.counts().await.unwrap().dead,
        );
        assert_eq!(
            (sent, dead),
            (2, u64::from(attempt == 3)),
            "attempt {attempt}"
        );
        fixture.clock.step(MINUTE * 2);
    }
    let record = fixture
        .queue
        .find(&EventId::parse("e2").unwrap())
        .await
        .unwrap()
        .unwrap()
        .deliveries
        .remove(0);
    assert_eq!(record.reason.as_deref(), Some("unrenderable"));
    let attempts: Vec<_> = record
        .attempts
        .iter()
        .map(|attempt| (attempt.number, attempt.server.as_str(), attempt.stage))
        .collect();
    assert_eq!(
        attempts,
        [1, 2, 3].map(|number| (number, "jobbell", Some(Stage::Compose)))
    );
    assert!(
        record.attempts[2]
            .detail
            .as_ref()
            .unwrap()
            .contains("the renderer panicked"),
        "{record:?}"
    );
    assert_eq!(fixture.memory(0).mails().len(), 2);
}

#[tokio::test]
async fn clock_step_before_a_result_is_stored_keeps_the_retry_delay() {
    for millis in [86_400_000, -86_400_000] {
        let mut fixture = Fixture::new(vec![server("a", None)], 4);
        fixture.memory(0).fail_always(Some(down()));
        fixture.enqueue(Lane::Normal, 1, NOW).await;
        fixture.tick().await;
        let done = fixture.dispatcher.running.join_next().await.unwrap();
        fixture.dispatcher.finish(done);
        fixture.clock.set(millis);
        fixture.tick().await;
        let record = fixture
            .queue
            .find(&EventId::parse("e1").unwrap())
            .await
            .unwrap()
            .unwrap()
            .deliveries
            .remove(0);
        let pause = record.next_attempt_at.unwrap().as_millis() - NOW.shifted(millis).as_millis();
        assert!((8_000..=12_000).contains(&pause), "{millis}: {pause}");
    }
}

#[tokio::test]
async fn clock_step_changes_neither_cooldowns_nor_rate_limits() {
    for millis in [86_400_000, -86_400_000] {
        let mut fixture = Fixture::new(vec![server("a", Some(8))], 16);
        fixture.enqueue(Lane::Normal, 20, NOW).await;
        fixture.settle().await;
        fixture.clock.set(millis);
        fixture.settle().await;
        assert_eq!(
            (fixture.clock.now(), fixture.sent().await),
            (NOW, 7),
            "the limit is still reached"
        );
        fixture.clock.step(MINUTE + Duration::from_millis(1));
        fixture.settle().await;
        assert_eq!(fixture.sent().await, 14, "but no longer than before");
        let mut fixture = Fixture::new(vec![server("a", None)], 4);
        fixture.memory(0).fail_always(Some(down()));
        fixture.enqueue(Lane::Normal, 3, NOW).await;
        fixture.settle().await;
        fixture.memory(0).fail_always(None);
        fixture.clock.set(millis);
        fixture.settle().await;
        assert_eq!(fixture.sent().await, 0, "the breaker is open");
        fixture.clock.step(MINUTE);
        fixture.settle().await;
        assert_eq!(fixture.sent().await, 3, "the cooldown is over");
        let mails = fixture.memory(0).mails();
        assert!(mails.iter().all(|mail| mail.date == NOW.shifted(millis)));
    }
}

#[tokio::test(start_paused = true)]
async fn mails_of_both_lanes_return_to_the_queue_if_all_connections_are_busy() {
    let mut fixture = Fixture::new(vec![server("a", None)], 16);
    fixture.enqueue(Lane::Normal, 1, NOW).await;
    fixture.enqueue(Lane::Urgent, 1, NOW).await;
    let pipeline = Arc::clone(&fixture.dispatcher.current);
    let transport = &pipeline.servers[0].transport;
    let held = all_connections(transport).await;
    fixture.tick().await;
    let started = tokio::time::Instant::now();
    for _ in 0..2 {
        let done = fixture.dispatcher.running.join_next().await.unwrap();
        fixture.dispatcher.finish(done);
    }
    assert_eq!(started.elapsed(), CONNECTION_WAIT);
    for settlement in &fixture.dispatcher.finished {
        assert!(
            settlement.attempts.is_empty()
                && matches!(settlement.outcome, Outcome::RetryAt { counted: false, .. }),
            "{settlement:?}"
        );
    }
    assert!(pipeline.servers[0].breaker().is_closed());
    drop(held);
    fixture.clock.step(MINUTE);
    fixture.settle().await;
    assert_eq!(fixture.sent().await, 2);
}

#[tokio::test]
async fn mail_that_expires_while_it_waits_for_a_connection_is_not_sent() {
    let mut fixture = Fixture::new(vec![server("a", None)], 4);
    fixture.enqueue(Lane::Urgent, 1, NOW).await;
    let pipeline = Arc::clone(&fixture.dispatcher.current);
    let held = all_connections(&pipeline.servers[0].transport).await;
    fixture.tick().await;
    // The attempt now waits for a connection.
    tokio::task::yield_now().await;
    fixture.clock.step(TTL);
    drop(held);
    fixture.settle().await;
    let counts = fixture.queue.counts().await.unwrap();
    assert_eq!((counts.sent, counts.dead), (0, 1));
}

#[tokio::test]
async fn mail_refused_by_one_server_keeps_the_next_one_if_the_pipeline_drains() {
    let mut fixture = Fixture::new(vec![server("a", None), server("b", None)], 4);
    fixture.memory(0).fail_next(Failure {
        kind: FailureKind::RejectedHere,
        stage: Stage::Rcpt,
        ..down()
    });
    fixture.enqueue(Lane::Normal, 1, NOW).await;
    let pipeline = Arc::clone(&fixture.dispatcher.current);
    let held = all_connections(&pipeline.servers[0].transport).await;
    fixture.tick().await;
    // The attempt now waits for a connection. It gets one before the first poll of `drain`, which
    // starts the draining.
    tokio::task::yield_now().await;
    drop(held);
    let mut drain = std::pin::pin!(Arc::clone(&pipeline).drain());
    tokio::select! {
        biased;
        () = &mut drain => {}
        () = std::future::ready(()) => {}
    }
    let done = fixture.dispatcher.running.join_next().await.unwrap();
    let settlement = done.unwrap();
    assert_eq!(settlement.attempts.len(), 1, "{settlement:?}");
    assert!(
        matches!(
            &settlement.outcome,
            Outcome::RetryAt { preferred_server: Some(next), .. } if &**next == "b"
        ),
        "{settlement:?}"
    );
}

#[tokio::test]
async fn stale_settlement_is_counted_and_its_attempt_recorded() {
    let mut fixture = Fixture::new(vec![server("a", None)], 4);
    fixture.enqueue(Lane::Normal, 1, NOW).await;
    fixture.tick().await;
    let done = fixture.dispatcher.running.join_next().await.unwrap();
    fixture.dispatcher.finish(done);
    fixture.clock.step(LEASE + MINUTE);
    let limit = ClaimLimit {
        urgent: 0,
        normal: 1,
    };
    let now = fixture.clock.now();
    let again = fixture.queue.claim(limit, MINUTE, now).await.unwrap();
    assert_eq!(again.len(), 1);
    fixture.tick().await;
    let metrics = fixture.dispatcher.metrics.encode().unwrap();
    assert!(
        metrics.contains("jobbell_stale_settlements_total 1"),
        "{metrics}"
    );
    let id = EventId::parse("e1").unwrap();
    let event = fixture.queue.find(&id).await.unwrap().unwrap();
    let delivery = &event.deliveries[0];
    assert_eq!(
        (delivery.state, delivery.attempts.len()),
        (State::Sending, 1)
    );
    let settlement = Settlement {
        lease: again.into_iter().next().unwrap(),
        attempts: delivery_attempts(now),
        outcome: Outcome::Sent,
    };
    fixture.queue.settle(vec![settlement], now).await.unwrap();
    let event = fixture.queue.find(&id).await.unwrap().unwrap();
    assert_eq!(event.deliveries[0].attempts.len(), 2);
}

fn delivery_attempts(at: Timestamp) -> Vec<Attempt> {
    let failure = Failure {
        kind: FailureKind::Uncertain,
        stage: Stage::Dot,
        reply: None,
        detail: String::new(),
        explanation: None,
    };
    vec![Attempt {
        number: 2,
        server: "a".into(),
        at,
        took: Duration::ZERO,
        result: AttemptResult::Failed(failure),
    }]
}
