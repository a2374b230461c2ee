//! What must hold for every text: no panic, errors that point into it, and the same answer each time.

use std::sync::LazyLock;

use kapelle_core::expr::{Context, ExprError, Expression, OUTPUT_MAX, Prompt, Shared, Template};
use serde_json::{Value, json};

/// The names that expressions can use, with values at the edges of what JSON can hold.
static CONTEXT: LazyLock<Context> = LazyLock::new(|| {
    let many: Vec<i64> = (0..2_000).map(|n| n * 7_919 % 2_003).collect();
    let deep = (0..100).fold(json!(1), |inner, _| json!({ "a": inner }));
    let output = json!({
        "score": 0.9, "tags": ["b", "a"], "none": null, "rows": [{ "id": 2, "t": "x" }, { "id": 1, "t": "y" }],
    });
    Context::new()
        .with("inputs", Shared::from_json(&json!({ "name": "Ada Ä€😀", "n": 3, "list": [3, 1, 2], "empty": [] })))
        .with("steps", Shared::from_json(&json!({ "fetch": { "output": output }, "my-step": { "output": true } })))
        .with("vars", Shared::from_json(&json!({ "least": i64::MIN, "most": u64::MAX, "big": 1e308, "tiny": 5e-324 })))
        .with("item", Shared::from_json(&json!("one\ttwo\n\u{0}\u{202e}three")))
        .with("many", Shared::from_json(&json!(many)))
        .with("long", Shared::from_json(&json!("é ".repeat(20_000))))
        .with("deep", Shared::from_json(&deep))
});

/// Everything an expression can be used for.
pub fn expression(text: &str) {
    let compiled = match Expression::compile(text) {
        Ok(compiled) => compiled,
        Err(error) => return placed(&error, text),
    };
    assert!(text.contains(compiled.source()));
    for path in compiled.references() {
        assert!(path.offset <= text.len() && !path.to_string().is_empty());
    }
    let value = compiled.eval(&CONTEXT);
    assert_eq!(value, compiled.eval(&CONTEXT), "two evaluations differ");
    let condition = compiled.eval_bool(&CONTEXT);
    match &value {
        Ok(value) => {
            assert!(condition.is_ok(), "{value} has no truth: {condition:?}");
            // What comes out must go in again.
            assert_eq!(Shared::from_json(value).to_json().as_ref(), Ok(value));
        }
        Err(error) => placed(error, text),
    }
    // Alone in a field an expression gives what it gives bare.
    if let Ok(field) = Template::compile(&Value::String(format!("${{{{ {text} }}}}"))) {
        match (value, field.render(&CONTEXT)) {
            (Ok(bare), Ok(rendered)) => assert_eq!(bare, rendered),
            (Err(_), Err(_)) => {}
            (bare, rendered) => panic!("bare {bare:?}, as a field {rendered:?}"),
        }
    }
}

/// A field of a workflow, and a whole tree of fields when the text is JSON.
pub fn template(text: &str) {
    let field = Value::String(text.to_owned());
    if let Err(error) = Template::compile(&field).and_then(|template| rendered(&template)) {
        placed(&error, text);
    }
    if let Ok(tree) = serde_json::from_str::<Value>(text) {
        let _ = Template::compile(&tree).and_then(|template| rendered(&template));
    }
}

fn rendered(template: &Template) -> Result<Value, ExprError> {
    template.each_expression(&mut |_, _, expression| assert!(!expression.source().is_empty()));
    let value = template.render(&CONTEXT);
    let shared = template.render_shared(&CONTEXT);
    if let Some(constant) = template.as_constant() {
        assert_eq!(value.as_ref(), Ok(constant));
    }
    assert!(value.is_err() || shared.is_ok());
    value
}

/// The text of a prompt.
pub fn prompt(text: &str) {
    let outcome = Prompt::compile(text).and_then(|prompt| {
        let first = prompt.render(&CONTEXT);
        assert_eq!(first, prompt.render(&CONTEXT), "two renderings differ");
        first
    });
    match outcome {
        Ok(output) => assert!(output.len() <= OUTPUT_MAX),
        Err(error) => placed(&error, text),
    }
}

/// An error says something, and points between two characters of the text.
fn placed(error: &ExprError, text: &str) {
    assert!(!error.message.is_empty());
    assert!(error.message.len() <= 8_192, "{} bytes of message", error.message.len());
    if let Some(offset) = error.offset {
        assert!(text.is_char_boundary(offset), "{offset} in {text:?} of {} bytes: {error}", text.len());
    }
}
