//! The oracle of the fault suite compares acknowledged events, the store and the servers' ledgers.
//!
//! A duplicate is allowed only where a final dot was sent and our commit was not: the server
//! withheld its reply, or the daemon died before it stored the result. So a mail never has more
//! copies than recorded attempts that end as `sent` or `uncertain`, no copy follows one answered
//! within the same life, and all carry the delivery's Message-ID.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::daemon::{Daemon, body};
use crate::support::figures::{number, record};
use crate::support::smtp_peer::ledger::Fate;
use crate::support::smtp_peer::{Entry, SmtpPeer};
use crate::support::test_config::{PATIENCE, TestConfig};

/// The states of a delivery.
const STATES: [&str; 6] = [
    "queued",
    "sending",
    "sent",
    "dead",
    "suppressed",
    "cancelled",
];

/// The events acknowledged in one test.
pub(super) struct Oracle {
    test: &'static str,
    seed: u64,
    /// Whether several nodes share the queue: a copy may then follow one that was answered to a node
    /// that has died, and a node that lost its lease records what it had sent.
    has_nodes: bool,
    promised: Mutex<BTreeMap<String, usize>>,
}

/// The figures of one test; displayed as the conservation line.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) test: &'static str,
    pub(super) seed: u64,
    /// Events that were answered with 202.
    pub(super) acknowledged: usize,
    /// `GET /v1/stats`.
    pub(super) stats: Value,
    /// Messages stored by the servers.
    pub(super) mails: usize,
    /// Messages beyond the first of each delivery.
    pub(super) extra: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            test,
            seed,
            acknowledged,
            stats,
            mails,
            extra,
        } = self;
        write!(
            f,
            "conservation {test}: acknowledged {acknowledged}, accepted {}",
            stats["accepted"]
        )?;
        for state in STATES {
            write!(f, ", {state} {}", stats[state])?;
        }
        write!(
            f,
            ", ledger mails {mails}, extra copies {extra}, balanced {}, seed {seed}",
            stats["balanced"]
        )
    }
}

impl Figures {
    /// The sum of the figures of several rounds.
    pub(super) fn sum(all: Vec<Self>) -> Self {
        let sum = |mut one: Self, other: Self| {
            for key in STATES.into_iter().chain(["accepted"]) {
                one.stats[key] =
                    (one.stats[key].as_u64().unwrap() + other.stats[key].as_u64().unwrap()).into();
            }
            Self {
                acknowledged: one.acknowledged + other.acknowledged,
                mails: one.mails + other.mails,
                extra: one.extra + other.extra,
                ..one
            }
        };
        all.into_iter().reduce(sum).unwrap()
    }

    /// The number of deliveries in one state.
    pub(super) fn of(&self, state: &str) -> u64 {
        self.stats[state].as_u64().unwrap()
    }
}

