//! The server closes, resets or stalls at each step, with or without a reply: classified correctly,
//! counted once, no duplicate before the final dot, uncertain after it; and delivered once the
//! server recovers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinSet;

use super::oracle::{Figures, Oracle, all_deliveries};
use crate::support::daemon::{Daemon, success};
use crate::support::figures::record;
use crate::support::smtp_peer::ledger::Fate;
use crate::support::smtp_peer::{Act, At, Builder, Gate, SmtpPeer};
use crate::support::test_config::TestConfig;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    HangUp,
    Reset,
    Stall,
}

const ENDS: [End; 3] = [End::HangUp, End::Reset, End::Stall];
/// The reply sent before.
const REPLIES: [Option<&str>; 3] = [
    None,
    Some("421 4.3.2 closing down"),
    Some("451 4.3.0 local error"),
];
/// Number of concurrent daemons.
const AT_ONCE: usize = 4;

/// How a mail is transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The envelope is pipelined.
    Pipelined,
    /// Each command waits for the previous reply.
    Stepwise,
    /// Everything in one write, as the server is distant and supports chunking.
    SingleWrite,
}

/// One fault.
#[derive(Debug, Clone, Copy)]
struct Case {
    at: At,
    end: End,
    reply: Option<&'static str>,
    way: Way,
}

/// The expected classification of a fault.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    result: &'static str,
    stage: &'static str,
    /// Whether it consumes one of the mail's attempts.
    counted: bool,
}

impl Case {
    fn act(self, gate: &Gate) -> Act {
        let after_dot = self.verdict().result == "uncertain";
        let act = match self.end {
            End::HangUp => Act::Close,
            End::Reset => Act::Reset,
            // The reply to the final dot may take ten minutes; here the silence ends once the test
            // has seen that nothing else is delayed.
            End::Stall if after_dot && self.reply.is_none() => Act::Close.held(gate),
            End::Stall => Act::Silence,
        };
        match self.reply {
            Some(text) => act.answered(text),
            None => act,
        }
    }

    fn verdict(self) -> Verdict {
        let counted = |result, stage| Verdict {
            result,
            stage,
            counted: true,
        };
        let server_wide = |stage| Verdict {
            result: "unavailable",
            stage,
            counted: false,
        };
        let stage = match self.at {
            At::Mail | At::Rcpt if self.way == Way::SingleWrite && self.reply.is_none() => "dot",
            At::Greeting => "greeting",
            At::Ehlo => "ehlo",
            At::Starttls => "starttls",
            At::Auth => "auth",
            At::Mail => "mail",
            At::Rcpt => "rcpt",
            At::Data => "data",
            // The kernel buffers a mail of ordinary size, final dot included, before the server
            // reads its first bytes.
            _ => "dot",
        };
        match (stage, self.reply) {
            ("dot", Some(reply)) if reply.starts_with("451") => counted("unavailable", stage),
            ("dot", _) => counted("uncertain", stage),
            ("rcpt" | "data", Some(reply)) if reply.starts_with("451") => {
                counted("unavailable", stage)
            }
            _ => server_wide(stage),
        }
    }

    fn peer(self) -> Builder {
        let builder = match self.at {
            At::Starttls => SmtpPeer::builder().starttls(),
            At::Auth => SmtpPeer::builder().login("bell@jobbell.example", "secret"),
            _ => SmtpPeer::builder(),
        };
        match self.way {
            Way::Pipelined => builder,
            Way::Stepwise => builder.without("PIPELINING"),
            Way::SingleWrite => builder.offering("CHUNKING").with_latency(),
        }
    }

    fn config(self, peer: &SmtpPeer) -> TestConfig {
        let mut config = TestConfig::new(peer);
        config.text("smtp.timeout", "2s");
        match self.at {
            At::Starttls => config
                .text("smtp.tls", "starttls")
                .text("smtp.tls_ca_file", peer.ca_file().to_str().unwrap()),
            At::Auth => config
                .text("smtp.username", "bell@jobbell.example")
                .text("smtp.password", "secret"),
            _ => &mut config,
        };
        config
    }

    /// Applies the fault to one mail and waits for its delivery. A single write happens only within
    /// a second after another mail, so a slow machine tries again.
    async fn happen(self, oracle: Arc<Oracle>) -> Figures {
        for _ in 0..10 {
            if let Some(figures) = self.happen_once(&oracle).await {
                return figures;
            }
        }
        panic!("{self:?}: no mail was sent in a single write");
    }

    /// Whether the mail was sent in a single write, as far as the server and the record show;
    /// unknown if refused before the message.
    fn was_single_write(self, peer: &SmtpPeer, attempts: &[Value]) -> bool {
        match self.at {
            At::Mail | At::Rcpt => self.reply.is_some() || attempts[0]["stage"] == "dot",
            _ => peer.seen().count("BDAT") > 0,
        }
    }

