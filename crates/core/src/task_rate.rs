//! Limit of the attempts that begin within a time, such as `60/minute`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::DurationMs;

/// The most attempts within the time of a rate.
const MOST: u32 = 10_000;
/// Units of time by name, in milliseconds.
const UNITS: [(&str, &str, u64); 4] =
    [("second", "s", 1_000), ("minute", "m", 60_000), ("hour", "h", 3_600_000), ("day", "d", 86_400_000)];

/// The most attempts of a worker that begin within a time, wherever they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskRate {
    /// Attempts that begin within the time, 1 to 10,000.
    pub tasks: u32,
    /// The time: a second to a day.
    pub per: DurationMs,
}

/// Error of a rate that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a rate; expected 1 to 10000 tasks and a time of a second to a day, such as 60/minute, 5/s or \
     100/15m"
)]
pub struct RateError(String);

impl TaskRate {
    /// The longest time of a rate.
    pub const LONGEST: DurationMs = DurationMs(86_400_000);

    /// Reads `60/minute`, `5/s` or `100/15m`.
    ///
    /// # Errors
    /// For any other text.
    pub fn parse(text: &str) -> Result<TaskRate, RateError> {
        let wrong = || RateError(text.chars().take(40).collect());
        let (tasks, per) = text.split_once('/').ok_or_else(wrong)?;
        let (tasks, per) = (tasks.trim().parse().map_err(|_| wrong())?, per.trim());
        let named = UNITS.iter().find(|(name, letter, _)| per == *name || per == *letter);
        let per = match named {
            Some((_, _, ms)) => DurationMs(*ms),
            None => DurationMs::parse(per).map_err(|_| wrong())?,
        };
        let fits = (1..=MOST).contains(&tasks) && (1_000..=TaskRate::LONGEST.0).contains(&per.0);
        if fits { Ok(TaskRate { tasks, per }) } else { Err(wrong()) }
    }
}

impl fmt::Display for TaskRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().rev().find(|(_, _, ms)| self.per.0.is_multiple_of(*ms)) {
            Some((name, _, ms)) if self.per.0 == *ms => write!(f, "{}/{name}", self.tasks),
            Some((_, letter, ms)) => write!(f, "{}/{}{letter}", self.tasks, self.per.0 / ms),
            None => write!(f, "{}/{}ms", self.tasks, self.per.0),
        }
    }
}

impl TryFrom<String> for TaskRate {
    type Error = RateError;

    fn try_from(text: String) -> Result<TaskRate, RateError> {
        TaskRate::parse(&text)
    }
}

impl From<TaskRate> for String {
    fn from(rate: TaskRate) -> String {
        rate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_people_write_them_and_are_shown_so() {
        for (text, tasks, ms, shown) in [
            ("60/minute", 60, 60_000, "60/minute"),
            ("5/s", 5, 1_000, "5/second"),
            (" 100 / 15m ", 100, 900_000, "100/15m"),
            ("1/1500ms", 1, 1_500, "1/1500ms"),
            ("10000/day", 10_000, 86_400_000, "10000/day"),
        ] {
            let rate = TaskRate::parse(text).unwrap();
            assert_eq!((rate.tasks, rate.per, rate.to_string().as_str()), (tasks, DurationMs(ms), shown), "{text}");
            assert_eq!(TaskRate::parse(&rate.to_string()), Ok(rate));
            assert_eq!(serde_json::from_value::<TaskRate>(serde_json::to_value(rate).unwrap()).unwrap(), rate);
        }
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        for text in ["", "60", "0/s", "-1/s", "10001/s", "5/", "5/week", "5/10ms", "5/2d", "5 per minute", "1.5/s"] {
            let error = TaskRate::parse(text).unwrap_err().to_string();
            assert!(error.contains("such as 60/minute"), "{text}: {error}");
        }
    }
}
