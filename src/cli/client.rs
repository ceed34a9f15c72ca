//! HTTP client for the daemon's API.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::i18n::tr;
use super::target::{Place, Target, TargetError};
use crate::domain::Locale;
use crate::http::Listen;
use crate::secret::Secret;

/// Timeout for one answer of the daemon.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the daemon.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<Secret>,
    /// Why the token is withheld, if it is.
    withheld: Option<String>,
    /// Whether the address is a URL, so that the daemon may run on another machine.
    is_remote: bool,
}

/// The daemon's answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// The body; a `Value::String` if it is not JSON.
    pub(super) body: Value,
    /// Why no token was sent, if the daemon asks for one.
    pub(super) withheld: Option<String>,
}

/// A request that got no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nothing listens at the configured address.
    #[error("no daemon answers at {at}; start it with `jobbell serve`, or check server.listen")]
    Unreachable {
        /// The address.
        at: String,
    },
    /// The daemon at a URL cannot be reached.
    #[error("{at} cannot be reached ({why}); check --url or JOBBELL_URL")]
    Remote {
        /// The address.
        at: String,
        /// The reason.
        why: String,
    },
    /// The options do not name a usable daemon.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The HTTP client cannot be built.
    #[error(transparent)]
    Setup(#[from] crate::transport::http::ClientError),
    /// The transfer failed.
    #[error("communication with the daemon failed: {0}")]
    Transfer(#[from] reqwest::Error),
}

impl ClientError {
    /// The message in the operator's language.
    pub(super) fn said(&self, locale: Locale) -> String {
        match (self, locale) {
            (Self::Unreachable { at }, Locale::ZhCn) => {
                format!("{at} 没有守护进程应答；请用 `jobbell serve` 启动，或检查 server.listen")
            }
            (Self::Remote { at, why }, Locale::ZhCn) => {
                format!("无法连接 {at}（{why}）；请检查 --url 或 JOBBELL_URL")
            }
            (Self::Target(error), _) => error.said(locale),
            (Self::Transfer(error), Locale::ZhCn) => format!("与守护进程通信失败：{error}"),
            (error, _) => error.to_string(),
        }
    }
}

impl Client {
    /// Creates a client for a target.
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

    /// Sends a GET request.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(self.http.get(format!("{}{path}", self.base)))
            .await
    }

    /// Sends a POST request with a body of the given type.
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

/// The address at which this machine reaches a daemon that listens on all addresses.
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

/// The meaning of an HTTP status.
const fn chinese_title(status: u16) -> Option<&'static str> {
    Some(match status {
        401 => "缺少令牌或令牌无效",
        403 => "没有权限",
        404 => "未找到",
        409 => "与当前状态冲突",
        413 => "内容过大",
        415 => "不支持的内容类型",
        422 => "内容无效",
        429 => "请求过于频繁",
        503 => "暂时不可用",
        _ => return None,
    })
}

/// Renders a refusal of the daemon: the title, then one line per invalid field.
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
        match (locale, chinese_title(answer.status)) {
            (Locale::ZhCn, Some(title)) => title.to_owned(),
            _ => text(&answer.body, "title"),
        }
    )];
    let errors = answer
        .body
        .get("errors")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let detail = text(&answer.body, "detail");
    // With field errors, `detail` only repeats the first of them.
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
