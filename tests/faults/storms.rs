//! Bursts of refusals, then recovery: everything is delivered, retries are spread out, and
//! server-wide faults consume no attempts.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jobbell::domain::Timestamp;
use serde_json::{Value, json};

use super::oracle::{Figures, Oracle, all_deliveries, drained};
use crate::support::daemon::{Daemon, body, success};
use crate::support::figures::{number, record};
use crate::support::smtp_peer::{Act, At, Moment, SmtpPeer};
use crate::support::test_config::TestConfig;

/// Default of `JOBBELL_TEST_REFUSALS`.
const REFUSALS: u64 = 100;
const CONNECTIONS: usize = 4;

/// Posts this many events in one request.
async fn crowd(oracle: &Oracle, daemon: &Daemon, number: usize) -> Vec<String> {
    let lines: Vec<_> = (0..number)
        .map(|number| success(&format!("reader{number}@example.org")).to_string())
        .collect();
    let (status, answers) = body(
        daemon
            .post("/v1/events")
            .header("content-type", "application/x-ndjson")
            .body(lines.join("\n")),
    )
    .await;
    assert_eq!(status, 202, "{answers}");
    let ids: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["id"].as_str().unwrap().to_owned())
        .collect();
    for id in &ids {
        oracle.promise(id, 1);
    }
    ids
}

