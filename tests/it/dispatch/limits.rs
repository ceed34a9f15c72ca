//! What a server is given in a span of time: never more than `rate_limit`, whatever happens
//! between.

use std::time::Duration;

use jobbell::Jobbell;
use jobbell::domain::{Recipient, Timestamp};
use jobbell::queue::{DeliveryRecord, Filter, Queue};

use crate::support::smtp_peer::{Act, At, SmtpPeer};
use crate::support::test_app::{TestApp, event};
use crate::support::test_config::{PATIENCE, TestConfig};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// A configuration with a limited primary and, if there is one, a backup.
fn home(primary: &SmtpPeer, rate: &str, backup: Option<&SmtpPeer>) -> TestConfig {
    let mut home = TestConfig::bare();
    write(&mut home, primary, rate, backup);
    home
}

fn write(home: &mut TestConfig, primary: &SmtpPeer, rate: &str, backup: Option<&SmtpPeer>) {
    let server = |name: &str, port: u16| {
        format!(
            "name = \"{name}\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \"bell@jobbell.example\"\nrest = \"30s\"\n"
        )
    };
    let backup = backup.map_or_else(String::new, |peer| {
        format!("[[smtp.backup]]\n{}", server("backup", peer.port()))
    });
    let state = home.state();
    home.write(&format!(
        "[queue]\nstate_dir = {state:?}\n[smtp]\n{}rate_limit = \"{rate}\"\n{backup}",
        server("primary", primary.port())
    ));
}

