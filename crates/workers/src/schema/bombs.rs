//! Schemas that are meant to cost more than they should.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Schema, cost};

/// Builds `levels` definitions, each of which holds the next `width` times by way of `hold`, and a property by the
/// first.
fn fan(levels: usize, width: usize, hold: impl Fn(Vec<Value>) -> Value) -> Value {
    let mut defs = serde_json::Map::new();
    for at in 0..levels {
        let next: Vec<Value> = (0..width).map(|_| json!({ "$ref": format!("#/$defs/d{}", at + 1) })).collect();
        defs.insert(format!("d{at}"), hold(next));
    }
    defs.insert(format!("d{levels}"), json!({ "type": "string" }));
    json!({ "$defs": defs, "properties": { "t": { "$ref": "#/$defs/d0" } } })
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "t": inner }))
}

#[test]
fn a_fan_of_references_is_refused_with_its_place_and_figure() {
    for word in ["allOf", "anyOf", "oneOf"] {
        let error = Schema::compile(&fan(12, 4, |next| json!({ word: next }))).err().unwrap();
        assert!(error.starts_with("#/properties/t: ") && error.contains("looks"), "{error}");
    }
    let mixed = |next: Vec<Value>| json!({ "not": next[0], "if": next[1], "then": next[2], "else": next[3] });
    assert!(Schema::compile(&fan(12, 4, mixed)).is_err());
    let dependent = |next: Vec<Value>| json!({ "dependentSchemas": { "a": next[0], "b": next[1] } });
    assert!(Schema::compile(&fan(20, 2, dependent)).is_err());
    let unevaluated = |next: Vec<Value>| json!({ "allOf": next, "unevaluatedProperties": false });
    assert!(Schema::compile(&fan(16, 1, unevaluated)).is_err());
    let by_anchor = json!({ "$defs": { "a": { "$dynamicAnchor": "x", "allOf": [{ "$dynamicRef": "#y" }, { "$dynamicRef": "#y" }] },
        "b": { "$dynamicAnchor": "y", "type": "string" } }, "$dynamicRef": "#x" });
    assert!(Schema::compile(&by_anchor).is_ok());
    assert!(Schema::compile(&fan(4, 3, |next| json!({ "allOf": next }))).is_ok());
}

#[test]
fn what_never_ends_or_goes_too_deep_is_refused() {
    for schema in [
        json!({ "$ref": "#" }),
        json!({ "allOf": [{ "$ref": "#/$defs/a" }], "$defs": { "a": { "anyOf": [{ "$ref": "#" }] } } }),
        json!({ "not": { "$dynamicRef": "#x" }, "$dynamicAnchor": "x" }),
    ] {
        let error = Schema::compile(&schema).err().unwrap();
        assert!(error.contains("refers to itself"), "{error}");
    }
    assert!(Schema::compile(&fan(150, 1, |next| json!({ "allOf": next }))).is_err());
    let chain = |next: Vec<Value>| json!({ "properties": { "t": next[0] } });
    assert!(Schema::compile(&fan(600, 1, chain)).is_err());
    let expression = json!({ "type": "string", "pattern": "(a{1,1000}){1,1000}" });
    assert!(Schema::compile(&expression).is_err());
}

#[test]
fn a_value_that_takes_too_many_looks_is_refused() {
    // Four looks at each level of the value.
    let deep = json!({ "$ref": "#/$defs/n", "$defs": { "n": { "properties": { "t": { "allOf": [
        { "$ref": "#/$defs/n" }, { "$ref": "#/$defs/n" }, { "$ref": "#/$defs/n" }, { "$ref": "#/$defs/n" }] } } } } });
    let schema = Schema::compile(&deep).unwrap();
    assert!(schema.violations(&nested(60))[0].contains("too many steps"));
    assert!(schema.violations(&nested(4)).is_empty());
    let wide = json!({ "items": { "enum": (0..20_000).collect::<Vec<u32>>() } });
    let schema = Schema::compile(&wide).unwrap();
    assert!(schema.violations(&json!(vec![19_999; 20_000]))[0].contains("too many steps"));
    let unique = Schema::compile(&json!({ "uniqueItems": true })).unwrap();
    assert!(unique.violations(&(0..100_000).map(|n| json!({ "n": n })).collect::<Value>()).is_empty());
    let many: serde_json::Map<String, Value> =
        (0..300).map(|n| (format!("^{n}[a-z]{{1,9}}$"), json!({ "type": "string" }))).collect();
    let patterns = Schema::compile(&json!({ "patternProperties": many })).unwrap();
    let names: serde_json::Map<String, Value> = (0..20_000).map(|n| (format!("{n}abc"), json!("x"))).collect();
    assert!(patterns.violations(&Value::Object(names))[0].contains("too many steps"));
}

