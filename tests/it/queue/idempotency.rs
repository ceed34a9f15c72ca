//! One event is taken once, whatever its producer repeats; and nothing is taken halfway.

use jobbell::domain::{EventId, Lane, Plan, SuppressReason};
use jobbell::queue::{Counts, EnqueueError, Enqueued, NewEvent};

use super::bench::{Bench, EventBuilder};

fn duplicate(id: &str) -> Enqueued {
    Enqueued::Duplicate {
        id: EventId::parse(id).unwrap(),
    }
}

async fn take(bench: &Bench, builder: EventBuilder) -> Result<Enqueued, EnqueueError> {
    let taken = bench
        .queue
        .enqueue(vec![builder.to("a@example.com").new], None, bench.now())
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

async fn accepted(bench: &Bench) -> u64 {
    bench.queue.counts().await.unwrap().accepted
}

pub(crate) async fn the_same_id_with_the_same_content_is_a_duplicate(bench: &mut Bench) {
    assert_eq!(
        take(bench, bench.event("e1").title("t")).await.unwrap(),
        Enqueued::New
    );
    bench.step(5);
    assert_eq!(
        take(bench, bench.event("e1").title("t")).await.unwrap(),
        duplicate("e1")
    );
    assert_eq!(accepted(bench).await, 1);
    let lease = bench.claim_one().await;
    bench.settle(lease, jobbell::domain::Outcome::Sent).await;
    assert_eq!(
        take(bench, bench.event("e1").title("t")).await.unwrap(),
        duplicate("e1"),
        "also after it has ended"
    );
    assert!(bench.claim().await.is_empty());
}

pub(crate) async fn the_same_id_with_other_content_is_a_conflict(bench: &mut Bench) {
    assert_eq!(
        take(bench, bench.event("e1").title("t")).await.unwrap(),
        Enqueued::New
    );
    assert_conflict(take(bench, bench.event("e1").title("u")).await, "e1");
    assert_eq!(accepted(bench).await, 1);
}

/// Takes a group under a key; each member is an id, given or (with `~`) made, and a title.
async fn take_as(
    bench: &Bench,
    key: &str,
    members: &[(&str, &str)],
) -> Result<Vec<Enqueued>, EnqueueError> {
    let member = |(id, title): &(&str, &str)| {
        let builder = bench
            .event(id.trim_start_matches('~'))
            .title(title)
            .to("a@example.com");
        if id.starts_with('~') {
            builder.id_made().new
        } else {
            builder.new
        }
    };
    bench
        .queue
        .enqueue(
            members.iter().map(member).collect(),
            Some(key.to_owned()),
            bench.now(),
        )
        .await
}

#[track_caller]
fn assert_key_taken(answer: &Result<Vec<Enqueued>, EnqueueError>) {
    assert!(matches!(answer, Err(EnqueueError::KeyTaken)), "{answer:?}");
}

pub(crate) async fn a_key_with_the_same_group_leads_to_the_first_ids(bench: &mut Bench) {
    assert_eq!(
        take_as(bench, "k", &[("~made-1", "t")]).await.unwrap(),
        [Enqueued::New]
    );
    assert_eq!(
        take_as(bench, "k", &[("~made-2", "t")]).await.unwrap(),
        [duplicate("made-1")]
    );
    assert_eq!(
        take_as(
            bench,
            "g",
            &[("~made-3", "t"), ("e1", "t"), ("~made-4", "t")]
        )
        .await
        .unwrap(),
        [Enqueued::New, Enqueued::New, Enqueued::New]
    );
    let again = take_as(
        bench,
        "g",
        &[("~made-5", "t"), ("e1", "t"), ("~made-6", "t")],
    )
    .await
    .unwrap();
    assert_eq!(
        again,
        [duplicate("made-3"), duplicate("e1"), duplicate("made-4")]
    );
    assert_eq!(accepted(bench).await, 4);
}

pub(crate) async fn a_key_with_any_other_group_is_a_conflict(bench: &mut Bench) {
    take_as(bench, "k", &[("~made-1", "a"), ("~made-2", "b")])
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
        assert_key_taken(&take_as(bench, "k", other).await);
    }
    assert_key_taken(&take_as(bench, "k", &[("made-1", "a"), ("~n", "b")]).await);
    assert_eq!(accepted(bench).await, 2);
}

