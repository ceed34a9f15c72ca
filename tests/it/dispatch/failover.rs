//! Failover between two mail servers over real sockets, with a manual clock: when the backup takes
//! over, when it does not, and when the primary is used again.

use std::time::Duration;

use jobbell::domain::{MessageRequest, Recipient, Stage, State};
use jobbell::queue::DeliveryRecord;
use serde_json::json;

use crate::support::smtp_peer::{Act, At, Builder, Gate, Mail, SmtpPeer};
use crate::support::test_app::{NEW_YEAR, TestApp, event};
use crate::support::test_config::TestConfig;

const FIRST_COOLDOWN: Duration = Duration::from_secs(30);

/// Jobbell with a primary and a backup server.
struct Pair {
    primary: SmtpPeer,
    backup: SmtpPeer,
    app: TestApp,
    _config: TestConfig,
    count: usize,
}

impl Pair {
    async fn start(primary: Builder, backup: Builder) -> Self {
        Self::start_with(primary, backup, "").await
    }

    /// Adds `more` to `[smtp]`.
    async fn start_with(primary: Builder, backup: Builder, more: &str) -> Self {
        let (primary, backup) = (primary.start().await, backup.start().await);
        let mut config = TestConfig::bare();
        config.write(&format!(
            "[queue]\nstate_dir = {:?}\n[retry]\ninitial = \"10s\"\nmax_attempts = 3\n\
             [smtp]\nname = \"primary\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"Bell <bell@primary.example>\"\n\
             cooldown = \"30s\"\ncooldown_max = \"60s\"\nusername = \"bell@primary.example\"\npassword = \"secret\"\n{more}\n\
             [[smtp.backup]]\nname = \"backup\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"Spare <spare@backup.example>\"\n\
             cooldown = \"30s\"\ncooldown_max = \"60s\"\n",
            config.state(),
            primary.port(),
            backup.port(),
        ));
        let app = TestApp::start(&config).await;
        Self {
            primary,
            backup,
            app,
            _config: config,
            count: 0,
        }
    }

    /// Submits an event and waits until its mail is in this state after this number of tries.
    async fn mail(&mut self, state: State, tries: usize) -> DeliveryRecord {
        let id = self.submit().await;
        self.app.reached(&id, state, tries).await
    }

    async fn submit(&mut self) -> String {
        self.count += 1;
        let id = format!("mail-{}", self.count);
        self.app
            .submit(&id, &format!("reader{}@example.org", self.count))
            .await;
        id
    }

    /// Moves the clock to the mail's next attempt.
    fn wait_for(&self, delivery: &DeliveryRecord) {
        self.app.clock.step(
            delivery
                .next_attempt_at
                .unwrap()
                .since(self.app.clock.now()),
        );
    }
}

fn good() -> Builder {
    SmtpPeer::builder()
}

/// A working server that requires the primary's login.
fn login() -> Builder {
    SmtpPeer::builder().login("bell@primary.example", "secret")
}

/// Attempt number, server and result of each try.
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
async fn backup_delivers_in_the_same_attempt_whatever_fails_at_the_primary() {
    let failures = [
        (
            "service closing",
            At::Greeting,
            Act::reply_and_close("421 4.3.2 closing"),
            Stage::Greeting,
            "unavailable",
        ),
        (
            "no SMTP service",
            At::Greeting,
            Act::reply_and_close("554 no SMTP service here"),
            Stage::Greeting,
            "misconfigured",
        ),
        (
            "closed without a greeting",
            At::Greeting,
            Act::Close,
            Stage::Greeting,
            "unavailable",
        ),
        (
            "connection reset",
            At::Ehlo,
            Act::Reset,
            Stage::Ehlo,
            "unavailable",
        ),
        (
            "login refused",
            At::Auth,
            Act::reply_and_close("535 5.7.8 authentication failed"),
            Stage::Auth,
            "misconfigured",
        ),
        (
            "login temporarily unavailable",
            At::Auth,
            Act::reply("454 4.7.0 temporary authentication failure"),
            Stage::Auth,
            "unavailable",
        ),
        (
            "sender not allowed",
            At::Mail,
            Act::reply("553 5.7.1 sender address rejected: not owned by user"),
            Stage::Mail,
            "misconfigured",
        ),
        (
            "451 at MAIL",
            At::Mail,
            Act::reply("451 4.3.0 try again later"),
            Stage::Mail,
            "unavailable",
        ),
        (
            "451 at RCPT",
            At::Rcpt,
            Act::reply("451 4.3.0 try again later"),
            Stage::Rcpt,
            "unavailable",
        ),
        (
            "421 at RCPT",
            At::Rcpt,
            Act::reply_and_close("421 4.3.2 closing"),
            Stage::Rcpt,
            "unavailable",
        ),
        (
            "451 at DATA",
            At::Data,
            Act::reply("451 4.3.0 try again later"),
            Stage::Data,
            "unavailable",
        ),
        (
            "452 after the final dot",
            At::Dot,
            Act::reply("452 4.3.1 insufficient system storage"),
            Stage::Dot,
            "unavailable",
        ),
    ];
    for (what, at, act, stage, result) in failures {
        let mut pair = Pair::start(login().always(at, act), good()).await;
        let sent = pair.mail(State::Sent, 2).await;
        assert_eq!(
            tries(&sent),
            [(1, "primary", result), (1, "backup", "sent")],
            "{what}: {sent:#?}"
        );
        assert_eq!(
            (sent.attempts[0].stage, sent.sent_at),
            (Some(stage), Some(pair.app.clock.now())),
            "{what}"
        );
        assert_eq!(pair.backup.mails().len(), 1, "{what}");
        pair.app.jobbell.stop().await;
    }
}

