//! Times that have come: those that are fired now, and those that were missed.

use serde::{Deserialize, Serialize};

use super::{
    model::{CatchUp, ScheduleSpec},
    plan::{Plan, TIMES_MAX},
};
use crate::time::{DurationMs, Timestamp};

/// A time is fired as usual up to this late. Beyond, it was missed, and the rule of the schedule decides.
pub const GRACE: DurationMs = DurationMs(60_000);
/// Missed times that the rule `all` fires; earlier ones stay missed.
pub const FIRES_MAX: usize = 100;

/// Missed times that are not fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// Their number; a lower bound from [`TIMES_MAX`] on.
    pub count: u32,
}

/// Times of a schedule that have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Times to fire, earliest first.
    pub fires: Vec<Timestamp>,
    /// Times that are not fired.
    pub missed: Option<Missed>,
    /// First time that has not come.
    pub next: Option<Timestamp>,
}

/// Decides about the times from `next` to now. A clock that went back changes nothing: a time that was passed never
/// comes again.
#[must_use]
pub fn due(plan: &Plan, spec: &ScheduleSpec, next: Timestamp, now: Timestamp) -> Due {
    // Times up to here, with their delay, have come; up to `late`, they were missed.
    let come = |at: Timestamp, by: Timestamp| at + spec.jitter_of(at) <= by;
    let late = now - GRACE;
    if !come(next, now) {
        return Due { fires: Vec::new(), missed: None, next: Some(next) };
    }
    let before = Timestamp(next.0 - 1);
    // The delay of a time is at most `jitter`, so each time before this one has come.
    let sure = late - spec.jitter;
    let mut fires = match spec.catch_up {
        CatchUp::Skip => Vec::new(),
        CatchUp::One => plan.last(before, sure, 1),
        CatchUp::All => plan.last(before, sure, FIRES_MAX),
    };
    let mut missed = missed(plan, before, fires.first().map_or(sure, |first| Timestamp(first.0 - 1)));
    let mut at = plan.next(before.max(sure));
    while let Some(time) = at.filter(|time| come(*time, now)) {
        let in_time = !come(time, Timestamp(late.0 - 1));
        match spec.catch_up {
            CatchUp::Skip if !in_time => miss(&mut missed, time),
            CatchUp::One if !in_time => {
                fires.drain(..).for_each(|time| miss(&mut missed, time));
                fires.push(time);
            }
            _ => fires.push(time),
        }
        at = plan.next(time);
    }
    Due { fires, missed, next: at }
}

fn missed(plan: &Plan, before: Timestamp, until: Timestamp) -> Option<Missed> {
    let count = plan.count(before, until);
    let last = if count < TIMES_MAX { plan.last(before, until, 1).pop()? } else { until };
    Some(Missed { first: plan.next(before)?, last, count: u32::try_from(count).unwrap_or(u32::MAX) })
}

