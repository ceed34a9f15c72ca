//! Slow lists end with an error and do not block other requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;

use crate::support::daemon::success;
use crate::support::smtp_peer::SmtpPeer;
use crate::support::test_config::TestConfig;

#[tokio::test]
async fn slow_lists_end_with_503_and_block_no_other_request() {
    let peer = SmtpPeer::start().await;
    let config = TestConfig::new(&peer);
    let mut daemon = config.start().await;
    for _ in 0..4 {
        let id = daemon.accept(&success("a@example.org")).await;
        daemon.reached(&id, "sent").await;
    }
    daemon.stop().await;
    // Row ids so sparse that a search without matches scans the range of a century.
    let store = Connection::open(config.state().join("jobbell.db")).unwrap();
    store.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM attempts; UPDATE deliveries SET seq = seq * 1000000000000").unwrap();
    drop(store);
    let daemon = config.start().await;
    let ended = Arc::new(AtomicUsize::new(0));
    let lists: Vec<_> = (0..16)
        .map(|_| {
            let (request, ended) = (
                daemon.get("/v1/deliveries?to=nobody@example.org"),
                Arc::clone(&ended),
            );
            tokio::spawn(async move {
                let response = request.send().await.unwrap();
                ended.fetch_add(1, Ordering::SeqCst);
                (
                    response.status().as_u16(),
                    response.headers().contains_key("retry-after"),
                )
            })
        })
        .collect();
    let id = daemon.accept(&success("b@example.org")).await;
    daemon.reached(&id, "sent").await;
    for path in ["/readyz", "/metrics", "/v1/stats"] {
        assert_eq!(
            daemon.get(path).send().await.unwrap().status().as_u16(),
            200,
            "{path}"
        );
    }
    assert!(
        ended.load(Ordering::SeqCst) < 16,
        "all requests finish while the lists still run"
    );
    for list in lists {
        assert_eq!(list.await.unwrap(), (503, true));
    }
    let page = daemon.get("/v1/deliveries?limit=1").send().await.unwrap();
    assert_eq!(
        page.status().as_u16(),
        200,
        "a list with early matches still works"
    );
}
