//! Load for the suite: producers that post single events, batches, several recipients and codes,
//! retry manually, and repeat unanswered requests.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::oracle::{Figures, Oracle, all_deliveries, drained};
use crate::support::daemon::Daemon;
use crate::support::smtp_peer::{Act, At, Moment, SmtpPeer};
use crate::support::test_config::TestConfig;

/// A recipient that the servers refuse until the end.
const NOBODY: &str = "nobody@example.org";

const JSON: &str = "application/json";

/// A request that is repeated until answered.
struct Request {
    path: &'static str,
    kind: &'static str,
    body: String,
    /// Its events with their numbers of recipients.
    events: Vec<(String, usize)>,
}

impl Request {
    fn random(dice: &mut Rng, numbers: &AtomicUsize) -> Self {
        if dice.u8(..5) == 0 {
            return Self::message(numbers);
        }
        let lines = dice.u8(..4) == 0;
        let mut events = Vec::new();
        let mut texts = Vec::new();
        for _ in 0..if lines { dice.usize(1..12) } else { 1 } {
            let id = format!("kill-{}", numbers.fetch_add(1, Ordering::SeqCst));
            let recipients = if dice.u8(..4) == 0 {
                dice.usize(2..5)
            } else {
                1
            };
            let mut to: Vec<_> = (0..recipients)
                .map(|number| format!("reader{number}@example.org"))
                .collect();
            if dice.u8(..20) == 0 {
                NOBODY.clone_into(&mut to[0]);
            }
            let event = match dice.u8(..3) {
                0 => json!({ "id": id, "status": "failed", "error": "out of memory", "to": to }),
                _ => {
                    json!({ "id": id, "status": "succeeded", "prompt": "A cute little kitten", "to": to })
                }
            };
            texts.push(event.to_string());
            events.push((id, recipients));
        }
        let kind = if lines { "application/x-ndjson" } else { JSON };
        Self {
            path: "/v1/events",
            kind,
            body: texts.join("\n"),
            events,
        }
    }

    /// A code, sent ahead of the others.
    fn message(numbers: &AtomicUsize) -> Self {
        let id = format!("code-{}", numbers.fetch_add(1, Ordering::SeqCst));
        let message = json!({ "id": id, "to": "reader0@example.org", "template": "verification_code", "params": { "code": "482915" } });
        Self {
            path: "/v1/messages",
            kind: JSON,
            body: message.to_string(),
            events: vec![(id, 1)],
        }
    }
}

/// State shared by the producers of all rounds.
pub(super) struct Load {
    pub(super) oracle: Oracle,
    numbers: AtomicUsize,
    knows_all: AtomicBool,
    /// Requests cut off by the daemon's death: it is unknown whether they were stored.
    unsure: Mutex<VecDeque<Request>>,
    again: AtomicUsize,
    retried: AtomicUsize,
}

impl Load {
    pub(super) fn new(oracle: Oracle) -> Arc<Self> {
        let (numbers, again, retried) = (
            AtomicUsize::new(0),
            AtomicUsize::new(0),
            AtomicUsize::new(0),
        );
        Arc::new(Self {
            oracle,
            numbers,
            knows_all: AtomicBool::new(false),
            unsure: Mutex::default(),
            again,
            retried,
        })
    }

    /// Runs a few producers until the daemon is gone.
    pub(super) fn start(
        self: &Arc<Self>,
        daemon: &Arc<Daemon>,
        dice: &mut Rng,
    ) -> Vec<JoinHandle<()>> {
        (0..dice.usize(1..6))
            .map(|_| tokio::spawn(Arc::clone(self).produce(Arc::clone(daemon), dice.fork())))
            .collect()
    }

    /// Whether a server refuses this recipient; then the remaining servers are skipped.
    pub(super) fn refusal(&self, moment: Moment<'_>) -> Option<Act> {
        let refused = moment.at == At::Rcpt
            && moment.line.contains(NOBODY)
            && !self.knows_all.load(Ordering::SeqCst);
        refused.then(|| Act::reply("550 5.1.1 no such user"))
    }