fn miss(missed: &mut Option<Missed>, time: Timestamp) {
    let so_far = missed.get_or_insert(Missed { first: time, last: time, count: 0 });
    so_far.last = time;
    so_far.count += 1;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;
    /// 2026-12-01T00:00:00Z.
    const DAY: i64 = 1_796_083_200_000;

    fn spec(line: &str, catch_up: CatchUp) -> ScheduleSpec {
        ScheduleSpec { cron: line.into(), catch_up, ..ScheduleSpec::example() }
    }

    fn decide(spec: &ScheduleSpec, next: i64, now: i64) -> Due {
        due(&spec.plan().unwrap(), spec, Timestamp(next), Timestamp(now))
    }

    fn hours(due: &Due) -> Vec<i64> {
        due.fires.iter().map(|at| (at.0 - DAY) / HOUR).collect()
    }

    #[test]
    fn a_server_that_was_down_for_six_hours_does_as_the_rule_says() {
        // From 00:30 to 06:30 nothing ran.
        let now = DAY + 6 * HOUR + HOUR / 2;
        for (rule, wanted, count) in
            [(CatchUp::Skip, vec![], 6), (CatchUp::One, vec![6], 5), (CatchUp::All, vec![1, 2, 3, 4, 5, 6], 0)]
        {
            let found = decide(&spec("@hourly", rule), DAY + HOUR, now);
            assert_eq!(hours(&found), wanted, "{rule:?}");
            assert_eq!(found.missed.map_or(0, |missed| missed.count), count, "{rule:?}");
            assert_eq!(found.next, Some(Timestamp(DAY + 7 * HOUR)));
        }
        // Back 20 s after a time: it is in time, whatever the rule.
        let found = decide(&spec("@hourly", CatchUp::Skip), DAY + HOUR, DAY + 6 * HOUR + 20_000);
        assert_eq!((hours(&found), found.missed.unwrap().count), (vec![6], 5));
    }

    #[test]
    fn a_long_time_of_every_second_is_not_counted_out() {
        let year = 366 * 24 * HOUR;
        let found = decide(&spec("* * * * * *", CatchUp::All), DAY, DAY + year);
        assert_eq!(found.fires.len(), FIRES_MAX + 60);
        assert_eq!(found.missed.unwrap().count as usize, TIMES_MAX);
        assert_eq!(found.next, Some(Timestamp(DAY + year + 1_000)));
    }

    #[test]
    fn a_clock_that_goes_back_fires_nothing_again() {
        let spec = spec("@hourly", CatchUp::All);
        let found = decide(&spec, DAY + HOUR, DAY + HOUR);
        let (next, back) = (found.next.unwrap().0, DAY - 5 * HOUR);
        assert_eq!((hours(&found), next), (vec![1], DAY + 2 * HOUR));
        assert_eq!(decide(&spec, next, back), Due { fires: vec![], missed: None, next: found.next });
        assert_eq!(hours(&decide(&spec, next, DAY + 2 * HOUR)), [2]);
    }

    #[test]
    fn a_delay_is_the_same_every_time_and_within_its_bound() {
        let spec = ScheduleSpec { jitter: DurationMs(30_000), seed: 7, ..spec("@hourly", CatchUp::Skip) };
        let delays: Vec<u64> = (0..200).map(|hour| spec.jitter_of(Timestamp(DAY + hour * HOUR)).0).collect();
        assert!(delays.iter().all(|delay| *delay <= 30_000) && delays.iter().any(|delay| *delay != delays[0]));
        let delay = spec.jitter_of(Timestamp(DAY)).0.cast_signed();
        assert!(decide(&spec, DAY, DAY + delay - 1).fires.is_empty());
        assert_eq!(decide(&spec, DAY, DAY + delay).fires, [Timestamp(DAY)]);
    }

    proptest! {
        /// However the clock moves, each time is fired or missed once, and none that has come is left.
        #[test]
        fn each_time_is_decided_once(
            steps in prop::collection::vec(-3 * HOUR..20 * HOUR, 1..12), rule in 0_usize..3, jitter in 0_u64..90_000,
            zone in 0_usize..3,
        ) {
            let zone = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"][zone];
            let spec = ScheduleSpec {
                zone: zone.into(), jitter: DurationMs(jitter), seed: 3,
                ..spec("*/20 1-4 * * *", [CatchUp::Skip, CatchUp::One, CatchUp::All][rule])
            };
            let plan = spec.plan().unwrap();
            // The days around the changes of March and November.
            for begin in [1_774_650_000_000_i64, 1_793_400_000_000] {
                let first = plan.next(Timestamp(begin)).unwrap();
                let (mut next, mut now, mut high, mut fired, mut missed) = (first, begin, begin, Vec::new(), 0);
                for step in &steps {
                    now += step;
                    high = high.max(now);
                    let found = due(&plan, &spec, next, Timestamp(now));
                    fired.extend(found.fires);
                    missed += found.missed.map_or(0, |missed| missed.count as usize);
                    next = found.next.unwrap();
                }
                let mut once = fired.clone();
                once.dedup();
                prop_assert_eq!(&once, &fired, "in order, none twice");
                prop_assert_eq!(plan.count(Timestamp(first.0 - 1), Timestamp(next.0 - 1)), fired.len() + missed);
                prop_assert!(next + spec.jitter_of(next) > Timestamp(high) || next.0 > high);
            }
        }
    }
}
