use super::requests::AFTER_FAILURE;
use super::*;

const MINUTE: Duration = Duration::from_mins(1);
const NODE: i64 = 7;

/// A database with this many free permits.
struct Database {
    free: u64,
    chunk: u64,
    outstanding: u64,
}

impl Database {
    fn answer(&mut self, request: &Request) -> Answer {
        self.free += self.outstanding;
        self.free -= request.outstanding;
        if let Some(batch) = &request.batch {
            let (_, mails) = batch.ages(request.sent_at);
            self.free -= mails.iter().sum::<i64>().cast_unsigned();
        }
        let granted = request.want.normal.min(self.chunk).min(self.free);
        self.free -= granted;
        self.outstanding = request.outstanding + granted;
        Answer {
            granted: Lanes {
                normal: granted,
                urgent: 0,
            },
            free: Lanes {
                normal: self.free,
                urgent: self.free,
            },
            chunk: self.chunk,
            free_in: Lanes {
                normal: (self.free == 0).then_some(Duration::from_secs(30)),
                urgent: None,
            },
        }
    }
}

fn at(millis: u64) -> Duration {
    Duration::from_secs(1_000) + Duration::from_millis(millis)
}

fn ask(grants: &mut Grants, database: &mut Database, now: Duration) -> Request {
    let request = grants.request(NODE, now);
    let answer = database.answer(&request);
    grants.answered(&request, Some(answer), now);
    request
}

fn idle(free: u64) -> (Grants, Database) {
    let mut grants = Grants::new(MINUTE);
    let mut database = Database {
        free,
        chunk: 15,
        outstanding: 0,
    };
    assert_eq!(grants.next_request(at(0)), Some(at(0)), "what is free");
    assert_eq!(
        ask(&mut grants, &mut database, at(0)).want,
        Lanes::default()
    );
    assert_eq!(grants.next_request(at(0)), None);
    (grants, database)
}

#[test]
fn single_mail_is_promised_a_permit_and_nothing_is_kept() {
    let (mut grants, mut database) = idle(100);
    assert_eq!(grants.available(at(1)).normal, 15);
    let Taken::Promised(request) = grants.take(Lane::Normal, at(1)) else {
        panic!("nothing is kept in advance");
    };
    assert_eq!(grants.available(at(1)).normal, 14);
    assert_eq!(
        grants.redeem(Lane::Normal, request, at(1)),
        Taken::Promised(request)
    );
    assert_eq!(grants.next_request(at(1)), Some(at(1)));
    assert_eq!(ask(&mut grants, &mut database, at(500)).want.normal, 1);
    assert_eq!(
        grants.redeem(Lane::Normal, request, at(500)),
        Taken::Granted(Lane::Normal)
    );
    assert_eq!(grants.next_request(at(500)), None, "it is in use");
    grants.used(at(600));
    assert_eq!(grants.next_request(at(600)), Some(at(1_500)));
    ask(&mut grants, &mut database, at(1_500));
    assert_eq!((database.free, database.outstanding), (99, 0));
    assert_eq!(grants.next_request(at(1_500)), None);
}

#[test]
fn busy_node_keeps_more_and_more_in_advance_and_returns_them() {
    let (mut grants, mut database) = idle(100);
    let mut now = 0;
    for _ in 0..40 {
        now += 20;
        if let Taken::Promised(request) = grants.take(Lane::Normal, at(now)) {
            ask(&mut grants, &mut database, at(now));
            let taken = grants.redeem(Lane::Normal, request, at(now));
            assert_eq!(taken, Taken::Granted(Lane::Normal));
        }
        grants.used(at(now));
    }
    assert!(grants.asked < 20, "{} requests for 40 mails", grants.asked);
    let idle = grants.next_request(at(now)).unwrap();
    ask(&mut grants, &mut database, idle);
    assert_eq!(database.outstanding + database.free, 60);
    let idle = grants.next_request(idle).unwrap();
    assert!(idle <= at(now) + VALID);
    ask(&mut grants, &mut database, idle);
    assert_eq!((database.free, database.outstanding), (60, 0));
    assert_eq!(grants.next_request(idle), None);
}

