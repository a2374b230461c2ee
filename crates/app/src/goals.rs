//! Goals: what is measured, the target, and whether it is met.

use kapelle_core::{DurationMs, Name};
use serde_json::{Value, json};

/// The collection of goals, and that of their last states.
pub(crate) const GOALS: &str = "goals";
pub(crate) const STATES: &str = "goal_states";
/// Goals of a tenant.
pub(crate) const GOALS_MAX: usize = 200;

/// A checked goal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    pub(crate) measure: Measure,
    /// The value is to be this at most, rather than at least.
    pub(crate) at_most: bool,
    pub(crate) target: f64,
    /// Time before which a value that is too small is no breach, in milliseconds since 1970.
    pub(crate) due: Option<i64>,
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Measure {
    /// Number of tasks that were submitted within a time.
    Tasks { worker: Option<String>, queue: Option<String>, state: Option<String>, window_ms: i64 },
    /// Number of runs that were started within a time.
    Runs { workflow: Option<String>, state: Option<String>, window_ms: i64 },
    /// Dollars spent on models within a time.
    Cost { worker: Option<String>, model: Option<String>, window_ms: i64 },
    /// A number in the output of a worker.
    Answer { worker: String, input: Value, field: String },
    /// The last value that was recorded by hand.
    Recorded,
}

/// The state of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Met,
    /// Not met yet, and not due yet.
    Pending,
    Breached,
    /// Its value cannot be measured.
    Unknown,
}

impl Standing {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Standing::Met => "met",
            Standing::Pending => "pending",
            Standing::Breached => "breached",
            Standing::Unknown => "unknown",
        }
    }
}

/// Returns the schema of a goal.
pub(crate) fn schema() -> Value {
    let text = json!({ "type": "string" });
    let window = json!({ "type": "string", "description": "The time before now, such as 1d (the default)" });
    let of = |fields: Value| json!({ "type": "object", "additionalProperties": false, "properties": fields });
    json!({
        "type": "object",
        "required": ["measure"],
        "additionalProperties": false,
        "description": "One of at_least and at_most",
        "properties": {
            "description": text,
            "measure": {
                "type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
                "properties": {
                    "tasks": of(json!({ "worker": text, "queue": text, "state": text, "within": window })),
                    "runs": of(json!({ "workflow": text, "state": text, "within": window })),
                    "cost": of(json!({ "worker": text, "model": text, "within": window })),
                    "answer": of(json!({ "worker": text, "input": {}, "field": text })),
                    "recorded": of(json!({})),
                },
            },
            "at_least": { "type": "number" },
            "at_most": { "type": "number" },
            "due": { "type": "string", "description": "RFC 3339: before it a value that is too small is no breach" },
        },
    })
}

impl Goal {
    /// Reads a goal.
    ///
    /// # Errors
    /// The field and what to write.
    pub(crate) fn read(value: &Value) -> Result<Goal, String> {
        let (at_most, target) = match (value["at_least"].as_f64(), value["at_most"].as_f64()) {
            (Some(target), None) => (false, target),
            (None, Some(target)) => (true, target),
            _ => return Err("goal: write exactly one of `at_least` and `at_most`".to_owned()),
        };
        let due = match value["due"].as_str() {
            Some(text) => Some(crate::audit_report::ms_of(text).ok_or_else(|| {
                let shown: String = text.chars().take(40).collect();
                format!("goal.due: `{shown}` is not a time; write one such as 2026-12-31T00:00:00Z")
            })?),
            None => None,
        };
        if at_most && due.is_some() {
            return Err("goal.due: a limit (`at_most`) counts at once; leave `due` out".to_owned());
        }
        Ok(Goal { measure: Measure::read(&value["measure"])?, at_most, target, due })
    }

    /// Judges a value.
    pub(crate) fn standing(&self, value: Option<f64>, now_ms: i64) -> Standing {
        match value {
            None => Standing::Unknown,
            Some(value) if self.at_most && value <= self.target || !self.at_most && value >= self.target => {
                Standing::Met
            }
            Some(_) if self.due.is_some_and(|due| now_ms < due) => Standing::Pending,
            Some(_) => Standing::Breached,
        }
    }

    /// Returns the share of the target that is reached, 0 to 1. `None` for a limit, and for a target of zero or less.
    pub(crate) fn progress(&self, value: f64) -> Option<f64> {
        (!self.at_most && self.target > 0.0).then(|| (value / self.target).clamp(0.0, 1.0))
    }

