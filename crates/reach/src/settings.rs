//! Readers of values of `settings:`, whose shapes the table has checked already.

use std::time::Duration;

use kapelle_core::DurationMs;
use serde_json::Value;

/// Reads a duration such as `10s`.
pub(crate) fn duration(settings: &Value, field: &str, default: Duration) -> Duration {
    let written = settings[field].as_str().and_then(|text| DurationMs::parse(text).ok());
    written.map_or(default, |duration| Duration::from_millis(duration.0))
}

/// Reads a whole number.
pub(crate) fn number(settings: &Value, field: &str, default: usize) -> usize {
    settings[field].as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or(default)
}

/// Reads a flag that is off by default.
pub(crate) fn flag(settings: &Value, field: &str) -> bool {
    settings[field].as_bool().unwrap_or(false)
}

/// Reads a text.
pub(crate) fn text<'a>(settings: &'a Value, field: &str) -> Option<&'a str> {
    settings[field].as_str().filter(|text| !text.is_empty())
}

/// Reads a list of texts.
pub(crate) fn texts<'a>(settings: &'a Value, field: &str) -> Vec<&'a str> {
    settings[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}
