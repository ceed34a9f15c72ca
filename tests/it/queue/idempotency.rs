//! One event is taken once, whatever its producer repeats; and nothing is taken halfway.

use jobbell::domain::{EventId, Lane, Plan, SuppressReason};
use jobbell::queue::{Counts, EnqueueError, Enqueued, NewEvent};

use super::bench::{Bench, EventBuilder};

fn duplicate(id: &str) -> Enqueued {
    Enqueued::Duplicate { id: EventId::parse(id).unwrap() }
}

async fn take(bench: &Bench, builder: EventBuilder) -> Result<Enqueued, EnqueueError> {
    let taken = bench.queue.enqueue(vec![builder.to("a@example.com").new], bench.now()).await;
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
    assert_eq!(take(bench, bench.event("e1").title("t")).await.unwrap(), Enqueued::New);
    bench.step(5);
    assert_eq!(take(bench, bench.event("e1").title("t")).await.unwrap(), duplicate("e1"));
    assert_eq!(accepted(bench).await, 1);
    let lease = bench.claim_one().await;
    bench.settle(lease, jobbell::domain::Outcome::Sent).await;
    assert_eq!(take(bench, bench.event("e1").title("t")).await.unwrap(), duplicate("e1"), "also after it has ended");
    assert!(bench.claim().await.is_empty());
}

pub(crate) async fn the_same_id_with_other_content_is_a_conflict(bench: &mut Bench) {
    assert_eq!(take(bench, bench.event("e1").title("t")).await.unwrap(), Enqueued::New);
    assert_conflict(take(bench, bench.event("e1").title("u")).await, "e1");
    assert_eq!(accepted(bench).await, 1);
}

pub(crate) async fn a_key_leads_to_the_first_event_when_the_content_is_the_same(bench: &mut Bench) {
    assert_eq!(take(bench, bench.event("made-1").id_made().key("k").title("t")).await.unwrap(), Enqueued::New);
    assert_eq!(take(bench, bench.event("made-2").id_made().key("k").title("t")).await.unwrap(), duplicate("made-1"));
    assert_eq!(take(bench, bench.event("e1").key("k1")).await.unwrap(), Enqueued::New);
    assert_eq!(take(bench, bench.event("e1").key("k1")).await.unwrap(), duplicate("e1"));
    assert_eq!(take(bench, bench.event("e1").key("k2")).await.unwrap(), duplicate("e1"), "a new key for a known id");
    assert_eq!(take(bench, bench.event("e1")).await.unwrap(), duplicate("e1"), "no key for a known id");
    assert_eq!(accepted(bench).await, 2);
}

pub(crate) async fn a_key_with_other_content_is_a_conflict(bench: &mut Bench) {
    assert_eq!(take(bench, bench.event("made-1").id_made().key("k").title("t")).await.unwrap(), Enqueued::New);
    assert_conflict(take(bench, bench.event("made-2").id_made().key("k").title("u")).await, "made-1");
    assert_conflict(take(bench, bench.event("e9").key("k").title("t")).await, "made-1");
    assert_eq!(accepted(bench).await, 1);
}

pub(crate) async fn id_and_key_of_two_events_are_a_conflict(bench: &mut Bench) {
    assert_eq!(take(bench, bench.event("e1").key("k1")).await.unwrap(), Enqueued::New);
    assert_eq!(take(bench, bench.event("e2").key("k2")).await.unwrap(), Enqueued::New);
    assert_conflict(take(bench, bench.event("e1").key("k2")).await, "e1");
    assert_eq!(accepted(bench).await, 2);
}

fn group(bench: &Bench, members: &[(&str, &str)]) -> Vec<NewEvent> {
    members.iter().map(|(id, title)| bench.event(id).title(title).to("a@example.com").new).collect()
}

pub(crate) async fn repetitions_within_a_group_are_noticed(bench: &mut Bench) {
    let answers = bench.queue.enqueue(group(bench, &[("e1", "t"), ("e2", "t"), ("e1", "t")]), bench.now()).await.unwrap();
    assert_eq!(answers, [Enqueued::New, Enqueued::New, duplicate("e1")]);
    let clash = bench.queue.enqueue(group(bench, &[("e3", "t"), ("e3", "u")]), bench.now()).await;
    assert!(matches!(&clash, Err(EnqueueError::Conflict { index: 1, id }) if id.as_str() == "e3"), "{clash:?}");
    assert_eq!(accepted(bench).await, 2);
    assert_eq!(bench.queue.find(&EventId::parse("e3").unwrap()).await.unwrap(), None);
}

pub(crate) async fn a_group_with_a_conflict_is_not_taken_at_all(bench: &mut Bench) {
    take(bench, bench.event("e2").title("t")).await.unwrap();
    let refused = bench.queue.enqueue(group(bench, &[("e1", "t"), ("e2", "other"), ("e3", "t")]), bench.now()).await;
    assert!(matches!(&refused, Err(EnqueueError::Conflict { index: 1, id }) if id.as_str() == "e2"), "{refused:?}");
    assert_eq!(accepted(bench).await, 1);
    let answers = bench.queue.enqueue(group(bench, &[("e1", "t"), ("e2", "t"), ("e3", "t")]), bench.now()).await.unwrap();
    assert_eq!(answers, [Enqueued::New, duplicate("e2"), Enqueued::New]);
}

pub(crate) async fn a_full_queue_takes_nothing_but_still_knows_repetitions(bench: &mut Bench) {
    bench.hold_at_most(3).await;
    bench.queue.enqueue(group(bench, &[("e1", "t"), ("e2", "t")]), bench.now()).await.unwrap();
    let refused = bench.queue.enqueue(group(bench, &[("e3", "t"), ("e4", "t")]), bench.now()).await;
    assert!(matches!(refused, Err(EnqueueError::Full)), "{refused:?}");
    assert_eq!(accepted(bench).await, 2, "not even the one that would have fitted");
    assert_eq!(take(bench, bench.event("e3")).await.unwrap(), Enqueued::New);
    assert!(matches!(take(bench, bench.event("e4")).await, Err(EnqueueError::Full)));
    assert_eq!(take(bench, bench.event("e1").title("t")).await.unwrap(), duplicate("e1"));
    assert_conflict(take(bench, bench.event("e1").title("u")).await, "e1");
    let lease = bench.claim().await.remove(0);
    assert!(matches!(take(bench, bench.event("e4")).await, Err(EnqueueError::Full)), "what is under way has not ended");
    bench.settle(lease, jobbell::domain::Outcome::Sent).await;
    assert_eq!(take(bench, bench.event("e4")).await.unwrap(), Enqueued::New);
}

pub(crate) async fn suppressed_deliveries_do_not_fill_the_queue(bench: &mut Bench) {
    bench.hold_at_most(1).await;
    take(bench, bench.event("e1")).await.unwrap();
    let new = bench.event("e2").planned("a@example.com", Lane::Normal, Plan::Suppress(SuppressReason::NotAllowed)).new;
    assert_eq!(bench.enqueue(new).await, Enqueued::New);
}

pub(crate) async fn an_empty_group_changes_nothing(bench: &mut Bench) {
    assert_eq!(bench.queue.enqueue(Vec::new(), bench.now()).await.unwrap(), []);
    assert_eq!(bench.queue.counts().await.unwrap(), Counts::default());
}
