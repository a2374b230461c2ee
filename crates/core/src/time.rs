//! Instants and spans in milliseconds. The clock itself lives outside the core.

use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A span of milliseconds, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationMs(pub u64);

impl Timestamp {
    /// Returns the span since `earlier`; zero when the clock went backwards in between.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> DurationMs {
        DurationMs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Formats the time as RFC 3339, in UTC.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let bound = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(bound).to_string()
    }
}

impl Add<DurationMs> for Timestamp {
    type Output = Timestamp;

    fn add(self, span: DurationMs) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }
}

impl Sub<DurationMs> for Timestamp {
    type Output = Timestamp;

    fn sub(self, span: DurationMs) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }
}

/// Error of a duration such as `90s` that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write a number and a unit, such as 500ms, 2s, 5m, 1h or 7d")]
pub struct DurationError(pub String);

impl DurationMs {
    /// No time at all.
    pub const ZERO: DurationMs = DurationMs(0);

    /// Reads `500ms`, `2s`, `1.5h`, `1m30s`, `7d`.
    ///
    /// # Errors
    /// [`DurationError`] for any other text, including a bare number.
    pub fn parse(text: &str) -> Result<DurationMs, DurationError> {
        let bad = || DurationError(text.chars().take(40).collect());
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(bad());
        }
        let mut total = 0f64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
            let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let unit = match &rest[..letters] {
                "ms" => 1.0,
                "s" => 1e3,
                "m" => 60e3,
                "h" => 3600e3,
                "d" => 86_400e3,
                _ => return Err(bad()),
            };
            total += number * unit;
            rest = &rest[letters..];
        }
        // 292 million years fit an i64 of milliseconds; a century is already a mistake in the file.
        if total > 3.2e12 {
            return Err(bad());
        }
        Ok(DurationMs(total.round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, ms) in [("500ms", 500), ("2s", 2_000), ("1m30s", 90_000), ("1.5h", 5_400_000), ("7d", 604_800_000)] {
            assert_eq!(DurationMs::parse(text), Ok(DurationMs(ms)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_hint() {
        for text in ["", "5", "s", "5 s", "-5s", "5y", "1..5s", "99999999999d"] {
            let error = DurationMs::parse(text).unwrap_err();
            assert!(error.to_string().contains("write a number and a unit"), "{text}");
        }
    }

    #[test]
    fn a_clock_that_went_backwards_gives_zero() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), DurationMs::ZERO);
    }
}