pub(crate) async fn a_key_that_comes_with_a_known_event_is_remembered(bench: &mut Bench) {
    take(bench, bench.event("e1").title("t")).await.unwrap();
    assert_eq!(
        take_as(bench, "k", &[("e1", "t")]).await.unwrap(),
        [duplicate("e1")]
    );
    assert_key_taken(&take_as(bench, "k", &[("e2", "t")]).await);
    assert_eq!(
        take_as(bench, "k2", &[("e1", "t")]).await.unwrap(),
        [duplicate("e1")],
        "a second name for the same request"
    );
    assert_eq!(
        take(bench, bench.event("e1").title("t")).await.unwrap(),
        duplicate("e1"),
        "no key for a known id"
    );
    assert_eq!(
        take_as(bench, "mixed", &[("e1", "t"), ("~made", "t")])
            .await
            .unwrap(),
        [duplicate("e1"), Enqueued::New]
    );
    assert_eq!(
        take_as(bench, "mixed", &[("e1", "t"), ("~other", "t")])
            .await
            .unwrap(),
        [duplicate("e1"), duplicate("made")]
    );
    assert_eq!(accepted(bench).await, 2);
}

pub(crate) async fn a_key_of_a_refused_group_is_free(bench: &mut Bench) {
    take(bench, bench.event("e1").title("t")).await.unwrap();
    let refused = take_as(bench, "k", &[("e2", "t"), ("e1", "other")]).await;
    assert!(
        matches!(&refused, Err(EnqueueError::Conflict { index: 1, id }) if id.as_str() == "e1"),
        "{refused:?}"
    );
    let refused = take_as(bench, "k", &[("e1", "other")]).await;
    assert!(
        matches!(&refused, Err(EnqueueError::Conflict { index: 0, .. })),
        "{refused:?}"
    );
    assert_eq!(
        take_as(bench, "k", &[("e3", "t")]).await.unwrap(),
        [Enqueued::New]
    );
}

pub(crate) async fn a_key_is_free_again_when_the_last_event_of_its_request_is_purged(
    bench: &mut Bench,
) {
    let request = [("~made-1", "t"), ("~made-2", "t")];
    take_as(bench, "k", &request).await.unwrap();
    let mut leases = bench.claim().await;
    let (second, first) = (leases.pop().unwrap(), leases.pop().unwrap());
    bench.settle(second, jobbell::domain::Outcome::Sent).await;
    bench.step(1);
    assert_eq!(
        bench
            .queue
            .purge(bench.now(), 10, bench.now())
            .await
            .unwrap(),
        1
    );
    let again = take_as(bench, "k", &[("~made-3", "t"), ("~made-4", "t")])
        .await
        .unwrap();
    assert_eq!(
        again,
        [duplicate("made-1"), duplicate("made-2")],
        "the one that still waits is not doubled"
    );
    bench.settle(first, jobbell::domain::Outcome::Sent).await;
    bench.step(1);
    assert_eq!(
        bench
            .queue
            .purge(bench.now(), 10, bench.now())
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        take_as(bench, "k", &[("~made-5", "u")]).await.unwrap(),
        [Enqueued::New]
    );
}

pub(crate) async fn a_full_queue_still_knows_keys(bench: &mut Bench) {
    bench.hold_at_most(1).await;
    take_as(bench, "k", &[("~made-1", "t")]).await.unwrap();
    assert_eq!(
        take_as(bench, "k", &[("~made-2", "t")]).await.unwrap(),
        [duplicate("made-1")]
    );
    assert_key_taken(&take_as(bench, "k", &[("~made-2", "u")]).await);
    assert!(matches!(
        take_as(bench, "k2", &[("~made-3", "t")]).await,
        Err(EnqueueError::Full)
    ));
}

fn group(bench: &Bench, members: &[(&str, &str)]) -> Vec<NewEvent> {
    members
        .iter()
        .map(|(id, title)| bench.event(id).title(title).to("a@example.com").new)
        .collect()
}