    /// `None` if it should have been sent in a single write and was not.
    async fn happen_once(self, oracle: &Oracle) -> Option<Figures> {
        let gate = Gate::new();
        let peer = self.peer().start().await;
        let config = self.config(&peer);
        let mut daemon = config.start().await;
        let oracle = oracle.another();
        if self.way == Way::SingleWrite {
            // Only a server that has just accepted a mail gets the next in a single write.
            let first = oracle.post(&daemon, &success("first@example.org")).await;
            daemon.reached(&first, "sent").await;
        }
        peer.once(self.at, self.act(&gate));
        let id = oracle.post(&daemon, &success("reader@example.org")).await;
        if self.end == End::Stall && self.reply.is_none() && self.verdict().stage == "dot" {
            gate.reached().await;
            let other = oracle.post(&daemon, &success("other@example.org")).await;
            daemon.reached(&other, "sent").await;
            assert_eq!(
                daemon.event(&id).await["deliveries"][0]["state"],
                "sending",
                "{self:?}"
            );
            gate.open();
        }
        let sent = daemon.reached(&id, "sent").await;
        let attempts = sent[0]["attempts"].as_array().unwrap();
        if self.way == Way::SingleWrite && !self.was_single_write(&peer, attempts) {
            oracle.settle(&config, &mut daemon, &[&peer]).await;
            return None;
        }
        self.assert_tries(attempts);
        let fates: Vec<_> = peer
            .ledger()
            .iter()
            .filter(|entry| entry.event == id)
            .map(|entry| entry.fate)
            .collect();
        match self.at {
            At::Dot if self.reply.is_none() => {
                assert_eq!(fates, [Fate::Dropped, Fate::Taken], "{self:?}");
            }
            At::Dot => assert_eq!(fates, [Fate::Refused, Fate::Taken], "{self:?}"),
            _ => assert_eq!(fates, [Fate::Taken], "no copy before the dot: {self:?}"),
        }
        assert_counted_once(&daemon).await;
        Some(oracle.settle(&config, &mut daemon, &[&peer]).await)
    }

    fn assert_tries(self, attempts: &[Value]) {
        // A server that closes a reused connection before accepting anything is retried at once on
        // a new one.
        let leave = self.way == Way::SingleWrite
            && matches!(self.at, At::Mail | At::Rcpt)
            && self.reply.is_some_and(|reply| reply.starts_with("421"));
        if leave {
            assert!(
                attempts.len() == 1 && attempts[0]["result"] == "sent",
                "{self:?}: {attempts:#?}"
            );
            return;
        }
        let [first, between @ .., last] = attempts else {
            panic!("{self:?}: {attempts:#?}")
        };
        let Verdict {
            result,
            stage,
            counted,
        } = self.verdict();
        // A reset right after the connection was accepted may overtake connect and discard the
        // reply.
        let overtaken =
            self.at == At::Greeting && self.end == End::Reset && first["stage"] == "connect";
        let (result, stage) = if overtaken {
            ("unavailable", "connect")
        } else {
            (result, stage)
        };
        assert_eq!(
            (&first["number"], &first["result"], &first["stage"]),
            (&1.into(), &result.into(), &stage.into()),
            "{self:?}: {attempts:#?}"
        );
        let code = first["reply"]["code"].as_u64();
        assert_eq!(
            code,
            self.reply
                .filter(|_| !overtaken)
                .map(|reply| reply[..3].parse().unwrap()),
            "{self:?}: {attempts:#?}"
        );
        assert_eq!(
            (&last["number"], &last["result"]),
            (&(1 + u64::from(counted)).into(), &"sent".into()),
            "{self:?}: {attempts:#?}"
        );
        // A connection that was kept after a refusal and stalls later fails the next attempt as a
        // server fault.
        let kept =
            self.end == End::Stall && self.reply.is_some_and(|reply| reply.starts_with("451"));
        assert!(between.is_empty() || kept, "{self:?}: {attempts:#?}");
        assert!(
            between
                .iter()
                .all(|attempt| attempt["result"] == "unavailable" && attempt["stage"] == "rset"),
            "{self:?}: {attempts:#?}"
        );
    }
}

