//! Expressions, templates and prompts from the outside: values, refusals and costs.

use kapelle_core::expr::{Context, ExprErrorKind, Expression, PROMPT_MAX, Prompt, SOURCE_MAX, Shared, Template};
use proptest::prelude::*;
use serde_json::{Value, json};

fn context() -> Context {
    let steps = json!({
        "fetch": { "output": { "score": 0.9, "tags": ["b", "a"], "big": 9_007_199_254_740_993_i64, "none": null } },
        "my-step": { "output": { "ok": true } },
    });
    Context::new()
        .with("inputs", Shared::from_json(&json!({ "name": "Ada", "n": 3, "list": [3, 1, 2], "html": "<b>" })))
        .with("steps", Shared::from_json(&steps))
}

fn eval(source: &str) -> Result<Value, String> {
    Expression::compile(source).and_then(|compiled| compiled.eval(&context())).map_err(|error| error.to_string())
}

#[test]
fn values_keep_their_type_order_and_precision() {
    for (source, expected) in [
        ("steps.fetch.output.score >= 0.9", json!(true)),
        ("steps.fetch.output.big", json!(9_007_199_254_740_993_i64)),
        ("steps.fetch.output.big + 1", json!(9_007_199_254_740_994_i64)),
        ("18446744073709551615", json!(u64::MAX)),
        ("0.1 + 0.2", json!(0.1 + 0.2)),
        ("{'b': 1, 'a': 2}", json!({"b": 1, "a": 2})),
        ("steps['my-step'].output.ok", json!(true)),
        ("inputs.list[1:] | sort", json!([1, 2])),
        ("inputs.list | map('string') | join('-')", json!("3-1-2")),
        ("inputs.list | select('gt', 1) | list | length", json!(2)),
        ("inputs.name ~ ' ' ~ inputs.n ~ true", json!("Ada 3true")),
        ("'yes' if inputs.n > 2 else 'no'", json!("yes")),
        ("inputs.html | tojson", json!("\"<b>\"")),
        ("inputs | keys", json!(["name", "n", "list", "html"])),
        ("inputs | items | length", json!(4)),
        ("null is none and not false", json!(true)),
        ("range(3) | list", json!([0, 1, 2])),
        ("range(-9000000000000000000, 9000000000000000000, 9000000000000000000)", json!([-9e18 as i64, 0])),
        ("range(9000000000000000000, -9000000000000000001, -6000000000000000000) | last", json!(-9e18 as i64)),
        ("steps.fetch.output.none", json!(null)),
        ("inputs.n * 2 + 1", json!(7)),
        ("-inputs.n * -2", json!(6)),
        ("2 ** 10", json!(1024)),
        ("[inputs.n, 2.0] | sum", json!(5.0)),
        ("inputs.list | sum", json!(6)),
        ("inputs.name | upper | lower | trim | first", json!("a")),
        ("inputs.list[0] + inputs.list.1", json!(4)),
        ("inputs.list + [9]", json!([3, 1, 2, 9])),
        ("'a,b' | split(',')", json!(["a", "b"])),
        ("inputs.list | sort(reverse=true)", json!([3, 2, 1])),
        ("${{ inputs.n }}", json!(3)),
    ] {
        assert_eq!(eval(source), Ok(expected), "{source}");
    }
}

#[test]
fn what_is_missing_is_named_unless_the_text_provides_for_it() {
    for source in ["steps.fetch.output.nope.deeper is defined", "steps.gone.output.nope is defined", "error is defined"]
    {
        assert_eq!(eval(source), Ok(json!(false)), "{source}");
    }
    assert_eq!(eval("steps.gone.output.nope | default(7)"), Ok(json!(7)));
    assert_eq!(eval("steps.gone.output.nope is not defined"), Ok(json!(true)));
    for (source, expected) in [
        ("steps.fetch.output.nope", "`steps.fetch.output.nope` is missing: `steps.fetch.output` has no `nope`"),
        ("steps.gone.output > 1", "`steps.gone.output` is missing: `steps` has no `gone`"),
        ("not steps.gone.output", "`steps.gone.output` is missing: `steps` has no `gone`"),
        ("nothing.here", "`nothing.here` is missing: there is no `nothing` here"),
        ("inputs['nope'][1:]", "`inputs.nope` is missing: `inputs` has no `nope`"),
        ("inputs[inputs.name].x", "`inputs[…].x` is missing"),
    ] {
        let found = eval(source).unwrap_err();
        assert!(found.starts_with(expected.trim_end_matches(".x` is missing")), "{source}: {found}");
    }
}

