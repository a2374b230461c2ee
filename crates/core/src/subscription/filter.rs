//! The events that a subscription wants: names with an ending wildcard, and a condition over the event.

use std::sync::Arc;

use serde_json::Value;

use super::event_kind::EventKind;
use crate::{
    expr::{Context, Expression, Shared},
    yaml::nearest,
};

/// Most patterns of one subscription.
pub const PATTERNS_MAX: usize = 32;

/// Error of a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A pattern that no event has.
    #[error("types: `{0}` is unknown{1}; `kapelle subscriptions types` lists the types of events")]
    Unknown(String, String),
    /// Too many patterns.
    #[error("types: {0} patterns; expected 1 to {PATTERNS_MAX}")]
    Count(usize),
    /// A condition that cannot be read, or that asks for something unknown.
    #[error("if: {0}")]
    Condition(String),
}

/// A filter that was read.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Set of wanted kinds.
    kinds: u64,
    condition: Option<Expression>,
}

impl Filter {
    /// Reads patterns such as `kapelle.run.failed` and `kapelle.task.*`, and a condition over `event`.
    ///
    /// # Errors
    /// A pattern without an event, or an invalid condition.
    pub fn parse(patterns: &[Arc<str>], condition: Option<&str>) -> Result<Filter, FilterError> {
        if !(1..=PATTERNS_MAX).contains(&patterns.len()) {
            return Err(FilterError::Count(patterns.len()));
        }
        let mut kinds = 0;
        for pattern in patterns {
            let fits = |kind: &&EventKind| match pattern.strip_suffix('*') {
                Some(beginning) => kind.as_str().starts_with(beginning),
                None => kind.as_str() == &**pattern,
            };
            let found = EventKind::ALL.iter().filter(fits).fold(0, |set, kind| set | kind.bit());
            if found == 0 {
                let near = nearest(pattern, EventKind::ALL.iter().map(|kind| kind.as_str()));
                let near = near.map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
                return Err(FilterError::Unknown(pattern.chars().take(60).collect(), near));
            }
            kinds |= found;
        }
        let condition = condition.map(condition_of).transpose()?;
        Ok(Filter { kinds, condition })
    }

    /// Tells whether the kind is wanted, whatever the event says.
    #[must_use]
    pub fn wants(&self, kind: EventKind) -> bool {
        self.kinds & kind.bit() != 0
    }

    /// Tells whether the event fits the condition. A condition that fails on an event does not keep it back: an event too
    /// many is better than one that is silently lost.
    #[must_use]
    pub fn fits(&self, event: &Value) -> bool {
        let Some(condition) = &self.condition else { return true };
        condition.eval_bool(&Context::new().with("event", Shared::from_json(event))).unwrap_or(true)
    }
}

fn condition_of(source: &str) -> Result<Expression, FilterError> {
    let compiled = Expression::compile(source).map_err(|error| FilterError::Condition(error.to_string()))?;
    let known = ["type", "subject", "time", "data", "id", "source"];
    for path in compiled.references() {
        let text = path.to_string();
        let mut parts = text.split(['.', '[']);
        let fits = parts.next() == Some("event") && parts.next().is_some_and(|part| known.contains(&part));
        if !fits {
            let message = format!("`{text}` is unknown; expected event.type, event.subject, event.time or event.data");
            return Err(FilterError::Condition(message));
        }
    }
    Ok(compiled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter(patterns: &[&str], condition: Option<&str>) -> Result<Filter, FilterError> {
        let patterns: Vec<Arc<str>> = patterns.iter().map(|pattern| Arc::from(*pattern)).collect();
        Filter::parse(&patterns, condition)
    }

    #[test]
    fn patterns_name_kinds() {
        let some = filter(&["kapelle.run.*", "kapelle.task.failed"], None).unwrap();
        let wanted: Vec<_> =
            EventKind::ALL.iter().filter(|kind| some.wants(**kind)).map(|kind| kind.as_str()).collect();
        let expected = [
            "kapelle.task.failed",
            "kapelle.run.succeeded",
            "kapelle.run.failed",
            "kapelle.run.cancelled",
            "kapelle.run.parked",
        ];
        assert_eq!(wanted, expected);
        let all = filter(&["*"], None).unwrap();
        assert!(EventKind::ALL.iter().all(|kind| all.wants(*kind)));
        let error = filter(&["kapelle.run.failled"], None).unwrap_err().to_string();
        assert!(error.contains("did you mean `kapelle.run.failed`?"), "{error}");
        assert!(matches!(filter(&[], None), Err(FilterError::Count(0))));
    }

    #[test]
    fn a_condition_sees_the_event_and_fails_open() {
        let slow = filter(&["*"], Some("event.data.worker == 'ocr'")).unwrap();
        assert!(slow.fits(&json!({ "data": { "worker": "ocr" } })));
        assert!(!slow.fits(&json!({ "data": { "worker": "log" } })));
        let odd = filter(&["*"], Some("event.data.worker + 1 > 2")).unwrap();
        assert!(odd.fits(&json!({ "data": { "worker": "log" } })), "an error of the condition loses no event");
        for wrong in ["inputs.a == 1", "event ==", "event.color == 1"] {
            assert!(matches!(filter(&["*"], Some(wrong)), Err(FilterError::Condition(_))), "{wrong}");
        }
    }
}