    /// Returns the target in words.
    pub(crate) fn wanted(&self) -> String {
        format!("{} {}", if self.at_most { "at most" } else { "at least" }, self.target)
    }
}

impl Measure {
    fn read(value: &Value) -> Result<Measure, String> {
        let Some((kind, given)) = value.as_object().and_then(|map| map.iter().next()) else {
            return Err("goal.measure: write one of tasks, runs, cost, answer and recorded".to_owned());
        };
        let text = |field: &str| given[field].as_str().map(str::to_owned);
        let named = |field: &str| match text(field) {
            Some(name) if Name::parse(&name).is_err() => {
                Err(format!("goal.measure.{kind}.{field}: `{name}` is not a name"))
            }
            name => Ok(name),
        };
        let window_ms = match given["within"].as_str().unwrap_or("1d").parse_window() {
            Some(ms) => ms,
            None => return Err(format!("goal.measure.{kind}.within: write a time such as 1d")),
        };
        Ok(match kind.as_str() {
            "tasks" => {
                Measure::Tasks { worker: named("worker")?, queue: named("queue")?, state: text("state"), window_ms }
            }
            "runs" => Measure::Runs { workflow: named("workflow")?, state: text("state"), window_ms },
            "cost" => Measure::Cost { worker: named("worker")?, model: text("model"), window_ms },
            "answer" => {
                let worker = named("worker")?.ok_or("goal.measure.answer.worker: name the worker that measures")?;
                let field = text("field").ok_or("goal.measure.answer.field: name the number of its output")?;
                let input = if given["input"].is_null() { json!({}) } else { given["input"].clone() };
                Measure::Answer { worker, input, field }
            }
            _ => Measure::Recorded,
        })
    }
}

trait Window {
    fn parse_window(&self) -> Option<i64>;
}

impl Window for str {
    fn parse_window(&self) -> Option<i64> {
        DurationMs::parse(self).ok().and_then(|time| i64::try_from(time.0).ok()).filter(|ms| *ms > 0)
    }
}

/// Finds a number in an output by a path such as `scores.total`.
pub(crate) fn number_at(output: &Value, field: &str) -> Option<f64> {
    field.split('.').try_fold(output, |value, part| value.get(part)).and_then(Value::as_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Goal {
        Goal::read(&value).unwrap()
    }

    #[test]
    fn goals_are_met_pending_or_breached() {
        let limit = read(json!({ "measure": { "cost": {} }, "at_most": 5 }));
        assert_eq!(limit.standing(Some(5.0), 0), Standing::Met);
        assert_eq!(limit.standing(Some(5.1), 0), Standing::Breached);
        assert_eq!((limit.standing(None, 0), limit.progress(1.0)), (Standing::Unknown, None));
        let count =
            read(json!({ "measure": { "runs": { "within": "7d" } }, "at_least": 10, "due": "1970-01-01T00:00:01Z" }));
        assert_eq!(count.standing(Some(4.0), 999), Standing::Pending);
        assert_eq!(count.standing(Some(4.0), 1_000), Standing::Breached);
        assert_eq!((count.standing(Some(10.0), 0), count.progress(4.0)), (Standing::Met, Some(0.4)));
        assert_eq!(number_at(&json!({ "a": { "b": 2 } }), "a.b"), Some(2.0));
        assert_eq!(number_at(&json!({ "a": "2" }), "a"), None);
    }

    #[test]
    fn a_wrong_goal_says_what_to_write() {
        for (goal, part) in [
            (json!({ "measure": { "cost": {} } }), "exactly one of"),
            (json!({ "measure": { "cost": {} }, "at_least": 1, "at_most": 2 }), "exactly one of"),
            (json!({ "measure": {}, "at_least": 1 }), "goal.measure: write one"),
            (json!({ "measure": { "tasks": { "within": "soon" } }, "at_least": 1 }), "goal.measure.tasks.within"),
            (json!({ "measure": { "tasks": { "worker": "a b" } }, "at_least": 1 }), "goal.measure.tasks.worker"),
            (json!({ "measure": { "answer": { "field": "x" } }, "at_least": 1 }), "name the worker"),
            (json!({ "measure": { "answer": { "worker": "w" } }, "at_least": 1 }), "name the number"),
            (json!({ "measure": { "recorded": {} }, "at_least": 1, "due": "soon" }), "goal.due: `soon`"),
            (json!({ "measure": { "cost": {} }, "at_most": 1, "due": "2026-12-31T00:00:00Z" }), "counts at once"),
        ] {
            let error = Goal::read(&goal).unwrap_err();
            assert!(error.contains(part), "{goal}: {error}");
        }
    }
}
