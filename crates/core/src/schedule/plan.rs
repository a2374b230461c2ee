//! A line or span together with its zone.

use super::{
    times::{Schedule, ScheduleError},
    zone::Zone,
};
use crate::time::{DurationMs, Timestamp};

/// Times of one search that are counted. Beyond, the count is a lower bound.
pub const TIMES_MAX: usize = 10_000;
/// First distance of a search backwards; it doubles.
const BACK: DurationMs = DurationMs(60_000);

/// The times of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    times: Schedule,
    zone: Zone,
}

impl Plan {
    /// Reads a line of `cron` or a span, and the name of a zone.
    ///
    /// # Errors
    /// The faulty part.
    pub fn parse(text: &str, zone: &str) -> Result<Plan, ScheduleError> {
        Ok(Plan { times: Schedule::parse(text)?, zone: Zone::parse(zone)? })
    }

    /// Returns the zone.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Returns the first time after that one. A span counts from 1970, so `every 15m` comes on the quarters of an hour.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.times {
            Schedule::Every(every) => {
                let every = i64::try_from(every.0).ok().filter(|every| *every > 0)?;
                after.0.div_euclid(every).checked_add(1)?.checked_mul(every).map(Timestamp)
            }
            Schedule::At(times) => self.zone.after(times, after),
        }
    }

    /// Returns the times after `after`, earliest first.
    pub fn times(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next(after), |at| self.next(*at))
    }

    /// Counts the times after `after`, `until` included, at most [`TIMES_MAX`].
    #[must_use]
    pub fn count(&self, after: Timestamp, until: Timestamp) -> usize {
        self.times(after).take(TIMES_MAX).take_while(|at| *at <= until).count()
    }

    /// Returns the last `most` times after `after`, `until` included, earliest first.
    #[must_use]
    pub fn last(&self, after: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        if most == 0 || after >= until {
            return Vec::new();
        }
        let mut back = BACK;
        loop {
            let from = (until - back).max(after);
            let mut found: Vec<Timestamp> = self.times(from).take(TIMES_MAX).take_while(|at| *at <= until).collect();
            if from == after || found.len() >= most {
                found.drain(..found.len().saturating_sub(most));
                return found;
            }
            back = DurationMs(back.0.saturating_mul(2));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINES: [&str; 8] = [
        "30 2 * * *",
        "*/7 * * * *",
        "0,59 1-3 * * *",
        "15 30 2 * * sun",
        "@hourly",
        "0 0 1,29 * *",
        "*/20 */30 1,2 * * *",
        "every 11m",
    ];
    const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"];

    proptest! {
        #[test]
        fn times_rise_and_do_not_depend_on_where_the_search_begins(
            line in 0..LINES.len(), zone in 0..ZONES.len(), start in 1_700_000_000_i64..1_900_000_000, skip in 0_i64..200_000_000,
        ) {
            let plan = Plan::parse(LINES[line], ZONES[zone]).unwrap();
            let start = Timestamp(start * 1_000);
            let first = plan.next(start).unwrap();
            prop_assert!(first > start);
            // A search from any instant before a time and after the one before finds that time.
            let between = start.0 + skip.min(first.0 - start.0 - 1);
            prop_assert_eq!(plan.next(Timestamp(between)), Some(first));
            prop_assert_eq!(plan.next(Timestamp(first.0 - 1)), Some(first));
        }

        #[test]
        fn a_day_of_the_clock_has_a_daily_time_once(
            hour in 0_u32..24, minute in 0_u32..60, zone in 0..ZONES.len(), year in 2024_i16..2037,
        ) {
            let plan = Plan::parse(&format!("{minute} {hour} * * *"), ZONES[zone]).unwrap();
            let begin = jiff::civil::date(year, 1, 1).in_tz(ZONES[zone]).unwrap().timestamp().as_millisecond();
            let end = jiff::civil::date(year + 1, 1, 1).in_tz(ZONES[zone]).unwrap().timestamp().as_millisecond();
            let found: Vec<Timestamp> = plan.times(Timestamp(begin - 1)).take_while(|at| at.0 < end).collect();
            let days: Vec<String> = found.iter().map(|at| plan.zone().date(*at)).collect();
            let mut distinct = days.clone();
            distinct.dedup();
            prop_assert_eq!(&days, &distinct, "no day twice");
            let leap = usize::from(jiff::civil::date(year, 1, 1).in_leap_year());
            prop_assert_eq!(days.len(), 365 + leap, "and every day");
        }

        #[test]
        fn the_last_times_are_the_end_of_all(
            line in 0..LINES.len(), zone in 0..ZONES.len(), start in 1_700_000_000_i64..1_900_000_000,
            hours in 0_i64..80, most in 0_usize..40,
        ) {
            let plan = Plan::parse(LINES[line], ZONES[zone]).unwrap();
            let (after, until) = (Timestamp(start * 1_000), Timestamp((start + hours * 3_600) * 1_000));
            let all: Vec<Timestamp> = plan.times(after).take_while(|at| *at <= until).collect();
            prop_assert_eq!(plan.count(after, until), all.len());
            prop_assert_eq!(plan.last(after, until, most), &all[all.len().saturating_sub(most)..]);
        }
    }
}