#[test]
fn operators_of_other_languages_get_advice() {
    for (source, offset, hint) in [
        ("a && b", 2, "write `and` instead of `&&`"),
        ("a || b", 2, "write `or` instead of `||`"),
        ("!a", 0, "write `not` instead of `!`"),
        ("a ? b : c", 2, "write `a if c else b` instead of `c ? a : b`"),
        ("a.upper()", 0, "use a filter, such as `| length`, `| items` or `| upper`"),
        ("a | lenght", 4, "did you mean `length`?"),
        ("a is definde", 5, "did you mean `defined`?"),
        ("length(a)", 0, "write `value | length`"),
    ] {
        let error = Expression::compile(source).unwrap_err();
        assert_eq!((error.offset, error.hint.as_deref()), (Some(offset), Some(hint)), "{source}: {error}");
    }
    let error = Expression::compile("a + (b ~ c) d").unwrap_err();
    assert_eq!((error.kind, error.offset), (ExprErrorKind::Syntax, Some(12)), "{error:?}");
}

#[test]
fn what_the_engine_would_panic_on_is_an_error() {
    let backwards = "the step of a slice must be 1 or more: use `reverse` to go backwards";
    for source in [
        "[][::-1] | list",
        "''[::-1]",
        "inputs.list[0:2:-1]",
        "inputs.list[::-inputs.n] | length",
        "inputs.list[::inputs.list[::-1][0]]",
        "inputs.list[::-9223372036854775808]",
        "inputs.name[::-1 if true else 1]",
        "inputs.list[::0]",
        "inputs.list[::'a']",
    ] {
        assert_eq!(eval(source), Err(backwards.to_owned()), "{source}");
        assert!(Prompt::compile(&format!("{{{{ {source} }}}}")).unwrap().render(&context()).is_err(), "{source}");
    }
    for (source, expected) in [
        ("inputs.list[::2]", json!([3, 2])),
        ("inputs.list[::inputs.n]", json!([3])),
        ("inputs.list[:][::]", json!([3, 1, 2])),
        ("inputs.list[0:inputs.n: none]", json!([3, 1, 2])),
        ("{'a': inputs.list[inputs.list[::2][1]:]}", json!({"a": [2]})),
        ("5 is divisibleby(0)", json!(false)),
        ("5 is divisibleby(0.0)", json!(false)),
        ("0 is divisibleby(false)", json!(false)),
        ("6 is divisibleby(inputs.n)", json!(true)),
    ] {
        assert_eq!(eval(source), Ok(expected), "{source}");
    }
}

#[test]
fn references_are_the_paths_of_the_text() {
    let source =
        "steps.a.output.x > inputs.n and steps['b-c'].output[0] | default(vars.z) and items[1:2] and r[inputs.k]";
    let compiled = Expression::compile(source).unwrap();
    let found: Vec<String> = compiled.references().iter().map(ToString::to_string).collect();
    let expected = ["steps.a.output.x", "inputs.n", "steps['b-c'].output.0", "vars.z", "items", "r[…]", "inputs.k"];
    assert_eq!(found, expected);
}

