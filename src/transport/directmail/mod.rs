//! Aliyun DirectMail over HTTP: `SingleSendMail`, one mail a call.
//!
//! There is no idempotency key: a call whose answer was lost is [`FailureKind::Uncertain`], like a
//! lost answer to the final dot, and comes again with the same Message-ID. Headers other than those
//! the interface lets through cannot be sent; the event's id travels as `X-User-Jobbell-Event`.

mod answer;
mod request;
pub mod sign;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::domain::uuid_v7;
use crate::domain::{
    AttemptResult, Email, Failure, FailureKind, Locale, Mailbox, Receipt, ServerName, Stage,
    Timestamp,
};
use crate::secret::Secret;
use crate::telemetry::metrics::Metrics;
use crate::transport::Context;
use crate::transport::explain::{LocalError, Table};
use crate::transport::http::{self, Fault};
use crate::transport::smtp::RateLimit;
use answer::{Asked, classify};
use request::Param;

/// The region that is used when none is named.
pub const DEFAULT_REGION: &str = "cn-hangzhou";
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// One DirectMail account: `[smtp]` or `[[smtp.backup]]` with `provider = "directmail"` and `api =
/// true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What logs and the status page call it.
    pub name: ServerName,
    /// The id of the access key (`access_key_id`).
    pub access_key_id: String,
    /// The key's secret (`access_key_secret`).
    pub access_key_secret: Secret,
    /// Where the sender address was set up, usually [`DEFAULT_REGION`]; addresses of one region
    /// work only there.
    pub region: String,
    /// An address in place of the region's (`endpoint`): https, or http on loopback; a bare host
    /// name means https.
    pub endpoint: Option<String>,
    /// The sender address as the console knows it, and the name to show.
    pub account: Mailbox,
    /// Where answers go, when not where the mail says.
    pub reply_to: Vec<Mailbox>,
    /// The most calls at a time, at least 1.
    pub max_connections: usize,
    /// The longest wait for one call.
    pub timeout: Duration,
    /// The most mails in a span of time.
    pub rate_limit: Option<RateLimit>,
    /// The first pause after repeated failures.
    pub cooldown: Duration,
    /// The longest pause.
    pub cooldown_max: Duration,
    /// A further root certificate, PEM.
    pub tls_ca_file: Option<PathBuf>,
    /// The operator's language, for explanations.
    pub locale: Locale,
}

