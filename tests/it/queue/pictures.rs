//! Deliveries that wait for small copies of their event's pictures.

use std::time::Duration;

use jobbell::domain::{
    DeliveryId, Event, EventId, Image, Lane, Link, MissingReason, Outcome, Plan, State, Thumbnail,
    ThumbnailResult, ThumbnailState,
};
use jobbell::queue::{NewEvent, PictureRecord, ThumbnailJob};

use super::fixture::{QueueFixture, again};

/// An event with two pictures whose deliveries wait for twenty seconds.
pub(super) fn waiting(fixture: &QueueFixture, id: &str, recipients: &[&str]) -> NewEvent {
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

/// Enqueues an event and claims its thumbnail job.
async fn enqueued(fixture: &QueueFixture, id: &str) -> (DeliveryId, ThumbnailJob) {
    let new = waiting(fixture, id, &["user@example.com"]);
    let delivery = new.deliveries[0].id;
    fixture.enqueue(new).await;
    (delivery, claim(fixture).await.pop().unwrap())
}

async fn claim(fixture: &QueueFixture) -> Vec<ThumbnailJob> {
    let jobs = fixture.queue.claim_thumbnails(0, 10, fixture.now());
    jobs.await.unwrap()
}

async fn finish(fixture: &QueueFixture, job: &ThumbnailJob) -> bool {
    let finished = (fixture.queue).finish_thumbnails(job, captures(), fixture.now());
    finished.await.unwrap()
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

async fn release(fixture: &QueueFixture, job: &ThumbnailJob) {
    let released = (fixture.queue).release_thumbnails(vec![job.clone()], fixture.now());
    released.await.unwrap();
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
    let event = claim(fixture).await.pop().unwrap();
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

    assert!(finish(fixture, &event).await);
    assert!(claim(fixture).await.is_empty());
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
    assert!(!finish(fixture, &event).await);
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
    assert!(records(fixture, "e1").await.is_empty() && claim(fixture).await.is_empty());
}

pub(crate) async fn cancelled_delivery_stays_cancelled(fixture: &mut QueueFixture) {
    let (delivery, event) = enqueued(fixture, "e1").await;
    fixture.queue.cancel(delivery, fixture.now()).await.unwrap();
    assert!(finish(fixture, &event).await);
    assert!(fixture.claim().await.is_empty());
    assert_eq!(fixture.state(delivery).await, State::Cancelled);
}

pub(crate) async fn purge_removes_thumbnails_with_their_event(fixture: &mut QueueFixture) {
    let (_, event) = enqueued(fixture, "e1").await;
    finish(fixture, &event).await;
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
    finish(fixture, &event).await;
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

pub(crate) async fn thumbnail_deadline_ignores_clock_steps(fixture: &mut QueueFixture) {
    for millis in [86_400_000, -86_400_000] {
        enqueued(fixture, &format!("e{millis}")).await;
        fixture.clock.set(millis);
        fixture.step(19);
        assert!(fixture.claim().await.is_empty());
        fixture.step(1);
        let lease = fixture.claim_one().await;
        fixture.settle(lease, Outcome::Sent).await;
    }
}

pub(crate) async fn thumbnail_job_is_held_by_one_claim(fixture: &mut QueueFixture) {
    let (_, first) = enqueued(fixture, "e1").await;
    let (_, other) = enqueued(fixture, "e2").await;
    assert_eq!(other.event_id.as_str(), "e2", "the first is held");
    assert!(claim(fixture).await.is_empty());
    release(fixture, &first).await;
    assert!(!finish(fixture, &first).await, "it is not held");
    let later = (fixture.queue).claim_thumbnails(first.event_seq, 10, fixture.now());
    assert!(later.await.unwrap().is_empty(), "only events after it");
    let second = claim(fixture).await.pop().unwrap();
    assert_eq!(second.event_id, first.event_id);
    release(fixture, &first).await;
    assert!(
        claim(fixture).await.is_empty(),
        "an old token releases nothing"
    );
    assert!(
        !finish(fixture, &first).await,
        "an old token finishes nothing"
    );
    assert!(finish(fixture, &second).await);
    assert!(!finish(fixture, &second).await);
}

pub(crate) async fn thumbnail_jobs_held_at_a_crash_are_dropped(fixture: &mut QueueFixture) {
    let (_, held) = enqueued(fixture, "e1").await;
    let (_, released) = enqueued(fixture, "e2").await;
    release(fixture, &released).await;
    fixture.crash().await;
    assert!(!finish(fixture, &held).await);
    let lease = fixture.claim_one().await;
    assert_eq!(lease.event_id.as_str(), "e1", "due without its thumbnails");
    assert_eq!(fixture.queue.thumbnails(&lease).await.unwrap().unwrap(), []);
    let jobs = claim(fixture).await;
    let events: Vec<_> = jobs.iter().map(|job| job.event_id.as_str()).collect();
    assert_eq!(events, ["e2"]);
}

pub(crate) async fn thumbnail_jobs_survive_a_crash(fixture: &mut QueueFixture) {
    let new = waiting(fixture, "e1", &["user@example.com"]);
    fixture.enqueue(new).await;
    fixture.crash().await;
    assert!(fixture.claim().await.is_empty());
    let event = claim(fixture).await.pop().unwrap();
    assert!(finish(fixture, &event).await);
    fixture.crash().await;
    let lease = fixture.claim_one().await;
    assert_eq!(
        fixture.queue.thumbnails(&lease).await.unwrap().unwrap(),
        captures()
    );
}
