//! The kept mails: a bounded ring with many readers and waiters.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// One mail as received.
#[derive(Debug)]
pub struct Stored {
    /// Number of the mail, from 1; never reused.
    pub number: u64,
    /// When it was received, in milliseconds since the Unix epoch.
    pub received_at_ms: i64,
    /// The envelope sender; empty for a bounce.
    pub mail_from: String,
    /// The envelope recipients in order.
    pub rcpts: Vec<String>,
    /// The source: headers, empty line, body; CRLF line ends, dots unstuffed.
    pub raw: Vec<u8>,
    opened: AtomicBool,
}

impl Stored {
    /// Whether the mail has been opened.
    pub fn is_opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed)
    }

    /// Marks the mail as opened.
    pub fn mark_opened(&self) {
        self.opened.store(true, Ordering::Relaxed);
    }
}

/// The kept mails; clones share them.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    kept: Mutex<Kept>,
    /// Total number of mails received; [`Store::arrived`] waits for it.
    total: watch::Sender<u64>,
    max_kept: usize,
    max_bytes: usize,
    now: Box<dyn Fn() -> i64 + Send + Sync>,
}

#[derive(Default)]
struct Kept {
    mails: VecDeque<Arc<Stored>>,
    bytes: usize,
    last: u64,
}

impl Store {
    /// An empty store for `max_kept` mails of `max_bytes` bytes in total; `now` returns
    /// milliseconds since the Unix epoch.
    pub fn new(
        max_kept: usize,
        max_bytes: usize,
        now: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared {
            kept: Mutex::default(),
            total: watch::Sender::new(0),
            max_kept,
            max_bytes,
            now: Box::new(now),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Stores a mail and returns its number; drops the oldest ones beyond the limits.
    pub fn keep(&self, mail_from: String, rcpts: Vec<String>, raw: Vec<u8>) -> u64 {
        let received_at_ms = self.now_ms();
        let mut kept = self.kept();
        kept.last += 1;
        kept.bytes += raw.len();
        let number = kept.last;
        kept.mails.push_back(Arc::new(Stored {
            number,
            received_at_ms,
            mail_from,
            rcpts,
            raw,
            opened: AtomicBool::new(false),
        }));
        while kept.mails.len() > 1
            && (kept.mails.len() > self.shared.max_kept || kept.bytes > self.shared.max_bytes)
        {
            kept.bytes -= kept.mails.pop_front().map_or(0, |mail| mail.raw.len());
        }
        // Sent under the lock, so that totals are observed in order.
        self.shared.total.send_replace(number);
        number
    }

    /// Drops all mails; numbering continues.
    pub fn clear(&self) {
        let mut kept = self.kept();
        kept.mails.clear();
        kept.bytes = 0;
    }

    /// The kept mails, newest first.
    pub fn list(&self) -> Vec<Arc<Stored>> {
        self.kept().mails.iter().rev().cloned().collect()
    }

    /// The mail with this number, if it is still kept.
    pub fn get(&self, number: u64) -> Option<Arc<Stored>> {
        let kept = self.kept();
        let at = kept
            .mails
            .binary_search_by_key(&number, |mail| mail.number)
            .ok()?;
        kept.mails.get(at).cloned()
    }

    /// Total number of mails received, including dropped ones.
    pub fn total(&self) -> u64 {
        *self.shared.total.borrow()
    }

    /// Waits at most `within` until `count` mails have been received since the start; returns
    /// whether they were.
    pub async fn arrived(&self, count: u64, within: Duration) -> bool {
        let mut total = self.shared.total.subscribe();
        matches!(
            tokio::time::timeout(within, total.wait_for(|total| *total >= count)).await,
            Ok(Ok(_))
        )
    }

    /// The current time in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        (self.shared.now)()
    }

    /// A panic while holding the lock leaves the ring consistent, so poisoning is ignored.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("total", &self.total())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, size: usize) -> u64 {
        store.keep(
            "a@example.com".into(),
            vec!["b@example.com".into()],
            vec![b'x'; size],
        )
    }

    fn numbers(store: &Store) -> Vec<u64> {
        store.list().iter().map(|mail| mail.number).collect()
    }

    #[test]
    fn full_ring_drops_the_oldest_mail_and_never_reuses_numbers() {
        let store = Store::new(2, 1000, || 7);
        for _ in 0..3 {
            put(&store, 1);
        }
        assert_eq!(numbers(&store), [3, 2]);
        assert_eq!(store.total(), 3);
        assert!(store.get(1).is_none());
        assert_eq!(store.get(3).map(|mail| mail.received_at_ms), Some(7));
    }

    #[test]
    fn bytes_are_bounded_but_the_newest_mail_is_kept() {
        let store = Store::new(10, 100, || 0);
        put(&store, 60);
        put(&store, 60);
        assert_eq!(numbers(&store), [2]);
        put(&store, 500);
        assert_eq!(numbers(&store), [3]);
        put(&store, 40);
        put(&store, 60);
        assert_eq!(numbers(&store), [5, 4]);
    }

    #[tokio::test]
    async fn waiter_wakes_for_its_mail_or_times_out() {
        let store = Store::new(10, 100, || 0);
        assert!(!store.arrived(1, Duration::ZERO).await);
        let waiter = tokio::spawn({
            let store = store.clone();
            async move { store.arrived(2, Duration::from_secs(30)).await }
        });
        put(&store, 1);
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        put(&store, 1);
        assert!(waiter.await.unwrap());
    }
}