/// Compares the attempt counter with the recorded attempts.
async fn assert_counted_once(daemon: &Daemon) {
    let mut on_record = BTreeMap::<String, u64>::new();
    for delivery in all_deliveries(daemon).await {
        for attempt in delivery["attempts"].as_array().unwrap() {
            *on_record
                .entry(attempt["result"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
    }
    let metrics = daemon
        .get("/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let counted = |line: &str| {
        let (result, number) = line
            .strip_prefix("jobbell_attempts_total{server=\"primary\",result=\"")?
            .split_once("\"} ")?;
        Some((result.to_owned(), number.parse().unwrap()))
    };
    assert_eq!(
        metrics
            .lines()
            .filter_map(counted)
            .collect::<BTreeMap<_, _>>(),
        on_record,
        "{metrics}"
    );
}

/// Tests every fault at one step.
async fn every_fault(at: At, test: &'static str) {
    let ways: &[Way] = match at {
        At::Mail | At::Rcpt => &[Way::Pipelined, Way::Stepwise, Way::SingleWrite],
        At::Data => &[Way::Pipelined, Way::Stepwise],
        At::Payload | At::Dot => &[Way::Pipelined, Way::SingleWrite],
        _ => &[Way::Pipelined],
    };
    let cases = ENDS
        .into_iter()
        .flat_map(|end| REPLIES.into_iter().map(move |reply| (end, reply)));
    let cases = cases.flat_map(|(end, reply)| {
        ways.iter().map(move |way| Case {
            at,
            end,
            reply,
            way: *way,
        })
    });
    let oracle = Arc::new(Oracle::new(test));
    let (mut running, mut figures) = (JoinSet::new(), Vec::new());
    for case in cases {
        if running.len() == AT_ONCE {
            figures.push(running.join_next().await.unwrap().unwrap());
        }
        running.spawn(case.happen(Arc::clone(&oracle)));
    }
    figures.extend(running.join_all().await);
    record(&format!(
        "{} ({} faults)",
        Figures::sum(figures),
        9 * ways.len()
    ));
}

#[tokio::test]
async fn greeting_fault_is_blamed_on_the_server() {
    every_fault(At::Greeting, "faults at the greeting").await;
}

#[tokio::test]
async fn ehlo_fault_is_blamed_on_the_server() {
    every_fault(At::Ehlo, "faults at EHLO").await;
}

#[tokio::test]
async fn starttls_fault_is_blamed_on_the_server_and_leaks_nothing() {
    every_fault(At::Starttls, "faults at STARTTLS").await;
}

#[tokio::test]
async fn login_fault_is_blamed_on_the_server() {
    every_fault(At::Auth, "faults at AUTH").await;
}

#[tokio::test]
async fn mail_from_fault_is_blamed_on_the_server() {
    every_fault(At::Mail, "faults at MAIL").await;
}

#[tokio::test]
async fn rcpt_fault_is_blamed_on_the_server_or_the_recipient() {
    every_fault(At::Rcpt, "faults at RCPT").await;
}

#[tokio::test]
async fn data_fault_is_blamed_on_the_server_or_the_mail() {
    every_fault(At::Data, "faults at DATA").await;
}

#[tokio::test]
async fn fault_within_the_mail_is_possibly_sent_without_a_copy() {
    every_fault(At::Payload, "faults in mid-body").await;
}

#[tokio::test]
async fn fault_after_the_final_dot_is_possibly_sent() {
    every_fault(At::Dot, "faults after the dot").await;
}

#[tokio::test]
async fn accepted_mail_without_a_reply_is_resent_unchanged() {
    let oracle = Oracle::new("taken without a word");
    let mut all = Vec::new();
    for act in [Act::Close, Act::Reset] {
        let peer = SmtpPeer::builder().once(At::Dot, act.kept()).start().await;
        let config = TestConfig::new(&peer);
        let mut daemon = config.start().await;
        let oracle = oracle.another();
        let id = oracle.post(&daemon, &success("reader@example.org")).await;
        let sent = daemon.reached(&id, "sent").await;
        let fates: Vec<_> = peer
            .ledger()
            .iter()
            .map(|entry| (entry.fate, entry.message_id.clone()))
            .collect();
        let message_id = sent[0]["message_id"].as_str().unwrap().to_owned();
        assert_eq!(
            fates,
            [(Fate::Kept, message_id.clone()), (Fate::Taken, message_id)]
        );
        all.push(oracle.settle(&config, &mut daemon, &[&peer]).await);
    }
    let figures = Figures::sum(all);
    assert_eq!(figures.extra, 2);
    record(&figures.to_string());
}

#[tokio::test]
#[ignore = "takes its ten minutes; tests/soak.sh runs it"]
async fn silence_after_the_final_dot_blocks_no_other_mail() {
    let peer = SmtpPeer::builder()
        .once(At::Dot, Act::Silence.kept())
        .start()
        .await;
    let config = TestConfig::new(&peer);
    let mut daemon = config.start().await;
    let oracle = Oracle::new("ten minutes of silence");
    let id = oracle.post(&daemon, &success("reader@example.org")).await;
    peer.until("the dot", |seen| seen.ledger.len() == 1).await;
    let begun = Instant::now();
    while daemon.event(&id).await["deliveries"][0]["state"] != "sent" {
        assert!(
            begun.elapsed() < Duration::from_mins(12),
            "{}",
            daemon.log()
        );
        let other = oracle.post(&daemon, &success("other@example.org")).await;
        daemon.reached(&other, "sent").await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert!(
        begun.elapsed() >= Duration::from_mins(10),
        "after {:?}",
        begun.elapsed()
    );
    let figures = oracle.close(&config, &mut daemon, &[&peer]).await;
    assert_eq!(figures.extra, 1);
}
