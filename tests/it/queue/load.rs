//! Many at once.

use std::collections::HashSet;
use std::time::Duration;

use jobbell::domain::Outcome;
use jobbell::queue::{ClaimLimit, Settled, Settlement};
use tokio::task::JoinSet;

use super::fixture::QueueFixture;

const PRODUCERS: usize = 16;
const EACH: usize = 25;

pub(crate) async fn concurrent_tasks_lose_and_duplicate_nothing(fixture: &mut QueueFixture) {
    let mut producers = JoinSet::new();
    for producer in 0..PRODUCERS {
        let queue = fixture.queue.clone();
        let now = fixture.now();
        let events: Vec<_> = (0..EACH)
            .map(|number| {
                fixture
                    .event(&format!("p{producer}-{number}"))
                    .to("a@example.com")
                    .new
            })
            .collect();
        producers.spawn(async move {
            for event in events {
                queue.enqueue(vec![event.clone()], None, now).await.unwrap();
                queue.enqueue(vec![event], None, now).await.unwrap();
            }
        });
    }
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let (queue, now) = (fixture.queue.clone(), fixture.now());
        workers.spawn(async move {
            let mut sent = Vec::new();
            while queue.counts().await.unwrap().sent < (PRODUCERS * EACH) as u64 {
                let leases = queue
                    .claim(
                        ClaimLimit {
                            urgent: 2,
                            normal: 8,
                        },
                        Duration::from_mins(10),
                        now,
                    )
                    .await
                    .unwrap();
                sent.extend(leases.iter().map(|lease| lease.id));
                let settlements: Vec<_> = leases
                    .into_iter()
                    .map(|lease| Settlement {
                        lease,
                        attempts: Vec::new(),
                        outcome: Outcome::Sent,
                    })
                    .collect();
                let answers = queue.settle(settlements, now).await.unwrap();
                assert!(answers.iter().all(|answer| *answer == Settled::Done));
            }
            sent
        });
    }
    while let Some(ended) = producers.join_next().await {
        ended.unwrap();
    }
    let sent: Vec<_> = tokio::time::timeout(Duration::from_mins(1), workers.join_all())
        .await
        .expect("all are sent")
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(sent.len(), PRODUCERS * EACH);
    assert_eq!(
        sent.iter().collect::<HashSet<_>>().len(),
        PRODUCERS * EACH,
        "each once"
    );
    let counts = fixture.queue.counts().await.unwrap();
    assert_eq!(
        (counts.accepted, counts.sent, counts.pending()),
        (400, 400, 0)
    );
}

pub(crate) async fn large_group_is_stored(fixture: &mut QueueFixture) {
    let group: Vec<_> = (0..1000)
        .map(|number| {
            fixture
                .event(&format!("e{number}"))
                .to("a@example.com")
                .to("b@example.com")
                .new
        })
        .collect();
    assert_eq!(
        fixture
            .queue
            .enqueue(group, None, fixture.now())
            .await
            .unwrap()
            .len(),
        1000
    );
    assert_eq!(fixture.queue.counts().await.unwrap().queued, 2000);
    assert_eq!(fixture.claim().await.len(), 1000);
}
