//! Schemas and values that belong to strangers: the first line is the schema, the rest the value. Whatever they are, compiling and
//! checking end soon, and the budget is kept.
#![no_main]

use kapelle_fuzz::stack;
use kapelle_workers::schema::Schema;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(init: stack::report_overflow(), |text: &str| {
    let (schema, value) = text.split_once('\n').unwrap_or((text, "null"));
    let Ok(schema) = serde_json::from_str::<Value>(schema) else { return };
    let value = serde_json::from_str::<Value>(value).unwrap_or(Value::Null);
    match Schema::compile(&schema) {
        Ok(schema) => {
            let told = schema.violations(&value);
            assert!(told.len() <= 5 && told.iter().all(|line| line.len() < 4_000));
        }
        Err(error) => assert!(!error.is_empty()),
    }
});
