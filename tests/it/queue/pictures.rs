//! Deliveries that wait for small copies of their event's pictures.

use std::time::Duration;

use jobbell::domain::{
    DeliveryId, Event, EventId, Image, Lane, Link, MissingReason, Outcome, Plan, State, Thumbnail,
    ThumbnailResult, ThumbnailState,
};
use jobbell::queue::{NewEvent, PendingThumbnails, PictureRecord};

use super::bench::{Bench, again};

/// An event with two pictures whose deliveries wait for twenty seconds.
fn waiting(bench: &Bench, id: &str, recipients: &[&str]) -> NewEvent {
    let until = bench.now().after(Duration::from_secs(20));
    let plan = |builder: super::bench::EventBuilder, to: &&str| {
        builder.planned(to, Lane::Normal, Plan::Send(until))
    };
    let mut new = recipients.iter().fold(bench.event(id), plan).new;
    let Event::Job(job) = &mut new.event else {
        panic!("a job")
    };
    job.images = (0..2)
        .map(|n| Image {
            url: Link::parse(&format!("https://x.org/{n}")).ok(),
            ..Image::default()
        })
        .collect();
    new.thumbnails_until = Some(until);
    new
}

async fn enqueued(bench: &Bench, id: &str) -> (DeliveryId, PendingThumbnails) {
    let new = waiting(bench, id, &["user@example.com"]);
    let delivery = new.deliveries[0].id;
    bench.enqueue(new).await;
    (
        delivery,
        bench
            .queue
            .pending_thumbnails(0, 10)
            .await
            .unwrap()
            .pop()
            .unwrap(),
    )
}

/// One that was made and one that was not.
fn captures() -> Vec<ThumbnailResult> {
    let preview = Thumbnail {
        width: 560,
        height: 315,
        partial: false,
        jpeg: vec![0xFF; 1_000],
    };
    vec![
        ThumbnailResult {
            place: 0,
            result: Ok(preview),
        },
        ThumbnailResult {
            place: 1,
            result: Err(MissingReason::NotAllowed),
        },
    ]
}

async fn records(bench: &Bench, id: &str) -> Vec<PictureRecord> {
    bench
        .queue
        .find(&EventId::parse(id).unwrap())
        .await
        .unwrap()
        .unwrap()
        .pictures
}

