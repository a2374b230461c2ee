//! Laws of estimates.

use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    definition::{Definition, Strategy as Order},
    name::Name,
};

fn read(text: &str) -> Definition {
    Definition::parse(text.as_bytes(), "test.yaml").unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn of(text: &str, facts: &Facts, inputs: serde_json::Value) -> Estimate {
    estimate(&read(text), &Order::Parallel, facts, Some(&inputs))
}

fn worker(ms: (u64, u64, u64), cost: u64) -> Sample {
    let cost = Span::new(cost / 2, cost, cost * 2);
    let duration_ms = Span::new(ms.0, ms.1, ms.2);
    let one = Span::exact(1);
    Sample {
        expected: Expected {
            duration_ms,
            cost,
            calls: one,
            input_tokens: Span::exact(100),
            output_tokens: Span::exact(10),
        },
        tasks: 20,
    }
}

fn facts() -> Facts {
    let mut facts = Facts::default();
    facts.workers.insert(Name::new("a"), worker((10, 100, 200), 1_000));
    facts.workers.insert(Name::new("b"), worker((1, 50, 900), 500));
    facts
}

/// A step of a random workflow.
#[derive(Debug, Clone)]
enum Made {
    Task(bool),
    Each(u32, Vec<Made>),
    Turns(u32, Vec<Made>),
    Ways(Vec<Made>, Vec<Made>),
    If(Vec<Made>),
}

fn made() -> impl proptest::strategy::Strategy<Value = Made> {
    any::<bool>().prop_map(Made::Task).prop_recursive(3, 24, 4, |inner| {
        let some = prop::collection::vec(inner, 1..4);
        prop_oneof![
            (1..5_u32, some.clone()).prop_map(|(most, steps)| Made::Each(most, steps)),
            (1..4_u32, some.clone()).prop_map(|(most, steps)| Made::Turns(most, steps)),
            (some.clone(), some.clone()).prop_map(|(then, other)| Made::Ways(then, other)),
            some.prop_map(Made::If),
        ]
    })
}

fn write_steps(steps: &[Made], depth: usize, chained: u64, text: &mut String) {
    let pad = "  ".repeat(depth);
    for (at, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "{pad}s{at}:");
        if at > 0 && chained >> (at % 60) & 1 == 1 {
            let _ = writeln!(text, "{pad}  needs: [s{}]", at - 1);
        }
        let mut inner = |key: &str, steps: &[Made]| {
            let _ = writeln!(text, "{pad}  {key}:");
            let depth = depth + 2 + usize::from(key != "steps");
            if key != "steps" {
                let _ = writeln!(text, "{pad}    steps:");
            }
            write_steps(steps, depth, chained.rotate_left(7), text);
        };
        match step {
            Made::Task(first) => {
                let worker = if *first { "a" } else { "b" };
                let _ = writeln!(text, "{pad}  worker: {worker}");
            }
            Made::Each(most, steps) => {
                inner("steps", steps);
                let _ = writeln!(text, "{pad}  for_each: ${{{{ inputs.list }}}}\n{pad}  max_parallel: {most}");
            }
            Made::Turns(most, steps) => {
                inner("steps", steps);
                let _ = writeln!(text, "{pad}  repeat: {{ max: {most} }}");
            }
            Made::Ways(then, other) => {
                inner("then", then);
                inner("else", other);
                let _ = writeln!(text, "{pad}  if: run.id == 'x'");
            }
            Made::If(steps) => {
                inner("steps", steps);
                let _ = writeln!(text, "{pad}  if: run.id == 'x'");
            }
        }
    }
}

fn workflow(steps: &[Made], chained: u64) -> String {
    let mut text = "name: w\nsteps:\n".to_owned();
    write_steps(steps, 1, chained, &mut text);
    text
}

fn is_ordered(span: Span) -> bool {
    span.low() <= span.likely() && span.likely() <= span.high()
}

fn not_less(less: Span, more: Span) -> bool {
    less.low() <= more.low() && less.likely() <= more.likely() && less.high() <= more.high()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn estimates_are_ordered_and_more_items_are_never_cheaper(
        steps in prop::collection::vec(made(), 1..5), chained: u64, items in 0..40_usize, more in 0..40_usize, slots in 1..9_u32,
    ) {
        let text = workflow(&steps, chained);
        let mut facts = facts();
        for name in ["a", "b"] {
            facts.queues.insert(Name::new(name), Name::new("q"));
        }
        facts.slots.insert(Name::new("q"), slots);
        let with = |items: usize| of(&text, &facts, json!({ "list": vec![1; items] }));
        let (less, greater) = (with(items), with(items + more));
        for of in [&less, &greater] {
            let total = &of.total;
            for span in [total.duration_ms, total.cost, total.calls, total.input_tokens, total.output_tokens, of.work_ms] {
                prop_assert!(is_ordered(span), "{span:?}\n{text}");
            }
            prop_assert!(not_less(total.duration_ms, of.work_ms), "the way is longer than the sum\n{text}\n{of:?}");
            let sum: u64 = of.steps.iter().map(|step| step.total.cost.likely()).sum();
            prop_assert_eq!(sum, total.cost.likely());
        }
        for (less, greater) in [
            (less.total.cost, greater.total.cost), (less.total.duration_ms, greater.total.duration_ms),
            (less.total.calls, greater.total.calls), (less.work_ms, greater.work_ms),
        ] {
            prop_assert!(not_less(less, greater), "{less:?} {greater:?}\n{text}");
        }
        let one_by_one = estimate(&read(&text), &Order::Sequential, &facts, Some(&json!({ "list": vec![1; items] })));
        prop_assert!(not_less(less.total.duration_ms, one_by_one.total.duration_ms.max(one_by_one.work_ms)));
    }

    #[test]
    fn a_greater_budget_never_parks_earlier(steps in prop::collection::vec(made(), 1..5), chained: u64, left in 0..100_000_u64, more in 0..100_000_u64) {
        let text = workflow(&steps, chained);
        let mut facts = facts();
        let mut with = |left: u64| {
            facts.limits = vec![Limit { account: "day".to_owned(), of: LimitOf::All, left }];
            of(&text, &facts, json!({ "list": [1, 2, 3] })).parked.first().map(|parked| parked.case)
        };
        let rank = |case: Option<Case>| case.map_or(2, |case| u8::from(case == Case::High));
        prop_assert!(rank(with(left)) <= rank(with(left + more)));
    }
}

