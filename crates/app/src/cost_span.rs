//! The time that a report of spending covers, in whole hours or days (UTC).

use jiff::{ToSpan, civil, tz::TimeZone};
use kapelle_core::Timestamp;
use kapelle_store::{HOURS_KEPT_DAYS, Span};

use crate::app_error::AppError;

/// Hours of a day.
const HOURS: i64 = 24;
/// The most periods of one report.
const PERIODS_MAX: usize = 1_000;

/// Lengths of the periods of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Per {
    Hour,
    Day,
    Month,
}

impl Per {
    /// Returns the word for the length.
    pub fn as_str(self) -> &'static str {
        match self {
            Per::Hour => "hour",
            Per::Day => "day",
            Per::Month => "month",
        }
    }

    /// Parses the word of a query.
    ///
    /// # Errors
    /// When it is none of the words.
    pub fn parse(word: &str) -> Result<Per, AppError> {
        [Per::Hour, Per::Day, Per::Month].into_iter().find(|per| per.as_str() == word).ok_or_else(|| {
            let word: String = word.chars().take(40).collect();
            let message =
                format!("`{word}` is not a length of time; expected hour, day or month; `by` divides by names");
            AppError::parameter("per", message)
        })
    }
}

/// The time that a report covers.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Covered {
    pub per: Option<Per>,
    /// Start; `None` for everything.
    pub from: Option<Timestamp>,
    /// End, exclusive; `None` for everything.
    pub to: Option<Timestamp>,
    /// Starts of the periods, earliest first.
    pub periods: Vec<Timestamp>,
    /// Kept sums to read: their length, the number of the first, and the number after the last.
    pub pieces: Vec<(Span, i64, i64)>,
}

