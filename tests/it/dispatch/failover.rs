//! Several mail servers: who takes over when, who does not, and when the first one is used again.
//! Real sockets, and a clock that the test moves.

use std::time::Duration;

use jobbell::domain::{Recipient, Stage, State};
use jobbell::queue::DeliveryRecord;

use crate::support::smtp_peer::{Act, At, Builder, Gate, Mail, SmtpPeer};
use crate::support::test_app::{TestApp, event};
use crate::support::test_config::TestConfig;

const FIRST_REST: Duration = Duration::from_secs(30);

/// A primary and a backup, and Jobbell before them.
struct Pair {
    primary: SmtpPeer,
    backup: SmtpPeer,
    inside: TestApp,
    _home: TestConfig,
    count: usize,
}

impl Pair {
    async fn start(primary: Builder, backup: Builder) -> Self {
        Self::start_with(primary, backup, "").await
    }

    /// `more` is written into `[smtp]`.
    async fn start_with(primary: Builder, backup: Builder, more: &str) -> Self {
        let (primary, backup) = (primary.start().await, backup.start().await);
        let mut home = TestConfig::bare();
        home.write(&format!(
            "[queue]\nstate_dir = {:?}\n[retry]\ninitial = \"10s\"\nmax_attempts = 3\n\
             [smtp]\nname = \"primary\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"Bell <bell@primary.example>\"\n\
             cooldown = \"30s\"\ncooldown_max = \"60s\"\nusername = \"bell@primary.example\"\npassword = \"secret\"\n{more}\n\
             [[smtp.backup]]\nname = \"backup\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"Spare <spare@backup.example>\"\n\
             cooldown = \"30s\"\ncooldown_max = \"60s\"\n",
            home.state(),
            primary.port(),
            backup.port(),
        ));
        let inside = TestApp::start(&home).await;
        Self {
            primary,
            backup,
            inside,
            _home: home,
            count: 0,
        }
    }

    /// Posts an event and waits until its mail is in this state after so many tries.
    async fn mail(&mut self, state: State, tries: usize) -> DeliveryRecord {
        let id = self.post().await;
        self.inside.reached(&id, state, tries).await
    }

    async fn post(&mut self) -> String {
        self.count += 1;
        let id = format!("mail-{}", self.count);
        self.inside
            .submit(&id, &format!("reader{}@example.org", self.count))
            .await;
        id
    }

    /// Moves the clock to the mail's next attempt.
    fn wait_for(&self, delivery: &DeliveryRecord) {
        self.inside.clock.step(
            delivery
                .next_attempt_at
                .unwrap()
                .since(self.inside.clock.now()),
        );
    }
}

fn good() -> Builder {
    SmtpPeer::builder()
}

/// A good server that wants the primary's login.
fn login() -> Builder {
    SmtpPeer::builder().login("bell@primary.example", "secret")
}

/// Number, server and result of each try.
fn tries(delivery: &DeliveryRecord) -> Vec<(u32, &str, &str)> {
    delivery
        .attempts
        .iter()
        .map(|attempt| {
            (
                attempt.number,
                attempt.server.as_str(),
                attempt.result.as_str(),
            )
        })
        .collect()
}

