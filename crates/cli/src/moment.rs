//! Times as people write them.

use kapelle::{
    core::DurationMs,
    engine::{Clock, SystemClock},
};

/// Reads a time back from now, such as `7d`, a date, or a time as RFC 3339 has it.
///
/// # Errors
/// A message with the accepted forms.
pub fn parse(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is neither a time back, such as 7d, nor a date, such as 2026-12-01");
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        return Ok(format!("{date}T00:00:00Z"));
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.to_string());
    }
    let back = DurationMs::parse(text).map_err(|_| wrong())?;
    let now = SystemClock::default().now().0;
    let at = i64::try_from(back.0).ok().and_then(|back| jiff::Timestamp::from_millisecond(now - back).ok());
    at.map(|at| at.to_string()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_spans_are_read() {
        assert_eq!(parse("2026-12-01").unwrap(), "2026-12-01T00:00:00Z");
        assert_eq!(parse("2026-12-01T10:00:00Z").unwrap(), "2026-12-01T10:00:00Z");
        assert!(parse("7d").unwrap().ends_with('Z'));
        assert!(parse("soon").unwrap_err().contains("such as 7d"));
    }
}
