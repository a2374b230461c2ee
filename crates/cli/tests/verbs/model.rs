//! The binary against a provider double over real HTTP: faults fall back or fail as declared, and are always reported.

use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::Value;

use crate::place::{Place, Said};

const WORKFLOW: &str = "\
name: asks
inputs: { type: object, required: [text], properties: { text: { type: string } } }
defaults: { retry: { max_attempts: 2, delay: 10ms, jitter: none } }
steps:
  summary: { worker: summarizer, timeout: 2s, with: { text: '${{ inputs.text }}' } }
outputs: { text: '${{ steps.summary.output.text }}' }
";

const TEXT: &str =
    "text=The roof of the reading room leaks. It should be mended before winter. Nobody has money for it.";

struct Stage {
    place: Place,
    double: ScriptedOpenai,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new(rules: &str) -> Stage {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let script = Script::from_yaml(&format!("key: sk-good\nrules: {rules}\n")).unwrap();
        let double = runtime.block_on(ScriptedOpenai::start(script)).unwrap();
        let place = Place::new();
        place.file("asks.yaml", WORKFLOW);
        Stage { place, double, runtime }
    }

    fn run(&self, key: &str, more: &[&str]) -> Said {
        let base = self.double.base_url();
        let arguments = [&["run", "asks.yaml", "--json", "--input", TEXT][..], more].concat();
        let _guard = self.runtime.enter();
        self.place.with(&[("OPENAI_API_KEY", key), ("OPENAI_BASE_URL", &base)], &arguments)
    }
}

fn step(said: &Said) -> Value {
    said.json()["steps"][0].clone()
}

#[test]
fn a_key_and_an_address_are_all_that_a_model_needs() {
    let stage = Stage::new("[{ reply: { text: Mend the roof., key_points: [It leaks.] } }]");
    let said = stage.run("sk-good", &[]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json()["outputs"]["text"], "Mend the roof.");
    let step = step(&said);
    assert_eq!((&step["provider"], &step["degraded"]), (&Value::from("openai"), &Value::from(false)), "{step}");
    assert!(step["cost_nanousd"].as_u64().unwrap() > 0, "{step}");
    assert_eq!(stage.double.calls().len(), 1);
    assert!(!said.err.contains("degraded"), "{}", said.err);
}

#[test]
fn a_refused_key_falls_back_and_says_so_or_fails_when_told_to() {
    let stage = Stage::new("[]");
    let said = stage.run("sk-bad", &[]);
    assert_eq!(said.code, 0, "{said:?}");
    let step = step(&said);
    assert_eq!(step["provider"], "offline");
    assert!(said.err.contains("refused (401)"), "{}", said.err);
    assert!(!said.err.contains("sk-bad") && !said.out.contains("sk-bad"), "the key is shown: {said:?}");
    let said = stage.run("sk-bad", &["--no-fallback"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("401"), "{}", said.err);
}

#[test]
fn passing_faults_are_tried_again_and_the_answer_is_the_models() {
    for fault in [
        "status: 429",
        "status: 429, headers: { Retry-After: '0' }",
        "status: 500",
        "reset: true",
        "malformed: true",
        "cut: true",
    ] {
        let rules = format!("[{{ times: 1, {fault} }}, {{ reply: {{ text: At last., key_points: [] }} }}]");
        let stage = Stage::new(&rules);
        let said = stage.run("sk-good", &[]);
        assert_eq!(said.code, 0, "{fault}: {said:?}");
        let step = step(&said);
        assert_eq!((&step["attempt"], &step["provider"]), (&Value::from(2), &Value::from("openai")), "{fault}: {step}");
    }
}

#[test]
fn faults_that_stay_end_offline_and_say_why() {
    for (fault, why) in [("status: 503", "503"), ("reset: true", ""), ("hang: true", ""), ("malformed: true", "")] {
        let stage = Stage::new(&format!("[{{ {fault} }}]"));
        let said = stage.run("sk-good", &[]);
        assert_eq!(said.code, 0, "{fault}: {said:?}");
        assert_eq!(step(&said)["provider"], "offline", "{fault}: {said:?}");
        assert!(said.err.contains("degraded") && said.err.contains(why), "{fault}: {}", said.err);
    }
}

#[test]
fn an_answer_against_the_schema_fails_and_is_not_replaced() {
    let stage = Stage::new("[{ reply: { txt: wrong } }]");
    let said = stage.run("sk-good", &[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("invalid_output"), "{}", said.err);
    assert_eq!(stage.double.calls().len(), 2, "asked once more, and no second attempt");
}

#[test]
fn a_bad_answer_is_tried_again_where_the_author_lists_it() {
    let stage = Stage::new("[{ times: 2, reply: { txt: wrong } }, { reply: { text: At last., key_points: [] } }]");
    let listing = WORKFLOW.replace("jitter: none", "jitter: none, on: [invalid_output]");
    stage.place.file("asks.yaml", &listing);
    let said = stage.run("sk-good", &[]);
    assert_eq!((said.code, &step(&said)["attempt"]), (0, &Value::from(2)), "{said:?}");
    assert_eq!(stage.double.calls().len(), 3);
}
