//! Repeated events are stored once, and groups are stored as a whole or not at all.

use jobbell::domain::{EventId, Lane, Plan, SuppressReason};
use jobbell::queue::{Counts, EnqueueError, Enqueued, NewEvent};

use super::fixture::{EventBuilder, QueueFixture};

fn duplicate(id: &str) -> Enqueued {
    Enqueued::Duplicate {
        id: EventId::parse(id).unwrap(),
    }
}

async fn take(fixture: &QueueFixture, builder: EventBuilder) -> Result<Enqueued, EnqueueError> {
    let taken = fixture
        .queue
        .enqueue(vec![builder.to("a@example.com").new], None, fixture.now())
        .await;
    taken.map(|mut answers| answers.pop().unwrap())
}

#[track_caller]
fn assert_conflict(answer: Result<Enqueued, EnqueueError>, with: &str) {
    match answer {
        Err(EnqueueError::Conflict { index: 0, id }) => assert_eq!(id.as_str(), with),
        other => panic!("{other:?}"),
    }
}

async fn accepted(fixture: &QueueFixture) -> u64 {
    fixture.queue.counts().await.unwrap().accepted
}

pub(crate) async fn same_id_with_the_same_content_is_a_duplicate(fixture: &mut QueueFixture) {
    assert_eq!(
        take(fixture, fixture.event("e1").title("t")).await.unwrap(),
        Enqueued::New
    );
    fixture.step(5);
    assert_eq!(
        take(fixture, fixture.event("e1").title("t")).await.unwrap(),
        duplicate("e1")
    );
    assert_eq!(accepted(fixture).await, 1);
    let lease = fixture.claim_one().await;
    fixture.settle(lease, jobbell::domain::Outcome::Sent).await;
    assert_eq!(
        take(fixture, fixture.event("e1").title("t")).await.unwrap(),
        duplicate("e1"),
        "also after it has ended"
    );
    assert!(fixture.claim().await.is_empty());
}

pub(crate) async fn same_id_with_other_content_is_a_conflict(fixture: &mut QueueFixture) {
    assert_eq!(
        take(fixture, fixture.event("e1").title("t")).await.unwrap(),
        Enqueued::New
    );
    assert_conflict(take(fixture, fixture.event("e1").title("u")).await, "e1");
    assert_eq!(accepted(fixture).await, 1);
}

pub(crate) async fn excluded_event_on_record_refuses_the_other_end(fixture: &mut QueueFixture) {
    let end = |id: &str, other: &str| {
        let mut new = fixture.event(id).to("a@example.com").new;
        new.excludes = vec![EventId::parse(other).unwrap()];
        new
    };
    let succeeded = || end("job:succeeded", "job:failed");
    let key = || Some("k1".to_owned());
    let enqueue = async |new, key| fixture.queue.enqueue(vec![new], key, fixture.now()).await;
    // Both ends arrive at the same time: exactly one is stored. Where two connections store them, it
    // may be either, so the first goes ahead.
    let (one, other) = (
        enqueue(succeeded(), None),
        enqueue(end("job:failed", "job:succeeded"), key()),
    );
    let (first, second) = if fixture.is_shared() {
        (one.await, other.await)
    } else {
        tokio::join!(one, other)
    };
    assert_eq!(first.unwrap(), [Enqueued::New]);
    assert!(
        matches!(&second, Err(EnqueueError::Superseded { index: 0, id }) if id.as_str() == "job:succeeded"),
        "{second:?}"
    );
    assert_eq!(accepted(fixture).await, 1);
    let again = enqueue(succeeded(), None).await.unwrap();
    assert_eq!(again, [duplicate("job:succeeded")], "the first end repeats");
    let other = enqueue(fixture.event("e2").new, key()).await.unwrap();
    assert_eq!(other, [Enqueued::New], "the refused request left its key");

    let both = vec![
        end("other:succeeded", "other:failed"),
        end("other:failed", "other:succeeded"),
    ];
    let both = fixture.queue.enqueue(both, None, fixture.now()).await;
    assert!(
        matches!(&both, Err(EnqueueError::Superseded { index: 1, id }) if id.as_str() == "other:succeeded"),
        "{both:?}"
    );
    assert_eq!(accepted(fixture).await, 1, "nothing of it was stored");
}

/// Takes a group under a key; each member is an id, given or (with `~`) made, and a title.
async fn take_as(
    fixture: &QueueFixture,
    key: &str,
    members: &[(&str, &str)],
) -> Result<Vec<Enqueued>, EnqueueError> {
    let member = |(id, title): &(&str, &str)| {
        let builder = fixture
            .event(id.trim_start_matches('~'))
            .title(title)
            .to("a@example.com");
        if id.starts_with('~') {
            builder.id_made().new
        } else {
            builder.new
        }
    };
    fixture
        .queue
        .enqueue(
            members.iter().map(member).collect(),
            Some(key.to_owned()),
            fixture.now(),
        )
        .await
}

#[track_caller]
fn assert_key_taken(answer: &Result<Vec<Enqueued>, EnqueueError>) {
    assert!(matches!(answer, Err(EnqueueError::KeyTaken)), "{answer:?}");
}