pub(crate) async fn repetitions_within_a_group_are_noticed(bench: &mut Bench) {
    let answers = bench
        .queue
        .enqueue(
            group(bench, &[("e1", "t"), ("e2", "t"), ("e1", "t")]),
            None,
            bench.now(),
        )
        .await
        .unwrap();
    assert_eq!(answers, [Enqueued::New, Enqueued::New, duplicate("e1")]);
    let clash = bench
        .queue
        .enqueue(group(bench, &[("e3", "t"), ("e3", "u")]), None, bench.now())
        .await;
    assert!(
        matches!(&clash, Err(EnqueueError::Conflict { index: 1, id }) if id.as_str() == "e3"),
        "{clash:?}"
    );
    assert_eq!(accepted(bench).await, 2);
    assert_eq!(
        bench
            .queue
            .find(&EventId::parse("e3").unwrap())
            .await
            .unwrap(),
        None
    );
}

pub(crate) async fn a_group_with_a_conflict_is_not_taken_at_all(bench: &mut Bench) {
    take(bench, bench.event("e2").title("t")).await.unwrap();
    let refused = bench
        .queue
        .enqueue(
            group(bench, &[("e1", "t"), ("e2", "other"), ("e3", "t")]),
            None,
            bench.now(),
        )
        .await;
    assert!(
        matches!(&refused, Err(EnqueueError::Conflict { index: 1, id }) if id.as_str() == "e2"),
        "{refused:?}"
    );
    assert_eq!(accepted(bench).await, 1);
    let answers = bench
        .queue
        .enqueue(
            group(bench, &[("e1", "t"), ("e2", "t"), ("e3", "t")]),
            None,
            bench.now(),
        )
        .await
        .unwrap();
    assert_eq!(answers, [Enqueued::New, duplicate("e2"), Enqueued::New]);
}

pub(crate) async fn a_full_queue_takes_nothing_but_still_knows_repetitions(bench: &mut Bench) {
    bench.hold_at_most(3).await;
    bench
        .queue
        .enqueue(group(bench, &[("e1", "t"), ("e2", "t")]), None, bench.now())
        .await
        .unwrap();
    let refused = bench
        .queue
        .enqueue(group(bench, &[("e3", "t"), ("e4", "t")]), None, bench.now())
        .await;
    assert!(matches!(refused, Err(EnqueueError::Full)), "{refused:?}");
    assert_eq!(
        accepted(bench).await,
        2,
        "not even the one that would have fitted"
    );
    assert_eq!(take(bench, bench.event("e3")).await.unwrap(), Enqueued::New);
    assert!(matches!(
        take(bench, bench.event("e4")).await,
        Err(EnqueueError::Full)
    ));
    assert_eq!(
        take(bench, bench.event("e1").title("t")).await.unwrap(),
        duplicate("e1")
    );
    assert_conflict(take(bench, bench.event("e1").title("u")).await, "e1");
    let lease = bench.claim().await.remove(0);
    assert!(
        matches!(
            take(bench, bench.event("e4")).await,
            Err(EnqueueError::Full)
        ),
        "what is under way has not ended"
    );
    bench.settle(lease, jobbell::domain::Outcome::Sent).await;
    assert_eq!(take(bench, bench.event("e4")).await.unwrap(), Enqueued::New);
}

pub(crate) async fn suppressed_deliveries_do_not_fill_the_queue(bench: &mut Bench) {
    bench.hold_at_most(1).await;
    take(bench, bench.event("e1")).await.unwrap();
    let new = bench
        .event("e2")
        .planned(
            "a@example.com",
            Lane::Normal,
            Plan::Suppress(SuppressReason::NotAllowed),
        )
        .new;
    assert_eq!(bench.enqueue(new).await, Enqueued::New);
}

pub(crate) async fn an_empty_group_changes_nothing(bench: &mut Bench) {
    assert_eq!(
        bench
            .queue
            .enqueue(Vec::new(), None, bench.now())
            .await
            .unwrap(),
        []
    );
    assert_eq!(bench.queue.counts().await.unwrap(), Counts::default());
}
