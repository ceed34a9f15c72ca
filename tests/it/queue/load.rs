//! Many at once.

use std::collections::HashSet;
use std::time::Duration;

use jobbell::domain::Outcome;
use jobbell::queue::{ClaimLimit, Settled, Settlement};
use tokio::task::JoinSet;

use super::bench::Bench;

const PRODUCERS: usize = 16;
const EACH: usize = 25;

pub(crate) async fn many_tasks_at_once_lose_and_double_nothing(bench: &mut Bench) {
    let mut producers = JoinSet::new();
    for producer in 0..PRODUCERS {
        let queue = bench.queue.clone();
        let now = bench.now();
        let events: Vec<_> = (0..EACH)
            .map(|number| {
                bench
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
        let (queue, now) = (bench.queue.clone(), bench.now());
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
    let counts = bench.queue.counts().await.unwrap();
    assert_eq!(
        (counts.accepted, counts.sent, counts.pending()),
        (400, 400, 0)
    );
}

pub(crate) async fn one_group_may_be_large(bench: &mut Bench) {
    let group: Vec<_> = (0..1000)
        .map(|number| {
            bench
                .event(&format!("e{number}"))
                .to("a@example.com")
                .to("b@example.com")
                .new
        })
        .collect();
    assert_eq!(
        bench
            .queue
            .enqueue(group, None, bench.now())
            .await
            .unwrap()
            .len(),
        1000
    );
    assert_eq!(bench.queue.counts().await.unwrap().queued, 2000);
    assert_eq!(bench.claim().await.len(), 1000);
}
