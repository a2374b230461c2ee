//! JSON Schema of the format, for editors; made from the tables of the reader.

use serde_json::{Map, Value as Json, json};

use super::keys::{self, Shape, Table};
use crate::failure::Category;

const NAME: &str = "^[A-Za-z][A-Za-z0-9_.-]{0,79}$";
const STEP_NAME: &str = "^[A-Za-z][A-Za-z0-9_-]{0,79}$";
const EXPRESSION: &str = r"^\$\{\{";
const DURATION: &str = r"^\s*([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+\s*$";

/// Returns the JSON Schema (draft 2020-12) of a workflow file.
#[must_use]
pub fn json_schema() -> Json {
    let definitions: Map<String, Json> =
        keys::TABLES.iter().map(|table| (table.name.to_owned(), table_schema(table))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Kapelle workflow",
        "$ref": "#/$defs/workflow",
        "$defs": definitions,
    })
}

fn table_schema(table: &Table) -> Json {
    let properties: Map<String, Json> = table
        .keys
        .iter()
        .map(|key| {
            let mut schema = shape_schema(key.shape);
            if let Some(map) = schema.as_object_mut() {
                map.insert("description".to_owned(), Json::from(key.about));
            }
            (key.name.to_owned(), schema)
        })
        .collect();
    let mut schema = json!({
        "description": table.about,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !table.required.is_empty() {
        schema["required"] = json!(table.required);
    }
    match table.name {
        "step" => add_step_rules(&mut schema),
        "on" => schema["minProperties"] = Json::from(1),
        "wait" => schema["oneOf"] = exactly_one(&keys::WAITS),
        _ => {}
    }
    schema
}

fn exactly_one(names: &[&str]) -> Json {
    names.iter().map(|name| json!({ "required": [name] })).collect()
}

/// Adds the rules on keys that go together.
fn add_step_rules(schema: &mut Json) {
    let alone: Vec<&str> = keys::ACTIONS.into_iter().filter(|name| !matches!(*name, "plan" | "wait")).collect();
    let mut choices: Vec<Json> = alone.iter().map(|name| json!({ "required": [name] })).collect();
    choices.push(json!({ "required": ["wait"], "not": { "required": ["workflow"] } }));
    schema["oneOf"] = Json::from(choices);
    schema["dependentRequired"] =
        json!({ "then": ["if"], "else": ["then"], "max_parallel": ["for_each"], "on_item_error": ["for_each"] });
}

fn shape_schema(shape: Shape) -> Json {
    match shape {
        Shape::Text => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Name => json!({ "type": "string", "pattern": NAME }),
        Shape::Names => json!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
        ] }),
        Shape::Needs => json!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
            { "$ref": "#/$defs/needs" },
        ] }),
        Shape::People => json!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ] }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Duration => json!({ "type": "string", "pattern": DURATION, "examples": ["30s", "5m", "1h"] }),
        Shape::Money => json!({ "type": ["string", "number"], "examples": ["$2.50"] }),
        Shape::Whole { least, most } => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Number { least, most } => json!({ "type": "number", "minimum": least, "maximum": most }),
        Shape::OneOf(words) => json!({ "enum": words }),
        Shape::Cache => json!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "pattern": DURATION }] }),
        Shape::Expression => json!({ "type": ["string", "boolean", "number"] }),
        Shape::Template => json!({ "type": ["string", "number", "boolean"] }),
        Shape::TemplateMap => json!({ "anyOf": [{ "type": "object" }, { "type": "string", "pattern": EXPRESSION }] }),
        Shape::List => json!({ "type": ["array", "string"] }),
        Shape::Inputs => json!({ "type": "object", "$ref": "https://json-schema.org/draft/2020-12/schema" }),
        Shape::Strategy => json!({ "anyOf": [
            { "enum": ["sequential", "parallel", "priority"] },
            { "$ref": "#/$defs/strategy" },
        ] }),
        Shape::OnError => json!({ "anyOf": [{ "enum": ["stop", "continue"] }, { "$ref": "#/$defs/on_error" }] }),
        Shape::Wait => json!({ "anyOf": [{ "type": "boolean" }, { "$ref": "#/$defs/wait" }] }),
        Shape::Timer => json!({ "type": "string" }),
        Shape::Categories => json!({
            "type": "array",
            "items": { "enum": Category::ALL.map(Category::as_str) },
        }),
        Shape::Steps => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": STEP_NAME },
            "additionalProperties": { "$ref": "#/$defs/step" },
        }),
        Shape::Triggers => json!({ "anyOf": [
            { "$ref": "#/$defs/on" },
            { "type": "array", "items": { "$ref": "#/$defs/on" }, "minItems": 1 },
        ] }),
        Shape::Reserved => json!(false),
        Shape::Any => json!({}),
        Shape::Object(table) => json!({ "$ref": format!("#/$defs/{}", table.name) }),
    }
}