pub(crate) async fn mails_wait_for_their_pictures_and_go_when_they_are_there(bench: &mut Bench) {
    bench
        .enqueue(waiting(bench, "e1", &["a@example.com", "b@example.com"]))
        .await;
    bench.queue.wait_for_thumbnails().await;
    let event = bench
        .queue
        .pending_thumbnails(0, 10)
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!(
        (event.event_id.as_str(), event.deadline),
        ("e1", bench.now().after(Duration::from_secs(20)))
    );
    assert!(matches!(event.event().unwrap(), Event::Job(job) if job.images.len() == 2));
    assert!(bench.claim().await.is_empty());
    assert_eq!(
        records(bench, "e1")
            .await
            .iter()
            .map(|one| (one.index, one.state))
            .collect::<Vec<_>>(),
        [(0, ThumbnailState::Waiting), (1, ThumbnailState::Waiting)]
    );

    assert!(
        bench
            .queue
            .finish_thumbnails(&event, captures(), bench.now())
            .await
            .unwrap()
    );
    assert!(
        bench
            .queue
            .pending_thumbnails(0, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let leases = bench.claim().await;
    assert_eq!(leases.len(), 2, "both are due");
    for lease in leases {
        assert_eq!(
            bench.queue.thumbnails(&lease).await.unwrap().unwrap(),
            captures()
        );
        bench.settle(lease, Outcome::Sent).await;
    }
    let expected = [
        PictureRecord {
            index: 0,
            state: ThumbnailState::Kept,
            reason: None,
            width: Some(560),
            height: Some(315),
            bytes: Some(1_000),
        },
        PictureRecord {
            index: 1,
            state: ThumbnailState::None,
            reason: Some(MissingReason::NotAllowed),
            width: None,
            height: None,
            bytes: None,
        },
    ];
    assert_eq!(records(bench, "e1").await, expected);
}

pub(crate) async fn mails_whose_pictures_do_not_come_go_by_themselves_and_stay_without(
    bench: &mut Bench,
) {
    let (_, event) = enqueued(bench, "e1").await;
    bench.step(19);
    assert!(bench.claim().await.is_empty());
    bench.step(1);
    let lease = bench.claim_one().await;
    assert_eq!(bench.queue.thumbnails(&lease).await.unwrap().unwrap(), []);
    // What comes now would make the next attempt another mail.
    assert!(
        !bench
            .queue
            .finish_thumbnails(&event, captures(), bench.now())
            .await
            .unwrap()
    );
    bench.settle(lease, again(bench, 10)).await;
    assert!(
        bench.claim().await.is_empty(),
        "the pause after the attempt was not cut short"
    );
    bench.step(10);
    let lease = bench.claim_one().await;
    assert_eq!(bench.queue.thumbnails(&lease).await.unwrap().unwrap(), []);
    assert!(
        records(bench, "e1")
            .await
            .iter()
            .all(|one| (one.state, one.reason)
                == (ThumbnailState::None, Some(MissingReason::NoTime)))
    );
    bench.settle(lease, Outcome::Sent).await;
}

pub(crate) async fn a_mail_without_pictures_knows_of_none(bench: &mut Bench) {
    bench.one("e1").await;
    let lease = bench.claim_one().await;
    assert_eq!(bench.queue.thumbnails(&lease).await.unwrap(), None);
    assert!(
        records(bench, "e1").await.is_empty()
            && bench
                .queue
                .pending_thumbnails(0, 10)
                .await
                .unwrap()
                .is_empty()
    );
}

pub(crate) async fn what_was_taken_back_meanwhile_stays_taken_back(bench: &mut Bench) {
    let (delivery, event) = enqueued(bench, "e1").await;
    bench.queue.cancel(delivery, bench.now()).await.unwrap();
    assert!(
        bench
            .queue
            .finish_thumbnails(&event, captures(), bench.now())
            .await
            .unwrap()
    );
    assert!(bench.claim().await.is_empty());
    assert_eq!(bench.state(delivery).await, State::Cancelled);
}

pub(crate) async fn a_purge_takes_the_pictures_with_their_event(bench: &mut Bench) {
    let (_, event) = enqueued(bench, "e1").await;
    bench
        .queue
        .finish_thumbnails(&event, captures(), bench.now())
        .await
        .unwrap();
    let lease = bench.claim_one().await;
    bench.settle(lease, Outcome::Sent).await;
    bench.step(60);
    assert_eq!(
        bench
            .queue
            .purge(bench.now(), 10, bench.now())
            .await
            .unwrap(),
        1
    );
    // The same name again, perhaps on the same row: it begins anew, and the old work is not for it.
    let (_, again) = enqueued(bench, "e1").await;
    assert!(
        records(bench, "e1")
            .await
            .iter()
            .all(|one| one.state == ThumbnailState::Waiting)
    );
    assert!(
        bench
            .queue
            .finish_thumbnails(&again, Vec::new(), bench.now())
            .await
            .unwrap()
    );
    assert!(
        records(bench, "e1")
            .await
            .iter()
            .all(|one| one.bytes.is_none())
    );
}

pub(crate) async fn a_removed_payload_takes_its_pictures_with_it(bench: &mut Bench) {
    let (_, event) = enqueued(bench, "e1").await;
    bench
        .queue
        .finish_thumbnails(&event, captures(), bench.now())
        .await
        .unwrap();
    // One that was lost still names the event when its successor has ended it.
    let lease = bench.claim_one().await;
    bench.step(60);
    let successor = bench.claim_one().await;
    bench.settle(successor, Outcome::Sent).await;
    bench.step(60);
    assert_eq!(
        bench.queue.thumbnails(&lease).await.unwrap().unwrap(),
        captures()
    );
    assert_eq!(
        bench
            .queue
            .redact_payloads(bench.now(), 0, 10, bench.now())
            .await
            .unwrap()
            .events,
        1
    );
    assert_eq!(bench.queue.thumbnails(&lease).await.unwrap().unwrap(), []);
}

pub(crate) async fn a_wait_for_pictures_moves_along_with_a_clock_that_was_set(bench: &mut Bench) {
    for millis in [86_400_000, -86_400_000] {
        let (_, before) = enqueued(bench, &format!("e{millis}")).await;
        assert_eq!(
            bench
                .queue
                .shift_schedule(millis, bench.now().moved(millis))
                .await
                .unwrap(),
            1
        );
        bench.clock.follow(millis);
        let after = bench
            .queue
            .pending_thumbnails(0, 10)
            .await
            .unwrap()
            .pop()
            .unwrap();
        assert_eq!(after.deadline, before.deadline.moved(millis));
        assert!(bench.claim().await.is_empty());
        bench.step(20);
        let lease = bench.claim_one().await;
        bench.settle(lease, Outcome::Sent).await;
    }
}

pub(crate) async fn what_waited_for_pictures_at_a_crash_waits_on(bench: &mut Bench) {
    enqueued(bench, "e1").await;
    bench.crash();
    assert!(bench.claim().await.is_empty());
    let event = bench
        .queue
        .pending_thumbnails(0, 10)
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert!(
        bench
            .queue
            .finish_thumbnails(&event, captures(), bench.now())
            .await
            .unwrap()
    );
    bench.crash();
    let lease = bench.claim_one().await;
    assert_eq!(
        bench.queue.thumbnails(&lease).await.unwrap().unwrap(),
        captures()
    );
}
