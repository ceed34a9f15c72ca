//! HTTP calls to token servers and mail services: one way to build a client, bounded answers,
//! faults told apart.

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::domain::Timestamp;
use crate::tls::{TlsError, client_config};

/// The longest wait for a connection, TLS handshake included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept; shorter than servers usually wait, so that a mail seldom
/// meets a closed one.
const IDLE: Duration = Duration::from_secs(20);
/// The longest pause that a `Retry-After` can ask for.
const LONGEST_PAUSE: Duration = Duration::from_hours(24);
/// The media type of a form body.
pub(super) const FORM: (HeaderName, &str) = (CONTENT_TYPE, "application/x-www-form-urlencoded");

/// Why an HTTP client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP library refuses its settings.
    #[error("cannot set up HTTP: {0}")]
    Http(#[from] reqwest::Error),
}

/// Makes an HTTP client whose every call ends after `timeout`: no proxy, no redirect, no repeat of
/// its own, TLS 1.2 or later by ring.
///
/// Certificates are verified against the system's roots and, when given, those of the PEM file
/// `extra_root`.
///
/// # Errors
/// When `extra_root` cannot be read or holds no certificate, or TLS cannot be set up.
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

/// Why a text is not an address that secrets and mails may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not an absolute http or https address, or one with login data in it.
    #[error("must be an https address such as https://example.com/path")]
    Shape,
    /// Not encrypted and not on this machine.
    #[error("must begin with https:// (http:// only for an address on this machine)")]
    Clear,
}

/// Reads the address of a token server or mail service; unencrypted ones are taken only on
/// loopback.
///
/// # Errors
/// When it is no such address, or secrets sent there could be read on the way.
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
    /// Nobody listens there: nothing was sent.
    Refused,
    /// No connection for another reason: nothing was sent.
    Connect,
    /// The server's certificate was refused: nothing was sent.
    Certificate,
    /// Time ran out after the connection was there.
    Timeout,
    /// The connection broke after it was there.
    Broken,
}

/// Tells at which point a call failed, and the innermost cause in words (no address, at most 200
/// characters).
pub fn fault(error: &reqwest::Error) -> (Fault, String) {
    let (mut certificate, mut refused) = (false, false);
    let mut words = String::new();
    let mut source = error.source();
    while let Some(inner) = source {
        certificate |= is_certificate_fault(inner);
        refused |= inner
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
        words = inner.to_string();
        source = inner.source();
    }
    let fault = match () {
        () if certificate => Fault::Certificate,
        () if refused => Fault::Refused,
        () if error.is_connect() => Fault::Connect,
        () if error.is_timeout() => Fault::Timeout,
        () => Fault::Broken,
    };
    (fault, plain(&words, 200))
}

/// rustls hides inside one `io::Error` or several, whose `source` steps over it.
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

/// An answer, read to its end.
pub(super) struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the server asked us to wait.
    pub retry_after: Option<Duration>,
    /// What the server's clock said.
    pub date: Option<Timestamp>,
    /// Whether it is a web page rather than data.
    pub html: bool,
    /// The body; empty when it was too long.
    pub body: Vec<u8>,
}

/// Reads an answer's body up to `limit` bytes; a longer one comes back empty, so that what is
/// parsed is never a torn piece.
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

/// RFC 9110 §10.2.3: seconds or a date; at most a day.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => http_date(text)?.since(now),
    };
    Some(pause.min(LONGEST_PAUSE))
}

/// A text from outside as one line: control characters become blanks, at most `limit` characters.
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
    fn unencrypted_addresses_are_taken_only_on_loopback() {
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
    fn retry_after_is_seconds_or_a_date_and_never_more_than_a_day() {
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
        assert_eq!(asked("99999999"), Some(LONGEST_PAUSE));
        assert_eq!(asked("soon"), None);
    }
}