#[test]
fn what_is_let_through_fits_the_stack_of_a_thread() {
    let chain = |next: Vec<Value>| json!({ "properties": { "t": next[0] } });
    let schema = Schema::compile(&fan(190, 1, chain)).unwrap();
    assert!(schema.violations(&nested(120)).is_empty());
    // Six subschemas for each level of the value.
    let around = (0..6).fold(json!({ "properties": { "t": { "$ref": "#" } } }), |inner, _| json!({ "allOf": [inner] }));
    let schema = Schema::compile(&around).unwrap();
    assert!(schema.violations(&nested(90)).is_empty());
    assert!(schema.violations(&nested(127))[0].contains("too many steps"), "as many steps on the stack");
    let unfit = (0..6).fold(
        json!({ "not": { "const": 1 }, "properties": { "t": { "$ref": "#" } } }),
        |inner, _| json!({ "anyOf": [inner] }),
    );
    assert_eq!(Schema::compile(&unfit).unwrap().violations(&nested(90)).len(), 1);
}

#[test]
fn what_people_write_is_let_through() {
    let tree = json!({ "$ref": "#/$defs/node", "$defs": { "node": { "type": "object", "properties": {
        "value": { "type": "integer" }, "children": { "type": "array", "items": { "$ref": "#/$defs/node" } } } } } });
    let schema = Schema::compile(&tree).unwrap();
    let value = (0..20).fold(
        json!({ "value": 1, "children": [] }),
        |inner, _| json!({ "value": 1, "children": [inner, { "value": 2 }] }),
    );
    assert!(schema.violations(&value).is_empty());
    let shapes: Vec<Value> = (0..40)
        .map(|n| json!({ "properties": { "kind": { "const": format!("k{n}") }, "size": { "type": "number" } }, "required": ["kind"] }))
        .collect();
    let schema = Schema::compile(&json!({ "items": { "oneOf": shapes } })).unwrap();
    let list: Value = (0..2_000).map(|n| json!({ "kind": format!("k{}", n % 40), "size": n })).collect();
    assert!(schema.violations(&list).is_empty(), "{:?}", schema.violations(&list));
    let columns = Schema::compile(&json!({ "type": "array", "items": { "type": "number", "minimum": 0 } })).unwrap();
    let mut numbers: Vec<Value> = (0..200_000).map(Value::from).collect();
    assert!(columns.violations(&numbers.clone().into()).is_empty());
    numbers[150_000] = json!(-1);
    let told = columns.violations(&numbers.into());
    assert!(told.len() == 1 && told[0].starts_with("/150000: "), "{told:?}");
    let meta = json!({ "$ref": "https://json-schema.org/draft/2020-12/schema" });
    assert!(Schema::compile(&meta).unwrap().violations(&json!({ "type": "string" })).is_empty());
}

fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({ "type": "string" })),
        Just(json!({ "$ref": "#/$defs/a" })),
        Just(json!({ "$ref": "#/$defs/b" })),
        Just(json!({ "$ref": "#" })),
        Just(json!({ "$dynamicRef": "#x" })),
        Just(json!({ "enum": [1, "a", [2]] })),
        Just(json!({ "pattern": "^[a-c]{1,20}$", "uniqueItems": true })),
        Just(json!(true)),
        Just(json!(false)),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..5);
        prop_oneof![
            (prop::sample::select(vec!["allOf", "anyOf", "oneOf"]), list.clone())
                .prop_map(|(word, list)| json!({ word: list })),
            (
                prop::sample::select(vec![
                    "not",
                    "items",
                    "contains",
                    "additionalProperties",
                    "unevaluatedProperties",
                    "unevaluatedItems",
                    "propertyNames"
                ]),
                inner.clone()
            )
                .prop_map(|(word, one)| json!({ word: one })),
            list.clone().prop_map(|list| json!({ "prefixItems": list })),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| json!({ "properties": { "a": a, "b": b }, "unevaluatedProperties": true })),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| json!({ "if": a, "then": b, "else": c })),
        ]
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(1)), Just(json!("abc")), Just(json!(null)), Just(json!(1.5))];
    leaf.prop_recursive(6, 64, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(vec!["a", "b", "c"]), inner, 0..4)
                .prop_map(|map| map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// For any schema and value: no panic, an answer, and no more looks than the value allows.
    #[test]
    fn random_schemas_are_checked_within_the_budget(root in schema(), a in schema(), b in schema(), value in value()) {
        let mut root = if root.is_object() { root } else { json!({ "allOf": [root] }) };
        root["$defs"] = json!({ "a": a, "b": { "allOf": [b], "$dynamicAnchor": "x" } });
        if let Ok(schema) = Schema::compile(&root) {
            let told = schema.violations(&value);
            match cost::looks(&schema.graph, &value) {
                Ok(looks) => prop_assert!(looks <= 4_000_000 && told.is_empty() == schema.validator.is_valid(&value)),
                Err(_) => prop_assert!(told[0].contains("too many steps")),
            }
        }
    }
}