/// Refuses a random share of commands in one of three ways, and counts.
fn storm(
    dice: fastrand::Rng,
    percent: u8,
    refused: &Arc<AtomicUsize>,
) -> impl Fn(Moment<'_>) -> Act + Send + Sync + 'static {
    let (dice, refused) = (Mutex::new(dice), Arc::clone(refused));
    move |moment| {
        let mut dice = dice.lock().unwrap();
        let touched = matches!(
            moment.at,
            At::Greeting | At::Mail | At::Rcpt | At::Data | At::Dot
        );
        if !touched || dice.u8(..100) >= percent {
            return Act::Usual;
        }
        refused.fetch_add(1, Ordering::SeqCst);
        match dice.u8(..3) {
            0 => Act::reply_and_close("421 4.3.2 too busy, closing"),
            1 => Act::reply("451 4.3.0 local error"),
            _ => Act::reply("452 4.3.1 no space left"),
        }
    }
}

/// Whether an attempt counts toward the limit.
fn counts_toward_the_limit(attempt: &Value) -> bool {
    let (result, stage, code) = (
        attempt["result"].as_str().unwrap(),
        attempt["stage"].as_str(),
        attempt["reply"]["code"].as_u64(),
    );
    result == "uncertain"
        || (result == "unavailable"
            && matches!(stage, Some("rcpt" | "data" | "dot"))
            && code != Some(421))
}

/// A burst of this strength, then recovery.
async fn weather(percent: u8, oracle: &Oracle) -> Figures {
    let refusals = usize::try_from(number("JOBBELL_TEST_REFUSALS").unwrap_or(REFUSALS)).unwrap();
    let refused = Arc::new(AtomicUsize::new(0));
    let peer = SmtpPeer::builder()
        .counting_only()
        .ruled(storm(oracle.dice(u64::from(percent)), percent, &refused))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config
        .set("smtp.max_connections", &CONNECTIONS.to_string())
        .text("retry.max", "1s")
        .set("retry.max_attempts", "1000");
    let mut daemon = config.start().await;
    let oracle = oracle.another();
    while refused.load(Ordering::SeqCst) < refusals {
        let before = refused.load(Ordering::SeqCst);
        crowd(&oracle, &daemon, 40).await;
        peer.until("refusals", |seen| {
            refused.load(Ordering::SeqCst) >= refusals.min(before + 20)
                || seen.ledger.len() >= oracle.promises()
        })
        .await;
    }
    peer.rule(None::<fn(Moment<'_>) -> Act>);
    drained(&daemon).await;
    for delivery in all_deliveries(&daemon).await {
        let attempts = delivery["attempts"].as_array().unwrap();
        let used = attempts
            .iter()
            .filter(|attempt| counts_toward_the_limit(attempt))
            .count();
        assert_eq!(
            attempts.last().unwrap()["number"],
            used + 1,
            "only refusals of the mail itself count: {delivery:#}"
        );
    }
    assert!(
        peer.seen().max_open <= CONNECTIONS,
        "{} connections",
        peer.seen().max_open
    );
    let figures = oracle.settle(&config, &mut daemon, &[&peer]).await;
    assert_eq!(figures.of("sent"), figures.of("accepted"), "{figures}");
    figures
}

#[tokio::test]
async fn every_mail_is_delivered_after_a_burst_of_refusals() {
    let oracle = Oracle::new("storms of 421, 451 and 452");
    let mut all = Vec::new();
    for percent in [30, 60, 100] {
        all.push(weather(percent, &oracle).await);
    }
    record(&Figures::sum(all).to_string());
}

#[tokio::test]
async fn refusing_server_is_probed_and_consumes_no_attempts() {
    const REST: Duration = Duration::from_millis(200);
    let peer = SmtpPeer::builder()
        .always(At::Greeting, Act::reply_and_close("421 4.3.2 closing down"))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config
        .set("retry.max_attempts", "1")
        .set("smtp.max_connections", &CONNECTIONS.to_string())
        .text("smtp.cooldown", "200ms")
        .text("smtp.cooldown_max", "200ms");
    let begun = Instant::now();
    let mut daemon = config.start().await;
    let oracle = Oracle::new("server refuses everyone");
    crowd(&oracle, &daemon, 100).await;
    let connections = peer
        .until("some probes", |seen| seen.connections >= 10)
        .await
        .connections;
    let probes = usize::try_from(begun.elapsed().as_millis() / REST.as_millis()).unwrap() + 1;
    assert!(
        connections <= 2 + CONNECTIONS + probes,
        "three failures open the breaker, then one probe per cooldown: {connections}, at most {probes} cooldowns"
    );
    peer.always(At::Greeting, None);
    drained(&daemon).await;
    for delivery in all_deliveries(&daemon).await {
        assert_eq!(
            (
                &delivery["state"],
                &delivery["attempts"].as_array().unwrap().last().unwrap()["number"]
            ),
            (&json!("sent"), &json!(1)),
            "{delivery:#}"
        );
    }
    assert!(peer.seen().max_open <= CONNECTIONS);
    oracle.close(&config, &mut daemon, &[&peer]).await;
}

#[tokio::test]
async fn retries_deferred_together_are_spread_out() {
    const CROWD: usize = 200;
    let peer = SmtpPeer::builder()
        .always(At::Rcpt, Act::reply("451 4.3.0 local error"))
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config
        .text("retry.initial", "3s")
        .set("smtp.max_connections", &CONNECTIONS.to_string());
    let mut daemon = config.start().await;
    let oracle = Oracle::new("a crowd put off together");
    crowd(&oracle, &daemon, CROWD).await;
    let pauses = loop {
        let pauses: Vec<_> = all_deliveries(&daemon)
            .await
            .iter()
            .filter_map(pause_after_the_first)
            .collect();
        if pauses.len() == CROWD {
            break pauses;
        }
        peer.until("more refusals", |seen| seen.count("RCPT") > pauses.len())
            .await;
    };
    let mut crowded = [0_usize; 8];
    for pause in &pauses {
        // 3 s ± 20 %. The reply travels and others settle before the delay begins, so the upper end
        // is open.
        let part = pause.as_millis().checked_sub(2_400).expect("never earlier") / 150;
        crowded[usize::try_from(part).unwrap().min(7)] += 1;
    }
    assert!(
        crowded.iter().all(|number| *number <= CROWD * 3 / 8),
        "spread over eight parts of the delay: {crowded:?}"
    );
    peer.always(At::Rcpt, None);
    drained(&daemon).await;
    assert!(peer.seen().max_open <= CONNECTIONS);
    oracle.close(&config, &mut daemon, &[&peer]).await;
}

/// The delay from the only attempt of a delivery to its due time.
fn pause_after_the_first(delivery: &Value) -> Option<Duration> {
    let [attempt] = delivery["attempts"].as_array()?.as_slice() else {
        return None;
    };
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    Some(time(&delivery["next_attempt_at"])?.since(time(&attempt["at"])?))
}

#[tokio::test]
async fn one_bad_address_among_many_affects_no_other() {
    const READERS: usize = 45;
    let rule = |moment: Moment<'_>| match moment.at {
        At::Rcpt if moment.line.contains("gone@") => Act::reply("550 5.1.1 no such user"),
        At::Rcpt if moment.line.contains("full@") => Act::reply("451 4.3.0 local error"),
        _ => Act::Usual,
    };
    let peer = SmtpPeer::builder().ruled(rule).start().await;
    let mut config = TestConfig::new(&peer);
    config
        .set("smtp.max_connections", "2")
        .text("retry.initial", "1h");
    let mut daemon = config.start().await;
    let oracle = Oracle::new("bad addresses among many");
    let mut to: Vec<_> = (0..READERS)
        .map(|number| format!("reader{number}@example.org"))
        .collect();
    to.insert(3, "gone@example.org".to_owned());
    to.insert(20, "full@example.org".to_owned());
    let id = daemon
        .accept(&json!({ "status": "succeeded", "prompt": "A cute little kitten", "to": to }))
        .await;
    oracle.promise(&id, READERS + 2);
    let tried = |all: &[Value]| {
        all.iter().all(|delivery| {
            delivery["attempts"]
                .as_array()
                .is_some_and(|attempts| attempts.len() == 1)
        })
    };
    for delivery in daemon.deliveries(&id, "one try each", tried).await {
        let expected = match delivery["to"].as_str().unwrap() {
            "gone@example.org" => ("dead", "rejected", "rejected"),
            "full@example.org" => ("queued", "", "unavailable"),
            _ => ("sent", "", "sent"),
        };
        let found = (
            delivery["state"].as_str().unwrap(),
            delivery["reason"].as_str().unwrap_or_default(),
            delivery["attempts"][0]["result"].as_str().unwrap(),
        );
        assert_eq!(found, expected, "{delivery:#}");
    }
    assert_eq!(
        peer.seen().connections,
        1,
        "a refused recipient closes no connection"
    );
    let figures = oracle.close(&config, &mut daemon, &[&peer]).await;
    assert_eq!(
        (figures.of("sent"), figures.of("dead"), figures.of("queued")),
        (45, 1, 1)
    );
}
