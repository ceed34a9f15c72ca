//! Rate limits: no server is sent more mails in a period than its `rate_limit` allows.

use std::time::Duration;

use jobbell::Jobbell;
use jobbell::domain::{Recipient, Timestamp};
use jobbell::queue::{DeliveryRecord, Filter, Queue};

use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_app::{TestApp, event};
use crate::support::test_config::{PATIENCE, TestConfig};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// A configuration with a limited primary server and optionally a backup.
fn config(primary: &SmtpPeer, rate: &str, backup: Option<&SmtpPeer>) -> TestConfig {
    let mut config = TestConfig::bare();
    write(&mut config, primary, rate, backup);
    config
}

fn write(config: &mut TestConfig, primary: &SmtpPeer, rate: &str, backup: Option<&SmtpPeer>) {
    let server = |name: &str, port: u16| {
        format!(
            "name = \"{name}\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \"bell@jobbell.example\"\nrest = \"30s\"\n"
        )
    };
    let backup = backup.map_or_else(String::new, |peer| {
        format!("[[smtp.backup]]\n{}", server("backup", peer.port()))
    });
    let state = config.state();
    config.write(&format!(
        "[queue]\nstate_dir = {state:?}\n[smtp]\n{}rate_limit = \"{rate}\"\n{backup}",
        server("primary", primary.port())
    ));
}

/// Submits one event with this number of recipients.
async fn submit(app: &TestApp, id: &str, mails: usize) {
    let mut many = event(id, "boss@example.org");
    many.to = (0..mails)
        .map(|number| Recipient::parse(&format!("reader{number}@example.org")).unwrap())
        .collect();
    app.jobbell.submit(many).await.unwrap();
}

async fn all(queue: &Queue) -> Vec<DeliveryRecord> {
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = queue
            .list(&Filter::default(), cursor.as_deref(), 500)
            .await
            .unwrap();
        all.extend(page.deliveries);
        let Some(next) = page.next_cursor else {
            return all;
        };
        cursor = Some(next);
    }
}

