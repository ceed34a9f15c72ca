//! A client of the daemon's HTTP interface.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::i18n::tr;
use super::target::{Place, Target, TargetError};
use crate::domain::Locale;
use crate::http::Listen;
use crate::secret::Secret;

/// How long the daemon may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the daemon.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<Secret>,
    /// Why no token is sent although there is one.
    withheld: Option<String>,
    /// Whether the address was given as a URL, so that the daemon may be on another machine.
    is_remote: bool,
}

/// The daemon's answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// The body; a text that is no JSON stands as a string.
    pub(super) body: Value,
    /// Why no token was sent, where the daemon asks for one.
    pub(super) withheld: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody listens there.
    #[error("no daemon answers at {at}; start it with `jobbell serve`, or check server.listen")]
    Unreachable {
        /// Where.
        at: String,
    },
    /// The daemon of a URL cannot be reached.
    #[error("{at} cannot be reached ({why}); check --url or JOBBELL_URL")]
    Remote {
        /// Where.
        at: String,
        /// What failed.
        why: String,
    },
    /// The options name no daemon that can be asked.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The client cannot be set up.
    #[error(transparent)]
    Setup(#[from] crate::transport::http::ClientError),
    /// Something else went wrong on the way.
    #[error("talking to the daemon: {0}")]
    Transfer(#[from] reqwest::Error),
}

impl ClientError {
    /// The same for a person, in the operator's language.
    pub(super) fn said(&self, locale: Locale) -> String {
        match (self, locale) {
            (Self::Unreachable { at }, Locale::ZhCn) => {
                format!("{at} 没有守护进程应答；请用 `jobbell serve` 启动，或检查 server.listen")
            }
            (Self::Remote { at, why }, Locale::ZhCn) => {
                format!("无法连接 {at}（{why}）；请检查 --url 或 JOBBELL_URL")
            }
            (Self::Transfer(error), Locale::ZhCn) => format!("与守护进程通信失败：{error}"),
            (error, _) => error.to_string(),
        }
    }
}

impl Client {
    /// A client for a target.
    pub(super) fn new(target: Target) -> Result<Self, ClientError> {
        let Target {
            place,
            token,
            withheld,
        } = target;
        let builder = || {
            reqwest::Client::builder()
                .timeout(TIMEOUT)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
        };
        let (http, base, is_remote) = match place {
            Place::Listen(Listen::Tcp(address)) => (
                builder().build()?,
                format!("http://{}", reachable(address)),
                false,
            ),
            Place::Listen(Listen::Unix(path)) => (
                builder().unix_socket(path.as_path()).build()?,
                "http://localhost".to_owned(),
                false,
            ),
            Place::Url(url) => (crate::transport::http::client(TIMEOUT, None)?, url, true),
        };
        Ok(Self {
            http,
            base,
            token,
            withheld,
            is_remote,
        })
    }

    /// GET.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(self.http.get(format!("{}{path}", self.base)))
            .await
    }

    /// POST with a body of the given type.
    pub(super) async fn post(
        &self,
        path: &str,
        media_type: &str,
        body: Vec<u8>,
    ) -> Result<Answer, ClientError> {
        self.send(
            self.http
                .post(format!("{}{path}", self.base))
                .header("content-type", media_type)
                .body(body),
        )
        .await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, ClientError> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let response = request.send().await.map_err(|error| self.failed(error))?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer {
            status,
            body,
            withheld: self
                .withheld
                .clone()
                .filter(|_| matches!(status, 401 | 403)),
        })
    }

    fn failed(&self, error: reqwest::Error) -> ClientError {
        match (error.is_connect(), self.is_remote) {
            (true, false) => ClientError::Unreachable {
                at: self.base.clone(),
            },
            (_, true) => ClientError::Remote {
                at: self.base.clone(),
                why: innermost(&error),
            },
            (false, false) => error.into(),
        }
    }
}

/// The address under which a daemon that listens on all addresses is reached from its own machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// A refusal of the daemon in lines for a person: the title, then each field that is wrong.
pub(super) fn explain(answer: &Answer, locale: Locale) -> String {
    let text = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut lines = vec![format!(
        "{} {} {}",
        tr(locale, "the daemon answered", "守护进程答复"),
        answer.status,
        text(&answer.body, "title")
    )];
    let errors = answer
        .body
        .get("errors")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let detail = text(&answer.body, "detail");
    // With errors the detail only repeats the first of them.
    if errors.is_empty() && !detail.is_empty() {
        lines.push(detail);
    }
    lines.extend(
        errors
            .iter()
            .map(|error| format!("{}: {}", text(error, "pointer"), text(error, "detail"))),
    );
    lines.extend(answer.withheld.clone());
    lines.join("\n  ")
}
