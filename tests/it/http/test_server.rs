//! A test server: the real routers over a real queue, on a free port.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jobbell::admin::{self, Admin};
use jobbell::clock::Clock;
use jobbell::domain::{Recipient, Timestamp};
use jobbell::http::{Access, Limits, Listen, Listener, Proxy, Refusals, Settings, app, serve};
use jobbell::intake::hooks::{self, Hooks};
use jobbell::intake::{self, Intake};
use jobbell::queue::Queue;
use jobbell::routing::{Disabled, Routes};
use jobbell::secret::Secret;
use jobbell::telemetry::Metrics;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Timeout of all waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// 2026-01-01T00:00:00Z.
pub(crate) const NEW_YEAR: Timestamp = Timestamp::from_millis(1_767_225_600_000);

pub(crate) struct Setup {
    pub(crate) tokens: Vec<&'static str>,
    pub(crate) max_body: usize,
    pub(crate) body_budget: usize,
    pub(crate) trusted_proxies: Vec<&'static str>,
    pub(crate) max_pending: u64,
    pub(crate) body_time: Duration,
    pub(crate) default_to: Vec<&'static str>,
    pub(crate) limits: Limits,
    pub(crate) listen: std::net::SocketAddr,
    pub(crate) hooks: Vec<hooks::Settings>,
    pub(crate) now: Timestamp,
}

impl Default for Setup {
    fn default() -> Self {
        let default_to = vec!["boss@example.org"];
        Self {
            tokens: Vec::new(),
            max_body: 1 << 20,
            body_budget: 64 << 20,
            trusted_proxies: Vec::new(),
            max_pending: 1_000,
            body_time: PATIENCE,
            default_to,
            limits: Limits::default(),
            listen: ([127, 0, 0, 1], 0).into(),
            hooks: Vec::new(),
            now: NEW_YEAR,
        }
    }
}

pub(crate) struct TestServer {
    pub(crate) address: String,
    pub(crate) client: Client,
    pub(crate) queue: Queue,
    pub(crate) clock: Clock,
    pub(crate) access: Access,
    pub(crate) routes: Arc<ArcSwap<Routes>>,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

pub(crate) fn settings(tokens: &[&str], max_body: usize) -> Settings {
    Settings {
        tokens: tokens.iter().map(|token| Secret::new(*token)).collect(),
        max_body,
        ..Settings::default()
    }
}

/// Unused counters.
pub(crate) fn refusals() -> Refusals {
    Refusals::new(&Arc::new(Metrics::new()))
}

pub(crate) fn loopback() -> Listen {
    Listen::Tcp(([127, 0, 0, 1], 0).into())
}

pub(crate) fn client() -> Client {
    // The client needs a crypto provider even without TLS; a second installation has no effect.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

impl TestServer {
    pub(crate) fn open() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        let Setup {
            tokens,
            max_body,
            body_budget,
            trusted_proxies,
            max_pending,
            body_time,
            default_to,
            limits,
            listen,
            hooks,
            now,
        } = setup;
        let (clock, metrics) = (Clock::manual(now), Arc::new(Metrics::new()));
        let queue = Queue::in_memory(max_pending, &clock).unwrap();
        let trusted_proxies = trusted_proxies
            .into_iter()
            .map(|text| Proxy::parse(text).unwrap())
            .collect();
        let access = Access::with_body_time(
            &Settings {
                body_budget,
                trusted_proxies,
                ..settings(&tokens, max_body)
            },
            body_time,
        );
        let routes = Arc::new(ArcSwap::from_pointee(Routes {
            enabled: true,
            disabled: Disabled::Drop,
            default_to: default_to
                .into_iter()
                .map(|to| Recipient::parse(to).unwrap())
                .collect(),
            allowed: Vec::new(),
            on_success: true,
            on_failure: true,
            expire_after: Duration::from_hours(48),
            message_id_domain: "jobbell.example".to_owned(),
            picture_wait: None,
        }));
        let refusals = Refusals::new(&metrics);
        let intake = Intake::new(
            queue.clone(),
            Arc::clone(&routes),
            clock.clone(),
            Arc::clone(&metrics),
        );
        let admin = Admin::new(
            queue.clone(),
            access.clone(),
            clock.clone(),
            metrics,
            || Duration::from_hours(48),
        );
        let app = app::finish(
            intake::http::router(
                intake,
                access.clone(),
                Hooks::new(&hooks, jobbell::daemon::jwks_fetch::fetcher()),
            )
            .merge(admin::router(admin)),
            &access,
            jobbell::daemon::serve::described,
        );
        let listener = Listener::bind(&Listen::Tcp(listen)).unwrap();
        let address = listener.local_addr().to_owned();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(
            listener,
            app,
            limits,
            refusals,
            access.proxies(),
            stop.clone(),
        ));
        Self {
            address,
            client: client(),
            queue,
            clock,
            access,
            routes,
            stop,
            served,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    /// Posts an event; returns status and response.
    pub(crate) async fn event(&self, event: &Value) -> (u16, Value) {
        answer(self.post("/v1/events").json(event)).await
    }

    /// Number of accepted deliveries.
    pub(crate) async fn accepted(&self) -> u64 {
        self.queue.counts().await.unwrap().accepted
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// Sends bytes on a new connection and returns everything received until it closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        until_closed(&mut stream).await
    }
}

pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    body(request.send().await.unwrap()).await
}

pub(crate) async fn body(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

/// The pointers of a problem's errors, in order.
pub(crate) fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect()
}

/// Reads to the end or to a reset.
pub(crate) async fn until_closed(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("the other side should have closed")
        .ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until the received text contains `end`.
pub(crate) async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut space = [0; 4_096];
    while !text.contains(end) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut space))
            .await
            .expect("an answer should have come")
            .unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(&String::from_utf8_lossy(&space[..read]));
    }
    text
}