#[test]
fn worst_cases_end_quickly_on_a_small_stack() {
    let nested = |open: &str, close: &str, times: usize| format!("{}1{}", open.repeat(times), close.repeat(times));
    let mut sources = vec![
        "not ".repeat(255) + "1",
        "-".repeat(1_000) + "1",
        nested("(", ")", 500),
        nested("[", "]", 500),
        nested("{1:", "}", 250),
        "(".repeat(1_000),
        "1+".repeat(500) + "1",
        "1~".repeat(500) + "1",
        "1**".repeat(340) + "1",
        "1 if 1 else ".repeat(85) + "1",
        "a".to_owned() + &".a".repeat(500),
        "a".to_owned() + &"[0]".repeat(340),
        "a".to_owned() + &"|list".repeat(200),
        "a".to_owned() + &" is eq a".repeat(120),
        "a|map(".repeat(60) + &")".repeat(60),
        "'x' * 1000000000".to_owned(),
        "1000000000 * inputs.name".to_owned(),
        "100000000.*'x'".to_owned(),
        "(1,) * 100000000".to_owned(),
        "[1] * 100000000".to_owned(),
        "9 ** 9 ** 9 ** 9".to_owned(),
        "range(100000000)".to_owned(),
        "range(100000)|list".to_owned(),
        "huge ~ huge ~ huge ~ huge ~ huge ~ huge ~ huge ~ huge ~ huge ~ huge ~ huge ~ huge ~ huge ~ huge".to_owned(),
        "many | map('in', many) | list".to_owned(),
        "many | select('in', many) | list | length".to_owned(),
        format!("[{}]", ["many"; 150].join(",")),
        "many | sort | sort | sort | sort | sort".to_owned(),
        "huge | split('')".to_owned(),
    ];
    for open in ["(", "[", "{", "not ", "-", "a[", "a(", "a|f(", "'", "\"", "a.", "a|", "a is ", "if ", "1 if "] {
        sources.push(open.repeat(SOURCE_MAX / open.len()));
    }
    let run = move || {
        let many: Vec<Value> = (0..20_000).map(|n| json!(n)).collect();
        let context = context()
            .with("huge", Shared::from_json(&json!("x".repeat(4 << 20))))
            .with("many", Shared::from_json(&json!(many)))
            .with("a", Shared::from_json(&json!([1])));
        for source in sources {
            assert!(source.len() <= SOURCE_MAX, "{}", source.len());
            if let Ok(compiled) = Expression::compile(&source) {
                let _ = compiled.eval(&context);
            }
            let wrapped = Prompt::compile(&format!("{{{{ {source} }}}}"));
            let _ = wrapped.map(|prompt| prompt.render(&context));
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn an_expression_that_is_too_long_says_so() {
    let error = Expression::compile(&"1".repeat(SOURCE_MAX + 1)).unwrap_err();
    assert_eq!(error.kind, ExprErrorKind::Limit);
}

#[test]
fn templates_keep_native_types_and_interpolate_text() {
    let tree = json!({
        "text": "Hi ${{ inputs.name }}, ${{ inputs.n }} and $${{ literal }}",
        "native": "${{ inputs.list }}",
        "nested": [{ "score": "${{ steps.fetch.output.score }}" }, "plain", 1.5, null],
        "braces": "${{ {'a': {'b': '}}'}}.a.b }}",
    });
    let template = Template::compile(&tree).unwrap();
    let expected = json!({
        "text": "Hi Ada, 3 and ${{ literal }}",
        "native": [3, 1, 2],
        "nested": [{ "score": 0.9 }, "plain", 1.5, null],
        "braces": "}}",
    });
    assert_eq!(template.render(&context()).unwrap(), expected);
    assert!(template.as_constant().is_none());
    let mut found: Vec<String> = template.references().iter().map(ToString::to_string).collect();
    found.sort();
    assert_eq!(found, ["inputs.list", "inputs.n", "inputs.name", "steps.fetch.output.score"]);
}

#[test]
fn errors_of_templates_name_their_field() {
    let bad = Template::compile(&json!({ "a": [{ "b": "x ${{ 1 + }} y" }] })).unwrap_err();
    assert_eq!(bad.field.as_deref(), Some("a[0].b"));
    assert_eq!(bad.kind, ExprErrorKind::Syntax);
    let open = Template::compile(&json!("x ${{ 1 ")).unwrap_err();
    assert_eq!((open.offset, open.hint.as_deref()), (Some(2), Some("close the expression with `}}`")));
    let list = Template::compile(&json!({ "a": "x ${{ inputs.list }}" })).unwrap();
    let error = list.render(&context()).unwrap_err();
    assert!(error.to_string().contains("a: a list cannot be put into text: use `| tojson`"), "{error}");
}

#[test]
fn prompts_render_with_statements_and_limits() {
    let prompt = Prompt::compile(
        "{% for t in inputs.list %}{{ loop.index }}={{ t }};{% endfor %}\n{% if inputs.n > 2 %}{{ inputs.name }}{% endif %}\
         {% set x = inputs.n %}{{ x }}{# note #}{% raw %}{{ raw }}{% endraw %} {{ inputs.list }}\n",
    )
    .unwrap();
    assert_eq!(prompt.render(&context()).unwrap(), "1=3;2=1;3=2;\nAda3{{ raw }} [3,1,2]\n");
    let found: Vec<String> = prompt.references().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["inputs.list", "inputs.n", "inputs.name", "inputs.n", "inputs.list"]);
    let missing = Prompt::compile("{{ inputs.nope }}").unwrap().render(&context()).unwrap_err();
    assert_eq!(missing.kind, ExprErrorKind::Missing, "{missing}");
    let doubling = "{% set x = 'xxxxxxxx' %}".to_owned() + &"{% set x = x ~ x %}".repeat(64) + "{{ x }}";
    let error = Prompt::compile(&doubling).unwrap().render(&context()).unwrap_err();
    assert_eq!(error.kind, ExprErrorKind::Limit, "{error}");
    let many = json!((0..5_000).collect::<Vec<_>>());
    let loops = "{% for a in l %}{% for b in l %}x{% endfor %}{% endfor %}";
    let error =
        Prompt::compile(loops).unwrap().render(&Context::new().with("l", Shared::from_json(&many))).unwrap_err();
    assert_eq!(error.kind, ExprErrorKind::Limit, "{error}");
    let wide = "{% for a in l %}".to_owned() + &"y".repeat(10_000) + "{% endfor %}";
    let error =
        Prompt::compile(&wide).unwrap().render(&Context::new().with("l", Shared::from_json(&many))).unwrap_err();
    assert_eq!(error.kind, ExprErrorKind::Limit, "{error}");
    for refused in
        ["{% macro m() %}{% endmacro %}", "{% set x %}a{% endset %}", "{% include 'x' %}", "{% filter upper %}"]
    {
        assert!(Prompt::compile(refused).is_err(), "{refused}");
    }
    assert!(Prompt::compile(&"x".repeat(PROMPT_MAX + 1)).is_err());
    let deep = "{% if 1 %}".repeat(6_000);
    assert!(Prompt::compile(&deep).is_err());
}

#[test]
fn an_expression_over_a_large_shared_context_costs_microseconds() {
    let items: Vec<Value> = (0..10_000).map(|n| json!({ "id": n, "text": format!("ticket {n}") })).collect();
    let shared = Shared::from_json(&json!({ "fetch": { "output": { "items": items, "score": 0.5 } } }));
    let context = Context::new().with("steps", shared).with("index", Shared::from_json(&json!(7)));
    let mut rows = Vec::new();
    for source in
        ["steps.fetch.output.score", "steps.fetch.output.items[index].text ~ '!'", "steps.fetch.output.score > 0.4"]
    {
        let compiled = Expression::compile(source).unwrap();
        // Measuring is the point of this test; no decision depends on the clock.
        #[expect(clippy::disallowed_methods, reason = "a printed measurement, never asserted")]
        let start = std::time::Instant::now();
        for _ in 0..10_000 {
            compiled.eval(&context).unwrap();
        }
        rows.push(format!("{source}: {:?} each", start.elapsed() / 10_000));
    }
    println!("{}", rows.join("\n"));
}

fn fragments() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "inputs",
        ".name",
        ".n",
        "steps.fetch.output",
        " + ",
        " ~ ",
        " * ",
        "**",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "'",
        "\"",
        " is ",
        "defined",
        " not ",
        "|",
        "length",
        "default",
        "1",
        "0.5",
        "1.",
        "1e5",
        ",",
        ":",
        "=",
        "==",
        " if ",
        " else ",
        " and ",
        " in ",
        "-",
        "true",
        "null",
        "range",
        "${{",
        "}}",
        "{%",
        "%}",
        "set x = ",
        "for a in ",
        "endfor",
        "é",
        "\\",
        "$",
        "x",
        " ",
        "\n",
        "[0]",
        "['a']",
        "tojson",
        "join(',')",
        "map('upper')",
        "#}",
        "{#",
    ]);
    prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_panics(text in prop_oneof![any::<String>(), fragments()]) {
        if let Ok(compiled) = Expression::compile(&text) {
            let _ = compiled.eval(&context());
            let _ = compiled.eval_bool(&context());
        }
        if let Ok(template) = Template::compile(&json!({ "f": text.clone() })) {
            let _ = template.render(&context());
        }
        if let Ok(prompt) = Prompt::compile(&text) {
            let _ = prompt.render(&context());
        }
    }

    #[test]
    fn a_value_alone_keeps_its_type(value in any_json()) {
        let context = Context::new().with("v", Shared::from_json(&value));
        let template = Template::compile(&json!({ "f": "${{ v }}" })).unwrap();
        prop_assert_eq!(&template.render(&context).unwrap()["f"], &value);
        let through = Template::compile(&json!("${{ [v][0] }}")).unwrap();
        prop_assert_eq!(through.render(&context).unwrap(), value);
    }

    #[test]
    fn constants_render_to_themselves(value in any_json()) {
        let template = Template::compile(&value).unwrap();
        prop_assert_eq!(template.as_constant(), Some(&value));
        prop_assert_eq!(template.render(&Context::new()).unwrap(), value);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        "[a-z ${}é\"]{0,12}".prop_filter("no expression", |text| !text.contains("${{")).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("[a-z]{1,6}", inner), 0..6).prop_map(|pairs| pairs.into_iter().collect::<Value>()),
        ]
    })
}
