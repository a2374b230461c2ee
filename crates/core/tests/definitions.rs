//! Workflow files from the outside: accepted files, and messages about others.

use std::fmt::Write;

use kapelle_core::{
    DurationMs, Money,
    definition::{
        Action, Definition, OnError, OnItemError, RunIf, STEPS_MAX, Strategy, Timer, WaitFor, graph,
        schema::json_schema,
    },
    failure::Category,
    retry::Jitter,
    schedule::{CatchUp, Overlap},
};
use serde_json::{Value, json};

const TRIAGE: &str = r#"name: ticket-triage
inputs: { type: object, required: [tickets], properties: { tickets: { type: array }, threshold: { type: number, default: 0.8 } } }
vars: { language: en }
strategy: parallel            # sequential | parallel (default) | priority { fail_fast_at: 10 }
timeout: 1h
budget: $2.50                 # parked at the limit, resumes when raised
defaults: { queue: default, retry: { max_attempts: 3 } }
steps:
  classify:
    for_each: ${{ inputs.tickets }}
    max_parallel: 8           # default 5
    on_item_error: collect    # fail (default) | collect
    worker: category_classifier
    with: { text: "${{ item }}" }
    priority: 5
    timeout: 60s
    retry: { max_attempts: 5, delay: 2s, multiplier: 2, max_delay: 1m, jitter: full, on: [rate_limited, timeout] }
  route:
    needs: [classify]
    if: steps.classify.output | length > 0
    then: { steps: { summarize: { worker: summarizer, with: { text: "${{ steps.classify.output | tojson }}" } } } }
    else: { steps: { nothing: { worker: log, with: { message: no tickets } } } }
  refine:
    needs: [route]
    repeat: { until: "steps.score.output.value >= 0.9", max: 4 }
    steps: { draft: { worker: writer }, score: { needs: [draft], worker: critic } }
  escalate: { needs: [refine], workflow: escalate-ticket, wait: false, on_error: continue }
  approve:  { needs: [refine], wait: { approval: "Send it?", timeout: 24h, on_timeout: fail } }
  report:   { needs: [approve, escalate], run_if: always, worker: log }
finally: { steps: { clean: { worker: clear_temp } } }
on_error: { steps: { tell: { worker: email_dispatcher, with: { text: "${{ error.message }}" } } } }
outputs: { summary: "${{ steps.route.output }}" }
"#;

fn parse(text: &str) -> Result<Definition, String> {
    Definition::parse(text.as_bytes(), "flow.yaml").map_err(|problems| problems.render(text))
}

fn problem(text: &str) -> String {
    parse(text).map(|_| String::new()).unwrap_or_else(|shown| shown)
}

#[test]
fn the_format_of_the_documentation_reads_in_full() {
    let flow = parse(TRIAGE).unwrap_or_else(|shown| panic!("{shown}"));
    assert_eq!(
        (flow.name.as_str(), &flow.strategy, flow.budget),
        ("ticket-triage", &Strategy::Parallel, Some(Money(2_500_000_000)))
    );
    assert_eq!((flow.timeout, flow.step_count()), (Some(DurationMs(3_600_000)), 12));
    let root = flow.block(flow.root);
    let step = |name: &str| root.step(root.find(name).unwrap());
    let classify = step("classify");
    let fan = classify.for_each.as_ref().unwrap();
    assert_eq!((fan.max_parallel, fan.on_item_error, classify.priority), (8, OnItemError::Collect, 5));
    let retry = classify.retry.as_ref().unwrap();
    assert_eq!((retry.max_attempts, retry.delay, retry.jitter), (5, DurationMs(2_000), Jitter::Full));
    assert_eq!(retry.on.as_deref().unwrap(), [Category::RateLimited, Category::Timeout]);
    assert_eq!(step("report").retry.as_ref().unwrap().max_attempts, 3);
    assert_eq!(step("report").queue.as_ref().unwrap().as_str(), "default");
    let Action::Branch { then, otherwise: Some(otherwise) } = step("route").action else { panic!("a branch") };
    assert_eq!(flow.block(then).parent, Some((flow.root, root.find("route").unwrap())));
    assert_eq!(flow.block(otherwise).steps[0].name.as_str(), "nothing");
    assert!(matches!(step("escalate").action, Action::Workflow { wait: false, .. }));
    assert_eq!((step("escalate").on_error, step("report").run_if), (OnError::Continue, RunIf::Always));
    assert!(matches!(&step("approve").action, Action::Wait(wait) if matches!(wait.target, WaitFor::Approval(_))));
    assert_eq!(step("refine").dependents.len(), 2);
    assert_eq!((step("refine").repeat.as_ref().unwrap().max, step("refine").line), (4, 23));
    let levels: Vec<usize> = graph::levels(root).iter().map(Vec::len).collect();
    assert_eq!(levels, [1, 1, 1, 2, 1]);
}

