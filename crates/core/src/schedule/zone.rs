//! Time zones: the instants at which the times of a line come.

use std::{fmt, sync::LazyLock};

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::times::{ScheduleError, Times};
use crate::time::Timestamp;

/// Changes of the offset that are passed in search of one time. A line that comes once in 8 years needs 16.
const CHANGES_MAX: usize = 64;

/// The database that is part of the program, so that equal turns find equal times on every machine.
static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone, such as `Europe/Berlin`.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name()).finish()
    }
}

impl Zone {
    /// Universal time.
    pub const UTC: Zone = Zone(TimeZone::UTC);

    /// Finds a zone of the IANA database by its name.
    ///
    /// # Errors
    /// When the database has no zone of that name.
    pub fn parse(name: &str) -> Result<Zone, ScheduleError> {
        if name == "UTC" {
            return Ok(Zone::UTC);
        }
        DATABASE.get(name).map(Zone).map_err(|_| {
            let shown: String = name.chars().take(60).collect();
            ScheduleError::new(format!("`{shown}` is not a time zone; expected a name such as Europe/Berlin or UTC"))
        })
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Returns the date that clocks of the zone show, such as `2026-12-01`.
    #[must_use]
    pub fn date(&self, at: Timestamp) -> String {
        instant(at).to_zoned(self.0.clone()).date().to_string()
    }

    /// Returns an instant as clocks of the zone show it, with the offset, such as `2026-12-01T03:00:00+01:00`.
    #[must_use]
    pub fn shown(&self, at: Timestamp) -> String {
        let offset = self.0.to_offset(instant(at));
        instant(at).display_with_offset(offset).to_string()
    }

    /// Returns the first instant after `after` at which a time of the line comes.
    ///
    /// A line with an hour names times of the day. One that the clock skips comes at the moment after the gap, and one
    /// that the clock shows twice comes the first time only. A line without an hour is a beat and follows real time:
    /// nothing is added in a gap, and an hour that is shown twice has its beats twice.
    pub(super) fn after(&self, times: &Times, after: Timestamp) -> Option<Timestamp> {
        let mut offset = self.offset(after);
        let mut local = after.0.checked_add(offset)?;
        if times.is_of_day()
            && let Some(change) = self.0.preceding(instant(Timestamp(after.0.checked_add(1)?))).next()
        {
            // The search may begin among times that the clock shows for the second time.
            let at = change.timestamp().as_millisecond();
            local = local.max(at + self.offset(Timestamp(at - 1)) - 1);
        }
        let mut from = after;
        for _ in 0..CHANGES_MAX {
            let found = times.after(Timestamp(local))?.0.checked_sub(offset)?;
            let change = self.0.following(instant(from)).next().map(|change| change.timestamp().as_millisecond());
            let Some(change) = change.filter(|change| *change <= found) else { return Some(Timestamp(found)) };
            let next = self.offset(Timestamp(change));
            let (before, behind) = (change + offset, change + next);
            local = if next > offset {
                let skipped = times.after(Timestamp(before - 1)).is_some_and(|time| time.0 < behind);
                if times.is_of_day() && skipped {
                    return Some(Timestamp(change));
                }
                behind - 1
            } else if times.is_of_day() {
                before - 1
            } else {
                behind - 1
            };
            (from, offset) = (Timestamp(change), next);
        }
        None
    }

    /// Returns the offset of clocks at an instant, in milliseconds.
    fn offset(&self, at: Timestamp) -> i64 {
        i64::from(self.0.to_offset(instant(at)).seconds()) * 1_000
    }
}

/// Returns the nearest instant that the database knows: the years -9999 to 9999.
fn instant(at: Timestamp) -> jiff::Timestamp {
    let nearest = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(at.0).unwrap_or(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Plan;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    /// Returns the next times of a line after an instant, as the clocks of the zone show them.
    fn next(line: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let plan = Plan::parse(line, zone).unwrap();
        let mut at = at(after);
        let mut found = Vec::new();
        for _ in 0..count {
            at = plan.next(at).unwrap();
            found.push(plan.zone().shown(at));
        }
        found
    }

    #[test]
    fn a_time_that_is_skipped_comes_after_the_gap_and_one_that_comes_twice_counts_once() {
        for (zone, line, after, wanted) in [
            // Forward at 02:00 to 03:00, then an ordinary day.
            (
                "Europe/Berlin",
                "30 2 * * *",
                "2026-03-28T12:00:00Z",
                ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
            ),
            (
                "America/New_York",
                "30 2 * * *",
                "2026-03-07T12:00:00Z",
                ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"],
            ),
            // Half an hour, at 02:00 to 02:30.
            (
                "Australia/Lord_Howe",
                "15 2 * * *",
                "2026-10-03T00:00:00Z",
                ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
            ),
            // Back: the first of both.
            (
                "Europe/Berlin",
                "30 2 * * *",
                "2026-10-24T12:00:00Z",
                ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
            ),
            (
                "America/New_York",
                "30 1 * * *",
                "2026-10-31T12:00:00Z",
                ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
            ),
            (
                "Australia/Lord_Howe",
                "45 1 * * *",
                "2026-04-04T00:00:00Z",
                ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
            ),
            // A search that begins in the second pass does not find it again.
            (
                "Europe/Berlin",
                "30 2 * * *",
                "2026-10-25T01:10:00Z",
                ["2026-10-26T02:30:00+01:00", "2026-10-27T02:30:00+01:00"],
            ),
            // Several skipped times come once.
            (
                "Europe/Berlin",
                "0,20,40 2 * * *",
                "2026-03-28T12:00:00Z",
                ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"],
            ),
            // One that falls on the end of the gap is one with it.
            (
                "Europe/Berlin",
                "0 2,3 * * *",
                "2026-03-28T12:00:00Z",
                ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"],
            ),
            // Leap days.
            (
                "Europe/Berlin",
                "0 9 29 2 *",
                "2026-01-01T00:00:00Z",
                ["2028-02-29T09:00:00+01:00", "2032-02-29T09:00:00+01:00"],
            ),
            ("UTC", "0 9 29 2 *", "2096-03-01T00:00:00Z", ["2104-02-29T09:00:00+00:00", "2108-02-29T09:00:00+00:00"]),
        ] {
            assert_eq!(next(line, zone, after, 2), wanted, "{line} in {zone}");
        }
    }

    #[test]
    fn a_beat_follows_real_time() {
        let gap = next("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3);
        assert_eq!(gap, ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"]);
        let fold = next("*/30 * * * *", "America/New_York", "2026-11-01T05:15:00Z", 4);
        let wanted = [
            "2026-11-01T01:30:00-04:00",
            "2026-11-01T01:00:00-05:00",
            "2026-11-01T01:30:00-05:00",
            "2026-11-01T02:00:00-05:00",
        ];
        assert_eq!(fold, wanted);
    }

    #[test]
    fn zones_are_named() {
        assert_eq!(Zone::parse("America/New_York").unwrap().name(), "America/New_York");
        assert_eq!(Zone::parse("UTC").unwrap(), Zone::UTC);
        for wrong in ["Mars/Olympus", "", "../etc/passwd", "CEST", "+01:00"] {
            let error = Zone::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("is not a time zone; expected a name such as Europe/Berlin"), "{error}");
        }
        assert_eq!(Zone::parse("Asia/Tokyo").unwrap().date(at("2026-11-30T23:00:00Z")), "2026-12-01");
    }
}
