//! Public keys that a service publishes (JWKS, RFC 7517 and RFC 8037), fetched on demand and cached
//! for at most a day.
//!
//! One request fetches; others wait for it only if no cached key fits. A signature that fits no key
//! triggers a refresh, at most once a minute, so that a flood of wrong signatures does not hit the
//! service. Failed refreshes do not remove keys before their day is over.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::warn;

use crate::domain::Timestamp;

/// How long keys are used without a refresh.
const FRESH: Duration = Duration::from_hours(12);
/// How long keys are used while refreshes fail.
const KEEP: Duration = Duration::from_hours(24);
/// Minimum interval between two fetches.
const PAUSE: Duration = Duration::from_mins(1);
/// Maximum number of keys in a list.
const MAX_KEYS: usize = 32;

/// Downloads a page, with limits on time and size.
pub type Fetch = Arc<dyn Fn(String) -> Fetching + Send + Sync>;
/// A running download.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;
/// An Ed25519 public key.
pub type PublicKey = [u8; 32];

/// Where the keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A URL.
    Url(String),
    /// Fixed keys; nothing is fetched.
    Fixed(Vec<PublicKey>),
}

/// The text contains no Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a JWKS with an Ed25519 key")]
pub struct InvalidJwks;

/// Parses a key list; other key types are skipped.
///
/// # Errors
/// If it contains no Ed25519 key.
pub fn parse(text: &[u8]) -> Result<Vec<PublicKey>, InvalidJwks> {
    let list: Value = serde_json::from_slice(text).map_err(|_| InvalidJwks)?;
    let is =
        |key: &Value, name: &str, value: &str| key.get(name).and_then(Value::as_str) == Some(value);
    let keys = list
        .get("keys")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .take(MAX_KEYS);
    let ed25519 = keys.filter(|key| is(key, "kty", "OKP") && is(key, "crv", "Ed25519"));
    let keys: Vec<PublicKey> = ed25519
        .filter_map(|key| {
            URL_SAFE_NO_PAD
                .decode(key.get("x")?.as_str()?)
                .ok()?
                .try_into()
                .ok()
        })
        .collect();
    if keys.is_empty() {
        Err(InvalidJwks)
    } else {
        Ok(keys)
    }
}

/// The cached keys of one source.
pub struct JwksCache {
    source: KeySource,
    fetch: Fetch,
    held: Arc<ArcSwap<Cached>>,
    /// Locked while a fetch is in flight.
    fetching: Arc<Mutex<()>>,
}

#[derive(Debug, Default, Clone)]
struct Cached {
    keys: Arc<[PublicKey]>,
    fetched_at: Option<Timestamp>,
    asked_at: Option<Timestamp>,
}

/// Keys and whether they are up to date.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The keys; empty if none may be used.
    pub keys: Arc<[PublicKey]>,
    /// Whether the last fetch succeeded.
    pub confirmed: bool,
}

impl fmt::Debug for JwksCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwksCache")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl JwksCache {
    /// An empty cache.
    pub fn new(source: KeySource, fetch: Fetch) -> Self {
        let keys = match &source {
            KeySource::Fixed(keys) => keys.as_slice().into(),
            KeySource::Url(_) => Arc::default(),
        };
        Self {
            source,
            fetch,
            held: Arc::new(ArcSwap::from_pointee(Cached {
                keys,
                ..Cached::default()
            })),
            fetching: Arc::default(),
        }
    }

    /// Where the keys come from.
    pub const fn source(&self) -> &KeySource {
        &self.source
    }

    /// The current keys, fetched if necessary.
    pub async fn keys(&self, now: Timestamp) -> Keys {
        let held = self.held.load_full();
        if self.source_of(&held, now, FRESH).is_none() {
            return held.of(now, &self.source);
        }
        match Arc::clone(&self.fetching).try_lock_owned() {
            Ok(fetching) => self.fetched(fetching, now, FRESH).await,
            // A fetch is in flight, and these are usable until it ends.
            Err(_) if held.is_usable(now) => held.of(now, &self.source),
            Err(_) => self.keys_again(now).await,
        }
    }

    /// Refreshes the keys after a signature that fits none of them, unless that was done less than
    /// a minute ago.
    pub async fn keys_again(&self, now: Timestamp) -> Keys {
        let fetching = Arc::clone(&self.fetching).lock_owned().await;
        self.fetched(fetching, now, PAUSE).await
    }

    /// The URL to fetch, if a fetch is due.
    fn source_of(&self, held: &Cached, now: Timestamp, fresh: Duration) -> Option<&str> {
        let KeySource::Url(url) = &self.source else {
            return None;
        };
        (!within(held.fetched_at, fresh, now) && !within(held.asked_at, PAUSE, now)).then_some(url)
    }

    /// Fetches if due, in a separate task: a cancelled request must not cancel the fetch for
    /// others.
    async fn fetched(
        &self,
        fetching: OwnedMutexGuard<()>,
        now: Timestamp,
        fresh: Duration,
    ) -> Keys {
        let before = self.held.load_full();
        if let Some(url) = self.source_of(&before, now, fresh) {
            let (url, page, held) = (
                url.to_owned(),
                (self.fetch)(url.to_owned()),
                Arc::clone(&self.held),
            );
            let asking = tokio::spawn(async move {
                let _fetching = fetching;
                let after = match page
                    .await
                    .and_then(|text| parse(&text).map_err(|error| format!("the response {error}")))
                {
                    Ok(keys) => Cached {
                        keys: keys.into(),
                        fetched_at: Some(now),
                        asked_at: Some(now),
                    },
                    Err(error) => {
                        warn!(url, "could not fetch the public keys of a service: {error}");
                        Cached {
                            asked_at: Some(now),
                            ..Cached::clone(&before)
                        }
                    }
                };
                held.store(Arc::new(after));
            });
            if let Err(lost) = asking.await {
                warn!("could not fetch the public keys of a service: {lost}");
            }
        }
        self.held.load().of(now, &self.source)
    }
}

