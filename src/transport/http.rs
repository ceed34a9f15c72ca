//! HTTP calls to token servers and mail services: the client, bounded responses, and the causes of
//! failed calls.

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::domain::Timestamp;
use crate::tls::{TlsError, client_config};

/// Time limit for connecting, including the TLS handshake.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept: less than most servers keep it, so that a mail rarely
/// meets a closed one.
const IDLE: Duration = Duration::from_secs(20);
/// The longest pause that a `Retry-After` can request.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);
/// The media type of a form body.
pub(super) const FORM: (HeaderName, &str) = (CONTENT_TYPE, "application/x-www-form-urlencoded");

/// Why an HTTP client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP library rejects the settings.
    #[error("cannot set up HTTP: {0}")]
    Http(#[from] reqwest::Error),
}

/// An HTTP client that limits each call to `timeout` and uses no proxy, redirects or automatic
/// retries.
///
/// Certificates are verified against the system's roots and, if given, those in the PEM file
/// `extra_root`.
///
/// # Errors
/// If `extra_root` cannot be read or contains no certificate, or TLS cannot be set up.
pub fn client(
    timeout: Duration,
    extra_root: Option<&Path>,
) -> Result<reqwest::Client, ClientError> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(client_config(extra_root)?)
        .timeout(timeout)
        .connect_timeout(CONNECT.min(timeout / 2))
        .pool_idle_timeout(IDLE)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(concat!("jobbell/", env!("CARGO_PKG_VERSION")))
        .build()?;
    Ok(client)
}

/// Why a text is not a URL that secrets and mails may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an absolute http or https URL, or one that contains credentials.
    #[error("must be an https address such as https://example.com/path")]
    Shape,
    /// Neither encrypted nor on this machine.
    #[error("must begin with https:// (http:// only for an address on this machine)")]
    Clear,
}

/// Parses the URL of a token server or mail service. Plain http is accepted for loopback addresses
/// only.
///
/// # Errors
/// If it is not such a URL, or secrets would be sent unencrypted.
pub fn endpoint(text: &str) -> Result<url::Url, EndpointError> {
    let url = url::Url::parse(text.trim()).map_err(|_| EndpointError::Shape)?;
    let loopback = match url.host() {
        None => return Err(EndpointError::Shape),
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
    };
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => Err(EndpointError::Shape),
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err(EndpointError::Clear),
        _ => Err(EndpointError::Shape),
    }
}

/// At which point a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection was refused: nothing was sent.
    Refused,
    /// The connection failed for another reason: nothing was sent.
    Connect,
    /// The server's certificate was refused: nothing was sent.
    Certificate,
    /// No response in time, after the connection was established.
    Timeout,
    /// The connection was lost after it was established.
    Broken,
}

impl Fault {
    /// The failure of a call to `host` in one sentence.
    pub(super) fn describe(self, host: &str, cause: &str) -> String {
        match self {
            Self::Refused | Self::Connect => format!("cannot connect to {host}: {cause}"),
            Self::Certificate => format!("the certificate of {host} is not trusted: {cause}"),
            Self::Timeout => format!("{host} did not answer in time"),
            Self::Broken => format!("the connection to {host} was lost: {cause}"),
        }
    }
}

/// At which point a call failed, and the message of the innermost error (at most 200 characters).
pub fn fault(error: &reqwest::Error) -> (Fault, String) {
    let (mut certificate, mut refused) = (false, false);
    let mut cause = String::new();
    let mut source = error.source();
    while let Some(inner) = source {
        certificate |= is_certificate_fault(inner);
        refused |= inner
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
        cause = inner.to_string();
        source = inner.source();
    }
    let fault = match () {
        () if certificate => Fault::Certificate,
        () if refused => Fault::Refused,
        () if error.is_connect() => Fault::Connect,
        () if error.is_timeout() => Fault::Timeout,
        () => Fault::Broken,
    };
    (fault, plain(&cause, 200))
}

/// An error of rustls is wrapped in one or more `io::Error`s, whose `source` skips it.
fn is_certificate_fault(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(inner) = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        return is_certificate_fault(inner);
    }
    matches!(
        error.downcast_ref(),
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    )
}

/// A response with its whole body.
pub(super) struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The pause that the server requests.
    pub retry_after: Option<Duration>,
    /// The server's time.
    pub date: Option<Timestamp>,
    /// Whether it is a web page.
    pub html: bool,
    /// The body; empty if it was too long.
    pub body: Vec<u8>,
}

/// Reads a response. If the body exceeds `limit` bytes, it is replaced by an empty one, so that a
/// truncated body is never parsed.
pub(super) async fn read(
    mut response: reqwest::Response,
    limit: usize,
    now: Timestamp,
) -> Result<Answer, reqwest::Error> {
    let headers = response.headers();
    let declared_html = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    let (status, date, retry_after) = (
        response.status().as_u16(),
        date(headers),
        retry_after(headers, now),
    );
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            body.clear();
            break;
        }
        body.extend_from_slice(&chunk);
    }
    let html = declared_html || body.trim_ascii_start().first() == Some(&b'<');
    Ok(Answer {
        status,
        retry_after,
        date,
        html,
        body,
    })
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    http_date(text)
}

fn http_date(text: &str) -> Option<Timestamp> {
    let moment = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()?;
    Some(Timestamp::from_millis(moment.as_millisecond()))
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds or a date; limited to a day.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => http_date(text)?.since(now),
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

/// A text from outside as one line of at most `limit` characters; control characters become
/// spaces.
pub(super) fn plain(text: &str, limit: usize) -> String {
    text.trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(limit)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_accepted_only_on_loopback() {
        for good in [
            "https://example.com/token",
            "http://127.0.0.1:8000/t",
            "http://localhost/t",
            "http://[::1]:1/",
        ] {
            assert!(endpoint(good).is_ok(), "{good}");
        }
        assert_eq!(
            endpoint("http://example.com/token"),
            Err(EndpointError::Clear)
        );
        for bad in [
            "example.com/token",
            "ftp://example.com",
            "https://user:secret@example.com/",
            "",
        ] {
            assert_eq!(endpoint(bad), Err(EndpointError::Shape), "{bad}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_limited_to_a_day() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let asked = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(asked("120"), Some(Duration::from_mins(2)));
        assert_eq!(
            asked("Thu, 01 Jan 2026 00:00:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(asked("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(asked("soon"), None);
    }
}
