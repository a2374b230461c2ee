//! The paths of requests.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// The last part of the path of an answer.
pub(crate) fn verb(approved: bool) -> &'static str {
    if approved { "/approve" } else { "/deny" }
}

/// A body without fields.
#[derive(Serialize)]
pub(crate) struct Nothing {}

/// The query for all that is known.
#[derive(Serialize)]
pub(crate) struct Details {
    details: bool,
}

/// Asks for details.
pub(crate) const DETAILS: Details = Details { details: true };

/// A path with its query.
#[derive(Debug, Default)]
pub(crate) struct Path(String);

impl std::ops::Deref for Path {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Path {
    /// Adds a part unchanged.
    pub(crate) fn of(mut self, part: &str) -> Path {
        self.0.push_str(part);
        self
    }

    /// Adds a segment that comes from outside, escaped.
    pub(crate) fn at(mut self, segment: &str) -> Path {
        self.0.push('/');
        encode(&mut self.0, segment);
        self
    }

    /// Adds a number to the query, unless it is 0.
    pub(crate) fn with(mut self, name: &str, number: u64) -> Path {
        if number > 0 {
            let mark = self.mark();
            let _ = write!(self.0, "{mark}{name}={number}");
        }
        self
    }

    /// Adds the fields of a filter that are set.
    pub(crate) fn query(mut self, filter: &impl Serialize) -> Path {
        let Ok(Value::Object(fields)) = serde_json::to_value(filter) else { return self };
        for (name, value) in fields {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                other => other.to_string(),
            };
            let mark = self.mark();
            let _ = write!(self.0, "{mark}{name}=");
            encode(&mut self.0, &text);
        }
        self
    }

    fn mark(&self) -> char {
        if self.0.contains('?') { '&' } else { '?' }
    }
}

fn encode(path: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TaskQuery;

    #[test]
    fn paths_are_put_together_and_what_comes_from_outside_is_encoded() {
        let path = Path::default().of("/api/v1/tasks").at("a/b c").of("/cancel").with("wait_ms", 5).with("x", 0);
        assert_eq!(&*path, "/api/v1/tasks/a%2Fb%20c/cancel?wait_ms=5");
        let query = TaskQuery { state: Some("ready".to_owned()), steps: Some(true), ..TaskQuery::default() };
        assert_eq!(&*Path::default().of("/t").query(&query), "/t?state=ready&steps=true");
    }
}
