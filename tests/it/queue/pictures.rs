//! Deliveries that wait for small copies of their event's pictures.

use std::time::Duration;

use jobbell::domain::{
    DeliveryId, Event, EventId, Image, Lane, Link, MissingReason, Outcome, Plan, State, Thumbnail,
    ThumbnailResult, ThumbnailState,
};
use jobbell::queue::{NewEvent, PendingThumbnails, PictureRecord};

use super::fixture::{QueueFixture, again};

/// An event with two pictures whose deliveries wait for twenty seconds.
fn waiting(fixture: &QueueFixture, id: &str, recipients: &[&str]) -> NewEvent {
    let until = fixture.now().after(Duration::from_secs(20));
    let plan = |builder: super::fixture::EventBuilder, to: &&str| {
        builder.planned(to, Lane::Normal, Plan::Send(until))
    };
    let mut new = recipients.iter().fold(fixture.event(id), plan).new;
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

async fn enqueued(fixture: &QueueFixture, id: &str) -> (DeliveryId, PendingThumbnails) {
    let new = waiting(fixture, id, &["user@example.com"]);
    let delivery = new.deliveries[0].id;
    fixture.enqueue(new).await;
    (
        delivery,
        fixture
            .queue
            .pending_thumbnails(0, 10)
            .await
            .unwrap()
            .pop()
            .unwrap(),
    )
}

/// One thumbnail and one failure.
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

async fn records(fixture: &QueueFixture, id: &str) -> Vec<PictureRecord> {
    fixture
        .queue
        .find(&EventId::parse(id).unwrap())
        .await
        .unwrap()
        .unwrap()
        .pictures
}

pub(crate) async fn mails_wait_for_their_thumbnails(fixture: &mut QueueFixture) {
    fixture
        .enqueue(waiting(fixture, "e1", &["a@example.com", "b@example.com"]))
        .await;
    fixture.queue.wait_for_thumbnails().await;
    let event = fixture
        .queue
        .pending_thumbnails(0, 10)
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!(
        (event.event_id.as_str(), event.deadline),
        ("e1", fixture.now().after(Duration::from_secs(20)))
    );
    assert!(matches!(event.event().unwrap(), Event::Job(job) if job.images.len() == 2));
    assert!(fixture.claim().await.is_empty());
    assert_eq!(
        records(fixture, "e1")
            .await
            .iter()
            .map(|one| (one.index, one.state))
            .collect::<Vec<_>>(),
        [(0, ThumbnailState::Waiting), (1, ThumbnailState::Waiting)]
    );

    assert!(
        fixture
            .queue
            .finish_thumbnails(&event, captures(), fixture.now())
            .await
            .unwrap()
    );
    assert!(
        fixture
            .queue
            .pending_thumbnails(0, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let leases = fixture.claim().await;
    assert_eq!(leases.len(), 2, "both are due");
    for lease in leases {
        assert_eq!(
            fixture.queue.thumbnails(&lease).await.unwrap().unwrap(),
            captures()
        );
        fixture.settle(lease, Outcome::Sent).await;
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
    assert_eq!(records(fixture, "e1").await, expected);
}

pub(crate) async fn mails_without_thumbnails_in_time_are_sent_without_them(
    fixture: &mut QueueFixture,
) {
    let (_, event) = enqueued(fixture, "e1").await;
    fixture.step(19);
    assert!(fixture.claim().await.is_empty());
    fixture.step(1);
    let lease = fixture.claim_one().await;
    assert_eq!(fixture.queue.thumbnails(&lease).await.unwrap().unwrap(), []);
    // A later thumbnail would change the mail of the next attempt.
    assert!(
        !fixture
            .queue
            .finish_thumbnails(&event, captures(), fixture.now())
            .await
            .unwrap()
    );
    fixture.settle(lease, again(fixture, 10)).await;
    assert!(
        fixture.claim().await.is_empty(),
        "the pause after the attempt was not cut short"
    );
    fixture.step(10);
    let lease = fixture.claim_one().await;
    assert_eq!(fixture.queue.thumbnails(&lease).await.unwrap().unwrap(), []);
    assert!(
        records(fixture, "e1")
            .await
            .iter()
            .all(|one| (one.state, one.reason)
                == (ThumbnailState::None, Some(MissingReason::NoTime)))
    );
    fixture.settle(lease, Outcome::Sent).await;
}

pub(crate) async fn mail_without_images_has_no_thumbnails(fixture: &mut QueueFixture) {
    fixture.one("e1").await;
    let lease = fixture.claim_one().await;
    assert_eq!(fixture.queue.thumbnails(&lease).await.unwrap(), None);
    assert!(
        records(fixture, "e1").await.is_empty()
            && fixture
                .queue
                .pending_thumbnails(0, 10)
                .await
                .unwrap()
                .is_empty()
    );
}

pub(crate) async fn cancelled_delivery_stays_cancelled(fixture: &mut QueueFixture) {
    let (delivery, event) = enqueued(fixture, "e1").await;
    fixture.queue.cancel(delivery, fixture.now()).await.unwrap();
    assert!(
        fixture
            .queue
            .finish_thumbnails(&event, captures(), fixture.now())
            .await
            .unwrap()
    );
    assert!(fixture.claim().await.is_empty());
    assert_eq!(fixture.state(delivery).await, State::Cancelled);
}

pub(crate) async fn purge_removes_thumbnails_with_their_event(fixture: &mut QueueFixture) {
    let (_, event) = enqueued(fixture, "e1").await;
    fixture
        .queue
        .finish_thumbnails(&event, captures(), fixture.now())
        .await
        .unwrap();
    let lease = fixture.claim_one().await;
    fixture.settle(lease, Outcome::Sent).await;
    fixture.step(60);
    assert_eq!(fixture.purge(0, 10).await, 1);
    // The same name again, perhaps on the same row: it begins anew, and the old work is not for it.
    let (_, again) = enqueued(fixture, "e1").await;
    assert!(
        records(fixture, "e1")
            .await
            .iter()
            .all(|one| one.state == ThumbnailState::Waiting)
    );
    assert!(
        fixture
            .queue
            .finish_thumbnails(&again, Vec::new(), fixture.now())
            .await
            .unwrap()
    );
    assert!(
        records(fixture, "e1")
            .await
            .iter()
            .all(|one| one.bytes.is_none())
    );
}

pub(crate) async fn removed_payload_removes_its_thumbnails(fixture: &mut QueueFixture) {
    let (_, event) = enqueued(fixture, "e1").await;
    fixture
        .queue
        .finish_thumbnails(&event, captures(), fixture.now())
        .await
        .unwrap();
    // An expired lease still names the event after its successor has ended it.
    let lease = fixture.claim_one().await;
    fixture.step(60);
    let successor = fixture.claim_one().await;
    fixture.settle(successor, Outcome::Sent).await;
    fixture.step(60);
    assert_eq!(
        fixture.queue.thumbnails(&lease).await.unwrap().unwrap(),
        captures()
    );
    assert_eq!(fixture.redact(0, 10).await.redacted, 1);
    assert_eq!(fixture.queue.thumbnails(&lease).await.unwrap().unwrap(), []);
}

pub(crate) async fn thumbnail_deadline_shifts_with_a_clock_step(fixture: &mut QueueFixture) {
    for millis in [86_400_000, -86_400_000] {
        let (_, before) = enqueued(fixture, &format!("e{millis}")).await;
        assert_eq!(
            fixture
                .queue
                .shift_schedule(millis, fixture.now().moved(millis))
                .await
                .unwrap(),
            1
        );
        fixture.clock.follow(millis);
        let after = fixture
            .queue
            .pending_thumbnails(0, 10)
            .await
            .unwrap()
            .pop()
            .unwrap();
        assert_eq!(after.deadline, before.deadline.moved(millis));
        assert!(fixture.claim().await.is_empty());
        fixture.step(20);
        let lease = fixture.claim_one().await;
        fixture.settle(lease, Outcome::Sent).await;
    }
}

pub(crate) async fn thumbnail_jobs_survive_a_crash(fixture: &mut QueueFixture) {
    enqueued(fixture, "e1").await;
    fixture.crash();
    assert!(fixture.claim().await.is_empty());
    let event = fixture
        .queue
        .pending_thumbnails(0, 10)
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert!(
        fixture
            .queue
            .finish_thumbnails(&event, captures(), fixture.now())
            .await
            .unwrap()
    );
    fixture.crash();
    let lease = fixture.claim_one().await;
    assert_eq!(
        fixture.queue.thumbnails(&lease).await.unwrap().unwrap(),
        captures()
    );
}