#[test]
fn what_was_seen_is_expected_again() {
    let text = "name: w\nsteps:\n  list: { worker: x }\n  each:\n    needs: [list]\n    for_each: ${{ steps.list.output }}\n    max_parallel: 2\n    worker: y\n  rare: { needs: [each], if: steps.list.output | length > 5, worker: z }\n";
    let mut facts = Facts::default();
    for run in 0..8_u64 {
        let rows = |path, took_ms, cost| Row {
            path,
            began: true,
            took_ms: Some(took_ms),
            cost,
            calls: 1,
            input_tokens: 10,
            output_tokens: 1,
        };
        let rare = Row { began: run == 0, ..rows("rare", 5_000, 7) };
        let seen = [
            rows("list", 100, 0),
            rows("each", 410, 0),
            rows("each[0]", 200, 1_000),
            rows("each[1]", 190, 1_100),
            rows("each[2]", 210, 900),
            rows("each[3]", 200, 1_000),
            rare,
        ];
        facts.history.add_run(&seen);
    }
    let found = of(text, &facts, json!({}));
    assert_eq!((found.total.duration_ms.likely(), found.total.duration_ms.low()), (100 + 410, 100 + 410));
    assert_eq!(found.total.duration_ms.high(), 510 + 10_000, "a step that was seen once may take twice its time");
    assert_eq!(found.total.cost.likely(), 4_000 + 1);
    let each = found.steps.iter().find(|step| step.path == "each[]").unwrap();
    assert_eq!((each.source, each.samples, each.times), (Source::Runs, 32, Span::exact(4)));
    assert_eq!(found.runs, 8);
}

#[test]
fn a_budget_names_the_step_that_it_does_not_pay_for() {
    let text = "name: w\nbudget: 0.000003\nsteps:\n  one: { worker: a }\n  two: { needs: [one], worker: a }\n  three: { needs: [two], worker: b }\n";
    let mut facts = facts();
    let left = |account: &str, of, left| Limit { account: account.to_owned(), of, left };
    facts.limits = vec![
        left("worker:b", LimitOf::Worker(Name::new("b")), 600),
        left("day", LimitOf::All, 1_999),
        left("tenant", LimitOf::All, 1_000_000),
    ];
    let found = of(text, &facts, json!({}));
    let shown: Vec<_> = found.parked.iter().map(|it| (it.account.as_str(), it.step.as_str(), it.case)).collect();
    assert_eq!(shown, [("day", "two", Case::Likely), ("worker:b", "three", Case::High), ("run", "two", Case::High)]);
}

#[test]
fn a_model_that_never_answered_is_priced_by_its_input() {
    let text = "name: w\nsteps:\n  ask: { worker: new, with: { text: '${{ inputs.text }}' } }\n";
    let mut facts = Facts::default();
    let (name, cost_max) = ("p/m".to_owned(), Some(2_000_000));
    facts.models.insert(
        Name::new("new"),
        ModelFacts { name, input_price: 100, output_price: 400, output_max: 4_000, cost_max },
    );
    let short = of(text, &facts, json!({ "text": "hi" }));
    let long = of(text, &facts, json!({ "text": "word ".repeat(2_000) }));
    assert!(short.total.cost.likely() < long.total.cost.likely());
    assert_eq!((short.steps[0].source, short.total.calls), (Source::Model, Span::exact(1)));
    assert!(long.total.cost.high() <= 2_000_000);
    let nothing = of("name: w\nsteps:\n  do: { worker: unknown }\n", &Facts::default(), json!({}));
    assert_eq!(nothing.steps[0].source, Source::Guess);
}

#[test]
fn a_known_condition_decides_and_paths_lose_their_numbers() {
    let text = "name: w\nsteps:\n  way:\n    if: inputs.big\n    then: { steps: { x: { worker: a } } }\n    else: { steps: { y: { worker: b } } }\n  only: { if: not inputs.big, worker: a }\n";
    let found = of(text, &facts(), json!({ "big": true }));
    let times: Vec<_> = found.steps.iter().map(|it| (it.path.as_str(), it.times.high(), it.times_known)).collect();
    assert_eq!(times, [("way.x", 1, true), ("way.y", 0, true), ("only", 0, true)]);
    assert_eq!(pattern("a[3].b[1][22](c)"), "a[].b[][](c)");
}