#[test]
fn refused_mail_waits_until_permits_become_free() {
    let (mut grants, mut database) = idle(1);
    let Taken::Promised(request) = grants.take(Lane::Normal, at(0)) else {
        panic!("one is free");
    };
    let wait = Duration::from_secs(1);
    assert_eq!(grants.take(Lane::Normal, at(0)), Taken::Refused(wait));
    database.free = 0;
    ask(&mut grants, &mut database, at(0));
    let wait = Duration::from_secs(30);
    assert_eq!(
        grants.redeem(Lane::Normal, request, at(0)),
        Taken::Refused(wait)
    );
    assert_eq!(grants.available(at(0)).more_in, Some(wait));
    assert_eq!(grants.next_request(at(0)), Some(at(30_000)));
    database.free = 5;
    assert_eq!(ask(&mut grants, &mut database, at(30_000)).want.normal, 1);
    assert_eq!(grants.available(at(30_000)).normal, 5);
}

#[test]
fn part_of_a_request_is_granted_at_a_time() {
    let (mut grants, mut database) = idle(100);
    database.chunk = 2;
    let mut requests = Vec::new();
    for _ in 0..3 {
        match grants.take(Lane::Normal, at(0)) {
            Taken::Promised(request) => requests.push(request),
            other => panic!("{other:?}"),
        }
    }
    ask(&mut grants, &mut database, at(1));
    let mut answers = requests
        .into_iter()
        .map(|request| grants.redeem(Lane::Normal, request, at(1)));
    assert_eq!(answers.next(), Some(Taken::Granted(Lane::Normal)));
    assert_eq!(answers.next(), Some(Taken::Granted(Lane::Normal)));
    let Some(Taken::Promised(next)) = answers.next() else {
        panic!("more are free");
    };
    drop(answers);
    assert_eq!(grants.next_request(at(1)), Some(at(1)));
    ask(&mut grants, &mut database, at(2));
    assert_eq!(
        grants.redeem(Lane::Normal, next, at(2)),
        Taken::Granted(Lane::Normal)
    );
}

#[test]
fn lost_answer_neither_uses_nor_loses_permits() {
    let (mut grants, mut database) = idle(100);
    let Taken::Promised(request) = grants.take(Lane::Normal, at(0)) else {
        panic!("many are free");
    };
    ask(&mut grants, &mut database, at(500));
    grants.redeem(Lane::Normal, request, at(500));
    grants.used(at(510));
    let lost = grants.request(NODE, at(1_500));
    database.answer(&lost);
    grants.answered(&lost, None, at(9_000));
    assert!(
        grants.is_unknown() && matches!(grants.take(Lane::Normal, at(9_000)), Taken::Refused(_))
    );
    let again = grants.next_request(at(9_000)).unwrap();
    assert_eq!(again, at(9_000) + AFTER_FAILURE);
    grants.used.add(at(9_100), MINUTE);
    let repeated = grants.request(NODE, again);
    assert_eq!(
        repeated.batch.as_ref().map(|batch| batch.number),
        lost.batch.map(|batch| batch.number),
        "the database books it once"
    );
    assert_eq!(repeated.outstanding, 1, "the mail of a later batch");
}

#[test]
fn permits_of_an_earlier_life_or_answer_are_not_used() {
    let (mut grants, mut database) = idle(100);
    for _ in 0..2 {
        grants.take(Lane::Normal, at(0));
    }
    ask(&mut grants, &mut database, at(500));
    assert_eq!(
        grants.redeem(Lane::Normal, 2, at(501)),
        Taken::Granted(Lane::Normal)
    );
    grants.unpromise(Lane::Normal);
    let late = at(500) + VALID;
    assert_eq!(grants.take_spare(Lane::Normal, late), None);
    assert_eq!(grants.spare.normal, 1);
    let request = grants.request(NODE + 1, at(502));
    assert_eq!((request.outstanding, grants.spare.normal), (1, 0));
    grants.returned(Lane::Normal, late);
    assert!(grants.is_less && grants.spare.normal == 0);
}

#[test]
fn permits_of_another_limit_are_returned() {
    let (mut grants, mut database) = idle(100);
    grants.take(Lane::Normal, at(500));
    let request = grants.request(NODE, at(500));
    let answer = database.answer(&request);
    grants.change_limit(MINUTE * 2);
    grants.answered(&request, Some(answer), at(500));
    assert_eq!(grants.spare, Lanes::default());
    assert!(grants.is_unknown() && grants.next_request(at(500)) == Some(at(500)));
    assert_eq!(ask(&mut grants, &mut database, at(501)).outstanding, 0);
}
