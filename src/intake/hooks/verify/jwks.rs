//! Public keys that a service publishes (JWKS, RFC 7517 and RFC 8037): fetched when they are needed, kept a day at most.
//!
//! One request fetches while the others wait for it. A signature that no key explains has them fetched again, at most once a minute, so that a flood
//! of wrong ones costs their server nothing. A server that is down or answers nonsense takes no key away before its day is over.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::warn;

use crate::domain::Timestamp;

/// How long keys are used without asking again.
const FRESH: Duration = Duration::from_hours(12);
/// How long they are used when nobody answers.
const KEEP: Duration = Duration::from_hours(24);
/// The pause between two askings.
const PAUSE: Duration = Duration::from_mins(1);
/// The most keys of one list.
const MAX_KEYS: usize = 32;

/// What fetches a page: its bytes, or why not. Bounded in time and in size by whoever makes it.
pub type Fetch = Arc<dyn Fn(String) -> Fetching + Send + Sync>;
/// A page on its way.
pub type Fetching = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;
/// An Ed25519 public key.
pub type PublicKey = [u8; 32];

/// Where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// At this address.
    Url(String),
    /// Here; nothing is fetched.
    Fixed(Vec<PublicKey>),
}

/// The text holds no Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no list of keys (JWKS) with an Ed25519 key in it")]
pub struct NoKeys;

/// The Ed25519 keys of a list; others are passed over.
///
/// # Errors
/// When there is none.
pub fn parse(text: &[u8]) -> Result<Vec<PublicKey>, NoKeys> {
    let list: Value = serde_json::from_slice(text).map_err(|_| NoKeys)?;
    let is = |key: &Value, name: &str, value: &str| key.get(name).and_then(Value::as_str) == Some(value);
    let keys = list.get("keys").and_then(Value::as_array).into_iter().flatten().take(MAX_KEYS);
    let ed25519 = keys.filter(|key| is(key, "kty", "OKP") && is(key, "crv", "Ed25519"));
    let keys: Vec<PublicKey> = ed25519.filter_map(|key| URL_SAFE_NO_PAD.decode(key.get("x")?.as_str()?).ok()?.try_into().ok()).collect();
    if keys.is_empty() { Err(NoKeys) } else { Ok(keys) }
}

/// The keys of one source, kept.
pub struct KeyRing {
    source: KeySource,
    fetch: Fetch,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<[PublicKey]>,
    fetched_at: Option<Timestamp>,
    asked_at: Option<Timestamp>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("source", &self.source).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// Nothing yet but where they are.
    pub fn new(source: KeySource, fetch: Fetch) -> Self {
        let keys = match &source {
            KeySource::Fixed(keys) => keys.as_slice().into(),
            KeySource::Url(_) => Arc::default(),
        };
        Self { source, fetch, state: Mutex::new(State { keys, ..State::default() }) }
    }

    /// Where they are.
    pub const fn source(&self) -> &KeySource {
        &self.source
    }

    /// The keys of now; empty when there are none that may be used.
    pub async fn keys(&self, now: Timestamp) -> Arc<[PublicKey]> {
        self.asked(now, FRESH).await
    }

    /// The keys after a signature that none of them explains: asked for again, unless that was done a moment ago.
    pub async fn keys_again(&self, now: Timestamp) -> Arc<[PublicKey]> {
        self.asked(now, PAUSE).await
    }

    async fn asked(&self, now: Timestamp, fresh: Duration) -> Arc<[PublicKey]> {
        let mut state = self.state.lock().await;
        let KeySource::Url(url) = &self.source else { return Arc::clone(&state.keys) };
        let within = |at: Option<Timestamp>, span: Duration| at.is_some_and(|at| now.before(span) <= at && at <= now.after(span));
        if !within(state.fetched_at, fresh) && !within(state.asked_at, PAUSE) {
            state.asked_at = Some(now);
            let fetched = (self.fetch)(url.clone()).await.and_then(|text| parse(&text).map_err(|error| format!("what is there {error}")));
            match fetched {
                Ok(keys) => (state.keys, state.fetched_at) = (keys.into(), Some(now)),
                Err(error) => warn!(url, "the keys of a service cannot be fetched: {error}"),
            }
        }
        if !within(state.fetched_at, KEEP) {
            state.keys = Arc::default();
        }
        Arc::clone(&state.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const ONE: &str = r#"{"keys":[{"kty":"RSA"},{"kty":"OKP","crv":"Ed25519","x":"zPGyux_P7fNCIAdGxpHeDZvVC2sILgz0XE3dmE1a9CM"}]}"#;

    fn ring(answer: fn(usize) -> Result<Vec<u8>, String>) -> (Arc<KeyRing>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let fetch: Fetch = Arc::new(move |_| {
            let nth = count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                tokio::task::yield_now().await;
                answer(nth)
            })
        });
        (Arc::new(KeyRing::new(KeySource::Url("https://keys.example".to_owned()), fetch)), asked)
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(1_772_612_137_000 + minutes * 60_000)
    }

    #[test]
    fn only_ed25519_keys_of_the_right_length_are_taken() {
        assert_eq!(parse(ONE.as_bytes()).unwrap().len(), 1);
        for bad in
            ["", "[]", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}"#, r#"{"keys":[{"kty":"OKP","crv":"X25519","x":7}]}"#]
        {
            assert_eq!(parse(bad.as_bytes()), Err(NoKeys), "{bad}");
        }
    }

    #[tokio::test]
    async fn one_asks_while_others_wait_and_keys_are_kept() {
        let (ring, asked) = ring(|_| Ok(ONE.into()));
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let ring = Arc::clone(&ring);
            all.spawn(async move { ring.keys(at(0)).await.len() });
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
    async fn a_server_that_goes_down_or_lies_takes_no_key_away_for_a_day() {
        let (ring, asked) = ring(|nth| {
            if nth == 0 {
                Ok(ONE.into())
            } else if nth == 1 {
                Err("refused".to_owned())
            } else {
                Ok(b"<html>".to_vec())
            }
        });
        assert_eq!(ring.keys(at(0)).await.len(), 1);
        assert_eq!(ring.keys(at(13 * 60)).await.len(), 1);
        assert_eq!(ring.keys(at(14 * 60)).await.len(), 1);
        assert_eq!(asked.load(Ordering::SeqCst), 3);
        assert_eq!(ring.keys(at(25 * 60)).await.len(), 0);
    }
}
