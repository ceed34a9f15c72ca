//! A store to try a promise on, a clock to go with it, and short words for events and verdicts.

use std::time::Duration;

use jobbell::clock::Clock;
use jobbell::domain::{
    Attempt, AttemptResult, Delivery, DeliveryId, Event, EventId, Failure, FailureKind, JobEvent,
    JobStatus, Lane, MailKind, Outcome, Plan, Receipt, Recipient, Reply, Source, Stage, State,
    Timestamp,
};
use jobbell::queue::{
    ClaimLimit, DeliveryRecord, Enqueued, Lease, Location, Maintenance, NewEvent, PostgresSettings,
    Queue, Retention, Settings, Settled, Settlement, sqlite,
};
use jobbell::secret::Secret;
use tempfile::TempDir;

use crate::support::postgres::Database;

pub(crate) const LEASE: Duration = Duration::from_mins(1);
/// How long a delivery rests that was under way when the store was left behind.
pub(crate) const PAUSE: Duration = Duration::from_secs(10);
pub(crate) const ALL: ClaimLimit = ClaimLimit {
    urgent: 0,
    normal: 1000,
};

/// Where the store is kept, so that it can be opened again.
enum TestConfig {
    Memory,
    Disk(TempDir),
    Postgres(TempDir, Database),
}

pub(crate) struct QueueFixture {
    pub(crate) queue: Queue,
    pub(crate) clock: Clock,
    home: TestConfig,
}

impl QueueFixture {
    pub(crate) fn in_memory() -> Self {
        let clock = clock();
        Self {
            queue: Queue::in_memory(1_000_000, &clock).unwrap(),
            clock,
            home: TestConfig::Memory,
        }
    }

    pub(crate) fn on_disk() -> Self {
        let dir = TempDir::new().unwrap();
        let clock = clock();
        Self {
            queue: sqlite::open(&settings(&dir, 1_000_000), &clock).unwrap(),
            clock,
            home: TestConfig::Disk(dir),
        }
    }

    /// A queue in a PostgreSQL database of its own; `None` where PostgreSQL is not installed.
    pub(crate) async fn postgres() -> Option<Self> {
        let database = Database::create().await?;
        let (dir, clock) = (TempDir::new().unwrap(), clock());
        let settings = shared(&dir, &database, 1_000_000);
        let queue = Queue::open(&settings, &clock).await.unwrap();
        Some(Self {
            queue,
            clock,
            home: TestConfig::Postgres(dir, database),
        })
    }

    /// The same at the present time, so that its rows are in partitions of their own.
    pub(crate) async fn postgres_now() -> Option<Self> {
        let mut fixture = Self::postgres().await?;
        fixture.queue.close().await;
        fixture.clock = Clock::manual(Clock::System.now());
        fixture.queue = fixture.other_node().await.1;
        Some(fixture)
    }

    /// Another node on the same database, with the same clock.
    pub(crate) async fn other_node(&self) -> (TempDir, Queue) {
        let dir = TempDir::new().unwrap();
        let settings = shared(&dir, self.database(), 1_000_000);
        let queue = Queue::open(&settings, &self.clock).await.unwrap();
        (dir, queue)
    }

    pub(crate) fn database(&self) -> &Database {
        let TestConfig::Postgres(_, database) = &self.home else {
            panic!("no database")
        };
        database
    }

    /// Another one of the same kind, empty.
    pub(crate) async fn another(&self) -> Self {
        match &self.home {
            TestConfig::Memory => Self::in_memory(),
            TestConfig::Disk(_) => Self::on_disk(),
            TestConfig::Postgres(..) => Self::postgres().await.unwrap(),
        }
    }

    /// Whether the store survives its process, so that it can crash and be copied.
    pub(crate) fn survives(&self) -> bool {
        matches!(self.home, TestConfig::Disk(_))
    }

