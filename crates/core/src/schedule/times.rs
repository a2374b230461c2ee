//! Schedules: after a span, or at the times of a `cron` line.
//!
//! The line has five fields (minute, hour, day of the month, month, day of the week) of numbers, names, `*`, lists,
//! ranges and steps, six with a field for seconds in front, or is one of `@hourly`, `@daily`, `@weekly`, `@monthly`,
//! `@yearly`. When both days are given, a match of one is enough, as in `cron`. The clock here has no zones, so every
//! time comes exactly once.

use std::{fmt, ops::RangeInclusive};

use crate::time::{DurationMs, Timestamp};

/// Names of months and days, each in the order of their numbers.
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const SECOND_MS: i64 = 1_000;
const DAY_SECONDS: i64 = 24 * 60 * 60;
const DAY_MS: i64 = DAY_SECONDS * SECOND_MS;
/// Longest distance to a 29th of February, in days.
const DAYS_MAX: i64 = 8 * 366 + 1;
/// Shortest span; a shorter one would be a busy loop.
const SHORTEST: DurationMs = DurationMs(1_000);

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// A span after the last due time.
    Every(DurationMs),
    /// At these times.
    At(Times),
}

/// Times of a `cron` line, as sets of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether both days are given, so that a match of one is enough.
    either: bool,
    /// Whether the hour is given, so that the line names times of the day and not a beat.
    of_day: bool,
}

/// Error of a schedule that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleError(String);

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ScheduleError {}

impl ScheduleError {
    pub(super) fn new(what: String) -> ScheduleError {
        ScheduleError(what)
    }
}

impl Schedule {
    /// Reads `15m`, `every 15m`, `*/5 9-17 * * mon-fri` or `@daily`.
    ///
    /// # Errors
    /// [`ScheduleError`] with the faulty part.
    pub fn parse(text: &str) -> Result<Schedule, ScheduleError> {
        let text = text.trim();
        let words: Vec<&str> = text.split_whitespace().collect();
        let span = match words.as_slice() {
            [word] | ["every", word] if !word.starts_with('@') => *word,
            _ => return Times::parse(text, &words).map(Schedule::At),
        };
        match DurationMs::parse(span) {
            Ok(every) if every >= SHORTEST => Ok(Schedule::Every(every)),
            Ok(_) => Err(ScheduleError(format!("`{text}` is less than a second"))),
            Err(_) => Err(ScheduleError(format!("`{}` is not a schedule", shown(text)))),
        }
    }