#[test]
fn json_is_read_as_well() {
    let text = "{\n\t\"name\": \"x\",\n\t\"steps\": {\n\t\t\"a\": { \"worker\": \"log\", \"with\": { \"m\": \"${{ inputs.x }}\" } }\n\t}\n}";
    assert_eq!(parse(text).unwrap_or_else(|shown| panic!("{shown}")).step_count(), 1);
    let shown = problem("{\"name\": \"x\", \"steps\": {\"a\": {\"wroker\": \"log\"}}}");
    assert!(shown.contains("flow.yaml:1:31") && shown.contains("did you mean `worker`?"), "{shown}");
    let long: String =
        (0..2_000).map(|n| format!("\"s{n}\":{{\"worker\":\"log\",\"with\":{{\"n\":[{n},null,true]}}}},")).collect();
    let one_line = format!("{{\"name\":\"x\",\"steps\":{{{}}}}}", long.trim_end_matches(','));
    assert_eq!(parse(&one_line).unwrap_or_else(|shown| panic!("{shown}")).step_count(), 2_000);
}

#[test]
fn a_list_of_triggers_reads_in_full() {
    let text = "name: report\non:\n  - completed: { workflow: load }\n  - schedule: { cron: 30 2 * * *, timezone: Europe/Berlin, catch_up: one }\n  \
                - schedule: { name: week, cron: \"@weekly\", overlap: cancel_running, jitter: 30s, with: { day: \"${{ fire.date }}\" } }\n\
                steps: { a: { worker: log } }\n";
    let flow = parse(text).unwrap_or_else(|shown| panic!("{shown}"));
    assert_eq!(flow.on_completed.as_ref().unwrap().workflow.as_str(), "load");
    let [day, week] = &flow.on_schedules[..] else { panic!("two schedules") };
    assert_eq!((day.name.as_str(), &*day.cron, &*day.zone), ("report", "30 2 * * *", "Europe/Berlin"));
    assert_eq!((day.catch_up, day.overlap, &day.with), (CatchUp::One, Overlap::Skip, &json!({})));
    assert_eq!((week.name.as_str(), &*week.zone, week.jitter), ("report.week", "UTC", DurationMs(30_000)));
    assert_eq!((week.overlap, &week.with), (Overlap::CancelRunning, &json!({ "day": "${{ fire.date }}" })));
    let one = parse("name: r\non: { schedule: { cron: 15m } }\nsteps: { a: { worker: log } }\n").unwrap();
    assert_eq!((one.on_schedules[0].name.as_str(), one.on_schedules[0].place.line), ("r", 2));
}

/// A file with every fault, and its messages.
#[test]
fn messages_are_as_agreed() {
    let cases = include_str!("definitions/problems.txt");
    let mut shown = String::new();
    for case in cases.split("=== ").skip(1) {
        let (title, rest) = case.split_once('\n').unwrap();
        let source = rest.split("\n--- says\n").next().unwrap();
        let _ = write!(shown, "=== {title}\n{source}\n--- says\n{}\n", problem(source).trim_end());
        shown.push('\n');
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/definitions/problems.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(path, &shown).unwrap();
    }
    assert!(shown.trim() == cases.trim(), "run with UPDATE_EXPECTED=1 and look at the difference:\n{shown}");
}

#[test]
fn many_problems_are_reported_at_once() {
    let text = "name: 9\nsteps:\n  a: { worker: log, timeout: soon }\n  b: { wroker: log }\n  c: { needs: [z], worker: log, priority: 500 }\n";
    let problems = Definition::parse(text.as_bytes(), "f").unwrap_err();
    let lines: Vec<u32> = problems.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 3, 4, 5, 5]);
    let json = serde_json::to_value(&problems).unwrap();
    assert_eq!(json["problems"][1]["field"], "steps.a.timeout");
}

#[test]
fn hostile_files_are_refused_quickly() {
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\n\
                d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n\
                g: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\nh: &h [*g, *g, *g, *g, *g, *g, *g, *g, *g]\n";
    let says = |text: &str, expected: &str| {
        let shown = problem(text);
        assert!(shown.contains(expected), "expected {expected:?}, found {}", &shown[..shown.len().min(400)]);
    };
    says(bomb, "too many values");
    says("a: &a [*a]", "the alias stands inside of what it refers to");
    says(&format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)), "nested deeper than 200 levels");
    let block: String = (0..20_000).map(|depth| format!("{}a:\n", " ".repeat(depth.min(400)))).collect();
    says(&block, "nested deeper than 200 levels");
    says(&format!("name: x\n#{}", "y".repeat(16 << 20)), "at most 16 MiB");
    says("", "the file is empty");
    says("# nothing\n", "the file is empty");
    says("--- \nname: a\n---\nname: b\n", "more than one document");
    says("name: x\nsteps:\n\ta: { worker: log }\n", "indent with spaces");
    says("name: x\nsteps: !include other.yaml\n", "the tag `!include` is not supported");
    says("name: x\n<<: { a: 1 }\nsteps: {}\n", "merge keys");
    says("just text", "expected a map, found text");
    let bytes = Definition::parse(b"name: \xff\xfe", "f").unwrap_err();
    assert!(bytes.to_string().contains("not UTF-8: byte 6"), "{bytes}");
    let nul = Definition::parse(b"name: a\0b\nsteps: {}", "f");
    assert!(nul.is_err());
}