    /// Whether other nodes may use the queue as well.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.home, TestConfig::Postgres(..))
    }

    /// A copy of the files of the open store, opened without further steps.
    pub(crate) fn copy(&self) -> (TempDir, Queue) {
        let dir = TempDir::new().unwrap();
        let copy = settings(&dir, 1_000_000);
        std::fs::create_dir(&copy.state_dir).unwrap();
        assert!(
            sqlite::backup(&self.settings(), copy.location.file().unwrap())
                .unwrap()
                .is_sound()
        );
        let queue = sqlite::open_existing(&copy).unwrap();
        (dir, queue)
    }

    /// The same kind of store, empty, with another limit.
    pub(crate) async fn hold_at_most(&mut self, max_pending: u64) {
        self.queue.close().await;
        self.queue = match &self.home {
            TestConfig::Memory => Queue::in_memory(max_pending, &self.clock).unwrap(),
            TestConfig::Disk(dir) => {
                sqlite::open(&settings(dir, max_pending), &self.clock).unwrap()
            }
            TestConfig::Postgres(dir, database) => {
                let settings = shared(dir, database, max_pending);
                Queue::open(&settings, &self.clock).await.unwrap()
            }
        };
    }

    /// Goes without a word and comes again.
    pub(crate) async fn crash(&mut self) {
        let settings = self.settings();
        self.queue = Queue::in_memory(1, &Clock::System).unwrap();
        self.queue = Queue::open(&settings, &self.clock).await.unwrap();
    }

    pub(crate) fn settings(&self) -> Settings {
        match &self.home {
            TestConfig::Memory => panic!("memory has no directory"),
            TestConfig::Disk(dir) => settings(dir, 1_000_000),
            TestConfig::Postgres(dir, database) => shared(dir, database, 1_000_000),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn step(&self, seconds: u64) {
        self.clock.step(Duration::from_secs(seconds));
    }

    /// Accepted = queued + sending + sent + dead + suppressed + cancelled, in the kept numbers and
    /// in the rows.
    pub(crate) async fn assert_conserved(&self) {
        let check = self.queue.verify_counts().await.unwrap();
        assert!(check.agrees(), "{check:?}");
        assert_eq!(self.queue.counts().await.unwrap(), check.kept);
    }

    pub(crate) async fn enqueue(&self, new: NewEvent) -> Enqueued {
        self.queue
            .enqueue(vec![new], None, self.now())
            .await
            .unwrap()
            .pop()
            .unwrap()
    }

    /// Takes an event for one recipient and returns its delivery.
    pub(crate) async fn one(&self, id: &str) -> DeliveryId {
        let new = self.event(id).to("user@example.com").new;
        let delivery = new.deliveries[0].id;
        assert_eq!(self.enqueue(new).await, Enqueued::New);
        delivery
    }

    pub(crate) async fn claim(&self) -> Vec<Lease> {
        self.queue.claim(ALL, LEASE, self.now()).await.unwrap()
    }

    pub(crate) async fn claim_one(&self) -> Lease {
        let mut leases = self.claim().await;
        assert_eq!(leases.len(), 1);
        leases.pop().unwrap()
    }

    pub(crate) async fn maintain(
        &self,
        deliveries: Duration,
        payloads: Duration,
        rescan: Duration,
        limit: u32,
    ) -> Maintenance {
        let retention = Retention {
            deliveries,
            payloads,
            rescan,
        };
        let done = self.queue.maintain(&retention, limit, self.now()).await;
        done.unwrap()
    }

    /// Removes deliveries that ended more than `age_s` seconds ago.
    pub(crate) async fn purge(&self, age_s: u64, limit: u32) -> u64 {
        let age = Duration::from_secs(age_s);
        let done = self.maintain(age, Duration::MAX, Duration::ZERO, limit);
        done.await.purged
    }

    /// Removes payloads whose deliveries ended more than `age_s` seconds ago, by a new search.
    pub(crate) async fn redact(&self, age_s: u64, limit: u32) -> Maintenance {
        let age = Duration::from_secs(age_s);
        self.maintain(Duration::MAX, age, Duration::ZERO, limit)
            .await
    }

    pub(crate) async fn settle(&self, lease: Lease, outcome: Outcome) -> Settled {
        let attempts = match &outcome {
            Outcome::Sent => vec![self.attempt(&lease, sent())],
            Outcome::Released => Vec::new(),
            _ => vec![self.attempt(&lease, refused())],
        };
        self.settle_with(lease, attempts, outcome).await
    }

    pub(crate) async fn settle_with(
        &self,
        lease: Lease,
        attempts: Vec<Attempt>,
        outcome: Outcome,
    ) -> Settled {
        self.queue
            .settle(
                vec![Settlement {
                    lease,
                    attempts,
                    outcome,
                }],
                self.now(),
            )
            .await
            .unwrap()
            .pop()
            .unwrap()
    }

    pub(crate) fn attempt(&self, lease: &Lease, result: AttemptResult) -> Attempt {
        Attempt {
            number: lease.attempt,
            server: "primary".into(),
            at: self.now(),
            took: Duration::from_millis(12),
            result,
        }
    }

    pub(crate) async fn delivery(&self, id: DeliveryId) -> DeliveryRecord {
        self.queue.find_delivery(id).await.unwrap().unwrap()
    }

    pub(crate) async fn state(&self, id: DeliveryId) -> State {
        self.delivery(id).await.state
    }

    pub(crate) fn event(&self, id: &str) -> EventBuilder {
        let event = JobEvent::new(EventId::parse(id).unwrap(), JobStatus::Succeeded);
        let new = NewEvent {
            event: Event::Job(Box::new(event)),
            id_given: true,
            source: Source::HTTP,
            deliveries: Vec::new(),
            thumbnails_until: None,
            excludes: Vec::new(),
        };
        EventBuilder {
            new,
            now: self.now(),
        }
    }
}

fn clock() -> Clock {
    Clock::manual("2026-01-01T00:00:00Z".parse().unwrap())
}

pub(crate) fn settings(dir: &TempDir, max_pending: u64) -> Settings {
    let state_dir = dir.path().join("data");
    let retention = Duration::from_hours(24);
    let path = state_dir.join("jobbell.db");
    Settings {
        location: Location::Sqlite(path),
        state_dir,
        max_pending,
        retention,
        payload_retention: retention,
        recovery_delay: PAUSE,
    }
}

/// The settings of a node that keeps its queue in a database.
pub(crate) fn shared(dir: &TempDir, database: &Database, max_pending: u64) -> Settings {
    let postgres = PostgresSettings {
        url: Secret::new(database.url()),
        password: None,
        password_file: None,
        tls_ca_file: None,
        listen_url: None,
        secret_key_file: None,
        node_name: None,
    };
    Settings {
        location: Location::Postgres(Box::new(postgres)),
        ..settings(dir, max_pending)
    }
}

pub(crate) struct EventBuilder {
    pub(crate) new: NewEvent,
    now: Timestamp,
}

impl EventBuilder {
    pub(crate) fn title(mut self, title: &str) -> Self {
        let Event::Job(job) = &mut self.new.event else {
            panic!("only job events are built here")
        };
        job.title = Some(title.to_owned());
        self
    }

    pub(crate) fn id_made(mut self) -> Self {
        self.new.id_given = false;
        self
    }

    pub(crate) fn to(self, recipient: &str) -> Self {
        let plan = Plan::Send(self.now);
        self.planned(recipient, Lane::Normal, plan)
    }

    pub(crate) fn urgent(self, recipient: &str) -> Self {
        let plan = Plan::Send(self.now);
        self.planned(recipient, Lane::Urgent, plan)
    }

    pub(crate) fn planned(mut self, recipient: &str, lane: Lane, plan: Plan) -> Self {
        let id = DeliveryId::new(self.now);
        self.new.deliveries.push(Delivery {
            id,
            event: self.new.event.id().clone(),
            recipient: Recipient::parse(recipient).unwrap(),
            kind: MailKind::Success,
            lane,
            plan,
            expires_at: self.now.after(Duration::from_hours(48)),
            created_at: self.now,
            message_id: format!("{}@example.com", id.0.simple()),
        });
        self
    }
}

pub(crate) fn sent() -> AttemptResult {
    AttemptResult::Sent(Receipt {
        reply: Reply {
            code: 250,
            enhanced: Some("2.0.0".to_owned()),
            text: "Ok: queued as 4711".to_owned(),
        },
    })
}

pub(crate) fn refused() -> AttemptResult {
    AttemptResult::Failed(Failure {
        kind: FailureKind::Unavailable {
            retry_after: None,
            server_wide: false,
        },
        stage: Stage::Rcpt,
        reply: Some(Reply {
            code: 451,
            enhanced: None,
            text: "try later".to_owned(),
        }),
        detail: "the server asks for patience".to_owned(),
        explanation: None,
    })
}

/// A counted retry after `seconds`.
pub(crate) fn again(fixture: &QueueFixture, seconds: u64) -> Outcome {
    Outcome::RetryAt {
        at: fixture.now().after(Duration::from_secs(seconds)),
        counted: true,
        preferred_server: None,
    }
}
