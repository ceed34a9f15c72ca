//! Aliyun DirectMail over HTTP: `SingleSendMail`, one call per mail.
//!
//! The API has no idempotency key, so a call whose reply was lost is
//! [`FailureKind::Uncertain`](crate::domain::FailureKind::Uncertain), like a lost reply to the
//! final dot of SMTP, and is repeated with the same Message-ID. It accepts few headers: the id of
//! the event is sent as `X-User-Jobbell-Event`.

mod account;
mod answer;
mod body;
mod request;
pub mod sign;

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;
use crate::transport::http;

pub use account::DirectMail;

/// The default region.
pub const DEFAULT_REGION: &str = "cn-hangzhou";

/// Settings of a DirectMail account (`provider = "directmail"` with `api = true`), besides those of
/// [`Common`](crate::transport::Common), whose `from` is the sender address that was set up in the
/// console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Id of the access key (`access_key_id`).
    pub access_key_id: String,
    /// Secret of the access key (`access_key_secret`).
    pub access_key_secret: Secret,
    /// Region in which the sender address was set up, usually [`DEFAULT_REGION`]. Addresses are
    /// valid in one region only.
    pub region: String,
    /// Address to call instead of the region's (`endpoint`): https, or http on a loopback address.
    /// A bare host name means https.
    pub endpoint: Option<String>,
    /// Time limit of one call.
    pub timeout: Duration,
    /// PEM file of an additional root certificate.
    pub tls_ca_file: Option<PathBuf>,
}

/// Why the settings are unusable.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The access key is missing.
    #[error("access_key_id and access_key_secret are required")]
    NoKey,
    /// The region is not a region name.
    #[error("region must be a name such as cn-hangzhou, ap-southeast-1, us-east-1 or eu-central-1")]
    Region,
    /// The endpoint is not an address that mails may be sent to.
    #[error("endpoint {0}")]
    Endpoint(#[from] http::EndpointError),
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Client(#[from] http::ClientError),
}

/// Whether `text` has the form of a region name.
pub fn is_region(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 40
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The URL to call: `endpoint`, a host name or a URL, if set, else the region's
/// (<https://alibabacloud.com/help/en/direct-mail/api-endpoints>).
///
/// # Errors
/// If it is not a URL, or mails would be sent to it unencrypted.
pub fn address(endpoint: Option<&str>, region: &str) -> Result<url::Url, http::EndpointError> {
    match endpoint {
        Some(text) if text.contains("://") => http::endpoint(text),
        Some(host) => http::endpoint(&format!("https://{host}/")),
        None if region == DEFAULT_REGION => http::endpoint("https://dm.aliyuncs.com/"),
        None => http::endpoint(&format!("https://dm.{region}.aliyuncs.com/")),
    }
}
