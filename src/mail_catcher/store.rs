//! What the mailbox has kept: a ring of mails that many can read and wait on.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// One mail as it arrived.
#[derive(Debug)]
pub struct Stored {
    /// 1 for the first mail of this mailbox, then counting up; never given twice.
    pub number: u64,
    /// When the last line had arrived, in milliseconds since the Unix epoch.
    pub received_at_ms: i64,
    /// The envelope's sender; empty for a bounce.
    pub mail_from: String,
    /// The envelope's recipients in the order in which they were named.
    pub rcpts: Vec<String>,
    /// The mail itself: header block, empty line, body; lines end with CRLF, dots are unstuffed.
    pub raw: Vec<u8>,
    opened: AtomicBool,
}

impl Stored {
    /// Whether somebody has looked at it.
    pub fn is_opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed)
    }

    /// Notes that somebody has looked at it.
    pub fn mark_opened(&self) {
        self.opened.store(true, Ordering::Relaxed);
    }
}

/// The kept mails; clones are handles on the same ones.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    kept: Mutex<Kept>,
    /// How many mails ever arrived; what [`Store::arrived`] waits on.
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
    /// An empty store for `max_kept` mails of `max_bytes` bytes together; `now` gives milliseconds
    /// since the Unix epoch.
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

    /// Keeps a mail and gives its number; the oldest ones make room.
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
        // Told under the lock, so that nobody hears of a later mail first.
        self.shared.total.send_replace(number);
        number
    }

    /// Forgets every mail; numbers go on.
    pub fn clear(&self) {
        let mut kept = self.kept();
        kept.mails.clear();
        kept.bytes = 0;
    }

    /// The kept mails, newest first.
    pub fn list(&self) -> Vec<Arc<Stored>> {
        self.kept().mails.iter().rev().cloned().collect()
    }

    /// The mail with this number, while it is kept.
    pub fn get(&self, number: u64) -> Option<Arc<Stored>> {
        let kept = self.kept();
        let at = kept
            .mails
            .binary_search_by_key(&number, |mail| mail.number)
            .ok()?;
        kept.mails.get(at).cloned()
    }

    /// How many mails ever arrived, also those no longer kept.
    pub fn total(&self) -> u64 {
        *self.shared.total.borrow()
    }

    /// Waits until `count` mails have arrived since the start, at most for `within`; tells whether
    /// they have.
    pub async fn arrived(&self, count: u64, within: Duration) -> bool {
        let mut total = self.shared.total.subscribe();
        matches!(
            tokio::time::timeout(within, total.wait_for(|total| *total >= count)).await,
            Ok(Ok(_))
        )
    }

    /// The present moment by the mailbox's clock, in milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        (self.shared.now)()
    }

    /// A thread that panicked while it held the lock has left the ring whole: every change is
    /// complete before anything can fail.
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
    fn the_oldest_mail_goes_when_the_ring_is_full_and_numbers_are_never_given_twice() {
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
    fn bytes_are_bounded_too_and_the_newest_mail_always_stays() {
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
    async fn a_waiter_wakes_with_the_mail_it_waits_for_and_gives_up_in_time() {
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