#[test]
fn deeply_nested_steps_fit_a_small_stack() {
    let levels = 60;
    let mut text = String::from("{name: deep, steps: ");
    (0..levels).for_each(|_| text.push_str("{a: {steps: "));
    text.push_str("{last: {worker: log}}");
    text.push_str(&"}}".repeat(levels));
    text.push('}');
    let run = move || assert_eq!(parse(&text).unwrap_or_else(|shown| panic!("{shown}")).step_count(), levels + 1);
    std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap();
}

fn chain(steps: usize, reference: impl Fn(usize) -> usize) -> String {
    let mut text = String::from("name: chain\nsteps:\n");
    for at in 0..steps {
        let _ = match at {
            0 => writeln!(text, "  s0: {{ worker: log }}"),
            _ => writeln!(
                text,
                "  s{at}: {{ needs: [s{}], worker: log, if: steps.s{}.output > 1, with: {{ x: \"${{{{ steps.s{}.output }}}}\" }} }}",
                at - 1,
                at - 1,
                reference(at)
            ),
        };
    }
    text
}

#[test]
fn a_hundred_thousand_steps_are_read_and_checked() {
    for reference in [(|at: usize| at - 1) as fn(usize) -> usize, |_| 0, |at| at / 2] {
        let text = chain(STEPS_MAX, reference);
        #[expect(clippy::disallowed_methods, reason = "a printed measurement, never asserted")]
        let start = std::time::Instant::now();
        let flow = parse(&text).unwrap_or_else(|shown| panic!("{}", &shown[..400]));
        println!("{} steps, {} KiB: {:?}", flow.step_count(), text.len() >> 10, start.elapsed());
        assert_eq!(graph::levels(flow.block(flow.root)).len(), STEPS_MAX);
    }
    let plain = chain(STEPS_MAX, |at| at - 1).replace("if:", "description:").replace("${{", "{{");
    #[expect(clippy::disallowed_methods, reason = "a printed measurement, never asserted")]
    let start = std::time::Instant::now();
    drop(parse(&plain).unwrap_or_else(|shown| panic!("{}", &shown[..400])));
    println!("without expressions: {:?}", start.elapsed());
    let more = problem(&chain(STEPS_MAX + 1, |at| at - 1));
    assert!(more.contains("more than 100000 steps"), "{more}");
    let closed = chain(STEPS_MAX, |at| at - 1).replacen("s0: {", &format!("s0: {{ needs: [s{}],", STEPS_MAX - 1), 1);
    let shown = problem(&closed);
    assert!(shown.contains("in a circle: `s0` needs `s99999`") && shown.contains("more …"), "{shown}");
}

#[test]
fn graphs_are_drawn() {
    let flow = parse(TRIAGE).unwrap_or_else(|shown| panic!("{shown}"));
    let text = graph::to_text(&flow);
    assert!(text.contains("  5 report (log) after approve, escalate"), "{text}");
    assert!(
        text.contains("      1 summarize (summarizer)") && text.contains("finally:\n  1 clean (clear_temp)"),
        "{text}"
    );
    let mermaid = graph::to_mermaid(&flow);
    assert!(mermaid.starts_with("flowchart TD\n") && mermaid.contains("s0_3 --> s0_5"), "{mermaid}");
}

#[test]
fn all_that_the_reader_knows_stands_in_the_schema() {
    let schema = json_schema();
    let defs = schema["$defs"].as_object().unwrap();
    assert_eq!(defs["step"]["additionalProperties"], json!(false));
    for (name, table) in defs {
        for (key, value) in table["properties"].as_object().unwrap() {
            let about = value.get("description").or_else(|| (*value == Value::Bool(false)).then_some(value));
            assert!(about.is_some(), "{name}.{key}");
            if let Some(reference) = value["$ref"].as_str().and_then(|text| text.strip_prefix("#/$defs/")) {
                assert!(defs.contains_key(reference), "{reference}");
            }
        }
    }
}

#[test]
fn timers_and_handlers() {
    let text = "name: x\nsteps:\n  a: { wait: { timer: 5m } }\n  b: { needs: [a], worker: log, on_error: { run: fix } }\n  \
                fix: { worker: log, with: { why: \"${{ error.message }} ${{ steps.a.output }} ${{ steps.b.error }}\" } }\n  \
                c: { needs: b, wait: { timer: \"${{ inputs.pause }}\" }, cache: 1h }\n";
    let shown = problem(text);
    assert!(shown.contains("`cache` goes only with `worker`"), "{shown}");
    let flow = parse(&text.replace(", cache: 1h", "")).unwrap_or_else(|shown| panic!("{shown}"));
    let root = flow.block(flow.root);
    let step = |name: &str| root.step(root.find(name).unwrap());
    assert!(step("fix").is_handler && !step("a").is_handler);
    assert!(matches!(step("b").on_error, OnError::Run(at) if root.step(at).name.as_str() == "fix"));
    assert!(
        matches!(&step("a").action, Action::Wait(wait) if matches!(wait.target, WaitFor::Timer(Timer::Fixed(DurationMs(300_000)))))
    );
}