    /// Returns the first due time after that one.
    #[must_use]
    pub fn after(&self, last: Timestamp) -> Timestamp {
        match self {
            Schedule::Every(every) => last + *every,
            Schedule::At(times) => times.after(last).unwrap_or(Timestamp(i64::MAX)),
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

impl Times {
    fn parse(text: &str, words: &[&str]) -> Result<Times, ScheduleError> {
        let fields: Vec<&str> = match words {
            ["@hourly"] => "0 * * * *".split(' ').collect(),
            ["@daily" | "@midnight"] => "0 0 * * *".split(' ').collect(),
            ["@weekly"] => "0 0 * * 0".split(' ').collect(),
            ["@monthly"] => "0 0 1 * *".split(' ').collect(),
            ["@yearly" | "@annually"] => "0 0 1 1 *".split(' ').collect(),
            words => words.to_vec(),
        };
        let (second, fields) = match fields.as_slice() {
            [second, fields @ ..] if fields.len() == 5 => (*second, fields),
            fields => ("0", fields),
        };
        let [minute, hour, day, month, weekday] = fields else {
            return Err(ScheduleError(format!("`{}` is not a schedule", shown(text))));
        };
        let weekdays = field("day of the week", weekday, 0..=7, &DAYS)?;
        let times = Times {
            seconds: field("second", second, 0..=59, &[])?,
            minutes: field("minute", minute, 0..=59, &[])?,
            hours: field("hour", hour, 0..=23, &[])?,
            days: field("day of the month", day, 1..=31, &[])?,
            months: field("month", month, 1..=12, &MONTHS)?,
            // Sunday is 0 and 7.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either: !day.starts_with('*') && !weekday.starts_with('*'),
            of_day: !hour.starts_with('*'),
        };
        match times.after(Timestamp(0)) {
            Some(_) => Ok(times),
            None => Err(ScheduleError(format!("`{}` never comes", shown(text)))),
        }
    }

    /// Returns the first time after that one on a clock without zones; `None` at the end of time.
    #[must_use]
    pub fn after(&self, last: Timestamp) -> Option<Timestamp> {
        let from = last.0.div_euclid(SECOND_MS).checked_add(1)?;
        let (first, mut at) = (from.div_euclid(DAY_SECONDS), from.rem_euclid(DAY_SECONDS));
        for day in first..first.checked_add(DAYS_MAX)? {
            if self.has_day(day)
                && let Some(second) = self.in_day(at)
            {
                return day.checked_mul(DAY_MS)?.checked_add(second * SECOND_MS).map(Timestamp);
            }
            at = 0;
        }
        None
    }

    /// Tells whether the line names times of the day (`30 2 * * *`) and not a beat (`*/5 * * * *`).
    #[must_use]
    pub fn is_of_day(&self) -> bool {
        self.of_day
    }

    /// Returns the first second of a day that matches, from `at` on.
    fn in_day(&self, at: i64) -> Option<i64> {
        let (hour, minute, second) = (at / 3_600, at / 60 % 60, at % 60);
        let in_minute = |hour: i64, minute: i64, from: i64| {
            next(self.seconds, from).filter(|second| *second < 60).map(|second| (hour * 60 + minute) * 60 + second)
        };
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(found) = in_minute(hour, minute, second)
            {
                return Some(found);
            }
            if let Some(minute) = next(self.minutes, minute + 1) {
                return in_minute(hour, minute, 0);
            }
        }
        in_minute(next(self.hours, hour + 1)?, next(self.minutes, 0)?, 0)
    }

    /// Tells whether a day, counted from 1970-01-01, matches.
    fn has_day(&self, day: i64) -> bool {
        let (month, of_month) = civil(day);
        // The first of January 1970 was a Thursday.
        let weekday = has(self.weekdays, (day + 4).rem_euclid(7));
        let of_month = has(self.days, of_month);
        has(self.months, month) && if self.either { of_month || weekday } else { of_month && weekday }
    }
}

fn has(set: u64, number: i64) -> bool {
    (0..64).contains(&number) && set >> number & 1 == 1
}

/// Returns the first number of a set from `from` on.
fn next(set: u64, from: i64) -> Option<i64> {
    let rest = u32::try_from(from).ok().and_then(|from| u64::MAX.checked_shl(from)).unwrap_or(0) & set;
    (rest != 0).then(|| i64::from(rest.trailing_zeros()))
}

/// Returns month and day of the month of a day counted from 1970-01-01, after Howard Hinnant's `civil_from_days`.
fn civil(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    (if month < 10 { month + 3 } else { month - 9 }, of_year - (153 * month + 2) / 5 + 1)
}

/// Reads the numbers of one field.
fn field(name: &str, text: &str, range: RangeInclusive<u64>, names: &[&str]) -> Result<u64, ScheduleError> {
    let wrong = |part: &str| {
        let (first, last) = (range.start(), range.end());
        ScheduleError(format!(
            "`{}` is not a {name}; expected {first} to {last}, `*`, lists, ranges or steps",
            shown(part)
        ))
    };
    let number = |word: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(word));
        let named = named.map(|at| at as u64 + u64::from(*range.start() == 1));
        named.or_else(|| word.parse().ok()).filter(|number| range.contains(number))
    };
    let mut set = 0;
    for part in text.split(',') {
        let (whole, step) = part.split_once('/').map_or((part, Some(1)), |(whole, step)| (whole, step.parse().ok()));
        let step = step.filter(|step: &u64| (1..=60).contains(step)).ok_or_else(|| wrong(part))?;
        let (first, last) = match whole.split_once('-') {
            None if whole == "*" => (*range.start(), *range.end()),
            // As in `5/15`: from that number on.
            None if part.contains('/') => (number(whole).ok_or_else(|| wrong(part))?, *range.end()),
            None => (number(whole).ok_or_else(|| wrong(part))?, number(whole).ok_or_else(|| wrong(part))?),
            Some((first, last)) => {
                (number(first).ok_or_else(|| wrong(part))?, number(last).ok_or_else(|| wrong(part))?)
            }
        };
        if first > last {
            return Err(wrong(part));
        }
        for at in (first..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
            set |= 1 << at;
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21 19:46:23.500, a Saturday.
    const NOW: i64 = 1_795_290_383_500;

    fn next(text: &str, from: i64) -> i64 {
        Schedule::parse(text).unwrap().after(Timestamp(from)).0
    }

    const MINUTE_MS: i64 = 60_000;

    /// Returns minutes since the last full one.
    fn minutes(text: &str) -> i64 {
        (next(text, NOW) - NOW.div_euclid(MINUTE_MS) * MINUTE_MS) / MINUTE_MS
    }

    #[test]
    fn spans_and_lines_are_read() {
        assert_eq!(next("15m", 5), 15 * MINUTE_MS + 5);
        assert_eq!(Schedule::parse("every 2h"), Schedule::parse(" 2h "));
        for (line, wanted) in [
            ("* * * * *", 1),
            ("*/5 * * * *", 4),
            ("47 19 * * *", 1),
            ("46 19 * * *", 24 * 60),
            ("0 20 * * *", 14),
            ("@hourly", 14),
            ("@daily", 4 * 60 + 14),
            ("0 0 * * sun", 4 * 60 + 14),
            ("0 0 * * 7", 4 * 60 + 14),
            ("0 0 * * MON-FRI", 28 * 60 + 14),
            ("5/20 19,20 * * 6", 19),
            ("0 0 1 dec *", (9 * 24 + 4) * 60 + 14),
            // A match of one day is enough; with a star in one, both must match.
            ("0 0 25 * mon", 28 * 60 + 14),
            ("0 0 25 * *", (3 * 24 + 4) * 60 + 14),
        ] {
            assert_eq!(minutes(line), wanted, "{line}");
        }
        // Six fields begin with the seconds.
        assert_eq!(next("*/10 * * * * *", NOW), NOW + 6_500);
        assert_eq!(next("5,24 46 19 * * *", NOW), NOW + 500);
        assert_eq!(next("5 46 19 * * *", NOW), NOW - 18_500 + DAY_MS);
        // 2028-02-29.
        assert_eq!(next("0 0 29 2 *", NOW), 1_835_395_200_000);
        assert_eq!(next("0 0 29 2 *", 951_782_400_000 - 1), 951_782_400_000, "2000 was a leap year");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("soon", "`soon` is not a schedule"),
            ("", "is not a schedule"),
            ("5ms", "less than a second"),
            ("* * * *", "is not a schedule"),
            ("60 * * * *", "`60` is not a minute; expected 0 to 59"),
            ("* * 0 * *", "is not a day of the month"),
            ("* * * foo *", "`foo` is not a month"),
            ("*/0 * * * *", "`*/0` is not a minute"),
            ("9-5 * * * *", "`9-5` is not a minute"),
            ("0 0 31 2 *", "never comes"),
            ("61 * * * * *", "`61` is not a second; expected 0 to 59"),
            ("@sometimes", "is not a schedule"),
        ] {
            let error = Schedule::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        for text in
            ["-", "1-", "-1 * * * *", "1,,2 * * * *", "999999999999999999999 * * * *", "* * * * 1/", "é * * * *"]
        {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_time_fits_its_line_and_lies_behind_the_one_before() {
        let line = Schedule::parse("*/7 3-21/3 1-28 * *").unwrap();
        let mut at = Timestamp(NOW);
        for _ in 0..2_000 {
            let next = line.after(at);
            let of_day = next.0.rem_euclid(DAY_MS) / MINUTE_MS;
            assert!(next > at && next.0 % MINUTE_MS == 0);
            assert!(of_day % 60 % 7 == 0 && of_day / 60 % 3 == 0 && (3..=21).contains(&(of_day / 60)));
            at = next;
        }
        assert_eq!(line.after(Timestamp(i64::MAX)), Timestamp(i64::MAX));
        assert!(line.after(Timestamp(i64::MIN)) > Timestamp(i64::MIN));
    }
}
