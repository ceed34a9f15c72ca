//! Fetches an image over HTTP, trusting neither the address nor the server.

use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, LOCATION};
use reqwest::{Client, Response};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::address::is_public;
use super::decode::MAX_BYTES;
use super::shares::{Share, Shares, Wanted};
use super::ssrf::{Access, OwnHost, access_to};
use super::{SetupError, decode};
use crate::domain::MissingReason;
use crate::tls::client_config;

/// Timeout for connecting, including the TLS handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// Timeout for one image, including redirects but not the wait for a permit.
const WHOLE: Duration = Duration::from_secs(15);
/// How long a body may take to start before the minimum rate applies.
const START: Duration = Duration::from_secs(3);
/// Minimum average rate of a body in bytes per second: slower servers would delay others.
const MIN_RATE: u32 = 8 * 1_024;
/// Maximum number of redirects; each target is checked like the first address.
const MAX_REDIRECTS: usize = 3;

/// Fetches images. The checked address is the one connected to: IP addresses are checked as
/// written, names when they are resolved for the connection, so DNS rebinding gains nothing.
#[derive(Debug)]
pub(super) struct Fetcher {
    own: Vec<OwnHost>,
    public: Client,
    inside: Client,
    whole: Duration,
}

impl Fetcher {
    pub(super) fn new(own: Vec<OwnHost>) -> Result<Self, SetupError> {
        Self::with(own, Lookup::System)
    }

    fn with(own: Vec<OwnHost>, lookup: Lookup) -> Result<Self, SetupError> {
        let tls = client_config(None)?;
        let client = |lookup: Guarded| {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .connect_timeout(CONNECT)
                .timeout(WHOLE)
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .pool_max_idle_per_host(0)
                .dns_resolver(Arc::new(lookup))
                .user_agent(concat!("jobbell/", env!("CARGO_PKG_VERSION")))
                .build()
        };
        let public = client(Guarded {
            lookup: lookup.clone(),
            anywhere: false,
        })?;
        Ok(Self {
            own,
            public,
            inside: client(Guarded {
                lookup,
                anywhere: true,
            })?,
            whole: WHOLE,
        })
    }

    /// Fetches at most [`MAX_BYTES`] that start like an image, possibly gzipped. `share` is the
    /// permit at the first host; a permit is acquired at each redirect's host, and the last one is
    /// returned with the bytes, for the caller to hold.
    ///
    /// # Errors
    /// The reason. A forbidden address gets a single reason that reveals nothing about it.
    pub(super) async fn fetch(
        &self,
        mut url: Url,
        event: u64,
        mut share: Share,
        shares: &Shares,
    ) -> Result<(Vec<u8>, Share), MissingReason> {
        let mut left = self.whole;
        for hop in 0..=MAX_REDIRECTS {
            let access = access_to(&url, &self.own).ok_or(MissingReason::NotAllowed)?;
            if hop > 0 {
                drop(share);
                share = shares.acquire(Wanted::at(event, &url)).await;
            }
            let begun = Instant::now();
            match timeout(left, self.call(&url, access))
                .await
                .unwrap_or(Err(MissingReason::Unavailable))?
            {
                Called::Body(body) => return Ok((body, share)),
                Called::Redirect(to) => url = to,
            }
            left = left.saturating_sub(begun.elapsed());
        }
        Err(MissingReason::Unavailable)
    }

    async fn call(&self, url: &Url, access: Access) -> Result<Called, MissingReason> {
        let client = match access {
            Access::Public => &self.public,
            Access::Own => &self.inside,
        };
        let request = client
            .get(url.clone())
            .header(ACCEPT, "image/png, image/jpeg, image/webp")
            .header(ACCEPT_ENCODING, "identity");
        let response = request.send().await.map_err(|error| why(&error))?;
        match response.status().as_u16() {
            200 => read(response).await.map(Called::Body),
            301 | 302 | 303 | 307 | 308 => {
                let location = response
                    .headers()
                    .get(LOCATION)
                    .and_then(|location| location.to_str().ok());
                location
                    .and_then(|location| url.join(location).ok())
                    .map(Called::Redirect)
                    .ok_or(MissingReason::Unavailable)
            }
            _ => Err(MissingReason::Unavailable),
        }
    }
}

/// The result of a request.
enum Called {
    Body(Vec<u8>),
    Redirect(Url),
}

/// Reads a body as long as it looks like an image of an allowed size, whatever its headers say, and
/// arrives fast enough.
async fn read(mut response: Response) -> Result<Vec<u8>, MissingReason> {
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    if response
        .content_length()
        .is_some_and(|length| length > limit)
    {
        return Err(MissingReason::TooLarge);
    }
    let begun = Instant::now();
    let mut body = Vec::new();
    loop {
        let due = begun
            + START
            + Duration::from_secs(1) * u32::try_from(body.len()).unwrap_or(u32::MAX) / MIN_RATE;
        let chunk = timeout_at(due, response.chunk())
            .await
            .map_err(|_| MissingReason::Unavailable)?;
        let Some(chunk) = chunk.map_err(|error| why(&error))? else {
            return Ok(body);
        };
        if chunk.len() > MAX_BYTES - body.len() {
            return Err(MissingReason::TooLarge);
        }
        if body.capacity() - body.len() < chunk.len() {
            // Doubling would take up to 32 MiB; one byte more is for `decoder::shrink`.
            let most = MAX_BYTES + 1 - body.len();
            body.reserve_exact(body.len().max(chunk.len()).min(most));
        }
        body.extend_from_slice(&chunk);
        if body.len() >= decode::TELLING && !decode::may_be_a_picture(&body) {
            return Err(MissingReason::NotAPicture);
        }
    }
}

