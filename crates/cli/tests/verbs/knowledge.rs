//! The templates of knowledge work, with a double of a model and without one.

use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::{Value, json};

use crate::place::Place;

/// A folder with a workflow of a template, and a model that answers by rules.
struct Stage {
    place: Place,
    double: ScriptedOpenai,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    fn new(template: &str, set: &[&str], rules: &str) -> Stage {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let script = Script::from_yaml(&format!("key: sk-good\nrules: {rules}\n")).unwrap();
        let double = runtime.block_on(ScriptedOpenai::start(script)).unwrap();
        let place = Place::new();
        place.file("workers/memory.yaml", "kind: memory_sync\nname: memory\n");
        let mut arguments = vec!["workflows", "new", "w", "--template", template];
        set.iter().for_each(|one| arguments.extend(["--set", one]));
        assert_eq!(place.kapelle(&arguments).code, 0);
        Stage { place, double, runtime }
    }

    fn run(&self, inputs: &Value) -> Value {
        let base = self.double.base_url();
        let inputs = inputs.to_string();
        let _guard = self.runtime.enter();
        let model = [("OPENAI_API_KEY", "sk-good"), ("OPENAI_BASE_URL", base.as_str())];
        self.place.with(&model, &["run", "w", "--json", "--input", &inputs]).json()
    }

    fn run_offline(&self, inputs: &Value) -> Value {
        self.place.kapelle(&["run", "w", "--json", "--input", &inputs.to_string()]).json()
    }
}

fn sources() -> Value {
    json!({
        "question": "Does light help readers?",
        "sources": [
            { "name": "Survey", "text": "Readers stay longer in bright rooms. The survey asked 300 people. Light was named most." },
            { "name": "Trial", "text": "A trial found no effect of light. It had twelve rooms. Noise mattered more." },
        ],
    })
}

#[test]
fn each_claim_of_a_synthesis_names_its_source() {
    let answer = "{ answer: Partly., disagreements: [Survey and trial differ.], claims: [{ claim: Readers stay longer., source: 1 }, { claim: Made up., source: 9 }] }";
    let rules = format!("[{{ contains: 'Source 2:', reply: {answer} }}]");
    let stage = Stage::new("research-synthesis", &[], &rules);
    let outputs = stage.run(&sources())["outputs"].clone();
    assert_eq!((&outputs["answered"], &outputs["answer"]), (&json!(true), &json!("Partly.")));
    assert_eq!(outputs["claims"], json!([{ "claim": "Readers stay longer.", "source": 1 }]), "{outputs}");
    assert!(outputs["report"].as_str().unwrap().contains("Survey and trial differ."), "{outputs}");
}

#[test]
fn without_a_model_the_notes_remain() {
    let stage = Stage::new("research-synthesis", &[], "[]");
    let run = stage.run_offline(&sources());
    let outputs = &run["outputs"];
    assert_eq!((&outputs["answered"], &outputs["claims"]), (&json!(false), &json!([])), "{run}");
    assert!(outputs["answer"].as_str().unwrap().contains("light"), "{outputs}");
    assert!(outputs["report"].as_str().unwrap().contains("Trial"), "{outputs}");
    assert!(run.to_string().contains("model_required"), "{run}");
}

#[test]
fn two_roles_talk_until_one_agrees_or_the_rounds_are_over() {
    let offer = |text: &str, agrees: bool| {
        format!("{{ text: {text}, agrees: {agrees}, open_points: {} }}", if agrees { "[]" } else { "[hours]" })
    };
    let rules = format!(
        "[{{ contains: 'library', times: 1, reply: {} }}, {{ contains: 'town', times: 1, reply: {} }}, {{ contains: 'library', reply: {} }}, {{ contains: 'town', reply: {} }}]",
        offer("ten hours", false),
        offer("six hours", false),
        offer("eight hours", false),
        offer("eight hours", true),
    );
    let inputs = json!({ "topic": "Opening", "first": "The library", "second": "The town" });
    let stage = Stage::new("catchball", &["rounds=5"], &rules);
    let run = stage.run(&inputs);
    assert_eq!((&run["outputs"]["agreed"], &run["outputs"]["second"]), (&json!(true), &json!("eight hours")), "{run}");
    assert_eq!(stage.double.calls().len(), 4);
    let never = format!("[{{ reply: {} }}]", offer("mine", false));
    let stage = Stage::new("catchball", &["rounds=2"], &never);
    let outputs = stage.run(&inputs)["outputs"].clone();
    assert_eq!((&outputs["agreed"], &outputs["open_points"]), (&json!(false), &json!(["hours"])), "{outputs}");
    let run = stage.run_offline(&inputs);
    assert!(run.to_string().contains("model_required"), "{run}");
}

#[test]
fn lessons_cite_facts_and_are_kept_for_later_tasks() {
    let rules = "[{ contains: 'worker/keywords', reply: { lessons: [{ lesson: Ask for keywords first., facts: [worker/keywords] }] } }]";
    let stage = Stage::new("wisdom-synthesis", &[], rules);
    assert_eq!(stage.place.kapelle(&["submit", "keywords", "--wait", "--input", "text=Light and noise."]).code, 0);
    let run = stage.run(&json!({}));
    assert_eq!(run["outputs"]["lessons"][0]["facts"], json!(["worker/keywords"]), "{run}");
    let recall = ["submit", "memory", "--wait", "--input", "operation=recall", "--input", "key=lesson/0"];
    assert!(stage.place.kapelle(&recall).out.contains("Ask for keywords first. (worker/keywords)"));

    let stage = Stage::new("wisdom-synthesis", &[], "[]");
    assert_eq!(stage.place.kapelle(&["submit", "keywords", "--wait", "--input", "text=Light and noise."]).code, 0);
    let outputs = stage.run_offline(&json!({}))["outputs"].clone();
    assert_eq!(
        (&outputs["lessons"], &outputs["facts"][0]["key"]),
        (&json!([]), &json!("worker/keywords")),
        "{outputs}"
    );
}
