//! Talks to the running daemon over its own HTTP interface.

use std::time::Duration;

use serde_json::Value;

use super::words::say;
use crate::domain::Locale;
use crate::http::{Listen, Settings};

/// How long the daemon may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The daemon, as the configuration says where it listens.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<crate::secret::Secret>,
}

/// The daemon's answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// The body; a text that is no JSON stands as a string.
    pub(super) body: Value,
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
    /// Something else went wrong on the way.
    #[error("talking to the daemon: {0}")]
    Transfer(#[from] reqwest::Error),
}

impl ClientError {
    /// The same for a person, in the operator's language.
    pub(super) fn said(&self, locale: Locale) -> String {
        match (self, locale) {
            (Self::Unreachable { at }, Locale::ZhCn) => format!("{at} 没有守护进程应答；请用 `jobbell serve` 启动，或检查 server.listen"),
            (Self::Transfer(error), Locale::ZhCn) => format!("与守护进程通信失败：{error}"),
            (error, Locale::En) => error.to_string(),
        }
    }
}

impl Client {
    /// A client for the daemon with these settings.
    pub(super) fn new(settings: &Settings) -> Result<Self, ClientError> {
        let builder = reqwest::Client::builder().timeout(TIMEOUT).no_proxy();
        let (builder, base) = match &settings.listen {
            Listen::Tcp(address) => {
                let mut address = *address;
                if address.ip().is_unspecified() {
                    address.set_ip(if address.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
                }
                (builder, format!("http://{address}"))
            }
            Listen::Unix(path) => (builder.unix_socket(path.as_path()), "http://localhost".to_owned()),
        };
        Ok(Self { http: builder.build()?, base, token: settings.tokens.first().cloned() })
    }

    /// GET.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    /// POST with a body of the given type.
    pub(super) async fn post(&self, path: &str, media_type: &str, body: Vec<u8>) -> Result<Answer, ClientError> {
        self.send(self.http.post(format!("{}{path}", self.base)).header("content-type", media_type).body(body)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, ClientError> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let response =
            request.send().await.map_err(|error| if error.is_connect() { ClientError::Unreachable { at: self.base.clone() } } else { error.into() })?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, body })
    }
}

/// A refusal of the daemon in lines for a person: the title, then each field that is wrong.
pub(super) fn explain(answer: &Answer, locale: Locale) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut lines = vec![format!("{} {} {}", say(locale, "the daemon answered", "守护进程答复"), answer.status, text(&answer.body, "title"))];
    let errors = answer.body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let detail = text(&answer.body, "detail");
    // With errors the detail only repeats the first of them.
    if errors.is_empty() && !detail.is_empty() {
        lines.push(detail);
    }
    lines.extend(errors.iter().map(|error| format!("{}: {}", text(error, "pointer"), text(error, "detail"))));
    lines.join("\n  ")
}