/// The public reason of a failed request.
fn why(error: &reqwest::Error) -> MissingReason {
    let mut source = error.source();
    while let Some(inner) = source {
        if inner.is::<NoPublicAddress>() {
            return MissingReason::NotAllowed;
        }
        source = inner.source();
    }
    MissingReason::Unavailable
}

/// The name has no public address or does not exist; producers cannot tell which.
#[derive(Debug, thiserror::Error)]
#[error("the name has no public address")]
struct NoPublicAddress;

/// How names are resolved.
#[derive(Debug, Clone)]
enum Lookup {
    /// By the system's resolver.
    System,
    /// Scripted answers, in order.
    #[cfg(test)]
    Scripted(Arc<std::sync::Mutex<std::collections::VecDeque<Vec<IpAddr>>>>),
}

impl Lookup {
    async fn addresses(&self, name: String) -> Vec<IpAddr> {
        match self {
            Self::System => tokio::net::lookup_host((name, 0))
                .await
                .map(|found| found.map(|address| address.ip()).collect())
                .unwrap_or_default(),
            #[cfg(test)]
            Self::Scripted(answers) => answers.lock().unwrap().pop_front().unwrap_or_default(),
        }
    }
}

/// Resolver for the HTTP client, which connects only to addresses returned here.
#[derive(Debug)]
struct Guarded {
    lookup: Lookup,
    anywhere: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, anywhere) = (self.lookup.clone(), self.anywhere);
        Box::pin(async move {
            let found = lookup.addresses(name.as_str().to_owned()).await;
            let may: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| anywhere || is_public(*address))
                .map(|address| (address, 0).into())
                .collect();
            if may.is_empty() {
                return Err(NoPublicAddress.into());
            }
            let addresses: Addrs = Box::new(may.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use tokio::net::TcpListener;

    use super::*;
    use crate::thumbnails::shares::Limits;

    fn scripted(answers: &[&[&str]]) -> Lookup {
        let parse = |addresses: &&[&str]| {
            addresses
                .iter()
                .map(|address| address.parse().unwrap())
                .collect()
        };
        Lookup::Scripted(Arc::new(Mutex::new(
            answers.iter().map(parse).collect::<VecDeque<_>>(),
        )))
    }

    async fn resolved(lookup: Lookup, anywhere: bool) -> Option<Vec<String>> {
        let addresses = Guarded { lookup, anywhere }
            .resolve("img.example.com".parse().unwrap())
            .await
            .ok()?;
        Some(addresses.map(|address| address.ip().to_string()).collect())
    }

    async fn fetched(fetcher: &Fetcher, url: &str) -> Result<Vec<u8>, MissingReason> {
        let shares = Shares::new(Limits {
            total: 8,
            per_host: 2,
            per_site: 4,
        });
        let url = Url::parse(url).unwrap();
        let share = shares.acquire(Wanted::at(1, &url)).await;
        fetcher
            .fetch(url, 1, share, &shares)
            .await
            .map(|(bytes, _)| bytes)
    }

    #[tokio::test]
    async fn only_public_addresses_of_a_name_are_used() {
        let mixed = || {
            scripted(&[&[
                "10.0.0.1",
                "93.184.216.34",
                "::1",
                "169.254.169.254",
                "2606:4700::1111",
            ]])
        };
        assert_eq!(
            resolved(mixed(), false).await.unwrap(),
            ["93.184.216.34", "2606:4700::1111"]
        );
        assert_eq!(resolved(mixed(), true).await.unwrap().len(), 5);
        assert_eq!(
            resolved(scripted(&[&["192.168.1.1", "::ffff:127.0.0.1"]]), false).await,
            None
        );
        assert_eq!(resolved(scripted(&[]), false).await, None);
    }

    #[tokio::test]
    async fn dns_rebinding_to_a_private_address_is_not_followed() {
        let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // The first lookup returns a public address, later ones this machine, which listens at the
        // port of the address.
        let lookup = scripted(&[&["127.0.0.1"], &["127.0.0.1"]]);
        let port = inside.local_addr().unwrap().port();
        let fetcher = Fetcher::with(
            vec![OwnHost::parse(&format!("other.example:{port}")).unwrap()],
            lookup,
        )
        .unwrap();
        for url in [
            "http://rebind.example/a.png",
            "https://rebind.example/a.png",
        ] {
            assert_eq!(
                fetched(&fetcher, url).await,
                Err(MissingReason::NotAllowed),
                "{url}"
            );
        }
        let called = tokio::time::timeout(Duration::from_millis(50), inside.accept()).await;
        assert!(called.is_err(), "no connection");
    }

    #[tokio::test]
    async fn unknown_and_private_names_are_indistinguishable() {
        let fetch = async |answers: &[&[&str]]| {
            fetched(
                &Fetcher::with(Vec::new(), scripted(answers)).unwrap(),
                "http://a.example/",
            )
            .await
        };
        assert_eq!(fetch(&[]).await, fetch(&[&["10.0.0.1"]]).await);
    }
}