#[tokio::test]
async fn distant_primary_that_disconnects_is_skipped() {
    for act in [Act::Close, Act::Reset] {
        let primary = SmtpPeer::builder()
            .offering("CHUNKING")
            .with_latency()
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
async fn unreachable_or_silent_primary_is_skipped() {
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
async fn failing_primary_is_used_again_after_a_successful_probe() {
    let mut pair = Pair::start(
        login().always(At::Greeting, Act::reply_and_close("421 4.3.2 closing")),
        good(),
    )
    .await;
    let both = [(1, "primary", "unavailable"), (1, "backup", "sent")];
    for _ in 0..3 {
        assert_eq!(tries(&pair.mail(State::Sent, 2).await), both);
    }
    for cooldown in [FIRST_COOLDOWN, FIRST_COOLDOWN * 2, FIRST_COOLDOWN * 2] {
        pair.app
            .clock
            .step(cooldown.checked_sub(Duration::from_millis(1)).unwrap());
        assert_eq!(
            tries(&pair.mail(State::Sent, 1).await),
            [(1, "backup", "sent")],
            "the breaker is open"
        );
        pair.app.clock.step(Duration::from_millis(1));
        assert_eq!(tries(&pair.mail(State::Sent, 2).await), both, "the probe");
    }
    let connections = pair.primary.seen().connections;
    pair.app.clock.step(FIRST_COOLDOWN * 2);
    // While the probe waits, other mails skip the server.
    let gate = Gate::new();
    pair.primary.always(At::Greeting, None);
    pair.primary.once(At::Greeting, Act::Usual.held(&gate));
    let probe = pair.submit().await;
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
        tries(&pair.app.reached(&probe, State::Sent, 1).await),
        [(1, "primary", "sent")]
    );
    assert_eq!(
        tries(&pair.mail(State::Sent, 1).await),
        [(1, "primary", "sent")],
        "the breaker is closed"
    );
}

#[tokio::test]
async fn refused_login_is_retried_after_the_longest_cooldown() {
    let mut pair = Pair::start(
        login().always(
            At::Auth,
            Act::reply_and_close("535 5.7.8 authentication failed"),
        ),
        good(),
    )
    .await;
    pair.mail(State::Sent, 2).await;
    pair.app
        .clock
        .step((FIRST_COOLDOWN * 2).saturating_sub(Duration::from_millis(1)));
    assert_eq!(
        tries(&pair.mail(State::Sent, 1).await),
        [(1, "backup", "sent")]
    );
    assert_eq!(pair.primary.seen().count("AUTH"), 1);
    pair.primary.always(At::Auth, None);
    pair.app.clock.step(Duration::from_millis(1));
    assert_eq!(
        tries(&pair.mail(State::Sent, 1).await),
        [(1, "primary", "sent")]
    );
}

#[tokio::test]
async fn primary_is_used_again_after_a_reported_quota() {
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
    // However the reply is classified, the primary is used again a day later.
    pair.app.clock.step(Duration::from_hours(25));
    pair.mail(State::Sent, 2).await;
    pair.app.clock.step(Duration::from_hours(25));
    assert_eq!(
        tries(&pair.mail(State::Sent, 1).await),
        [(1, "primary", "sent")]
    );
}

#[tokio::test]
async fn uncertain_mail_goes_to_no_other_server_and_back_to_the_same_first() {
    // The primary is down; the backup gets the mail and closes after the final dot.
    let backup = good().once(At::Dot, Act::Close.kept());
    let mut pair = Pair::start(
        login().once(At::Greeting, Act::reply_and_close("421 4.3.2 closing")),
        backup,
    )
    .await;
    let uncertain = pair.mail(State::Queued, 2).await;
    assert_eq!(
        tries(&uncertain),
        [(1, "primary", "unavailable"), (1, "backup", "uncertain")]
    );
    assert!(pair.primary.mails().is_empty());
    pair.wait_for(&uncertain);
    let sent = pair.app.reached("mail-1", State::Sent, 3).await;
    assert_eq!(
        tries(&sent)[2],
        (2, "backup", "sent"),
        "the primary works again but is not tried"
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
    let uncertain = pair.mail(State::Queued, 1).await;
    assert_eq!(tries(&uncertain), [(1, "primary", "uncertain")]);
    assert!(
        uncertain.next_attempt_at.unwrap() > pair.app.clock.now()
            && pair.backup.seen().connections == 0
    );
}

#[tokio::test]
async fn refused_recipient_is_final_without_a_try_on_the_backup() {
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
        // The refusal does not count as a failure of the server.
        pair.primary.always(at, None);
        assert_eq!(
            tries(&pair.mail(State::Sent, 1).await),
            [(1, "primary", "sent")]
        );
    }
}

/// Refuses the message for local reasons; another server may accept it.
const SPAM: &str = "554 Transaction failed";

#[tokio::test]
async fn mail_refused_by_one_server_is_tried_on_one_more() {
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
async fn mail_refused_by_one_server_waits_for_the_other() {
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
    // The backup's breaker is still open. The primary refuses again, which is not final.
    let waiting = pair.app.reached("mail-1", State::Queued, 3).await;
    assert_eq!(tries(&waiting)[2], (2, "primary", "rejected_here"));
    pair.backup.always(At::Mail, None);
    pair.wait_for(&waiting);
    let sent = pair.app.reached("mail-1", State::Sent, 4).await;
    assert_eq!(
        tries(&sent)[3],
        (3, "backup", "sent"),
        "the remaining server is tried first"
    );
}

#[tokio::test]
async fn failures_of_whole_servers_do_not_count_as_attempts() {
    let down = || Act::reply_and_close("421 4.3.2 closing");
    let mut pair = Pair::start(
        login().always(At::Greeting, down()),
        good().always(At::Greeting, down()),
    )
    .await;
    pair.mail(State::Queued, 2).await;
    for round in 2..=6 {
        // Longer than the longest cooldown.
        pair.app.clock.step(Duration::from_mins(2));
        let waiting = pair.app.reached("mail-1", State::Queued, round * 2).await;
        assert_eq!(
            tries(&waiting)[round * 2 - 2..],
            [(1, "primary", "unavailable"), (1, "backup", "unavailable")]
        );
    }
    pair.backup.always(At::Greeting, None);
    pair.app.clock.step(Duration::from_mins(2));
    let sent = pair.app.reached("mail-1", State::Sent, 14).await;
    assert_eq!(
        tries(&sent)[12..],
        [(1, "primary", "unavailable"), (1, "backup", "sent")]
    );
}

#[tokio::test]
async fn backup_sends_the_same_mail_from_its_own_address() {
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
        "fixed when the event was accepted"
    );
}

#[tokio::test]
async fn urgent_mails_use_the_reserved_connection_and_no_more() {
    let gate = Gate::new();
    let pair = Pair::start_with(
        login().always(At::Data, Act::Usual.held(&gate)),
        good(),
        "max_connections = 2",
    )
    .await;
    let mut many = event("many", "boss@example.org");
    many.to = (0..10)
        .map(|number| Recipient::parse(&format!("reader{number}@example.org")).unwrap())
        .collect();
    pair.app.jobbell.submit(many).await.unwrap();
    gate.reached().await;
    assert_eq!(
        pair.primary.seen().max_open,
        1,
        "the second connection is reserved"
    );
    for number in 0..3 {
        let code = json!({
            "id": format!("code-{number}"), "to": "reader@example.org",
            "template": "verification_code", "params": { "code": "483921" },
        });
        let message = MessageRequest::parse(&code, NEW_YEAR).unwrap().event;
        pair.app.jobbell.submit(message).await.unwrap();
    }
    gate.reached().await;
    for _ in 0..13 {
        gate.open();
    }
    pair.primary
        .until("all mails", |seen| seen.mails.len() == 13)
        .await;
    assert_eq!(
        (pair.primary.seen().max_open, pair.backup.seen().connections),
        (2, 0)
    );
}

#[tokio::test]
async fn many_job_mails_leave_the_last_connection_free() {
    let gate = Gate::new();
    let pair = Pair::start_with(
        login().always(At::Data, Act::Usual.held(&gate)),
        good(),
        "max_connections = 2",
    )
    .await;
    let mut many = event("many", "boss@example.org");
    many.to = (0..10)
        .map(|number| Recipient::parse(&format!("reader{number}@example.org")).unwrap())
        .collect();
    pair.app.jobbell.submit(many).await.unwrap();
    gate.reached().await;
    assert_eq!(
        pair.primary.seen().max_open,
        1,
        "the second connection is reserved for urgent mails"
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
}
