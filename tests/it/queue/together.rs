//! Verbs of operators and maintenance on one database, at the same time as other nodes' verbs.

use std::collections::HashSet;
use std::time::Duration;

use jobbell::domain::{DeadReason, DeliveryId, Outcome, State};
use jobbell::queue::{ClaimLimit, OperatorError, Queue, Retention};

use super::fixture::{LEASE, QueueFixture};
use crate::support::postgres::eventually;

const LIMIT: ClaimLimit = ClaimLimit {
    urgent: 10,
    normal: 10,
};

async fn fixture() -> Option<QueueFixture> {
    QueueFixture::postgres().await
}

/// Enqueues events with one delivery each.
async fn enqueue(fixture: &QueueFixture, number: usize) -> Vec<DeliveryId> {
    let mut deliveries = Vec::new();
    let mut events = Vec::new();
    for number in 0..number {
        let new = fixture.event(&format!("e{number}")).to("a@example.com").new;
        deliveries.push(new.deliveries[0].id);
        events.push(new);
    }
    let stored = fixture.queue.enqueue(events, None, fixture.now());
    stored.await.unwrap();
    deliveries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_is_either_claimed_or_cancelled() {
    let Some(fixture) = fixture().await else {
        return;
    };
    let (_dir, other) = fixture.other_node().await;
    let deliveries = enqueue(&fixture, 300).await;
    let claiming = async {
        let limit = ClaimLimit {
            urgent: 0,
            normal: 3,
        };
        let mut claimed = HashSet::new();
        loop {
            let leases = fixture.queue.claim(limit, LEASE, fixture.now()).await;
            let leases = leases.unwrap();
            if leases.is_empty() {
                return claimed;
            }
            claimed.extend(leases.iter().map(|lease| lease.id));
        }
    };
    let cancelling = async {
        let mut cancelled = HashSet::new();
        for id in deliveries.iter().rev() {
            match other.cancel(*id, fixture.now()).await {
                Ok(record) => {
                    assert_eq!(record.state, State::Cancelled);
                    cancelled.insert(*id);
                }
                Err(OperatorError::Conflict {
                    state: State::Sending,
                }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        cancelled
    };
    let (claimed, cancelled) = tokio::join!(claiming, cancelling);
    println!("{} claimed, {} cancelled", claimed.len(), cancelled.len());
    assert!(claimed.is_disjoint(&cancelled));
    assert_eq!(claimed.len() + cancelled.len(), deliveries.len());
    fixture.assert_conserved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_on_two_nodes_retry_a_delivery_once() {
    let Some(fixture) = fixture().await else {
        return;
    };
    let (_dir, other) = fixture.other_node().await;
    let deliveries = enqueue(&fixture, 40).await;
    for lease in fixture.claim().await {
        fixture
            .settle(lease, Outcome::Dead(DeadReason::Attempts))
            .await;
    }
    let now = fixture.now();
    for id in &deliveries {
        let (first, second) = tokio::join!(
            fixture.queue.retry(*id, now, now),
            other.retry(*id, now, now)
        );
        let refused = match (first, second) {
            (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
            both => panic!("{both:?}"),
        };
        assert!(
            matches!(refused, OperatorError::TooSoon { .. }),
            "{refused}"
        );
    }
    assert_eq!(fixture.queue.counts().await.unwrap().queued, 40);
    fixture.assert_conserved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retried_delivery_keeps_its_payload() {
    let Some(fixture) = fixture().await else {
        return;
    };
    let (_dir, other) = fixture.other_node().await;
    let deliveries = enqueue(&fixture, 200).await;
    for lease in fixture.claim().await {
        fixture
            .settle(lease, Outcome::Dead(DeadReason::Attempts))
            .await;
    }
    fixture.step(10);
    let now = fixture.now();
    let retention = Retention {
        deliveries: Duration::MAX,
        payloads: Duration::from_secs(5),
        rescan: Duration::ZERO,
    };
    let removing = async {
        let mut removed = 0;
        loop {
            let done = other.maintain(&retention, 7, now).await.unwrap();
            removed += done.redacted;
            if !done.more {
                return removed;
            }
        }
    };
    let retrying = async {
        let mut retried = 0;
        for id in &deliveries {
            match fixture.queue.retry(*id, now, now).await {
                Ok(_) => retried += 1,
                Err(OperatorError::PayloadRemoved) => {}
                Err(error) => panic!("{error}"),
            }
        }
        retried
    };
    let (removed, retried) = tokio::join!(removing, retrying);
    println!("{removed} payloads removed, {retried} deliveries retried");
    let claimed = fixture.claim().await;
    assert_eq!(claimed.len(), retried, "each of them can be rendered");
    assert_eq!(removed + claimed.len() as u64, 200);
    fixture.assert_conserved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_remove_each_delivery_once() {
    let Some(fixture) = fixture().await else {
        return;
    };
    let (_dir, other) = fixture.other_node().await;
    enqueue(&fixture, 500).await;
    for lease in fixture.claim().await {
        fixture.settle(lease, Outcome::Sent).await;
    }
    fixture.step(10);
    let retention = Retention {
        deliveries: Duration::from_secs(5),
        payloads: Duration::from_secs(5),
        rescan: Duration::ZERO,
    };
    let remove = async |queue: &Queue| {
        let mut purged = 0;
        while queue.counts().await.unwrap().accepted > 0 {
            let done = queue.maintain(&retention, 20, fixture.now()).await;
            purged += done.unwrap().purged;
        }
        purged
    };
    let (first, second) = tokio::join!(remove(&fixture.queue), remove(&other));
    println!("{first} by one node, {second} by the other");
    assert_eq!(first + second, 500);
    fixture.assert_conserved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_drop_a_week_once() {
    let Some(fixture) = QueueFixture::postgres_now().await else {
        return;
    };
    let (_dir, other) = fixture.other_node().await;
    enqueue(&fixture, 50).await;
    for lease in fixture.claim().await {
        fixture.settle(lease, Outcome::Sent).await;
    }
    fixture.step(9 * 86_400);
    let retention = Retention {
        deliveries: Duration::from_hours(24),
        payloads: Duration::from_hours(24),
        rescan: Duration::ZERO,
    };
    let (first, second) = tokio::join!(
        fixture.queue.maintain(&retention, 500, fixture.now()),
        other.maintain(&retention, 500, fixture.now())
    );
    assert_eq!(first.unwrap().purged + second.unwrap().purged, 50);
    assert_eq!(fixture.queue.counts().await.unwrap().accepted, 0);
    fixture.assert_conserved().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_hears_of_what_another_stores() {
    let Some(fixture) = fixture().await else {
        return;
    };
    let (_dir, other) = fixture.other_node().await;
    let mut claimer = other.claimer(fixture.clock.clone());
    let mut next = async |limit: Duration| {
        claimer.set(LIMIT, LEASE).await.unwrap();
        tokio::time::timeout(limit, claimer.next()).await
    };
    // Until both nodes know each other.
    let mut number = 0;
    eventually("the first one is heard of", async || {
        number += 1;
        fixture.one(&format!("first{number}")).await;
        next(Duration::from_millis(200)).await.is_ok()
    })
    .await;
    // Time stands still, so nothing becomes due by itself and nobody polls.
    while next(Duration::from_secs(1)).await.is_ok() {}
    for number in 0..3 {
        let id = fixture.one(&format!("e{number}")).await;
        let leases = next(Duration::from_secs(20)).await.unwrap().unwrap();
        let ids: Vec<_> = leases.iter().map(|lease| lease.id).collect();
        assert_eq!(ids, [id]);
    }
}
