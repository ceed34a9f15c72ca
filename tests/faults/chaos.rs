//! All faults at once: two servers that break, refuse, stall and withhold replies, and a daemon
//! that is killed, stopped and reloaded under load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;

use super::load::{Load, pause};
use super::oracle::Oracle;
use crate::support::daemon::Daemon;
use crate::support::figures::{number, record};
use crate::support::smtp_peer::{Act, At, Moment, SmtpPeer};
use crate::support::test_config::TestConfig;

/// Default of `JOBBELL_TEST_CHAOS`.
const ROUNDS: u64 = 30;

/// A random fault of a server.
fn random_fault(at: At, dice: &mut Rng) -> Act {
    let silent = match dice.u8(..3) {
        0 => Act::Close,
        1 => Act::Reset,
        _ => Act::Silence,
    };
    let refusal = [
        "421 4.3.2 closing down",
        "451 4.3.0 local error",
        "452 4.3.1 no space left",
    ][dice.usize(..3)];
    match (at, dice.u8(..4)) {
        (At::Dot, 0) => silent.kept(),
        (At::Dot, 1) => Act::Drip(b"250 2.0.0 kept\r\n".to_vec(), Duration::from_millis(5)),
        (_, 0 | 1) => silent,
        (_, 2) => silent.answered(refusal),
        // Within a message a server replies only when it shuts down.
        (At::Payload, _) => Act::reply_and_close(refusal),
        _ => Act::reply(refusal),
    }
}

/// A server with random faults until they are switched off.
fn behaviour(
    load: &Arc<Load>,
    percent: u8,
    dice: Rng,
    peace: &Arc<AtomicBool>,
) -> impl Fn(Moment<'_>) -> Act + Send + Sync + 'static {
    let (load, peace, dice) = (Arc::clone(load), Arc::clone(peace), Mutex::new(dice));
    move |moment| {
        let mut dice = dice.lock().unwrap();
        if !peace.load(Ordering::SeqCst) && dice.u8(..100) < percent {
            return random_fault(moment.at, &mut dice);
        }
        load.refusal(moment)
            .unwrap_or_else(|| pause(moment.at, &mut dice))
    }
}

/// Ends a daemon by kill, graceful shutdown, or graceful and then immediate shutdown.
async fn end(daemon: &Daemon, dice: &mut Rng) {
    let signals: &[&str] = match dice.u8(..4) {
        // Two identical pending signals merge into one; hence the last resort.
        0 => &["TERM", "TERM", "KILL"],
        1 => &["HUP", "KILL"],
        _ => &["KILL"],
    };
    for name in signals {
        daemon.signal(name).await;
        tokio::time::sleep(Duration::from_millis(dice.u64(..60))).await;
    }
}

#[tokio::test]
async fn random_mixture_of_faults_loses_no_mail() {
    let rounds = number("JOBBELL_TEST_CHAOS").unwrap_or(ROUNDS);
    let load = Load::new(Oracle::new("chaos"));
    let peace = Arc::new(AtomicBool::new(false));
    let primary = SmtpPeer::builder()
        .counting_only()
        .ruled(behaviour(&load, 8, load.oracle.dice(1), &peace))
        .start()
        .await;
    let backup = SmtpPeer::builder()
        .counting_only()
        .ruled(behaviour(&load, 3, load.oracle.dice(2), &peace))
        .start()
        .await;
    let mut config = TestConfig::new(&primary);
    config
        .set("retry.max_attempts", "1000")
        .text("retry.max", "1s")
        .set("smtp.max_connections", "6")
        .text("smtp.timeout", "200ms");
    config.backup(&backup);
    for round in 1..=rounds {
        let mut dice = load.oracle.dice(round + 2);
        let daemon = Arc::new(config.start().await);
        let producers = load.start(&daemon, &mut dice);
        tokio::time::sleep(Duration::from_millis(dice.u64(..400))).await;
        end(&daemon, &mut dice).await;
        for producer in producers {
            producer.await.unwrap();
        }
        let ended = Arc::into_inner(daemon).unwrap().ended().await;
        // A graceful shutdown has stored its results, so duplicates are not excused.
        if ended.code() != Some(0) {
            primary.next_life();
            backup.next_life();
        }
    }
    peace.store(true, Ordering::SeqCst);
    let figures = load
        .finish(&config, config.start().await, &[&primary, &backup])
        .await;
    record(&format!(
        "chaos: {rounds} rounds, {} extra copies, {}",
        figures.extra,
        load.summary()
    ));
}