/// Why the settings cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The access key is missing.
    #[error("access_key_id and access_key_secret are needed")]
    NoKey,
    /// The region's name is no name.
    #[error("region must be a name such as cn-hangzhou, ap-southeast-1, us-east-1 or eu-central-1")]
    Region,
    /// The endpoint is not an address that mails may go to.
    #[error("endpoint {0}")]
    Endpoint(#[from] http::EndpointError),
    /// No HTTP client can be made.
    #[error(transparent)]
    Client(#[from] http::ClientError),
}

/// One DirectMail account, ready to send. Any number of tasks may share it.
#[derive(Debug)]
pub struct DirectMail {
    settings: Settings,
    endpoint: url::Url,
    client: reqwest::Client,
    calls: Semaphore,
    metrics: Arc<Metrics>,
    replies: Arc<Table>,
    clock: Clock,
}

impl DirectMail {
    /// Prepares an account; nothing is sent yet.
    ///
    /// # Errors
    /// When the key is missing, or region, endpoint or `tls_ca_file` cannot be used.
    pub fn new(settings: Settings, context: &Context) -> Result<Self, SetupError> {
        if settings.access_key_id.is_empty() || settings.access_key_secret.expose().is_empty() {
            return Err(SetupError::NoKey);
        }
        if !is_region(&settings.region) {
            return Err(SetupError::Region);
        }
        let endpoint = address(settings.endpoint.as_deref(), &settings.region)?;
        let client = http::client(settings.timeout, settings.tls_ca_file.as_deref())?;
        let calls = Semaphore::new(settings.max_connections.max(1));
        let Context {
            metrics,
            replies,
            clock,
            ..
        } = context.clone();
        Ok(Self {
            settings,
            endpoint,
            client,
            calls,
            metrics,
            replies,
            clock,
        })
    }

    /// What logs and the status page call it.
    pub fn name(&self) -> &ServerName {
        &self.settings.name
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where calls go.
    pub fn endpoint(&self) -> &url::Url {
        &self.endpoint
    }

    /// Hands over one mail. The wait is bounded by twice `timeout`: for a free place among
    /// `max_connections`, and for the call itself.
    ///
    /// # Errors
    /// What the try came to: nothing was sent when there was no connection; a call without an
    /// answer is `Uncertain`.
    pub async fn send(&self, email: &Email) -> Result<Receipt, Failure> {
        let params = request::params(&self.settings, email)
            .map_err(|error| failure(FailureKind::Rejected, Stage::Compose, error.to_string()))?;
        let (answer, at) = self.call(params).await?;
        match classify(
            &answer,
            &Asked {
                to: Some(&email.to),
                at,
                replies: &self.replies,
                locale: self.settings.locale,
            },
        ) {
            AttemptResult::Sent(receipt) => Ok(receipt),
            AttemptResult::Failed(failure) => Err(failure),
        }
    }

    /// Calls the interface without a recipient, so that nothing can be sent: shows whether it can
    /// be reached and takes key, clock and sender. That a mail is missing is the answer hoped for.
    ///
    /// # Errors
    /// As [`DirectMail::send`], but never `Uncertain`.
    pub async fn probe(&self) -> Result<(), Failure> {
        let sender: Param<'_> = (
            "AccountName",
            Cow::Borrowed(self.settings.account.address.as_str()),
        );
        let params = vec![
            ("Action", "SingleSendMail".into()),
            sender,
            ("AddressType", "1".into()),
            ("ReplyToAddress", "false".into()),
        ];
        let judged = match self.call(params).await {
            Ok((answer, at)) => classify(
                &answer,
                &Asked {
                    to: None,
                    at,
                    replies: &self.replies,
                    locale: self.settings.locale,
                },
            ),
            Err(failure) => AttemptResult::Failed(failure),
        };
        match judged {
            AttemptResult::Failed(failure) if failure.kind == FailureKind::Uncertain => {
                Err(Failure {
                    kind: FailureKind::Unavailable {
                        retry_after: None,
                        server_wide: true,
                    },
                    ..failure
                })
            }
            AttemptResult::Failed(failure) if !lacks_a_mail(&failure) => Err(failure),
            AttemptResult::Sent(_) | AttemptResult::Failed(_) => Ok(()),
        }
    }

    /// One signed call, and when it was signed.
    async fn call<'a>(
        &'a self,
        params: Vec<Param<'a>>,
    ) -> Result<(http::Answer, Timestamp), Failure> {
        let Ok(Ok(_place)) =
            tokio::time::timeout(self.settings.timeout, self.calls.acquire()).await
        else {
            let kind = FailureKind::Unavailable {
                retry_after: None,
                server_wide: true,
            };
            return Err(failure(
                kind,
                Stage::Connect,
                "all connections to DirectMail are in use".to_owned(),
            ));
        };
        let (at, started) = (self.clock.now(), Instant::now());
        let (name, form) = http::FORM;
        let sending = self
            .client
            .post(self.endpoint.clone())
            .header(name, form)
            .body(self.signed(params, at))
            .send();
        let answer = match sending.await {
            Ok(response) => http::read(response, LONGEST_ANSWER, at).await,
            Err(error) => Err(error),
        };
        self.metrics
            .step(&self.settings.name, Stage::Api.as_str(), started.elapsed());
        Ok((answer.map_err(|error| self.lost(&error))?, at))
    }

    /// The form body: the mail's parameters, the common ones with a new nonce, the signature over
    /// all of them.
    fn signed<'a>(&'a self, mut params: Vec<Param<'a>>, at: Timestamp) -> String {
        let common: [Param<'a>; 8] = [
            ("Format", "JSON".into()),
            ("Version", "2015-11-23".into()),
            ("AccessKeyId", Cow::Borrowed(&self.settings.access_key_id)),
            ("SignatureMethod", "HMAC-SHA1".into()),
            ("SignatureVersion", "1.0".into()),
            ("SignatureNonce", uuid_v7(at).to_string().into()),
            ("RegionId", Cow::Borrowed(&self.settings.region)),
            ("Timestamp", seconds(at).to_string().into()),
        ];
        params.extend(common);
        let mut body = sign::canonical(&mut params);
        let signature = sign::signature(
            &self.settings.access_key_secret,
            &sign::string_to_sign("POST", &body),
        );
        body.push_str("&Signature=");
        body.extend(sign::percent_encode(&signature));
        body
    }

    fn lost(&self, error: &reqwest::Error) -> Failure {
        let host = self.endpoint.host_str().unwrap_or_default();
        let (stage, trouble, detail) = match http::fault(error) {
            (Fault::Refused, words) => (
                Stage::Connect,
                LocalError::ConnectRefused,
                format!("cannot connect to {host}: {words}"),
            ),
            (Fault::Connect, words) => (
                Stage::Connect,
                LocalError::NetworkUnreachable,
                format!("cannot connect to {host}: {words}"),
            ),
            (Fault::Certificate, words) => (
                Stage::Tls,
                LocalError::TlsCertificate,
                format!("the certificate of {host} is not trusted: {words}"),
            ),
            // The call may have been heard, as a mail may after its final dot.
            (Fault::Timeout, _) => (
                Stage::Api,
                LocalError::LostAfterFinalDot,
                format!("{host} did not answer in time"),
            ),
            (Fault::Broken, words) => (
                Stage::Api,
                LocalError::LostAfterFinalDot,
                format!("the connection to {host} broke before the answer: {words}"),
            ),
        };
        let verdict = self.replies.explain_local(trouble);
        Failure {
            explanation: verdict.explanation(self.settings.locale),
            ..failure(verdict.kind(stage), stage, detail)
        }
    }
}

/// `MissingParameter`, or `MissingToAddress` and the like: only what a mail brings along was
/// wanting.
fn lacks_a_mail(failure: &Failure) -> bool {
    failure.kind == FailureKind::Rejected
        || failure
            .reply
            .as_ref()
            .is_some_and(|reply| reply.text.starts_with("Missing"))
}

fn failure(kind: FailureKind, stage: Stage, detail: String) -> Failure {
    Failure {
        kind,
        stage,
        reply: None,
        detail,
        explanation: None,
    }
}

/// `YYYY-MM-DDThh:mm:ssZ` has no place for fractions.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis() / 1_000 * 1_000)
}

/// Whether a text has the shape of a region's name.
pub fn is_region(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 40
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Where calls go: to `endpoint`, a host name or an address, else to the region's address.
///
/// # Errors
/// When it is no address, or one where mails could be read on the way.
pub fn address(endpoint: Option<&str>, region: &str) -> Result<url::Url, http::EndpointError> {
    match endpoint {
        Some(text) if text.contains("://") => http::endpoint(text),
        Some(host) => http::endpoint(&format!("https://{host}/")),
        None => http::endpoint(&region_address(region)),
    }
}

/// The API's address in a region (<https://alibabacloud.com/help/en/direct-mail/api-endpoints>).
fn region_address(region: &str) -> String {
    if region == DEFAULT_REGION {
        "https://dm.aliyuncs.com/".to_owned()
    } else {
        format!("https://dm.{region}.aliyuncs.com/")
    }
}
