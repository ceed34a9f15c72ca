//! The lease of a mail ends during its attempt.

use super::*;
use crate::clock::{Fence, FenceHandle, Reading};

/// A fence that does not end by itself.
fn fence() -> (FenceHandle, Fence) {
    let handle = FenceHandle::new();
    handle.extend_to(Reading::system().since_boot + Duration::from_hours(1));
    let fence = handle.fence();
    (handle, fence)
}

impl Fixture {
    /// Claims the only mail.
    async fn lease(&mut self, fence: Fence) -> Lease {
        self.enqueue(Lane::Normal, 1, NOW).await;
        let limit = ClaimLimit {
            urgent: 0,
            normal: 1,
        };
        let mut leases = self.queue.claim(limit, LEASE, NOW).await.unwrap();
        let mut lease = leases.remove(0);
        lease.set_fence(fence);
        lease
    }

    fn context(&self) -> AttemptContext {
        AttemptContext {
            queue: self.queue.clone(),
            pipeline: Arc::clone(&self.dispatcher.current),
            clock: self.clock.clone(),
            metrics: Arc::clone(&self.dispatcher.metrics),
            abort: CancellationToken::new(),
        }
    }
}

fn assert_released(settlement: &Settlement) {
    assert_eq!(
        (&settlement.outcome, settlement.attempts.len()),
        (&Outcome::Released, 0)
    );
}

#[tokio::test]
async fn mail_without_a_lease_is_not_tried() {
    let mut fixture = Fixture::new(vec![server("a", None)], 4);
    let (handle, fence) = fence();
    let lease = fixture.lease(fence).await;
    handle.end();
    let settlement = fixture.context().deliver(lease, None).await;
    assert_released(&settlement);
    assert!(fixture.memory(0).mails().is_empty());
    fixture.queue.settle(vec![settlement], NOW).await.unwrap();
    fixture.settle().await;
    let event = EventId::parse("e1").unwrap();
    let record = fixture.queue.find(&event).await.unwrap().unwrap();
    assert_eq!(record.deliveries[0].attempts[0].number, 1);
}

#[tokio::test]
async fn lease_may_end_while_the_mail_waits_for_a_connection() {
    let mut fixture = Fixture::new(vec![server("a", None), server("b", None)], 4);
    let (handle, fence) = fence();
    let lease = fixture.lease(fence).await;
    let pipeline = Arc::clone(&fixture.dispatcher.current);
    let held = all_connections(&pipeline.servers[0].transport).await;
    let attempt = tokio::spawn(fixture.context().deliver(lease, None));
    tokio::task::yield_now().await;
    handle.end();
    drop(held);
    assert_released(&attempt.await.unwrap());
    for index in [0, 1] {
        assert!(fixture.memory(index).mails().is_empty());
    }
}

#[tokio::test]
async fn broken_off_mail_is_on_record_and_counts_nowhere() {
    let mut fixture = Fixture::new(vec![server("a", Some(8)), server("b", None)], 1);
    fixture.enqueue(Lane::Normal, 7, NOW).await;
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
        fixture.memory(0).fail_next(Failure::lease_over(stage));
    }
    fixture.settle().await;
    assert_eq!(
        (
            fixture.memory(0).mails().len(),
            fixture.memory(1).mails().len()
        ),
        (7, 0),
        "seven of eight permits are for normal mails"
    );
    assert!(fixture.dispatcher.current.servers[0].breaker().is_closed());
    let list = fixture.queue.list(&Filter::default(), None, 10).await;
    let results: Vec<_> = (list.unwrap().deliveries.iter())
        .flat_map(|delivery| &delivery.attempts)
        .map(|attempt| (attempt.number, attempt.result.clone()))
        .collect();
    let number = |name: &str| {
        let is_result = |(number, result): &&(u32, String)| *number == 1 && result == name;
        results.iter().filter(is_result).count()
    };
    assert_eq!((number("lease_over"), number("sent")), (3, 7));
}

#[tokio::test]
async fn released_mail_that_another_node_has_taken_is_no_second_copy() {
    let mut fixture = Fixture::new(vec![server("a", None)], 4);
    let (handle, fence) = fence();
    let lease = fixture.lease(fence).await;
    handle.end();
    let settlement = fixture.context().deliver(lease, None).await;
    fixture.clock.step(LEASE * 2);
    let now = fixture.clock.now();
    let limit = ClaimLimit {
        urgent: 0,
        normal: 1,
    };
    let taken = fixture.queue.claim(limit, LEASE, now).await.unwrap();
    assert_eq!(taken.len(), 1);
    let metrics = Arc::clone(&fixture.dispatcher.metrics);
    settle(&fixture.queue, &metrics, vec![settlement], now)
        .await
        .unwrap();
    let metrics = metrics.encode().unwrap();
    assert!(
        metrics.contains("jobbell_stale_settlements_total 0"),
        "{metrics}"
    );
}