/// Waits until this number of mails is sent and none is being sent.
async fn sent(app: &TestApp, number: u64) {
    let waiting = async {
        loop {
            let counts = app.jobbell.queue().counts().await.unwrap();
            if counts.sent == number && counts.sending == 0 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(
        waited.is_ok(),
        "waited for {number} to be sent: {:?}",
        app.jobbell.queue().counts().await
    );
}

/// Checks that no more mails are sent although the dispatcher has time to.
async fn no_more_sent(app: &TestApp, number: u64) {
    for _ in 0..50 {
        tokio::task::yield_now().await;
        app.jobbell.queue().ping().await;
    }
    sent(app, number).await;
}

/// The most times in any period of this length, both ends included.
fn most_within(period: Duration, times: &[Timestamp]) -> usize {
    let in_period = |first: usize| {
        times[first..]
            .iter()
            .take_while(|time| time.since(times[first]) <= period)
            .count()
    };
    (0..times.len()).map(in_period).max().unwrap_or(0)
}

async fn restart(app: &mut TestApp, config: &TestConfig) {
    app.jobbell.stop().await;
    app.jobbell = Jobbell::start_at(&config.load(), app.clock.clone())
        .await
        .unwrap();
}

#[tokio::test]
async fn thousand_mails_respect_300_per_minute_across_restarts() {
    let peer = SmtpPeer::start().await;
    let config = config(&peer, "300/min", None);
    let mut app = TestApp::start(&config).await;
    let started = app.clock.now();
    for event in 0..10 {
        submit(&app, &format!("hundred-{event}"), 100).await;
    }
    let mut restarts = [350, 700].into_iter().peekable();
    loop {
        let counts = app.jobbell.queue().counts().await.unwrap();
        if counts.sent == 1_000 {
            break;
        }
        if restarts.next_if(|at| counts.sent >= *at).is_some() {
            restart(&mut app, &config).await;
        }
        if counts.sending == 0 {
            app.clock.step(Duration::from_millis(500));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let deliveries = all(app.jobbell.queue()).await;
    let mut times: Vec<Timestamp> = deliveries
        .iter()
        .flat_map(|delivery| &delivery.attempts)
        .map(|attempt| attempt.at)
        .collect();
    times.sort_unstable();
    assert_eq!(
        (times.len(), peer.mails().len()),
        (1_000, 1_000),
        "one try each: no claim was wasted"
    );
    let most = most_within(MINUTE, &times);
    assert!((200..=300).contains(&most), "{most} in one minute");
    let took = app.clock.now().since(started);
    assert!(took < MINUTE * 6, "the limit is not used up: {took:?}");
}

#[tokio::test]
async fn daily_limit_survives_a_restart() {
    let peer = SmtpPeer::start().await;
    let config = config(&peer, "3/day", None);
    let mut app = TestApp::start(&config).await;
    submit(&app, "first", 2).await;
    sent(&app, 2).await;
    app.clock.step(DAY / 2);
    restart(&mut app, &config).await;
    submit(&app, "second", 3).await;
    sent(&app, 3).await;
    no_more_sent(&app, 3).await;
    let waiting = all(app.jobbell.queue()).await;
    let tries: usize = waiting.iter().map(|delivery| delivery.attempts.len()).sum();
    assert_eq!(tries, 3, "waiting mails were not tried");
    restart(&mut app, &config).await;
    no_more_sent(&app, 3).await;
    app.clock.step(DAY / 2);
    app.clock.step(MINUTE);
    sent(&app, 5).await;
}

#[tokio::test]
async fn daily_limit_fails_over_but_a_limit_per_minute_waits() {
    let (primary, backup) = (SmtpPeer::start().await, SmtpPeer::start().await);
    let daily = config(&primary, "3/day", Some(&backup));
    let app = TestApp::start(&daily).await;
    submit(&app, "quota", 5).await;
    sent(&app, 5).await;
    assert_eq!((primary.mails().len(), backup.mails().len()), (3, 2));
    app.clock.step(DAY);
    app.clock.step(MINUTE);
    submit(&app, "next-day", 1).await;
    sent(&app, 6).await;
    assert_eq!(primary.mails().len(), 4, "the primary is used again");

    let (primary, backup) = (SmtpPeer::start().await, SmtpPeer::start().await);
    let per_minute = config(&primary, "3/min", Some(&backup));
    let app = TestApp::start(&per_minute).await;
    submit(&app, "pace", 5).await;
    sent(&app, 3).await;
    no_more_sent(&app, 3).await;
    app.clock.step(MINUTE);
    app.clock.step(Duration::from_secs(1));
    sent(&app, 5).await;
    assert_eq!((primary.mails().len(), backup.seen().connections), (5, 0));
}

#[tokio::test]
async fn failure_before_mail_from_does_not_count() {
    let (primary, backup) = (
        SmtpPeer::builder()
            .always(At::Greeting, Act::reply_and_close("421 4.3.2 closing"))
            .start()
            .await,
        SmtpPeer::start().await,
    );
    let config = config(&primary, "3/day", Some(&backup));
    let app = TestApp::start(&config).await;
    for mail in 1..=3 {
        submit(&app, &format!("mail-{mail}"), 1).await;
        sent(&app, mail).await;
    }
    primary.always(At::Greeting, None);
    // The third failure opened the breaker.
    app.clock.step(Duration::from_secs(31));
    for mail in 4..=6 {
        submit(&app, &format!("mail-{mail}"), 1).await;
        sent(&app, mail).await;
    }
    assert_eq!(
        (primary.mails().len(), backup.mails().len()),
        (3, 3),
        "the whole limit is left"
    );
}

#[tokio::test]
async fn reload_keeps_the_send_history() {
    let peer = SmtpPeer::start().await;
    let mut config = config(&peer, "3/min", None);
    let app = TestApp::start(&config).await;
    submit(&app, "first", 3).await;
    sent(&app, 3).await;
    for (rate, more) in [("3/min", 0), ("5/day", 1)] {
        write(&mut config, &peer, rate, None);
        app.jobbell.reload(&config.load()).unwrap();
        submit(&app, &rate.replace('/', "-"), 1).await;
        sent(&app, 3 + more).await;
        no_more_sent(&app, 3 + more).await;
    }
}