fn header(mail: &Mail, name: &str) -> String {
    let text = String::from_utf8_lossy(&mail.data).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn the_backup_delivers_inside_the_same_attempt_whatever_ails_the_primary() {
    let ails = [
        (
            "a service that closes",
            At::Greeting,
            Act::reply_and_close("421 4.3.2 closing"),
            Stage::Greeting,
            "unavailable",
        ),
        (
            "a server that does not want us",
            At::Greeting,
            Act::reply_and_close("554 no SMTP service here"),
            Stage::Greeting,
            "misconfigured",
        ),
        (
            "no greeting but a closed door",
            At::Greeting,
            Act::Close,
            Stage::Greeting,
            "unavailable",
        ),
        ("a reset", At::Ehlo, Act::Reset, Stage::Ehlo, "unavailable"),
        (
            "a refused login",
            At::Auth,
            Act::reply_and_close("535 5.7.8 authentication failed"),
            Stage::Auth,
            "misconfigured",
        ),
        (
            "a login that is off for now",
            At::Auth,
            Act::reply("454 4.7.0 temporary authentication failure"),
            Stage::Auth,
            "unavailable",
        ),
        (
            "a sender that may not send",
            At::Mail,
            Act::reply("553 5.7.1 sender address rejected: not owned by user"),
            Stage::Mail,
            "misconfigured",
        ),
        (
            "no room at MAIL",
            At::Mail,
            Act::reply("451 4.3.0 try again later"),
            Stage::Mail,
            "unavailable",
        ),
        (
            "no room at RCPT",
            At::Rcpt,
            Act::reply("451 4.3.0 try again later"),
            Stage::Rcpt,
            "unavailable",
        ),
        (
            "a 421 at RCPT",
            At::Rcpt,
            Act::reply_and_close("421 4.3.2 closing"),
            Stage::Rcpt,
            "unavailable",
        ),
        (
            "no room at DATA",
            At::Data,
            Act::reply("451 4.3.0 try again later"),
            Stage::Data,
            "unavailable",
        ),
        (
            "no room after the dot",
            At::Dot,
            Act::reply("452 4.3.1 insufficient system storage"),
            Stage::Dot,
            "unavailable",
        ),
    ];
    for (what, at, act, stage, result) in ails {
        let mut pair = Pair::start(login().always(at, act), good()).await;
        let sent = pair.mail(State::Sent, 2).await;
        assert_eq!(
            tries(&sent),
            [(1, "primary", result), (1, "backup", "sent")],
            "{what}: {sent:#?}"
        );
        assert_eq!(
            (sent.attempts[0].stage, sent.sent_at),
            (Some(stage), Some(pair.inside.clock.now())),
            "{what}"
        );
        assert_eq!(pair.backup.mails().len(), 1, "{what}");
        pair.inside.jobbell.stop().await;
    }
}

#[tokio::test]
async fn a_primary_far_away_that_hangs_up_is_passed_over_as_one_near_by() {
    for act in [Act::Close, Act::Reset] {
        let primary = SmtpPeer::builder()
            .offering("CHUNKING")
            .at_a_distance()
            .login("bell@primary.example", "secret")
            .always(At::Mail, act);
        let mut pair = Pair::start(primary, SmtpPeer::builder()).await;
        let sent = pair.mail(State::Sent, 2).await;
        assert_eq!(sent.attempts[1].number, 1, "{sent:#?}");
        assert_eq!(
            (pair.primary.mails().len(), pair.backup.mails().len()),
            (0, 1)
        );
    }
}

#[tokio::test]
async fn a_primary_that_is_not_there_or_says_nothing_is_passed_over() {
    let mut pair = Pair::start(login(), good()).await;
    pair.primary.stop_listening().await;
    let sent = pair.mail(State::Sent, 2).await;
    assert_eq!(
        (tries(&sent), sent.attempts[0].stage),
        (
            vec![(1, "primary", "unavailable"), (1, "backup", "sent")],
            Some(Stage::Connect)
        )
    );

    let mut pair = Pair::start_with(
        login().always(At::Greeting, Act::Silence),
        good(),
        "timeout = \"300ms\"",
    )
    .await;
    let sent = pair.mail(State::Sent, 2).await;
    assert_eq!(
        (tries(&sent), sent.attempts[0].stage),
        (
            vec![(1, "primary", "unavailable"), (1, "backup", "sent")],
            Some(Stage::Greeting)
        )
    );
}

#[tokio::test]
async fn a_primary_out_of_order_rests_longer_each_time_and_is_used_again_when_one_probe_went_well()
{
    let mut pair = Pair::start(
        login().always(At::Greeting, Act::reply_and_close("421 4.3.2 closing")),
        good(),
    )
    .await;
    let both = [(1, "primary", "unavailable"), (1, "backup", "sent")];
    for _ in 0..3 {
        assert_eq!(tries(&pair.mail(State::Sent, 2).await), both);
    }
    for rest in [FIRST_REST, FIRST_REST * 2, FIRST_REST * 2] {
        pair.inside
            .clock
            .step(rest.checked_sub(Duration::from_millis(1)).unwrap());
        assert_eq!(
            tries(&pair.mail(State::Sent, 1).await),
            [(1, "backup", "sent")],
            "it rests"
        );
        pair.inside.clock.step(Duration::from_millis(1));
        assert_eq!(tries(&pair.mail(State::Sent, 2).await), both, "the probe");
    }
    let connections = pair.primary.seen().connections;
    pair.inside.clock.step(FIRST_REST * 2);
    // The probe is held, and everybody else passes the server over.
    let gate = Gate::new();
    pair.primary.always(At::Greeting, None);
    pair.primary.once(At::Greeting, Act::Usual.held(&gate));
    let probe = pair.post().await;
    gate.reached().await;
    for _ in 0..4 {
        assert_eq!(
            tries(&pair.mail(State::Sent, 1).await),
            [(1, "backup", "sent")]
        );
    }
    assert_eq!(pair.primary.seen().connections, connections + 1);
    gate.open();
    assert_eq!(
        tries(&pair.inside.reached(&probe, State::Sent, 1).await),
        [(1, "primary", "sent")]
    );
    assert_eq!(
        tries(&pair.mail(State::Sent, 1).await),
        [(1, "primary", "sent")],
        "in use again"
    );
}

#[tokio::test]
async fn a_refused_login_is_not_repeated_before_the_longest_pause_is_over() {
    let mut pair = Pair::start(
        login().always(
            At::Auth,
            Act::reply_and_close("535 5.7.8 authentication failed"),
        ),
        good(),
    )
    .await;
    pair.mail(State::Sent, 2).await;
    pair.inside
        .clock
        .step((FIRST_REST * 2).saturating_sub(Duration::from_millis(1)));
    assert_eq!(
        tries(&pair.mail(State::Sent, 1).await),
        [(1, "backup", "sent")]
    );
    assert_eq!(pair.primary.seen().count("AUTH"), 1);
    pair.primary.always(At::Auth, None);
    pair.inside.clock.step(Duration::from_millis(1));
    assert_eq!(
        tries(&pair.mail(State::Sent, 1).await),
        [(1, "primary", "sent")]
    );
}

#[tokio::test]
async fn the_servers_quota_rests_it_for_as_long_as_it_says() {
    let quota =
        Act::reply("450 4.7.1 Error: too much mail from your address, try again in 10 minutes");
    let mut pair = Pair::start(
        login()
            .once(
                At::Mail,
                Act::reply("421 4.7.0 Temporary System Problem. Try again later"),
            )
            .once(At::Mail, quota),
        good(),
    )
    .await;
    let first = pair.mail(State::Sent, 2).await;
    assert_eq!(
        tries(&first),
        [(1, "primary", "unavailable"), (1, "backup", "sent")]
    );
    // Whatever the words were taken for, the primary comes back by itself.
    pair.inside.clock.step(Duration::from_hours(25));
    pair.mail(State::Sent, 2).await;
    pair.inside.clock.step(Duration::from_hours(25));
    assert_eq!(
        tries(&pair.mail(State::Sent, 1).await),
        [(1, "primary", "sent")]
    );
}

#[tokio::test]
async fn a_mail_that_may_have_been_taken_never_goes_elsewhere_at_once_and_back_to_the_same_server_first()
 {
    // The backup gets it, while the primary is out of order, and falls silent after the dot.
    let backup = good().once(At::Dot, Act::Close.kept());
    let mut pair = Pair::start(
        login().once(At::Greeting, Act::reply_and_close("421 4.3.2 closing")),
        backup,
    )
    .await;
    let doubtful = pair.mail(State::Queued, 2).await;
    assert_eq!(
        tries(&doubtful),
        [(1, "primary", "unavailable"), (1, "backup", "uncertain")]
    );
    assert!(pair.primary.mails().is_empty());
    pair.wait_for(&doubtful);
    let sent = pair.inside.reached("mail-1", State::Sent, 3).await;
    assert_eq!(
        tries(&sent)[2],
        (2, "backup", "sent"),
        "the primary is well again, and is not asked"
    );
    assert!(pair.primary.mails().is_empty());
    let copies = pair.backup.mails();
    assert_eq!(
        (copies.len(), header(&copies[0], "Message-ID")),
        (2, sent.message_id.clone())
    );
    assert_eq!(
        header(&copies[0], "Message-ID"),
        header(&copies[1], "Message-ID")
    );

    let mut pair = Pair::start(login().once(At::Dot, Act::Close.kept()), good()).await;
    let doubtful = pair.mail(State::Queued, 1).await;
    assert_eq!(tries(&doubtful), [(1, "primary", "uncertain")]);
    assert!(
        doubtful.next_attempt_at.unwrap() > pair.inside.clock.now()
            && pair.backup.seen().connections == 0
    );
}

#[tokio::test]
async fn a_refused_recipient_is_final_and_the_backup_is_not_asked() {
    for (at, reply) in [
        (At::Rcpt, "550 5.1.1 no such user"),
        (At::Rcpt, "550 no"),
        (At::Rcpt, "553 5.1.3 bad destination mailbox address"),
    ] {
        let mut pair = Pair::start(login().always(at, Act::reply(reply)), good()).await;
        let dead = pair.mail(State::Dead, 1).await;
        assert_eq!(
            (tries(&dead), dead.reason.as_deref()),
            (vec![(1, "primary", "rejected")], Some("rejected")),
            "{reply}"
        );
        assert_eq!(pair.backup.seen().connections, 0, "{reply}");
        // That is no fault of the server.
        pair.primary.always(at, None);
        assert_eq!(
            tries(&pair.mail(State::Sent, 1).await),
            [(1, "primary", "sent")]
        );
    }
}

/// Of the message, and for reasons of the server's own: another one may think better of it.
const SPAM: &str = "554 Transaction failed";

#[tokio::test]
async fn a_mail_that_one_server_will_never_take_gets_one_more_chance_elsewhere() {
    let mut pair = Pair::start(login().always(At::Dot, Act::reply(SPAM)), good()).await;
    assert_eq!(
        tries(&pair.mail(State::Sent, 2).await),
        [(1, "primary", "rejected_here"), (1, "backup", "sent")]
    );
    pair.backup.always(At::Dot, Some(Act::reply(SPAM)));
    let dead = pair.mail(State::Dead, 2).await;
    assert_eq!(
        (tries(&dead), dead.reason.as_deref()),
        (
            vec![
                (1, "primary", "rejected_here"),
                (1, "backup", "rejected_here")
            ],
            Some("rejected")
        )
    );
}

#[tokio::test]
async fn a_mail_that_one_server_will_never_take_waits_for_the_other_one() {
    let mut pair = Pair::start(
        login().always(At::Dot, Act::reply(SPAM)),
        good().always(At::Mail, Act::reply("535 5.7.8 who are you?")),
    )
    .await;
    let waiting = pair.mail(State::Queued, 2).await;
    assert_eq!(
        tries(&waiting),
        [
            (1, "primary", "rejected_here"),
            (1, "backup", "misconfigured")
        ]
    );
    pair.wait_for(&waiting);
    // The backup still rests; the primary says no again, and that is not the end.
    let waiting = pair.inside.reached("mail-1", State::Queued, 3).await;
    assert_eq!(tries(&waiting)[2], (2, "primary", "rejected_here"));
    pair.backup.always(At::Mail, None);
    pair.wait_for(&waiting);
    let sent = pair.inside.reached("mail-1", State::Sent, 4).await;
    assert_eq!(
        tries(&sent)[3],
        (3, "backup", "sent"),
        "the one that is left is asked first"
    );
}

#[tokio::test]
async fn servers_that_are_out_of_order_use_up_no_attempts() {
    let down = || Act::reply_and_close("421 4.3.2 closing");
    let mut pair = Pair::start(
        login().always(At::Greeting, down()),
        good().always(At::Greeting, down()),
    )
    .await;
    pair.mail(State::Queued, 2).await;
    for round in 2..=6 {
        // Longer than the longest rest.
        pair.inside.clock.step(Duration::from_mins(2));
        let waiting = pair
            .inside
            .reached("mail-1", State::Queued, round * 2)
            .await;
        assert_eq!(
            tries(&waiting)[round * 2 - 2..],
            [(1, "primary", "unavailable"), (1, "backup", "unavailable")]
        );
    }
    pair.backup.always(At::Greeting, None);
    pair.inside.clock.step(Duration::from_mins(2));
    let sent = pair.inside.reached("mail-1", State::Sent, 14).await;
    assert_eq!(
        tries(&sent)[12..],
        [(1, "primary", "unavailable"), (1, "backup", "sent")]
    );
}

#[tokio::test]
async fn a_mail_through_the_backup_comes_from_its_address_and_is_the_same_mail() {
    let mut pair = Pair::start(
        login().once(At::Greeting, Act::reply_and_close("421 4.3.2 closing")),
        good(),
    )
    .await;
    let sent = pair.mail(State::Sent, 2).await;
    let [mail] = <[Mail; 1]>::try_from(pair.backup.mails()).unwrap();
    assert_eq!(
        (mail.from.as_str(), header(&mail, "From")),
        (
            "spare@backup.example",
            "Spare <spare@backup.example>".to_owned()
        )
    );
    assert_eq!(header(&mail, "Message-ID"), sent.message_id);
    assert!(
        sent.message_id.ends_with("@primary.example>"),
        "fixed when the mail was accepted, whoever takes it in the end"
    );
}

#[tokio::test]
async fn a_storm_of_job_mails_leaves_the_last_connection_to_a_code() {
    // No route makes urgent mails here, so the store is asked for what the lane may have.
    let gate = Gate::new();
    let mut pair = Pair::start_with(
        login().always(At::Data, Act::Usual.held(&gate)),
        good(),
        "max_connections = 2",
    )
    .await;
    let mut many = event("many", "boss@example.org");
    many.to = (0..10)
        .map(|number| Recipient::parse(&format!("reader{number}@example.org")).unwrap())
        .collect();
    pair.inside.jobbell.submit(many).await.unwrap();
    gate.reached().await;
    assert_eq!(
        pair.primary.seen().max_open,
        1,
        "the second connection is kept free"
    );
    for _ in 1..10 {
        gate.open();
        gate.reached().await;
    }
    gate.open();
    pair.primary
        .until("all mails", |seen| seen.mails.len() == 10)
        .await;
    assert_eq!(
        (pair.primary.seen().max_open, pair.backup.seen().connections),
        (1, 0)
    );
    pair.post().await;
}