impl Oracle {
    /// An oracle for a test, seeded randomly or by `JOBBELL_TEST_SEED`.
    pub(super) fn new(test: &'static str) -> Self {
        let seed = number("JOBBELL_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
        println!("{test}: JOBBELL_TEST_SEED={seed} repeats it");
        Self {
            test,
            seed,
            has_nodes: false,
            promised: Mutex::default(),
        }
    }

    /// The same for nodes that share a queue.
    pub(super) fn of_nodes(test: &'static str) -> Self {
        Self {
            has_nodes: true,
            ..Self::new(test)
        }
    }

    /// A fresh oracle of the same test and seed, for another round.
    pub(super) fn another(&self) -> Self {
        Self {
            test: self.test,
            seed: self.seed,
            has_nodes: self.has_nodes,
            promised: Mutex::default(),
        }
    }

    /// The source of randomness; one sequence for each `use_`.
    pub(super) fn dice(&self, use_: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(
            self.seed
                .wrapping_add(use_.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        )
    }

    /// Records an event answered with 202, with its number of deliveries.
    pub(super) fn promise(&self, event: &str, deliveries: usize) {
        self.promised
            .lock()
            .unwrap()
            .insert(event.to_owned(), deliveries);
    }

    /// The number of events answered with 202.
    pub(super) fn promises(&self) -> usize {
        self.promised.lock().unwrap().len()
    }

    /// Posts an event with one recipient, which must be accepted; returns its id.
    pub(super) async fn post(&self, daemon: &Daemon, event: &Value) -> String {
        let id = daemon.accept(event).await;
        self.promise(&id, 1);
        id
    }

    /// Cross-checks all sources; the daemon must be running and idle. Panics on any mismatch.
    pub(super) async fn judge(&self, daemon: &Daemon, peers: &[&SmtpPeer]) -> Figures {
        let stats = daemon.stats().await;
        let deliveries = all_deliveries(daemon).await;
        assert_eq!(stats["balanced"], true, "{stats}");
        for state in STATES {
            let listed = deliveries
                .iter()
                .filter(|delivery| delivery["state"] == state)
                .count();
            assert_eq!(stats[state], listed, "{state}: the list and {stats}");
        }
        self.assert_promises_kept(&deliveries);
        let mut ledger: Vec<Entry> = peers
            .iter()
            .flat_map(|peer| peer.ledger())
            .filter(|entry| entry.fate.is_kept())
            .collect();
        ledger.sort_by_key(|entry| entry.at);
        let mut copies = BTreeMap::<&str, Vec<&Entry>>::new();
        for entry in &ledger {
            copies.entry(&entry.message_id).or_default().push(entry);
        }
        for delivery in &deliveries {
            assert_copies(
                delivery,
                copies
                    .remove(text(delivery, "message_id"))
                    .unwrap_or_default()
                    .as_slice(),
                self.has_nodes,
            );
        }
        assert!(
            copies.is_empty(),
            "mails without a recorded delivery: {copies:#?}"
        );
        let different = ledger
            .iter()
            .map(|entry| &entry.message_id)
            .collect::<BTreeSet<_>>()
            .len();
        Figures {
            test: self.test,
            seed: self.seed,
            acknowledged: self.promises(),
            stats,
            mails: ledger.len(),
            extra: ledger.len() - different,
        }
    }

    /// Ends a test: checks, stops the daemon, reads the conservation check from disk and prints the
    /// figures.
    pub(super) async fn close(
        &self,
        config: &TestConfig,
        daemon: &mut Daemon,
        peers: &[&SmtpPeer],
    ) -> Figures {
        let figures = self.settle(config, daemon, peers).await;
        record(&figures.to_string());
        figures
    }

    /// The same without printing, for a test of several rounds.
    pub(super) async fn settle(
        &self,
        config: &TestConfig,
        daemon: &mut Daemon,
        peers: &[&SmtpPeer],
    ) -> Figures {
        let figures = self.judge(daemon, peers).await;
        daemon.stop().await;
        Self::read_again(config, &figures).await;
        figures
    }

    /// The counts that the command line reads when no daemon runs are those that the daemon had.
    pub(super) async fn read_again(config: &TestConfig, figures: &Figures) {
        let stats = config.run(&["queue", "stats", "--json"]).await;
        assert_eq!(stats.code, Some(0), "{stats:?}");
        let stats = stats.json();
        for key in STATES.into_iter().chain(["accepted", "balanced"]) {
            assert_eq!(
                stats[key], figures.stats[key],
                "{key}: on disk {stats}, before {}",
                figures.stats
            );
        }
    }

    fn assert_promises_kept(&self, deliveries: &[Value]) {
        let mut on_record = BTreeMap::<&str, usize>::new();
        for delivery in deliveries {
            *on_record.entry(text(delivery, "event_id")).or_default() += 1;
        }
        let promised = self.promised.lock().unwrap();
        let missing: Vec<_> = promised
            .iter()
            .filter(|(event, number)| on_record.get(event.as_str()) != Some(number))
            .collect();
        assert!(
            missing.is_empty(),
            "acknowledged, but not recorded with as many deliveries: {missing:?}"
        );
    }
}

/// Checks the copies of one delivery, in order of arrival, against its record.
fn assert_copies(delivery: &Value, copies: &[&Entry], has_nodes: bool) {
    let tries = |result: &str| {
        delivery["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|attempt| attempt["result"] == result)
            .count()
    };
    let (sent, uncertain) = (tries("sent"), tries("uncertain"));
    let context = || format!("{delivery:#}\n{copies:#?}");
    let ends = if has_nodes { sent.min(1) } else { sent };
    assert_eq!(
        ends,
        usize::from(delivery["state"] == "sent"),
        "sent at most once: {}",
        context()
    );
    assert!(
        copies.len() >= sent,
        "recorded as sent, but on no server: {}",
        context()
    );
    assert!(
        copies.len() <= sent + uncertain,
        "more copies than attempts that could produce one: {}",
        context()
    );
    for copy in copies {
        assert_eq!(
            (copy.event.as_str(), copy.to.as_slice()),
            (
                text(delivery, "event_id"),
                [text(delivery, "to").to_owned()].as_slice()
            ),
            "{}",
            context()
        );
    }
    for pair in copies.windows(2) {
        let excused = has_nodes || pair[0].fate == Fate::Kept || pair[0].life < pair[1].life;
        assert!(
            excused,
            "duplicate of a mail answered within the same life: {}",
            context()
        );
    }
}

/// All records.
pub(super) async fn all_deliveries(daemon: &Daemon) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, mut page) =
            body(daemon.get(&format!("/v1/deliveries?limit=200&cursor={cursor}"))).await;
        assert_eq!(status, 200, "{page}");
        all.append(page["deliveries"].as_array_mut().unwrap());
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return all,
        }
    }
}