pub(crate) async fn key_with_the_same_group_returns_the_first_ids(fixture: &mut QueueFixture) {
    assert_eq!(
        take_as(fixture, "k", &[("~made-1", "t")]).await.unwrap(),
        [Enqueued::New]
    );
    assert_eq!(
        take_as(fixture, "k", &[("~made-2", "t")]).await.unwrap(),
        [duplicate("made-1")]
    );
    assert_eq!(
        take_as(
            fixture,
            "g",
            &[("~made-3", "t"), ("e1", "t"), ("~made-4", "t")]
        )
        .await
        .unwrap(),
        [Enqueued::New, Enqueued::New, Enqueued::New]
    );
    let again = take_as(
        fixture,
        "g",
        &[("~made-5", "t"), ("e1", "t"), ("~made-6", "t")],
    )
    .await
    .unwrap();
    assert_eq!(
        again,
        [duplicate("made-3"), duplicate("e1"), duplicate("made-4")]
    );
    assert_eq!(accepted(fixture).await, 4);
}

pub(crate) async fn key_with_another_group_is_a_conflict(fixture: &mut QueueFixture) {
    take_as(fixture, "k", &[("~made-1", "a"), ("~made-2", "b")])
        .await
        .unwrap();
    for other in [
        &[("~m", "a")][..],
        &[("~m", "b")],
        &[("~m", "b"), ("~n", "a")],
        &[("~m", "a"), ("~n", "c")],
        &[("~m", "a"), ("~n", "b"), ("~o", "c")],
        &[],
    ] {
        assert_key_taken(&take_as(fixture, "k", other).await);
    }
    assert_key_taken(&take_as(fixture, "k", &[("made-1", "a"), ("~n", "b")]).await);
    assert_eq!(accepted(fixture).await, 2);
}

pub(crate) async fn key_of_a_known_event_is_stored(fixture: &mut QueueFixture) {
    take(fixture, fixture.event("e1").title("t")).await.unwrap();
    assert_eq!(
        take_as(fixture, "k", &[("e1", "t")]).await.unwrap(),
        [duplicate("e1")]
    );
    assert_key_taken(&take_as(fixture, "k", &[("e2", "t")]).await);
    assert_eq!(
        take_as(fixture, "k2", &[("e1", "t")]).await.unwrap(),
        [duplicate("e1")],
        "a second name for the same request"
    );
    assert_eq!(
        take(fixture, fixture.event("e1").title("t")).await.unwrap(),
        duplicate("e1"),
        "no key for a known id"
    );
    assert_eq!(
        take_as(fixture, "mixed", &[("e1", "t"), ("~made", "t")])
            .await
            .unwrap(),
        [duplicate("e1"), Enqueued::New]
    );
    assert_eq!(
        take_as(fixture, "mixed", &[("e1", "t"), ("~other", "t")])
            .await
            .unwrap(),
        [duplicate("e1"), duplicate("made")]
    );
    assert_eq!(accepted(fixture).await, 2);
}

pub(crate) async fn key_of_a_refused_group_stays_free(fixture: &mut QueueFixture) {
    take(fixture, fixture.event("e1").title("t")).await.unwrap();
    let refused = take_as(fixture, "k", &[("e2", "t"), ("e1", "other")]).await;
    assert!(
        matches!(&refused, Err(EnqueueError::Conflict { index: 1, id }) if id.as_str() == "e1"),
        "{refused:?}"
    );
    let refused = take_as(fixture, "k", &[("e1", "other")]).await;
    assert!(
        matches!(&refused, Err(EnqueueError::Conflict { index: 0, .. })),
        "{refused:?}"
    );
    assert_eq!(
        take_as(fixture, "k", &[("e3", "t")]).await.unwrap(),
        [Enqueued::New]
    );
}

pub(crate) async fn key_is_free_once_the_last_event_of_its_request_is_purged(
    fixture: &mut QueueFixture,
) {
    let request = [("~made-1", "t"), ("~made-2", "t")];
    take_as(fixture, "k", &request).await.unwrap();
    let mut leases = fixture.claim().await;
    let (second, first) = (leases.pop().unwrap(), leases.pop().unwrap());
    fixture.settle(second, jobbell::domain::Outcome::Sent).await;
    fixture.step(1);
    assert_eq!(fixture.purge(0, 10).await, 1);
    let again = take_as(fixture, "k", &[("~made-3", "t"), ("~made-4", "t")])
        .await
        .unwrap();
    assert_eq!(
        again,
        [duplicate("made-1"), duplicate("made-2")],
        "the pending event is not stored twice"
    );
    fixture.settle(first, jobbell::domain::Outcome::Sent).await;
    fixture.step(1);
    assert_eq!(fixture.purge(0, 10).await, 1);
    assert_eq!(
        take_as(fixture, "k", &[("~made-5", "u")]).await.unwrap(),
        [Enqueued::New]
    );
}

