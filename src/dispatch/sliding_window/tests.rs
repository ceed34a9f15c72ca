use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const MINUTE: Duration = Duration::from_mins(1);

fn window(mails: u32, per: Duration) -> SlidingWindow {
    SlidingWindow::new(RateLimit { mails, per }, [])
}

fn capacity(all: u32, normal: u32, more_at: Option<Timestamp>) -> Capacity {
    Capacity {
        all: all as usize,
        normal: normal as usize,
        more_at,
    }
}

/// Sends mails until no permit is free. Returns their number and when to ask again.
fn drain(window: &mut SlidingWindow, lane: Lane, now: Timestamp) -> (u32, Timestamp) {
    let mut sent = 0;
    loop {
        match window.reserve(lane, now) {
            Ok(()) => window.commit(now),
            Err(again) => return (sent, again),
        }
        sent += 1;
    }
}

#[test]
fn permit_is_free_one_period_after_the_mail_was_sent() {
    let mut window = window(2, MINUTE);
    assert_eq!(
        (
            window.reserve(Lane::Normal, NOW),
            window.reserve(Lane::Normal, NOW)
        ),
        (Ok(()), Ok(()))
    );
    let end = NOW.after(Duration::from_secs(20));
    assert_eq!(
        window.reserve(Lane::Normal, end),
        Err(end.after(SOON)),
        "both are being sent, and the end is unknown"
    );
    window.commit(end);
    let again = end.after(MINUTE).after(TICK);
    assert_eq!(window.reserve(Lane::Normal, end), Err(again));
    window.release();
    assert_eq!(
        window.reserve(Lane::Normal, end),
        Ok(()),
        "the server did not count the other one"
    );
    window.commit(end);
    assert_eq!(
        drain(&mut window, Lane::Normal, end.after(MINUTE)),
        (0, again),
        "the period includes both ends"
    );
    assert_eq!(drain(&mut window, Lane::Normal, again).0, 2);
}

#[test]
fn normal_mails_cannot_use_the_urgent_share() {
    for (limit, normal) in [(1, 1), (3, 3), (4, 3), (8, 7), (30, 27), (300, 263)] {
        let mut window = window(limit, MINUTE);
        assert_eq!(window.capacity(NOW), capacity(limit, normal, None));
        assert_eq!(drain(&mut window, Lane::Normal, NOW).0, normal, "{limit}");
        let again = NOW.after(MINUTE).after(TICK);
        assert_eq!(
            window.capacity(NOW),
            capacity(limit - normal, 0, Some(again))
        );
        assert_eq!(
            drain(&mut window, Lane::Urgent, NOW).0,
            limit - normal,
            "{limit}"
        );
        assert_eq!(window.reserve(Lane::Urgent, NOW), Err(again));
    }
}

#[test]
fn history_counts_even_if_it_exceeds_the_limit() {
    let hour = Duration::from_hours(1);
    let earlier = [(NOW.before(hour), 300), (NOW.before(MINUTE), 400)];
    let mut window = SlidingWindow::new(
        RateLimit {
            mails: 500,
            per: Duration::from_hours(24),
        },
        earlier,
    );
    assert_eq!(window.capacity(NOW).all, 0);
    let again = NOW.before(hour).after(Duration::from_hours(24)).after(TICK);
    assert_eq!(window.reserve(Lane::Normal, NOW), Err(again));
    assert_eq!(window.capacity(again).all, 100);
}

#[test]
fn clock_that_was_set_back_delays_by_one_period_at_most() {
    let mut window = window(1, MINUTE);
    assert_eq!(drain(&mut window, Lane::Normal, NOW).0, 1);
    let earlier = NOW.before(Duration::from_secs(500));
    assert_eq!(
        window.reserve(Lane::Normal, earlier),
        Err(earlier.after(MINUTE).after(TICK))
    );
    assert_eq!(
        window.reserve(Lane::Normal, earlier.after(MINUTE).after(TICK)),
        Ok(())
    );
}

#[test]
fn limits_per_hour_or_longer_are_long() {
    let is_short = |per| is_short(RateLimit { mails: 1, per });
    assert!(is_short(Duration::from_secs(1)) && is_short(MINUTE));
    assert!(!is_short(Duration::from_hours(1)) && !is_short(Duration::from_hours(24)));
}

#[derive(Debug, Clone)]
enum Act {
    Wait(u64),
    Reserve(Lane),
    End {
        which: usize,
        counted: bool,
        at: f64,
    },
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let lane = prop_oneof![Just(Lane::Urgent), Just(Lane::Normal)];
    prop_oneof![
        3 => (0u64..4_000).prop_map(Act::Wait),
        6 => lane.prop_map(Act::Reserve),
        4 => (any::<usize>(), prop::bool::weighted(0.9), 0.0..=1.0).prop_map(|(which, counted, at)| Act::End { which, counted, at }),
        1 => Just(Act::Restart),
    ]
}

/// Groups mails by time as the queue's send history does: one entry with the time of the last.
fn record(history: &mut Vec<(Timestamp, u32)>, now: Timestamp) {
    match history.last_mut() {
        Some((last, mails)) if last.as_millis() / 3_000 == now.as_millis() / 3_000 => {
            (*last, *mails) = (now, *mails + 1);
        }
        _ => history.push((now, 1)),
    }
}

proptest! {
    /// The server may count a mail at any moment between its start and its end.
    #[test]
    fn no_period_holds_more_than_the_limit(mails in 1u32..12, acts in prop::collection::vec(act(), 1..400)) {
        let limit = RateLimit { mails, per: Duration::from_secs(10) };
        let (mut window, mut now) = (SlidingWindow::new(limit, []), NOW);
        let (mut in_flight, mut counted, mut history) = (Vec::new(), Vec::new(), Vec::<(Timestamp, u32)>::new());
        for act in acts {
            match act {
                Act::Wait(millis) => now = now.after(Duration::from_millis(millis)),
                Act::Reserve(lane) => match window.reserve(lane, now) {
                    Ok(()) => in_flight.push(now),
                    Err(again) => prop_assert!(again > now, "asking again at once would be a busy loop"),
                },
                Act::End { which, counted: true, at } if !in_flight.is_empty() => {
                    let started = in_flight.swap_remove(which % in_flight.len());
                    counted.push(started.after(now.since(started).mul_f64(at)));
                    window.commit(now);
                    record(&mut history, now);
                }
                Act::End { which, .. } => if !in_flight.is_empty() {
                    in_flight.swap_remove(which % in_flight.len());
                    window.release();
                },
                // Mails in flight may have been counted at any moment up to now.
                Act::Restart => {
                    for started in in_flight.drain(..) {
                        counted.push(started);
                        record(&mut history, now);
                    }
                    window = SlidingWindow::new(limit, history.iter().copied());
                }
            }
        }
        counted.sort_unstable();
        for period in counted.windows(mails as usize + 1) {
            prop_assert!(period[mails as usize].since(period[0]) > limit.per, "{period:?}");
        }
    }

    #[test]
    fn queue_that_is_never_empty_uses_nearly_the_whole_limit(mails in 1u32..40, pause in 1u64..2_000) {
        let mut window = window(mails, MINUTE);
        let (mut now, mut sent) = (NOW, 0);
        let end = NOW.after(MINUTE * 20);
        while now < end {
            sent += drain(&mut window, Lane::Urgent, now).0;
            now = now.after(Duration::from_millis(pause));
        }
        prop_assert!(sent >= mails * 19, "{sent} of {}", mails * 20);
    }
}
