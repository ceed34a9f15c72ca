//! [`DirectMail`]: one account, its signed calls and their results.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::answer::{Call, classify};
use super::body::{FencedBody, is_lease_over};
use super::request::{self, Param};
use super::{Settings, SetupError, address, is_region, sign};
use crate::clock::{Clock, Fence};
use crate::domain::{
    AttemptResult, Email, Failure, FailureKind, Lane, Receipt, Recipient, ServerName, Stage,
    Timestamp, uuid_v7,
};
use crate::telemetry::metrics::Metrics;
use crate::transport::explain::{LocalError, Table};
use crate::transport::http::{self, Fault};
use crate::transport::permits::{ConnectionPermit, ConnectionPermits};
use crate::transport::{Common, Context};

/// The longest response body that is read.
const MAX_BODY: usize = 64 * 1024;

/// The server cannot be used at the moment.
const UNAVAILABLE: FailureKind = FailureKind::Unavailable {
    retry_after: None,
    server_wide: true,
};

/// A DirectMail account, ready to send. May be shared by any number of tasks.
#[derive(Debug)]
pub struct DirectMail {
    common: Common,
    settings: Settings,
    endpoint: url::Url,
    client: reqwest::Client,
    permits: ConnectionPermits,
    metrics: Arc<Metrics>,
    replies: Arc<Table>,
    clock: Clock,
}

impl DirectMail {
    /// Prepares an account. Makes no call.
    ///
    /// # Errors
    /// If the key is missing, or the region, endpoint or `tls_ca_file` is unusable.
    pub fn new(common: Common, settings: Settings, context: &Context) -> Result<Self, SetupError> {
        if settings.access_key_id.is_empty() || settings.access_key_secret.expose().is_empty() {
            return Err(SetupError::NoKey);
        }
        if !is_region(&settings.region) {
            return Err(SetupError::Region);
        }
        Ok(Self {
            endpoint: address(settings.endpoint.as_deref(), &settings.region)?,
            client: http::client(settings.timeout, settings.tls_ca_file.as_deref())?,
            permits: ConnectionPermits::new(common.max_connections),
            metrics: Arc::clone(&context.metrics),
            replies: Arc::clone(&context.replies),
            clock: context.clock.clone(),
            common,
            settings,
        })
    }

    /// The account's name in logs, metrics and on the status page.
    pub fn name(&self) -> &ServerName {
        &self.common.name
    }

    /// The URL that is called.
    pub fn endpoint(&self) -> &url::Url {
        &self.endpoint
    }

    /// The permits for calls, one for each of `max_connections`.
    pub(in crate::transport) fn permits(&self) -> &ConnectionPermits {
        &self.permits
    }

    /// Waits for a connection as an urgent mail does, and sends one mail: see
    /// [`send_on`](Self::send_on).
    ///
    /// # Errors
    /// Why the attempt failed.
    pub async fn send(&self, email: &Email) -> Result<Receipt, Failure> {
        let permit = self.permits.acquire(Lane::Urgent).await?;
        self.send_on(permit, email, &Fence::none()).await
    }

    /// Sends one mail, within `timeout`. Once the fence is over, no call is made.
    ///
    /// # Errors
    /// Why the attempt failed. If a call was made but not answered, the result is `Uncertain`.
    pub async fn send_on(
        &self,
        _permit: ConnectionPermit<'_>,
        email: &Email,
        fence: &Fence,
    ) -> Result<Receipt, Failure> {
        fence.check().map_err(|_| Failure::lease_over(Stage::Api))?;
        let params = request::params(self.common.identity(), email)
            .map_err(|error| failure(FailureKind::Rejected, Stage::Compose, error.to_string()))?;
        match self.call(params, Some(&email.to), fence).await {
            AttemptResult::Sent(receipt) => Ok(receipt),
            AttemptResult::Failed(failure) => Err(failure),
        }
    }

    /// Checks that the API can be reached and accepts key, clock and sender, with a call that lacks
    /// a recipient and so cannot send anything. Success is the error that the mail is missing.
    ///
    /// # Errors
    /// As [`DirectMail::send`], but never `Uncertain`.
    pub async fn probe(&self) -> Result<(), Failure> {
        let params = vec![
            ("Action", "SingleSendMail".into()),
            ("AccountName", self.common.from.address.as_str().into()),
            ("AddressType", "1".into()),
            ("ReplyToAddress", "false".into()),
        ];
        let _permit = self.permits.acquire(Lane::Urgent).await?;
        match self.call(params, None, &Fence::none()).await {
            AttemptResult::Failed(failure) if failure.kind == FailureKind::Uncertain => {
                Err(Failure {
                    kind: UNAVAILABLE,
                    ..failure
                })
            }
            AttemptResult::Failed(failure) if !lacks_a_mail(&failure) => Err(failure),
            AttemptResult::Sent(_) | AttemptResult::Failed(_) => Ok(()),
        }
    }

