//! Calls to a token server (RFC 6749 §3.2) and the meaning of its responses (§5.1, §5.2).

use std::time::Duration;

use serde_json::Value;

use super::{Problem, TokenError};
use crate::clock::Clock;
use crate::domain::Reply;
use crate::secret::Secret;
use crate::transport::http::{self, Fault};

/// The longest response body that is read.
const MAX_BODY: usize = 64 * 1024;
/// The longest access token that can be used in a login: RFC 4954 §4 allows 12,288 octets of
/// base64.
const MAX_TOKEN: usize = 8 * 1024;
/// Assumed lifetime of a token, in seconds, if the response contains none (RFC 6749 §5.1).
const DEFAULT_LIFETIME: u64 = 3_600;
/// Maximum lifetime of a token, in seconds.
const MAX_LIFETIME: u64 = 86_400;

/// The parameters of a request. They contain secrets, so they must not be printed.
pub(super) type Form<'a> = Vec<(&'static str, &'a str)>;

/// A form with the client's id and, if it has one, its secret.
pub(super) fn client_form<'a>(id: &'a str, secret: Option<&'a Secret>) -> Form<'a> {
    let secret = secret.map(|secret| ("client_secret", secret.expose()));
    std::iter::once(("client_id", id)).chain(secret).collect()
}

/// A token endpoint or device authorization endpoint.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    client: reqwest::Client,
    url: url::Url,
    clock: Clock,
}

/// The tokens that a token server has issued.
pub(super) struct Granted {
    /// The access token.
    pub access: Secret,
    /// Its lifetime.
    pub lifetime: Duration,
    /// A refresh token that replaces the one used.
    pub refresh: Option<Secret>,
}

/// A token server's response.
pub(super) struct Answer {
    pub json: Value,
    pub status: u16,
    retry_after: Option<Duration>,
    html: bool,
    host: String,
    /// `error` and `error_description` on one line, with our secrets masked.
    message: String,
}

impl Endpoint {
    pub(super) fn new(
        client: reqwest::Client,
        url: &str,
        clock: Clock,
        key: &str,
    ) -> Result<Self, TokenError> {
        let url = http::endpoint(url)
            .map_err(|error| TokenError::new(Problem::Settings, format!("{key} {error}")))?;
        Ok(Self { client, url, clock })
    }

    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or("the token server")
    }

    /// Sends a form and reads the response, success or not.
    pub(super) async fn post(&self, form: &Form<'_>) -> Result<Answer, TokenError> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let (name, kind) = http::FORM;
        let request = self
            .client
            .post(self.url.clone())
            .header(name, kind)
            .header("accept", "application/json")
            .body(body);
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        let answer = http::read(response, MAX_BODY, self.clock.wall())
            .await
            .map_err(|error| self.lost(&error))?;
        let json = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let message = masked(message(&json), form);
        let host = self.host().to_owned();
        Ok(Answer {
            json,
            status: answer.status,
            retry_after: answer.retry_after,
            html: answer.html,
            host,
            message,
        })
    }

    fn lost(&self, error: &reqwest::Error) -> TokenError {
        let (fault, cause) = http::fault(error);
        let problem = match fault {
            Fault::Certificate => Problem::Certificate,
            _ => Problem::Unreachable,
        };
        TokenError::new(problem, fault.describe(self.host(), &cause))
    }
}

impl Answer {
    /// The `error` code of a refusal (RFC 6749 §5.2, RFC 8628 §3.5).
    pub(super) fn error(&self) -> Option<&str> {
        self.json.get("error").and_then(Value::as_str)
    }

    /// The tokens, or why there are none.
    pub(super) fn granted(self) -> Result<Granted, TokenError> {
        let text = |name: &str| self.json.get(name).and_then(Value::as_str);
        let Some(access) = text("access_token").filter(|_| self.status == 200) else {
            return Err(self.refusal());
        };
        let bearer = text("token_type").is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        let sendable = !access.is_empty()
            && access.len() <= MAX_TOKEN
            && access.bytes().all(|byte| byte.is_ascii_graphic());
        if !bearer || !sendable {
            let detail = format!(
                "{} issued a token that cannot be used to log in (not a bearer token, or not plain text)",
                self.host
            );
            return Err(TokenError::new(Problem::Settings, detail));
        }
        let lifetime = self
            .seconds("expires_in")
            .unwrap_or(DEFAULT_LIFETIME)
            .min(MAX_LIFETIME);
        let refresh = text("refresh_token")
            .filter(|token| !token.is_empty())
            .map(Secret::new);
        Ok(Granted {
            access: Secret::new(access),
            lifetime: Duration::from_secs(lifetime),
            refresh,
        })
    }

    /// A number of seconds. Some servers send it as a string.
    pub(super) fn seconds(&self, name: &str) -> Option<u64> {
        match self.json.get(name)? {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_u64(),
        }
    }

    /// The error that the response means if it is not a success.
    pub(super) fn refusal(&self) -> TokenError {
        let problem = self.problem();
        let (host, status) = (&self.host, self.status);
        let detail = match problem {
            Problem::NotJson if self.html => {
                format!("{host} answered with a web page (status {status}) instead of a token")
            }
            Problem::NotJson if (300..400).contains(&status) => {
                format!("{host} answered with a redirect (status {status}) instead of a token")
            }
            Problem::NotJson => {
                format!(
                    "{host} answered with something other than a token response (status {status})"
                )
            }
            _ if self.message.is_empty() => format!("{host} answered with status {status}"),
            _ => format!("{host} refused to give a token: {}", self.message),
        };
        let reply = Some(Reply {
            code: status,
            enhanced: None,
            text: self.message.clone(),
        });
        TokenError {
            problem,
            detail,
            reply,
        }
    }

    fn problem(&self) -> Problem {
        let busy = Problem::Busy {
            retry_after: self.retry_after,
        };
        match self.error().unwrap_or_default() {
            _ if matches!(self.status, 408 | 429 | 500..) => busy,
            "temporarily_unavailable" | "server_error" | "slow_down" => busy,
            _ if self.message.contains("AADSTS7000222") => Problem::SecretExpired,
            "invalid_grant" | "interaction_required" | "consent_required" | "login_required" => {
                Problem::Consent
            }
            "invalid_client" | "deleted_client" | "disabled_client" => Problem::Client,
            "invalid_scope" => Problem::Scope,
            "access_denied" | "authorization_declined" => Problem::Declined,
            "expired_token" | "code_expired" => Problem::CodeExpired,
            "" => Problem::NotJson,
            _ => Problem::Settings,
        }
    }
}

fn message(json: &Value) -> String {
    let text = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default();
    let (error, description) = (
        http::plain(text("error"), 100),
        http::plain(text("error_description"), 600),
    );
    match (error.as_str(), description.as_str()) {
        (_, "") => error,
        ("", _) => description,
        _ => format!("{error} ({description})"),
    }
}

/// Masks our secrets in a message, because servers echo parts of the request.
fn masked(message: String, form: &Form<'_>) -> String {
    let secret = |name: &str| matches!(name, "client_secret" | "refresh_token" | "device_code");
    form.iter()
        .filter(|(name, value)| secret(name) && !value.is_empty())
        .fold(message, |message, (_, value)| message.replace(value, "***"))
}