/// Waits until the queue is empty, as long as there is progress.
pub(super) async fn drained(daemon: &Daemon) {
    let (mut last, mut since) = (Value::Null, Instant::now());
    loop {
        let stats = daemon.stats().await;
        if stats["queued"] == 0 && stats["sending"] == 0 {
            return;
        }
        if stats != last {
            (last, since) = (stats, Instant::now());
        }
        assert!(
            since.elapsed() < PATIENCE,
            "no progress: {last}\n{}",
            daemon.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn text<'a>(delivery: &'a Value, key: &str) -> &'a str {
    delivery[key].as_str().unwrap()
}

/// The oracle detects violations; otherwise it would prove nothing.
mod rules {
    use super::*;
    use serde_json::json;

    /// A delivery with these attempt results, and the server's copies: in which life, and whether
    /// they were answered.
    fn held(state: &str, results: &[&str], copies: &[(usize, Fate)]) -> bool {
        let attempts: Vec<_> = results
            .iter()
            .map(|result| json!({ "result": result }))
            .collect();
        let delivery =
            json!({ "state": state, "attempts": attempts, "event_id": "e", "to": "a@example.org" });
        holds(&delivery, copies, "e", "a@example.org")
    }

    fn holds(delivery: &Value, copies: &[(usize, Fate)], event: &str, to: &str) -> bool {
        let entry = |&(life, fate): &(usize, Fate)| Entry {
            event: event.to_owned(),
            message_id: "<m@x>".to_owned(),
            to: vec![to.to_owned()],
            life,
            at: Instant::now(),
            fate,
        };
        let copies: Vec<Entry> = copies.iter().map(entry).collect();
        std::panic::catch_unwind(|| {
            assert_copies(delivery, &copies.iter().collect::<Vec<_>>(), false);
        })
        .is_ok()
    }

    #[test]
    fn ledger_requires_one_copy_per_sent_mail() {
        assert!(held("sent", &["unavailable", "sent"], &[(0, Fate::Taken)]));
        assert!(
            held("dead", &["rejected"], &[])
                && held("queued", &[], &[])
                && held("queued", &["uncertain"], &[])
        );
        assert!(!held("sent", &["sent"], &[]), "lost");
        assert!(
            !held("queued", &[], &[(0, Fate::Taken)]),
            "accepted, but not recorded"
        );
        assert!(
            !held("dead", &["unavailable"], &[(0, Fate::Taken)]),
            "accepted, but recorded as a certain failure"
        );
        assert!(
            !held(
                "sent",
                &["sent", "sent"],
                &[(0, Fate::Taken), (1, Fate::Taken)]
            ),
            "sent twice"
        );
    }

    #[test]
    fn duplicate_requires_an_uncertain_attempt_and_a_server_fault() {
        let twice = |first, life| {
            held(
                "sent",
                &["uncertain", "sent"],
                &[(0, first), (life, Fate::Taken)],
            )
        };
        assert!(twice(Fate::Kept, 0), "the reply was withheld");
        assert!(
            twice(Fate::Taken, 1),
            "the daemon died before it stored the 250"
        );
        assert!(
            !twice(Fate::Taken, 0),
            "the daemon received 250 and kept running"
        );
        assert!(
            !held("sent", &["sent"], &[(0, Fate::Kept), (0, Fate::Taken)]),
            "no uncertain attempt recorded"
        );
    }

    #[test]
    fn copy_must_match_its_event_and_recipient() {
        let delivery = json!({ "state": "sent", "attempts": [{ "result": "sent" }], "event_id": "e", "to": "a@example.org" });
        let one = [(0, Fate::Taken)];
        assert!(holds(&delivery, &one, "e", "a@example.org"));
        assert!(
            !holds(&delivery, &one, "f", "a@example.org")
                && !holds(&delivery, &one, "e", "b@example.org")
        );
    }

    #[test]
    fn unrecorded_acknowledgement_is_detected() {
        let kept = |number: usize| {
            let oracle = Oracle {
                test: "rules",
                seed: 0,
                has_nodes: false,
                promised: Mutex::default(),
            };
            oracle.promise("e", 2);
            let deliveries = vec![json!({ "event_id": "e" }); number];
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                oracle.assert_promises_kept(&deliveries);
            }))
            .is_ok()
        };
        assert_eq!([0, 1, 2, 3].map(kept), [false, false, true, false]);
    }
}
