//! Fetches one picture's bytes by HTTP, trusting neither the address nor who answers there.

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
use super::shares::{Share, Shares, Wanted};
use super::ssrf::{Access, OwnHost, access_to};
use super::{SetupError, decode};
use crate::domain::MissingReason;
use crate::tls::client_config;

/// The most bytes of a picture.
pub(super) const MAX_BYTES: usize = 20 * 1_024 * 1_024;
/// The longest wait for a connection, TLS handshake included.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest that one picture may take, redirects included; waiting for a turn does not count.
const WHOLE: Duration = Duration::from_secs(15);
/// How long a body may take to begin before the minimum rate holds.
const START: Duration = Duration::from_secs(3);
/// The least bytes a second of a body, on average: a server that is slower holds up others.
const MIN_RATE: u32 = 8 * 1_024;
/// The most redirects that are followed, each checked like the first address.
const MAX_REDIRECTS: usize = 3;

/// Fetches pictures. The address that was checked is the address that is called: IP addresses are
/// checked as they stand, names when they are resolved for the connection, so that a name which
/// changes its mind gains nothing.
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

    /// The bytes behind an address: at most [`MAX_BYTES`], and by their first ones a picture, or
    /// one compressed once more. `share` is its place at the first host; it waits for another one
    /// at each host that it is sent to, and the last one comes back with the bytes, for whoever
    /// holds them.
    ///
    /// # Errors
    /// Says why there is none, and of an address that may not be called no more than that.
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

/// What a call has come to.
enum Called {
    Body(Vec<u8>),
    Redirect(Url),
}

/// Reads a body as long as it may still become a picture of an allowed size, whatever it is said to
/// be, and comes quickly enough.
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

/// What a failed call is to the outside.
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

/// The name has no address that may be called, or there is no such name: to a producer the same.
#[derive(Debug, thiserror::Error)]
#[error("the name has no public address")]
struct NoPublicAddress;

/// How names are resolved.
#[derive(Debug, Clone)]
enum Lookup {
    /// As every program on this machine does.
    System,
    /// One answer after the other.
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

/// Resolves names for the HTTP library, which connects to exactly what comes out here.
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
    async fn of_a_names_addresses_only_the_public_ones_are_called() {
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
    async fn a_name_that_turns_inside_after_it_was_looked_up_is_not_followed_there() {
        let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // At the first look the name is public, at every later one it is this machine, where
        // somebody listens at the port of the address.
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
        assert!(called.is_err(), "nobody came");
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_and_one_that_is_inside_look_the_same() {
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