    /// The end: everything is sent, including refused mails, and the figures balance.
    pub(super) async fn finish(
        &self,
        config: &TestConfig,
        mut daemon: Daemon,
        peers: &[&SmtpPeer],
    ) -> Figures {
        drained(&daemon).await;
        self.knows_all.store(true, Ordering::SeqCst);
        for dead in all_deliveries(&daemon)
            .await
            .iter()
            .filter(|delivery| delivery["state"] == "dead")
        {
            assert_eq!(
                (&dead["reason"], &dead["to"]),
                (&json!("rejected"), &json!(NOBODY))
            );
            retried(&daemon, dead["id"].as_str().unwrap()).await;
        }
        drained(&daemon).await;
        let figures = self.oracle.close(config, &mut daemon, peers).await;
        assert_eq!(figures.of("sent"), figures.of("accepted"), "{figures}");
        assert_eq!(
            figures.mails - figures.extra,
            usize::try_from(figures.of("sent")).unwrap(),
            "{figures}"
        );
        figures
    }

    /// How many repeated requests were duplicates, and how many deliveries were retried manually.
    pub(super) fn summary(&self) -> String {
        let (again, retried) = (
            self.again.load(Ordering::SeqCst),
            self.retried.load(Ordering::SeqCst),
        );
        format!("{again} requests answered as duplicates, {retried} retried manually")
    }

    /// Posts until the daemon is gone, repeating unanswered requests under the same ids.
    async fn produce(self: Arc<Self>, daemon: Arc<Daemon>, mut dice: Rng) {
        loop {
            let unsure = self.unsure.lock().unwrap().pop_front();
            let comes_again = unsure.is_some();
            let request = unsure.unwrap_or_else(|| Request::random(&mut dice, &self.numbers));
            let answer = daemon
                .post(request.path)
                .header("content-type", request.kind)
                .body(request.body.clone())
                .send()
                .await;
            let Ok(answer) = answer else {
                self.unsure.lock().unwrap().push_back(request);
                return;
            };
            let status = answer.status().as_u16();
            if status == 503 {
                self.unsure.lock().unwrap().push_back(request);
                continue;
            }
            assert!(
                status == 202 || (status == 200 && comes_again),
                "{status}: {}",
                request.body
            );
            self.again
                .fetch_add(usize::from(status == 200), Ordering::SeqCst);
            for (event, recipients) in &request.events {
                self.oracle.promise(event, *recipients);
            }
            if dice.u8(..30) == 0 && self.retry_one(&daemon).await.is_none() {
                return;
            }
        }
    }

    /// Retries one dead delivery manually; `None` once the daemon is gone.
    async fn retry_one(&self, daemon: &Daemon) -> Option<()> {
        let page: Value = daemon
            .get("/v1/deliveries?state=dead&limit=1")
            .send()
            .await
            .ok()?
            .json()
            .await
            .ok()?;
        if let Some(id) = page["deliveries"][0]["id"].as_str() {
            let status = daemon
                .post(&format!("/v1/deliveries/{id}/retry"))
                .send()
                .await
                .ok()?
                .status()
                .as_u16();
            // Another producer may be first, and manual retries are limited to one a minute per
            // delivery.
            assert!(matches!(status, 200 | 409 | 429), "{status}");
            self.retried
                .fetch_add(usize::from(status == 200), Ordering::SeqCst);
        }
        Some(())
    }
}

/// Retries a delivery manually, after the wait that a 429 asks for.
async fn retried(daemon: &Daemon, id: &str) {
    loop {
        let answer = daemon
            .post(&format!("/v1/deliveries/{id}/retry"))
            .send()
            .await
            .unwrap();
        let seconds = answer
            .headers()
            .get("retry-after")
            .map(|value| value.to_str().unwrap().parse().unwrap());
        match (answer.status().as_u16(), seconds) {
            (200, _) => return,
            (429, Some(seconds)) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            (status, _) => panic!("{status}: {}", answer.text().await.unwrap()),
        }
    }
}

/// A reply after a random pause.
pub(super) fn pause(at: At, dice: &mut Rng) -> Act {
    match (at, dice.u8(..4)) {
        (At::Dot, _) => Act::Usual.after(Duration::from_micros(dice.u64(..8_000))),
        (_, 0) => Act::Usual.after(Duration::from_micros(dice.u64(..3_000))),
        _ => Act::Usual,
    }
}
