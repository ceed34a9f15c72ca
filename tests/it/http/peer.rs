//! A scripted HTTP server on port 0 that records its requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, watch};

/// Timeout for everything that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Request {
    /// The parameters of a form body, in order.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(self.body.as_bytes())
            .into_owned()
            .collect()
    }

    /// A parameter of a form body.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.form()
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }
}

/// A scripted response.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    pause: Pause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    None,
    UntilReleased,
    ForEver,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::text(status, "application/json", &body.to_string())
    }

    pub(crate) fn text(status: u16, kind: &str, body: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type", kind.to_owned())],
            body: body.to_owned(),
            pause: Pause::None,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Sent only after [`HttpPeer::release`].
    pub(crate) fn held(mut self) -> Self {
        self.pause = Pause::UntilReleased;
        self
    }

    /// Never sent.
    pub(crate) fn silence() -> Self {
        let mut answer = Self::text(200, "text/plain", "");
        answer.pause = Pause::ForEver;
        answer
    }
}

type Script = Box<dyn Fn(usize, &Request) -> Answer + Send + Sync>;

struct Shared {
    script: Script,
    requests: Mutex<Vec<Request>>,
    arrived: watch::Sender<usize>,
    gate: Semaphore,
}

/// The server; it stops when dropped.
pub(crate) struct HttpPeer {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl HttpPeer {
    /// Starts a server that answers request `n` (from 0) by `script`.
    pub(crate) async fn start(
        script: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            script: Box::new(script),
            requests: Mutex::default(),
            arrived: watch::channel(0).0,
            gate: Semaphore::new(0),
        };
        let shared = Arc::new(shared);
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            shared,
            task,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Waits for `number` requests.
    pub(crate) async fn arrived(&self, number: usize) {
        let mut arrived = self.shared.arrived.subscribe();
        tokio::time::timeout(PATIENCE, arrived.wait_for(|count| *count >= number))
            .await
            .expect("too few requests")
            .unwrap();
    }

    /// Releases one held response.
    pub(crate) fn release(&self) {
        self.shared.gate.add_permits(1);
    }
}

impl Drop for HttpPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request {
        path: uri.path().to_owned(),
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let number = {
        let mut requests = shared.requests.lock().unwrap();
        requests.push(request.clone());
        requests.len()
    };
    let answer = (shared.script)(number - 1, &request);
    shared.arrived.send_replace(number);
    match answer.pause {
        Pause::None => {}
        Pause::UntilReleased => shared.gate.acquire().await.unwrap().forget(),
        Pause::ForEver => std::future::pending().await,
    }
    let mut response = (StatusCode::from_u16(answer.status).unwrap(), answer.body).into_response();
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