/// Posts so many mails as one event.
async fn post(inside: &TestApp, id: &str, mails: usize) {
    let mut many = event(id, "boss@example.org");
    many.to = (0..mails)
        .map(|number| Recipient::parse(&format!("reader{number}@example.org")).unwrap())
        .collect();
    inside.jobbell.submit(many).await.unwrap();
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

/// Waits until so many are sent and none is under way.
async fn sent(inside: &TestApp, number: u64) {
    let waiting = async {
        loop {
            let counts = inside.jobbell.queue().counts().await.unwrap();
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
        inside.jobbell.queue().counts().await
    );
}

/// Gives the dispatcher time for many turns, and sees that nothing more was sent.
async fn stands_still(inside: &TestApp, number: u64) {
    for _ in 0..50 {
        tokio::task::yield_now().await;
        inside.jobbell.queue().ping().await;
    }
    sent(inside, number).await;
}

/// The most moments in any span of this length, both ends included.
fn most_within(span: Duration, moments: &[Timestamp]) -> usize {
    let in_span = |first: usize| {
        moments[first..]
            .iter()
            .take_while(|moment| moment.since(moments[first]) <= span)
            .count()
    };
    (0..moments.len()).map(in_span).max().unwrap_or(0)
}

async fn again(inside: &mut TestApp, home: &TestConfig) {
    inside.jobbell.stop().await;
    inside.jobbell = Jobbell::start_at(&home.load(), inside.clock.clone())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_thousand_mails_keep_to_three_hundred_a_minute_also_across_a_restart() {
    let peer = SmtpPeer::start().await;
    let home = home(&peer, "300/min", None);
    let mut inside = TestApp::start(&home).await;
    let begun = inside.clock.now();
    for event in 0..10 {
        post(&inside, &format!("hundred-{event}"), 100).await;
    }
    let mut restarts = [350, 700].into_iter().peekable();
    loop {
        let counts = inside.jobbell.queue().counts().await.unwrap();
        if counts.sent == 1_000 {
            break;
        }
        if restarts.next_if(|at| counts.sent >= *at).is_some() {
            again(&mut inside, &home).await;
        }
        if counts.sending == 0 {
            inside.clock.step(Duration::from_millis(500));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let deliveries = all(inside.jobbell.queue()).await;
    let mut moments: Vec<Timestamp> = deliveries
        .iter()
        .flat_map(|delivery| &delivery.attempts)
        .map(|attempt| attempt.at)
        .collect();
    moments.sort_unstable();
    assert_eq!(
        (moments.len(), peer.mails().len()),
        (1_000, 1_000),
        "one try each: none was claimed in vain"
    );
    let most = most_within(MINUTE, &moments);
    assert!((200..=300).contains(&most), "{most} in one minute");
    let took = inside.clock.now().since(begun);
    assert!(took < MINUTE * 6, "the limit is there to be used: {took:?}");
}

#[tokio::test]
async fn the_quota_of_a_day_is_remembered_by_the_next_start() {
    let peer = SmtpPeer::start().await;
    let home = home(&peer, "3/day", None);
    let mut inside = TestApp::start(&home).await;
    post(&inside, "first", 2).await;
    sent(&inside, 2).await;
    inside.clock.step(DAY / 2);
    again(&mut inside, &home).await;
    post(&inside, "second", 3).await;
    sent(&inside, 3).await;
    stands_still(&inside, 3).await;
    let waiting = all(inside.jobbell.queue()).await;
    let tries: usize = waiting.iter().map(|delivery| delivery.attempts.len()).sum();
    assert_eq!(tries, 3, "those that wait were not touched");
    again(&mut inside, &home).await;
    stands_still(&inside, 3).await;
    inside.clock.step(DAY / 2);
    inside.clock.step(MINUTE);
    sent(&inside, 5).await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_passes_mails_on_and_a_pace_is_waited_for() {
    let (primary, backup) = (SmtpPeer::start().await, SmtpPeer::start().await);
    let quota = home(&primary, "3/day", Some(&backup));
    let inside = TestApp::start(&quota).await;
    post(&inside, "quota", 5).await;
    sent(&inside, 5).await;
    assert_eq!((primary.mails().len(), backup.mails().len()), (3, 2));
    inside.clock.step(DAY);
    inside.clock.step(MINUTE);
    post(&inside, "next-day", 1).await;
    sent(&inside, 6).await;
    assert_eq!(primary.mails().len(), 4, "the primary is used again");

    let (primary, backup) = (SmtpPeer::start().await, SmtpPeer::start().await);
    let pace = home(&primary, "3/min", Some(&backup));
    let inside = TestApp::start(&pace).await;
    post(&inside, "pace", 5).await;
    sent(&inside, 3).await;
    stands_still(&inside, 3).await;
    inside.clock.step(MINUTE);
    inside.clock.step(Duration::from_secs(1));
    sent(&inside, 5).await;
    assert_eq!((primary.mails().len(), backup.seen().connections), (5, 0));
}

#[tokio::test]
async fn a_try_that_failed_before_the_mail_was_named_costs_nothing() {
    let (primary, backup) = (
        SmtpPeer::builder()
            .always(At::Greeting, Act::reply_and_close("421 4.3.2 closing"))
            .start()
            .await,
        SmtpPeer::start().await,
    );
    let home = home(&primary, "3/day", Some(&backup));
    let inside = TestApp::start(&home).await;
    for mail in 1..=3 {
        post(&inside, &format!("mail-{mail}"), 1).await;
        sent(&inside, mail).await;
    }
    primary.always(At::Greeting, None);
    // The third trouble put it to rest.
    inside.clock.step(Duration::from_secs(31));
    for mail in 4..=6 {
        post(&inside, &format!("mail-{mail}"), 1).await;
        sent(&inside, mail).await;
    }
    assert_eq!(
        (primary.mails().len(), backup.mails().len()),
        (3, 3),
        "all of its quota"
    );
}

#[tokio::test]
async fn another_configuration_forgets_nothing() {
    let peer = SmtpPeer::start().await;
    let mut home = home(&peer, "3/min", None);
    let inside = TestApp::start(&home).await;
    post(&inside, "first", 3).await;
    sent(&inside, 3).await;
    for (rate, more) in [("3/min", 0), ("5/day", 1)] {
        write(&mut home, &peer, rate, None);
        inside.jobbell.reload(&home.load()).unwrap();
        post(&inside, &rate.replace('/', "-"), 1).await;
        sent(&inside, 3 + more).await;
        stands_still(&inside, 3 + more).await;
    }
}
