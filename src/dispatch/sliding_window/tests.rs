use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const MINUTE: Duration = Duration::from_mins(1);

fn window(mails: u32, per: Duration) -> SlidingWindow {
    SlidingWindow::new(RateLimit { mails, per }, [])
}

/// Takes and spends until nothing is left.
fn drain(window: &mut SlidingWindow, lane: Lane, now: Timestamp) -> (u32, Timestamp) {
    let mut sent = 0;
    loop {
        match window.take(lane, now) {
            Ok(()) => window.spend(now),
            Err(again) => return (sent, again),
        }
        sent += 1;
    }
}

#[test]
fn a_place_comes_free_one_span_after_the_mail_ended() {
    let mut window = window(2, MINUTE);
    assert_eq!(
        (
            window.take(Lane::Normal, NOW),
            window.take(Lane::Normal, NOW)
        ),
        (Ok(()), Ok(()))
    );
    let end = NOW.after(Duration::from_secs(20));
    assert_eq!(
        window.take(Lane::Normal, end),
        Err(end.after(SOON)),
        "both are under way, and nobody knows until when"
    );
    window.spend(end);
    let again = end.after(MINUTE).after(TICK);
    assert_eq!(window.take(Lane::Normal, end), Err(again));
    window.give_back();
    assert_eq!(
        window.take(Lane::Normal, end),
        Ok(()),
        "the server never heard of the other one"
    );
    window.spend(end);
    assert_eq!(
        drain(&mut window, Lane::Normal, end.after(MINUTE)),
        (0, again),
        "the whole span, both ends included"
    );
    assert_eq!(drain(&mut window, Lane::Normal, again).0, 2);
}

#[test]
fn the_urgent_lane_finds_its_share_however_many_normal_mails_there_are() {
    for (limit, normal) in [(1, 1), (3, 3), (4, 3), (8, 7), (30, 27), (300, 263)] {
        let mut window = window(limit, MINUTE);
        assert_eq!(
            window.room(NOW),
            Room {
                all: limit,
                normal,
                more_at: None
            }
        );
        assert_eq!(drain(&mut window, Lane::Normal, NOW).0, normal, "{limit}");
        let again = NOW.after(MINUTE).after(TICK);
        assert_eq!(
            window.room(NOW),
            Room {
                all: limit - normal,
                normal: 0,
                more_at: Some(again)
            }
        );
        assert_eq!(
            drain(&mut window, Lane::Urgent, NOW).0,
            limit - normal,
            "{limit}"
        );
        assert_eq!(window.take(Lane::Urgent, NOW), Err(again));
    }
}

#[test]
fn what_was_sent_before_a_restart_counts_and_more_than_allowed_does_no_harm() {
    let hour = Duration::from_hours(1);
    let earlier = [(NOW.before(hour), 300), (NOW.before(MINUTE), 400)];
    let mut window = SlidingWindow::new(
        RateLimit {
            mails: 500,
            per: Duration::from_hours(24),
        },
        earlier,
    );
    assert_eq!(window.room(NOW).all, 0);
    let again = NOW.before(hour).after(Duration::from_hours(24)).after(TICK);
    assert_eq!(window.take(Lane::Normal, NOW), Err(again));
    assert_eq!(window.room(again).all, 100);
}

#[test]
fn a_clock_that_was_set_back_costs_one_span_at_most() {
    let mut window = window(1, MINUTE);
    assert_eq!(drain(&mut window, Lane::Normal, NOW).0, 1);
    let earlier = NOW.before(Duration::from_secs(500));
    assert_eq!(
        window.take(Lane::Normal, earlier),
        Err(earlier.after(MINUTE).after(TICK))
    );
    assert_eq!(
        window.take(Lane::Normal, earlier.after(MINUTE).after(TICK)),
        Ok(())
    );
}

#[test]
fn a_limit_by_the_hour_is_a_quota_and_one_by_the_minute_a_pace() {
    assert!(window(1, Duration::from_secs(1)).is_short() && window(1, MINUTE).is_short());
    assert!(
        !window(1, Duration::from_hours(1)).is_short()
            && !window(1, Duration::from_hours(24)).is_short()
    );
}

#[derive(Debug, Clone)]
enum Act {
    Wait(u64),
    Take(Lane),
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
        6 => lane.prop_map(Act::Take),
        4 => (any::<usize>(), prop::bool::weighted(0.9), 0.0..=1.0).prop_map(|(which, counted, at)| Act::End { which, counted, at }),
        1 => Just(Act::Restart),
    ]
}

/// As the store does: all that ended within the same stretch of time as one, with the latest end.
fn keep(kept: &mut Vec<(Timestamp, u32)>, now: Timestamp) {
    match kept.last_mut() {
        Some((last, mails)) if last.as_millis() / 3_000 == now.as_millis() / 3_000 => {
            (*last, *mails) = (now, *mails + 1);
        }
        _ => kept.push((now, 1)),
    }
}

proptest! {
    /// Wherever between the beginning and the end of a mail the server counts it, no span of the
    /// limit's length holds more than allowed.
    #[test]
    fn no_span_ever_holds_more_than_the_limit(mails in 1u32..12, acts in prop::collection::vec(act(), 1..400)) {
        let limit = RateLimit { mails, per: Duration::from_secs(10) };
        let (mut window, mut now) = (SlidingWindow::new(limit, []), NOW);
        let (mut under_way, mut counted, mut kept) = (Vec::new(), Vec::new(), Vec::<(Timestamp, u32)>::new());
        for act in acts {
            match act {
                Act::Wait(millis) => now = now.after(Duration::from_millis(millis)),
                Act::Take(lane) => match window.take(lane, now) {
                    Ok(()) => under_way.push(now),
                    Err(again) => prop_assert!(again > now, "whoever asks again at once would never sleep"),
                },
                Act::End { which, counted: true, at } if !under_way.is_empty() => {
                    let begun = under_way.swap_remove(which % under_way.len());
                    counted.push(begun.after(now.since(begun).mul_f64(at)));
                    window.spend(now);
                    keep(&mut kept, now);
                }
                Act::End { which, .. } => if !under_way.is_empty() {
                    under_way.swap_remove(which % under_way.len());
                    window.give_back();
                },
                // What was under way may have been counted at any moment up to now.
                Act::Restart => {
                    for begun in under_way.drain(..) {
                        counted.push(begun);
                        keep(&mut kept, now);
                    }
                    window = SlidingWindow::new(limit, kept.iter().copied());
                }
            }
        }
        counted.sort_unstable();
        for span in counted.windows(mails as usize + 1) {
            prop_assert!(span[mails as usize].since(span[0]) > limit.per, "{span:?}");
        }
    }

    /// A queue that never runs dry gets nearly all that the limit allows.
    #[test]
    fn the_limit_is_used(mails in 1u32..40, pause in 1u64..2_000) {
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