pub(crate) async fn full_queue_still_recognises_keys(fixture: &mut QueueFixture) {
    fixture.hold_at_most(1).await;
    take_as(fixture, "k", &[("~made-1", "t")]).await.unwrap();
    assert_eq!(
        take_as(fixture, "k", &[("~made-2", "t")]).await.unwrap(),
        [duplicate("made-1")]
    );
    assert_key_taken(&take_as(fixture, "k", &[("~made-2", "u")]).await);
    assert!(matches!(
        take_as(fixture, "k2", &[("~made-3", "t")]).await,
        Err(EnqueueError::Full)
    ));
}

fn group(fixture: &QueueFixture, members: &[(&str, &str)]) -> Vec<NewEvent> {
    members
        .iter()
        .map(|(id, title)| fixture.event(id).title(title).to("a@example.com").new)
        .collect()
}

pub(crate) async fn repetitions_within_a_group_are_duplicates(fixture: &mut QueueFixture) {
    let answers = fixture
        .queue
        .enqueue(
            group(fixture, &[("e1", "t"), ("e2", "t"), ("e1", "t")]),
            None,
            fixture.now(),
        )
        .await
        .unwrap();
    assert_eq!(answers, [Enqueued::New, Enqueued::New, duplicate("e1")]);
    let clash = fixture
        .queue
        .enqueue(
            group(fixture, &[("e3", "t"), ("e3", "u")]),
            None,
            fixture.now(),
        )
        .await;
    assert!(
        matches!(&clash, Err(EnqueueError::Conflict { index: 1, id }) if id.as_str() == "e3"),
        "{clash:?}"
    );
    assert_eq!(accepted(fixture).await, 2);
    assert_eq!(
        fixture
            .queue
            .find(&EventId::parse("e3").unwrap())
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn group_with_a_conflict_is_refused_as_a_whole(fixture: &mut QueueFixture) {
    take(fixture, fixture.event("e2").title("t")).await.unwrap();
    let refused = fixture
        .queue
        .enqueue(
            group(fixture, &[("e1", "t"), ("e2", "other"), ("e3", "t")]),
            None,
            fixture.now(),
        )
        .await;
    assert!(
        matches!(&refused, Err(EnqueueError::Conflict { index: 1, id }) if id.as_str() == "e2"),
        "{refused:?}"
    );
    assert_eq!(accepted(fixture).await, 1);
    let answers = fixture
        .queue
        .enqueue(
            group(fixture, &[("e1", "t"), ("e2", "t"), ("e3", "t")]),
            None,
            fixture.now(),
        )
        .await
        .unwrap();
    assert_eq!(answers, [Enqueued::New, duplicate("e2"), Enqueued::New]);
}

pub(crate) async fn full_queue_refuses_events_but_recognises_repetitions(
    fixture: &mut QueueFixture,
) {
    fixture.hold_at_most(3).await;
    fixture
        .queue
        .enqueue(
            group(fixture, &[("e1", "t"), ("e2", "t")]),
            None,
            fixture.now(),
        )
        .await
        .unwrap();
    let refused = fixture
        .queue
        .enqueue(
            group(fixture, &[("e3", "t"), ("e4", "t")]),
            None,
            fixture.now(),
        )
        .await;
    assert!(matches!(refused, Err(EnqueueError::Full)), "{refused:?}");
    assert_eq!(
        accepted(fixture).await,
        2,
        "not even the event that would fit"
    );
    assert_eq!(
        take(fixture, fixture.event("e3")).await.unwrap(),
        Enqueued::New
    );
    assert!(matches!(
        take(fixture, fixture.event("e4")).await,
        Err(EnqueueError::Full)
    ));
    assert_eq!(
        take(fixture, fixture.event("e1").title("t")).await.unwrap(),
        duplicate("e1")
    );
    assert_conflict(take(fixture, fixture.event("e1").title("u")).await, "e1");
    let lease = fixture.claim().await.remove(0);
    assert!(
        matches!(
            take(fixture, fixture.event("e4")).await,
            Err(EnqueueError::Full)
        ),
        "deliveries in flight are pending"
    );
    fixture.settle(lease, jobbell::domain::Outcome::Sent).await;
    assert_eq!(
        take(fixture, fixture.event("e4")).await.unwrap(),
        Enqueued::New
    );
}

pub(crate) async fn suppressed_deliveries_do_not_fill_the_queue(fixture: &mut QueueFixture) {
    fixture.hold_at_most(1).await;
    take(fixture, fixture.event("e1")).await.unwrap();
    let new = fixture
        .event("e2")
        .planned(
            "a@example.com",
            Lane::Normal,
            Plan::Suppress(SuppressReason::NotAllowed),
        )
        .new;
    assert_eq!(fixture.enqueue(new).await, Enqueued::New);
}

pub(crate) async fn empty_group_changes_nothing(fixture: &mut QueueFixture) {
    assert_eq!(
        fixture
            .queue
            .enqueue(Vec::new(), None, fixture.now())
            .await
            .unwrap(),
        []
    );
    assert_eq!(fixture.queue.counts().await.unwrap(), Counts::default());
}
