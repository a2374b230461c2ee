//! JSON Schema as workers use it: defaults filled in, then checked; nothing is ever fetched.

use kapelle_core::{Category, TaskError};
use serde_json::{Map, Value, json};

mod cost;
mod graph;
mod refs;

use graph::Graph;

/// The most violations that are reported.
const TOLD: usize = 5;
/// Looks up to which all violations are gathered before the first ones are reported: each of them may be one.
const GATHERED_MAX: u64 = 10_000;
/// The memory of a regular expression, compiled and while it is matched, in bytes.
const PATTERN_MAX: usize = 2 << 20;
const MATCHER_MAX: usize = 256 << 10;

/// A compiled schema.
pub struct Schema {
    source: Value,
    graph: Graph,
    validator: jsonschema::Validator,
}

impl Schema {
    /// Compiles a schema. Patterns run on a linear engine, so that no input can make them slow. A schema whose checks
    /// could take unbounded time is refused (`docs/guides/workers.md`, "Limits of schemas").
    ///
    /// # Errors
    /// A line for people when the schema is invalid, refers to another document or costs too much.
    pub fn compile(source: &Value) -> Result<Schema, String> {
        if !source.is_object() {
            return Err("a schema is an object such as { type: object, properties: { .. } }".to_owned());
        }
        let graph = Graph::of(source)?;
        let patterns = jsonschema::PatternOptions::regex().size_limit(PATTERN_MAX).dfa_size_limit(MATCHER_MAX);
        let validator = jsonschema::options()
            .with_pattern_options(patterns)
            .build(source)
            .map_err(|error| error.to_string().chars().take(300).collect::<String>())?;
        Ok(Schema { source: source.clone(), graph, validator })
    }

    /// Returns the schema as it was written.
    #[must_use]
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// Says whether checking a value takes microseconds: longer checks would hold up the thread's other requests.
    #[must_use]
    pub fn is_quick(&self, value: &Value) -> bool {
        cost::within(&self.graph, value, GATHERED_MAX).is_ok()
    }

    /// Returns the problems of a value, at most [`TOLD`] lines, each with its position. For a value that takes long to
    /// check only the first one; for one that would take too long, only that fact.
    #[must_use]
    pub fn violations(&self, value: &Value) -> Vec<String> {
        let Ok(looks) = cost::looks(&self.graph, value) else {
            let what =
                "checking it by the schema takes too many steps; give a smaller value, or a schema with fewer branches";
            return vec![format!("the whole: {what}")];
        };
        if self.validator.is_valid(value) {
            return Vec::new();
        }
        if looks <= GATHERED_MAX {
            return self.validator.iter_errors(value).take(TOLD).map(|error| line(&error)).collect();
        }
        if self.graph.branches() {
            return vec!["the whole: it does not fit the schema, and is too large to say where".to_owned()];
        }
        self.validator.validate(value).err().map(|error| line(&error)).into_iter().collect()
    }

    /// Returns the input with defaults filled in, when it fits.
    ///
    /// # Errors
    /// `invalid_input` with every violation.
    pub fn admit(&self, mut input: Value) -> Result<Value, TaskError> {
        fill_defaults(&self.source, &mut input, 0);
        let violations = self.violations(&input);
        if violations.is_empty() {
            return Ok(input);
        }
        Err(TaskError::new(Category::InvalidInput, format!("the input does not fit: {}", violations.join("; "))))
    }
}

/// Formats a violation with its position.
fn line(error: &jsonschema::ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let place = if path.is_empty() { "the whole".to_owned() } else { path };
    let text = error.to_string();
    // A long value would push out the actual problem.
    let text = if text.len() > 200 { error.masked().to_string().chars().take(200).collect() } else { text };
    format!("{place}: {text}")
}

/// Fills in `default` values where properties are absent, within objects that are present.
fn fill_defaults(schema: &Value, value: &mut Value, depth: usize) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    let Some(object) = value.as_object_mut() else { return };
    if depth > 16 {
        return;
    }
    for (name, property) in properties {
        match (object.get_mut(name), property.get("default")) {
            (Some(present), _) => fill_defaults(property, present, depth + 1),
            (None, Some(default)) => {
                object.insert(name.clone(), default.clone());
            }
            (None, None) => {}
        }
    }
}

/// Makes a closed object schema, for workers whose schemas stand in code.
#[must_use]
pub fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "additionalProperties": false, "properties": properties })
}

/// Returns a value without the properties that its schema excludes.
#[must_use]
pub fn keep_known(schema: &Value, value: Value) -> Value {
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    match (value, schema.get("properties").and_then(Value::as_object)) {
        (Value::Object(object), Some(known)) if closed => {
            object.into_iter().filter(|(name, _)| known.contains_key(name)).collect::<Map<_, _>>().into()
        }
        (value, _) => value,
    }
}

#[cfg(test)]
mod bombs;

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        Schema::compile(&object(
            &["text"],
            json!({"text":{"type":"string"},"n":{"type":"integer","default":5},
                   "deep":{"type":"object","properties":{"k":{"default":"v"}}}}),
        ))
        .unwrap()
    }

    #[test]
    fn defaults_are_filled_in_where_their_object_is_present() {
        assert_eq!(schema().admit(json!({"text":"a"})).unwrap(), json!({"text":"a","n":5}));
        assert_eq!(
            schema().admit(json!({"text":"a","n":1,"deep":{}})).unwrap(),
            json!({"text":"a","n":1,"deep":{"k":"v"}})
        );
    }

    #[test]
    fn a_violation_names_its_place_and_keeps_a_long_value_to_itself() {
        let error = schema().admit(json!({"n":"many","text":"a","x":1})).unwrap_err();
        assert_eq!(error.category, Category::InvalidInput);
        assert!(error.message.contains("/n: ") && error.message.contains("'x'"), "{error}");
        let long = schema().admit(json!({"text":"a","n":"many ".repeat(1_000)})).unwrap_err();
        assert!(long.message.ends_with("/n: value is not of type \"integer\""), "{long}");
        assert!(schema().admit(json!("text")).is_err());
    }

    #[test]
    fn nothing_is_fetched() {
        for reference in ["http://127.0.0.1:1/s.json", "file:///etc/passwd"] {
            assert!(Schema::compile(&json!({ "$ref": reference })).is_err(), "{reference}");
        }
        assert!(Schema::compile(&json!({"type":"strnig"})).is_err());
        assert!(Schema::compile(&json!("object")).is_err());
    }

    #[test]
    fn a_hostile_pattern_is_matched_in_linear_time() {
        let schema = Schema::compile(&json!({"type":"string","pattern":"^(a+)+$"})).unwrap();
        assert_eq!(schema.violations(&json!(format!("{}!", "a".repeat(50_000)))).len(), 1);
    }
}
