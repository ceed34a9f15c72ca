//! `kill -9` at random moments under load, repeated on one store: no acknowledged mail is lost, and
//! duplicates are identical.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::load::{Load, pause};
use super::oracle::Oracle;
use crate::support::figures::{number, record};
use crate::support::smtp_peer::{Moment, SmtpPeer};
use crate::support::test_config::TestConfig;

/// Default of `JOBBELL_TEST_ROUNDS`.
const ROUNDS: u64 = 200;
/// Maximum lifetime of a daemon.
const LIFE_MS: u64 = 150;

#[tokio::test]
async fn random_kills_lose_no_mail_and_duplicates_are_identical() {
    let rounds = number("JOBBELL_TEST_ROUNDS").unwrap_or(ROUNDS);
    let load = Load::new(Oracle::new("kill -9"));
    let (dice, refuses) = (Mutex::new(load.oracle.dice(0)), Arc::clone(&load));
    let manner = move |moment: Moment<'_>| {
        refuses
            .refusal(moment)
            .unwrap_or_else(|| pause(moment.at, &mut dice.lock().unwrap()))
    };
    let peer = SmtpPeer::builder()
        .counting_only()
        .ruled(manner)
        .start()
        .await;
    let mut config = TestConfig::new(&peer);
    config
        .set("retry.max_attempts", "1000")
        .set("smtp.max_connections", "6");
    for round in 1..=rounds {
        let mut dice = load.oracle.dice(round);
        let daemon = Arc::new(config.start().await);
        let producers = load.start(&daemon, &mut dice);
        // The moment is deliberately arbitrary.
        tokio::time::sleep(Duration::from_millis(dice.u64(..LIFE_MS))).await;
        daemon.signal("KILL").await;
        for producer in producers {
            producer.await.unwrap();
        }
        Arc::into_inner(daemon).unwrap().ended().await;
        peer.next_life();
    }
    let figures = load.finish(&config, config.start().await, &[&peer]).await;
    record(&format!(
        "kill -9: {rounds} rounds, {} extra copies, {}",
        figures.extra,
        load.summary()
    ));
}
