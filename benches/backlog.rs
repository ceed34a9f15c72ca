//! Measures a long queue: opening time, sending rate compared with a short queue, memory, and the
//! latency of urgent mails.
//!
//! `cargo bench --profile dist --bench backlog -- 20000 1000000`
//!
//! The mail server runs on the same machine, so rates are only comparable with each other. A
//! separate process fills the queue, so that memory figures cover the sender and the mail server's
//! thread, which stores nothing.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints its results and stops on errors"
)]

mod support;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jobbell::Jobbell;
use jobbell::clock::Clock;
use jobbell::config::{self, Config, Sources};
use jobbell::domain::{
    Delivery, DeliveryId, Event, EventId, Lane, MailKind, Plan, Recipient, Source,
};
use jobbell::queue::{NewEvent, Queue};
use support::take_mails;

/// Duration of the measurement.
const SPAN: Duration = Duration::from_secs(8);
/// Number of urgent mails during the measurement, and the pause between them.
const URGENT: (u32, Duration) = (100, Duration::from_millis(50));
/// Domain of the recipients of urgent mails.
const URGENT_DOMAIN: &str = "@urgent.example";

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["fill", state_dir, number] => {
            fill(Path::new(state_dir), number.parse().expect("a number"));
        }
        ["send", state_dir] => send(Path::new(state_dir)),
        [] => ["20000", "100000"].into_iter().for_each(measure),
        numbers => numbers.iter().copied().for_each(measure),
    }
}

/// Fills a queue and sends from it, each in a separate process.
fn measure(number: &str) {
    let home = tempfile::tempdir().expect("a directory");
    let state_dir = home.path().display().to_string();
    println!("{number} pending");
    for step in [vec!["fill", &state_dir, number], vec!["send", &state_dir]] {
        let done = Command::new(std::env::current_exe().expect("this program"))
            .args(step)
            .status()
            .expect("start succeeds");
        assert!(done.success(), "{done}");
    }
}

fn config(state_dir: &Path, server: SocketAddr) -> Config {
    let env = [
        ("JOBBELL_QUEUE__STATE_DIR", state_dir.display().to_string()),
        ("JOBBELL_QUEUE__MAX_PENDING", "10000000".to_owned()),
        ("SMTP_HOST", server.ip().to_string()),
        ("SMTP_PORT", server.port().to_string()),
        ("SMTP_TLS", "none".to_owned()),
        ("SMTP_FROM", "Jobbell <bell@example.com>".to_owned()),
        ("JOBBELL_SMTP__MAX_CONNECTIONS", "8".to_owned()),
    ];
    let env = env
        .into_iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect();
    let sources = Sources {
        env,
        working_dir: PathBuf::from("."),
        ..Sources::default()
    };
    config::load(&sources).expect("valid configuration").config
}

fn new_event(name: &str, to: &str, lane: Lane) -> NewEvent {
    let (now, mut job) = (Clock::System.now(), support::event());
    job.id = EventId::parse(name).expect("valid ID");
    let id = DeliveryId::new(now);
    let delivery = Delivery {
        id,
        event: job.id.clone(),
        recipient: Recipient::parse(to).expect("valid address"),
        kind: MailKind::Success,
        lane,
        plan: Plan::Send(now),
        expires_at: now.after(Duration::from_hours(24)),
        created_at: now,
        message_id: format!("{}@example.com", id.0.simple()),
    };
    NewEvent {
        event: Event::Job(Box::new(job)),
        id_given: true,
        source: Source::HTTP,
        deliveries: vec![delivery],
        thumbnails_until: None,
        excludes: Vec::new(),
    }
}

fn fill(state_dir: &Path, number: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let queue = jobbell::queue::sqlite::open(
            &config(state_dir, ([127, 0, 0, 1], 25).into()).queue,
            &Clock::System,
        )
        .expect("queue opens");
        for first in (0..number).step_by(1000) {
            let group = (first..number.min(first + 1000))
                .map(|index| new_event(&format!("e{index}"), "reader@example.org", Lane::Normal))
                .collect();
            queue
                .enqueue(group, None, Clock::System.now())
                .await
                .expect("event is stored");
        }
        queue.close().await;
    });
}

/// Mails received by the mail server.
#[derive(Default)]
struct Received {
    mails: AtomicU32,
    urgent: Mutex<Vec<(String, Instant)>>,
}

/// Starts a mail server in a separate thread.
fn mail_server(seen: &Arc<Received>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    let seen = Arc::clone(seen);
    let taken: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(move |recipient: &str| {
        seen.mails.fetch_add(1, Ordering::Relaxed);
        if recipient.contains(URGENT_DOMAIN) {
            seen.urgent
                .lock()
                .expect("lock is not poisoned")
                .push((recipient.to_owned(), Instant::now()));
        }
    });
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).expect("a socket");
                tokio::spawn(take_mails(stream, Arc::clone(&taken)));
            }
        });
    });
    address
}

fn send(state_dir: &Path) {
    let seen = Arc::new(Received::default());
    let config = config(state_dir, mail_server(&seen));
    // The number of threads that the daemon uses on two cores.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let started = Instant::now();
        let mut jobbell = Jobbell::start(&config).await.expect("start succeeds");
        println!(
            "  ready after          {:>8.1} ms",
            started.elapsed().as_secs_f64() * 1e3
        );
        println!("  memory when ready    {:>8.1} MiB", memory("VmRSS:"));
        let begun = Instant::now();
        let waited = tokio::spawn(urgent_mails(jobbell.queue().clone(), Arc::clone(&seen)));
        while begun.elapsed() < SPAN
            && jobbell
                .queue()
                .counts()
                .await
                .expect("queue is open")
                .pending()
                > 0
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let rate = f64::from(seen.mails.load(Ordering::Relaxed)) / begun.elapsed().as_secs_f64();
        println!("  sent                 {rate:>8.0} mails/s");
        println!("  peak memory          {:>8.1} MiB", memory("VmHWM:"));
        let mut waits = waited.await.expect("task finishes");
        waits.sort_unstable();
        let at = |share: usize| {
            waits
                .get((waits.len() * share / 100).min(waits.len().saturating_sub(1)))
                .map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
        };
        println!(
            "  urgent p50, p99      {:>8.1} ms {:>8.1} ms of {}",
            at(50),
            at(99),
            waits.len()
        );
        jobbell.stop().await;
    });
}

/// Enqueues urgent mails at intervals and returns the time each took to reach the mail server.
async fn urgent_mails(queue: Queue, seen: Arc<Received>) -> Vec<Duration> {
    let (number, pause) = URGENT;
    let mut begun = Vec::new();
    for index in 0..number {
        let to = format!("u{index}{URGENT_DOMAIN}");
        begun.push((format!("<{to}>"), Instant::now()));
        queue
            .enqueue(
                vec![new_event(&format!("urgent-{index}"), &to, Lane::Urgent)],
                None,
                Clock::System.now(),
            )
            .await
            .expect("event is stored");
        tokio::time::sleep(pause).await;
    }
    let arrived = seen.urgent.lock().expect("lock is not poisoned");
    let took = |(to, begun): &(String, Instant)| {
        arrived
            .iter()
            .find(|(line, _)| line.contains(to))
            .map(|(_, at)| at.duration_since(*begun))
    };
    begun.iter().filter_map(took).collect()
}

/// Reads a memory field of this process in MiB.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_default();
    line.trim()
        .trim_end_matches(" kB")
        .parse::<f64>()
        .unwrap_or(0.0)
        / 1024.0
}