impl Cached {
    fn is_usable(&self, now: Timestamp) -> bool {
        within(self.fetched_at, KEEP, now)
    }

    fn of(&self, now: Timestamp, source: &KeySource) -> Keys {
        match source {
            KeySource::Fixed(_) => Keys {
                keys: Arc::clone(&self.keys),
                confirmed: true,
            },
            KeySource::Url(_) if self.is_usable(now) => Keys {
                keys: Arc::clone(&self.keys),
                confirmed: self.fetched_at >= self.asked_at,
            },
            KeySource::Url(_) => Keys {
                keys: Arc::default(),
                confirmed: false,
            },
        }
    }
}

/// Whether `at` is within `span` of now, in either direction, because clocks get set.
fn within(at: Option<Timestamp>, span: Duration, now: Timestamp) -> bool {
    at.is_some_and(|at| now.before(span) <= at && at <= now.after(span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const ONE: &str = r#"{"keys":[{"kty":"RSA"},{"kty":"OKP","crv":"Ed25519","x":"zPGyux_P7fNCIAdGxpHeDZvVC2sILgz0XE3dmE1a9CM"}]}"#;

    fn ring(answer: fn(usize) -> Result<Vec<u8>, String>) -> (Arc<JwksCache>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let fetch: Fetch = Arc::new(move |_| {
            let nth = count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                tokio::task::yield_now().await;
                answer(nth)
            })
        });
        (
            Arc::new(JwksCache::new(
                KeySource::Url("https://keys.example".to_owned()),
                fetch,
            )),
            asked,
        )
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(1_772_612_137_000 + minutes * 60_000)
    }

    #[test]
    fn parse_accepts_only_valid_ed25519_keys() {
        assert_eq!(parse(ONE.as_bytes()).unwrap().len(), 1);
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}"#,
            r#"{"keys":[{"kty":"OKP","crv":"X25519","x":7}]}"#,
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(InvalidJwks), "{bad}");
        }
    }

    #[tokio::test]
    async fn concurrent_requests_share_one_fetch() {
        let (ring, asked) = ring(|_| Ok(ONE.into()));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let ring = Arc::clone(&ring);
            all.spawn(async move { ring.keys(at(0)).await.keys.len() });
        }
        while let Some(found) = all.join_next().await {
            assert_eq!(found.unwrap(), 1);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        ring.keys_again(at(0)).await;
        assert_eq!(asked.load(Ordering::SeqCst), 1, "asked a moment ago");
        ring.keys_again(at(2)).await;
        ring.keys(at(60)).await;
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn failed_refresh_keeps_cached_keys_for_a_day() {
        let (ring, asked) = ring(|nth| {
            if nth == 0 {
                Ok(ONE.into())
            } else if nth == 1 {
                Err("refused".to_owned())
            } else {
                Ok(b"<html>".to_vec())
            }
        });
        assert_eq!(ring.keys(at(0)).await.keys.len(), 1);
        assert_eq!(ring.keys(at(13 * 60)).await.keys.len(), 1);
        assert_eq!(ring.keys(at(14 * 60)).await.keys.len(), 1);
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        assert_eq!(ring.keys(at(25 * 60)).await.keys.len(), 0);
    }

    #[tokio::test]
    async fn cached_key_is_used_while_a_refresh_is_in_flight() {
        let (open, opened) = tokio::sync::watch::channel(true);
        let fetch: Fetch = Arc::new(move |_| {
            let mut opened = opened.clone();
            Box::pin(async move {
                opened
                    .wait_for(|open| *open)
                    .await
                    .map_err(|error| error.to_string())?;
                Ok(ONE.into())
            })
        });
        let ring = Arc::new(JwksCache::new(
            KeySource::Url("https://keys.example".to_owned()),
            fetch,
        ));
        assert!(ring.keys(at(0)).await.confirmed);
        open.send_replace(false);
        let forged = tokio::spawn({
            let ring = Arc::clone(&ring);
            async move { ring.keys_again(at(2)).await.keys.len() }
        });
        while ring.fetching.try_lock().is_ok() {
            tokio::task::yield_now().await;
        }
        for now in [at(2), at(13 * 60)] {
            let keys = tokio::time::timeout(Duration::from_secs(30), ring.keys(now))
                .await
                .expect("a cached key needs no fetch");
            assert_eq!(keys.keys.len(), 1, "stale keys are used too");
        }
        open.send_replace(true);
        assert_eq!(forged.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn keys_are_unconfirmed_after_a_failed_refresh() {
        let (ring, _) = ring(|nth| {
            if nth == 0 {
                Ok(ONE.into())
            } else {
                Err("refused".to_owned())
            }
        });
        assert!(ring.keys(at(0)).await.confirmed);
        let keys = ring.keys_again(at(2)).await;
        assert_eq!((keys.keys.len(), keys.confirmed), (1, false));
    }
}
