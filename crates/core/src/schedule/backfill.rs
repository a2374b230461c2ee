//! Past times that a backfill fires.

use super::plan::Plan;
use crate::time::Timestamp;

/// Times that one backfill fires.
pub const BACKFILL_MAX: usize = 100;

/// Returns the times of a schedule in a past range, both ends included, earliest first.
///
/// # Errors
/// The wrong end of the range: it has not passed, or has more than [`BACKFILL_MAX`] times.
pub fn past_times(
    plan: &Plan,
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<Vec<Timestamp>, &'static str> {
    if to > now {
        return Err("to: the range ends in the future; expected a time that has passed");
    }
    let times = plan.times(Timestamp(from.0.saturating_sub(1))).take_while(|at| *at <= to);
    let times: Vec<Timestamp> = times.take(BACKFILL_MAX + 1).collect();
    match times.len() > BACKFILL_MAX {
        true => Err("from: the range has more than 100 times; expected a shorter one"),
        false => Ok(times),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_its_ends_and_is_bounded() {
        const HOUR: i64 = 3_600_000;
        let plan = Plan::parse("@hourly", "UTC").unwrap();
        let past = |from: i64, to: i64| past_times(&plan, (Timestamp(from), Timestamp(to)), Timestamp(200 * HOUR));
        assert_eq!(past(HOUR, 3 * HOUR), Ok(vec![Timestamp(HOUR), Timestamp(2 * HOUR), Timestamp(3 * HOUR)]));
        assert_eq!(past(HOUR + 1, 2 * HOUR - 1), Ok(vec![]));
        assert_eq!(past(0, 99 * HOUR).map(|times| times.len()), Ok(100));
        for (from, to, wrong) in [(0, 100, "more than 100"), (0, 201, "in the future")] {
            assert!(past(from * HOUR, to * HOUR).unwrap_err().contains(wrong));
        }
    }
}
