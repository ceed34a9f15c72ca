//! A node that shares its queue and is drained.

use jobbell::queue::{EnqueueError, NodesError, StoreError};

use super::fixture::{ALL, LEASE, QueueFixture};
use super::pictures::waiting;
use crate::support::postgres::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_node_claims_neither_mails_nor_thumbnails() {
    let Some(fixture) = QueueFixture::postgres().await else {
        return;
    };
    let (_dir, other) = fixture.other_node().await;
    let own = fixture.queue.node().unwrap();
    fixture.one("waits").await;
    fixture
        .enqueue(waiting(&fixture, "pictures", &["user@example.com"]))
        .await;
    let node = other.drain(&own.name, true).await.unwrap();
    assert_eq!((node.id, node.in_flight, node.draining), (own.id, 0, true));
    // At once, before it knows.
    assert!(fixture.claim().await.is_empty());
    let jobs = fixture.queue.claim_thumbnails(0, 10, fixture.now());
    assert!(jobs.await.unwrap().is_empty());
    eventually("the heartbeat", async || {
        fixture.queue.node().unwrap().draining
    })
    .await;
    let refused = fixture.event("refused").to("a@example.com").new;
    let refused = fixture
        .queue
        .enqueue(vec![refused], None, fixture.now())
        .await;
    assert!(
        matches!(refused, Err(EnqueueError::Store(StoreError::Draining))),
        "{refused:?}"
    );
    let claimed = other.claim(ALL, LEASE, fixture.now()).await.unwrap();
    let jobs = other.claim_thumbnails(0, 10, fixture.now()).await.unwrap();
    assert_eq!((claimed.len(), jobs.len()), (1, 1));
    let nodes = other.nodes().await.unwrap();
    let busy = nodes.iter().find(|node| !node.draining).unwrap();
    assert_eq!((nodes.len(), busy.in_flight), (2, 1));
    fixture.queue.drain(&own.name, false).await.unwrap();
    eventually("the end of it", async || {
        !fixture.queue.node().unwrap().draining
    })
    .await;
    fixture.one("again").await;
    assert_eq!(fixture.claim().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_those_of_a_shared_queue() {
    let local = QueueFixture::in_memory();
    assert!(local.queue.node().is_none());
    assert_eq!(local.queue.horizon().await.unwrap(), None);
    let error = local.queue.nodes().await.unwrap_err();
    assert!(matches!(error, NodesError::NotShared), "{error}");
    let Some(fixture) = QueueFixture::postgres().await else {
        return;
    };
    let error = fixture.queue.drain("nobody", true).await.unwrap_err();
    let name = fixture.queue.node().unwrap().name;
    assert_eq!(
        error.to_string(),
        format!("no node is named \"nobody\"; nodes: {name}")
    );
}