impl Covered {
    /// Widens a time to whole periods, or to whole hours where it is not divided.
    ///
    /// # Errors
    /// When the time is empty, has too many periods, or begins before the hours that are kept.
    pub fn new(
        per: Option<Per>,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Covered, AppError> {
        if per.is_none() && from.is_none() && to.is_none() {
            let pieces = vec![(Span::Day, 0, Span::Day.of(now).saturating_add(2))];
            return Ok(Covered { pieces, ..Covered::default() });
        }
        let to = to.unwrap_or(now);
        let from = from.unwrap_or_else(|| usual(per, to));
        if from >= to {
            return Err(AppError::parameter("from", "it is not before `to`; expected an earlier time"));
        }
        match per {
            None => Ok(Covered::whole_hours(from, to, now)),
            Some(per) => Covered::periods(per, from, to, now),
        }
    }

    fn periods(per: Per, from: Timestamp, to: Timestamp, now: Timestamp) -> Result<Covered, AppError> {
        let mut periods = Vec::new();
        let mut start = start_of(per, from);
        while start < to {
            periods.push(start);
            start = after(per, start);
            if periods.len() > PERIODS_MAX {
                let message = format!("more than {PERIODS_MAX} periods; expected a later time, or a longer `per`");
                return Err(AppError::parameter("from", message));
            }
        }
        let (from, to) = (start_of(per, from), start);
        let span = if per == Per::Hour { Span::Hour } else { Span::Day };
        if span == Span::Hour && span.of(from) < first_hour(now) {
            let message = format!("hours are kept for {HOURS_KEPT_DAYS} days; expected a later time, or `per=day`");
            return Err(AppError::parameter("from", message));
        }
        let pieces = vec![(span, span.of(from), span.of(to))];
        Ok(Covered { per: Some(per), from: Some(from), to: Some(to), periods, pieces })
    }

    /// Reads whole days where it can, and hours at both ends.
    fn whole_hours(from: Timestamp, to: Timestamp, now: Timestamp) -> Covered {
        let kept = first_hour(now);
        let (mut from, mut to) = (Span::Hour.of(from), Span::Hour.of(Timestamp(to.0.saturating_sub(1))) + 1);
        if from < kept {
            from = from.div_euclid(HOURS) * HOURS;
        }
        if to < kept {
            to = (to + HOURS - 1).div_euclid(HOURS) * HOURS;
        }
        let (first, last) = ((from + HOURS - 1).div_euclid(HOURS), to.div_euclid(HOURS));
        let pieces = if first < last {
            let around = [(Span::Hour, from, first * HOURS), (Span::Day, first, last), (Span::Hour, last * HOURS, to)];
            around.into_iter().filter(|(_, from, to)| from < to).collect()
        } else {
            vec![(Span::Hour, from, to)]
        };
        let at = |hour: i64| Some(Timestamp(hour.saturating_mul(Span::Hour.ms())));
        Covered { per: None, from: at(from), to: at(to), periods: Vec::new(), pieces }
    }
}

/// Returns the first hour of the first day whose hours are all kept.
fn first_hour(now: Timestamp) -> i64 {
    (Span::Day.of(now) - HOURS_KEPT_DAYS + 1) * HOURS
}

/// Returns the start of a report that names none: a day of hours, 30 days, a year of months.
fn usual(per: Option<Per>, to: Timestamp) -> Timestamp {
    let before = match per {
        None => return Timestamp(0),
        Some(Per::Hour) => 23 * Span::Hour.ms(),
        Some(Per::Day) => 29 * Span::Day.ms(),
        Some(Per::Month) => {
            return date(to).first_of_month().checked_sub(11.months()).map_or(Timestamp(0), of_date);
        }
    };
    Timestamp(to.0.saturating_sub(before).max(0))
}

fn start_of(per: Per, at: Timestamp) -> Timestamp {
    match per {
        Per::Hour => Timestamp(Span::Hour.of(at).saturating_mul(Span::Hour.ms())),
        Per::Day => Timestamp(Span::Day.of(at).saturating_mul(Span::Day.ms())),
        Per::Month => of_date(date(at).first_of_month()),
    }
}

fn after(per: Per, start: Timestamp) -> Timestamp {
    match per {
        Per::Hour => Timestamp(start.0.saturating_add(Span::Hour.ms())),
        Per::Day => Timestamp(start.0.saturating_add(Span::Day.ms())),
        Per::Month => date(start).checked_add(1.month()).map_or(Timestamp(i64::MAX), of_date),
    }
}

fn date(at: Timestamp) -> civil::Date {
    let end = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(end).to_zoned(TimeZone::UTC).date()
}

fn of_date(date: civil::Date) -> Timestamp {
    let zoned = date.to_zoned(TimeZone::UTC);
    Timestamp(zoned.map_or(i64::MAX, |zoned| zoned.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn covered(per: Option<Per>, from: &str, to: &str) -> Result<Covered, AppError> {
        let time = |text: &str| (!text.is_empty()).then(|| at(text));
        Covered::new(per, time(from), time(to), at("2026-12-01T10:30:00Z"))
    }

    #[test]
    fn a_time_is_widened_to_whole_periods() {
        let days = covered(Some(Per::Day), "2026-11-29T23:00:00Z", "").unwrap();
        assert_eq!(days.periods, ["2026-11-29", "2026-11-30", "2026-12-01"].map(|day| at(&format!("{day}T00:00:00Z"))));
        assert_eq!((days.from, days.to), (Some(at("2026-11-29T00:00:00Z")), Some(at("2026-12-02T00:00:00Z"))));
        let months = covered(Some(Per::Month), "2025-11-30T12:00:00Z", "2026-01-01T00:00:01Z").unwrap();
        assert_eq!(months.periods, ["2025-11", "2025-12", "2026-01"].map(|month| at(&format!("{month}-01T00:00:00Z"))));
        assert_eq!(months.to, Some(at("2026-02-01T00:00:00Z")));
        assert_eq!(covered(Some(Per::Hour), "", "").unwrap().periods.len(), 24);
        assert_eq!(covered(Some(Per::Day), "", "").unwrap().periods.len(), 30);
        assert_eq!(covered(Some(Per::Month), "", "").unwrap().periods.len(), 12);
    }

    #[test]
    fn days_are_read_as_days_and_their_ends_as_hours() {
        let all = covered(None, "2026-11-28T22:10:00Z", "2026-12-01T01:10:00Z").unwrap();
        let (day, hour) = (Span::Day.of(at("2026-11-29T00:00:00Z")), Span::Hour.of(at("2026-11-28T22:00:00Z")));
        let expected = [(Span::Hour, hour, hour + 2), (Span::Day, day, day + 2), (Span::Hour, hour + 50, hour + 52)];
        assert_eq!(all.pieces, expected);
        let some = covered(None, "2026-12-01T09:59:00Z", "2026-12-01T10:00:00Z").unwrap();
        assert_eq!((some.pieces.len(), some.to), (1, Some(at("2026-12-01T10:00:00Z"))));
        let early = covered(None, "2025-01-05T09:59:00Z", "2025-01-05T10:00:00Z").unwrap();
        assert_eq!(early.pieces.iter().map(|piece| piece.0).collect::<Vec<_>>(), [Span::Day], "its hours are gone");
    }

    #[test]
    fn what_cannot_be_answered_is_refused_with_the_next_step() {
        let refused = |per, from, to| covered(per, from, to).unwrap_err().to_string();
        assert!(refused(None, "2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z").contains("not before"));
        assert!(refused(Some(Per::Hour), "2026-08-01T00:00:00Z", "2026-08-02T00:00:00Z").contains("per=day"));
        assert!(refused(Some(Per::Day), "2020-01-01T00:00:00Z", "").contains("1000 periods"));
        assert!(Per::parse("worker").unwrap_err().to_string().contains("`by` divides"));
    }
}
