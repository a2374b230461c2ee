//! Numbers that neither 64 bits nor a double hold, passed through expressions.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use kapelle_core::expr::{Context, Expression, Shared, Template};
use serde_json::{Value, json};

const LONG: [&str; 9] = [
    "12345678901234567890123",
    "18446744073709551616",
    "-9223372036854775809",
    "340282366920938463463374607431768211456",
    "0.1000000000000000055511151231257827",
    "3.14159265358979323846264338327950288",
    "1e+400",
    "-1e-400",
    "9007199254740993.25",
];

fn with(text: &str) -> Context {
    let value: Value = serde_json::from_str(&format!("{{\"n\":{text},\"list\":[1,{text}]}}")).unwrap();
    Context::new().with("inputs", Shared::from_json(&value))
}

fn eval(source: &str, text: &str) -> Result<String, String> {
    let value = Expression::compile(source).and_then(|compiled| compiled.eval(&with(text)));
    value.map(|value| value.to_string()).map_err(|error| error.to_string())
}

#[test]
fn every_digit_passes_through() {
    for text in LONG {
        assert_eq!(eval("inputs.n", text).unwrap(), text);
        assert_eq!(eval("inputs.list", text).unwrap(), format!("[1,{text}]"));
        assert_eq!(eval("inputs.n | tojson", text).unwrap(), format!("\"{text}\""));
        assert_eq!(eval("[inputs.n, {'a': inputs.n}]", text).unwrap(), format!("[{text},{{\"a\":{text}}}]"));
        assert_eq!(eval("inputs.n == inputs.list[1]", text).unwrap(), "true");
        assert_eq!(eval("inputs.n == 1", text).unwrap(), "false");
        let tree = json!({ "id": "${{ inputs.n }}", "text": "no ${{ inputs.n }}!" });
        let rendered = Template::compile(&tree).unwrap().render(&with(text)).unwrap();
        assert_eq!(rendered.to_string(), format!("{{\"id\":{text},\"text\":\"no {text}!\"}}"));
        let list = format!("[{}{text}]", "1,".repeat(200_000));
        let list = Shared::from_json_bytes(list.as_bytes()).unwrap();
        assert_eq!(list.item(200_000).unwrap().to_json().unwrap().to_string(), text, "of a long list");
    }
}

#[test]
fn what_cannot_be_calculated_with_is_refused_and_not_rounded() {
    let long = "0.1000000000000000055511151231257827";
    for source in [
        "inputs.n + 1",
        "inputs.n * 2",
        "-inputs.n",
        "inputs.n < 1",
        "1 >= inputs.n",
        "inputs.list | max",
        "inputs.list | sort",
        "inputs.list | sum",
        "inputs.n is gt(1)",
        "inputs.list | select('lt', 5) | list",
    ] {
        assert!(eval(source, long).is_err(), "{source}: {:?}", eval(source, long));
    }
    let told = eval("inputs.n > 0.5", long).unwrap_err();
    assert!(told.contains("write `value | float`") && told.contains("0.1000"), "{told}");
    assert_eq!(eval("inputs.n | float < 0.5", long).unwrap(), "true");
    assert_eq!(eval("inputs.n | round(2)", long).unwrap(), "0.1");
    assert_eq!(eval("inputs.n + 1", "12345678901234567890123").unwrap(), "12345678901234567890124");
    assert_eq!(eval("inputs.n > 1", "12345678901234567890123").unwrap(), "true");
}

#[test]
fn what_a_double_holds_is_one() {
    for (text, shown) in [("1E5", "100000.0"), ("1.10", "1.1"), ("-0", "-0.0"), ("0", "0"), ("0.1", "0.1")] {
        assert_eq!(eval("inputs.n", text).unwrap(), shown, "{text}");
    }
    assert_eq!(eval("inputs.n + 0.2", "1.50").unwrap(), "1.7");
}