    /// Makes one signed call. `to` is masked in the result.
    async fn call<'a>(
        &'a self,
        params: Vec<Param<'a>>,
        to: Option<&Recipient>,
        fence: &Fence,
    ) -> AttemptResult {
        let (at, started) = (self.clock.wall(), Instant::now());
        let (name, form) = http::FORM;
        let body = FencedBody::new(self.signed(params, at), fence.clone());
        let sending = self
            .client
            .post(self.endpoint.clone())
            .header(name, form)
            .body(reqwest::Body::wrap(body))
            .send();
        let answer = match sending.await {
            Ok(response) => http::read(response, MAX_BODY, at).await,
            Err(error) => Err(error),
        };
        self.metrics
            .step(&self.common.name, Stage::Api.as_str(), started.elapsed());
        match answer {
            Ok(answer) => classify(
                &answer,
                &Call {
                    to,
                    at,
                    replies: &self.replies,
                    locale: self.common.locale,
                },
            ),
            Err(error) => AttemptResult::Failed(self.lost(&error)),
        }
    }

    /// The form body: the mail's parameters, the common ones with a new nonce, and the signature of
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
        if is_lease_over(error) {
            return Failure::lease_over(Stage::Api);
        }
        let host = self.endpoint.host_str().unwrap_or_default();
        let (fault, cause) = http::fault(error);
        let (stage, local_error) = match fault {
            Fault::Refused => (Stage::Connect, LocalError::ConnectRefused),
            Fault::Connect => (Stage::Connect, LocalError::NetworkUnreachable),
            Fault::Certificate => (Stage::Tls, LocalError::TlsCertificate),
            // DirectMail may have received the call, as a server may after the final dot.
            Fault::Timeout | Fault::Broken => (Stage::Api, LocalError::LostAfterFinalDot),
        };
        let verdict = self.replies.explain_local(local_error);
        Failure {
            explanation: verdict.explanation(self.common.locale),
            ..failure(verdict.kind(stage), stage, fault.describe(host, &cause))
        }
    }
}

/// Whether the only fault of a call was that it contained no mail (`MissingToAddress` and others).
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

/// Drops the fraction of a second, which `YYYY-MM-DDThh:mm:ssZ` cannot express.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis() / 1_000 * 1_000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::FenceHandle;
    use crate::domain::{Locale, Mailbox};
    use crate::secret::Secret;

    fn account(endpoint: String) -> DirectMail {
        let common = Common {
            name: "directmail".into(),
            from: Mailbox::parse("notify@mail.example.com").unwrap(),
            reply_to: Vec::new(),
            max_connections: 1,
            rate_limit: None,
            cooldown: Duration::from_secs(30),
            cooldown_max: Duration::from_mins(15),
            locale: Locale::En,
        };
        let settings = Settings {
            access_key_id: "id".to_owned(),
            access_key_secret: Secret::new("secret"),
            region: crate::transport::directmail::DEFAULT_REGION.to_owned(),
            endpoint: Some(endpoint),
            timeout: Duration::from_secs(10),
            tls_ca_file: None,
        };
        let context = Context {
            metrics: Arc::new(Metrics::new()),
            replies: Arc::new(Table::new()),
            clock: Clock::System,
            tokens: None,
        };
        DirectMail::new(common, settings, &context).unwrap()
    }

    /// As if the fence had ended while the connection was opened.
    #[tokio::test]
    async fn call_is_not_completed_once_the_lease_is_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let account = account(format!("http://{}/", listener.local_addr().unwrap()));
        let over = FenceHandle::new().fence();
        let params = vec![("Subject", "canary".into())];
        let (result, received) = tokio::join!(account.call(params, None, &over), async {
            let mut received = String::new();
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_to_string(&mut received).await.unwrap();
            received
        });
        let AttemptResult::Failed(failure) = result else {
            panic!("{result:?}");
        };
        assert_eq!(
            (failure.kind, failure.stage),
            (FailureKind::LeaseOver, Stage::Api)
        );
        assert!(!received.contains("canary"), "{received}");
    }
}
