//! Estimates of runs, before and after them.

use serde_json::json;

use crate::place::Place;

const EACH: &str = "\
name: each
inputs: { type: object, required: [texts], properties: { texts: { type: array, items: { type: string } } } }
steps:
  words: { for_each: '${{ inputs.texts }}', worker: keywords, with: { text: '${{ item }}' } }
  rest: { needs: [words], wait: { timer: 20ms } }
  maybe: { needs: [rest], if: steps.words.output | length > 2, worker: log, with: { message: many } }
";

#[test]
fn a_run_is_estimated_from_nothing_and_then_from_its_history() {
    let place = Place::new();
    place.file("each.yaml", EACH);
    let texts = r#"texts=["Light and noise.", "Rooms and readers."]"#;
    let before = place.kapelle(&["runs", "estimate", "each.yaml", "--input", texts, "--json"]).json();
    assert_eq!((&before["runs"], &before["guessed"]), (&json!(0), &json!(2)), "{before}");
    assert!(!place.path(".kapelle").exists(), "an estimate makes no folder");
    for _ in 0..3 {
        assert_eq!(place.kapelle(&["run", "each.yaml", "--input", texts]).code, 0);
    }
    let after = place.kapelle(&["runs", "estimate", "each.yaml", "--input", texts, "--json"]).json();
    let steps = after["steps"].as_array().unwrap();
    let step = |path: &str| steps.iter().find(|step| step["path"] == path).unwrap();
    assert_eq!(
        (&after["runs"], &step("words[]")["source"], &step("words[]")["samples"]),
        (&json!(3), &json!("runs"), &json!(6))
    );
    assert_eq!(step("words[]")["times"], json!({ "low": 2, "likely": 2, "high": 2 }), "{after}");
    assert_eq!(
        (&step("rest")["source"], &step("rest")["one"]["duration_ms"]["likely"]),
        (&json!("written"), &json!(20))
    );
    assert_eq!(step("maybe")["times"]["likely"], 0, "it was skipped in every run: {after}");
    let said = place.kapelle(&["runs", "estimate", "each.yaml", "--input", texts]).out;
    assert!(said.contains("from 3 earlier runs") && said.contains("written in the file"), "{said}");
    assert_eq!(
        place.kapelle(&["runs", "list", "--json"]).json()["runs"].as_array().unwrap().len(),
        3,
        "none was started"
    );
}

#[test]
fn the_estimate_of_a_run_stands_beside_what_it_took() {
    let place = Place::new();
    place.file("each.yaml", EACH);
    for _ in 0..2 {
        assert_eq!(place.kapelle(&["run", "each.yaml", "--input", r#"texts=["Light."]"#]).code, 0);
    }
    let first = place.kapelle(&["runs", "estimate", "run_1", "--json"]).json();
    assert_eq!(first["runs"], 0, "nothing was known before the first run: {first}");
    let second = place.kapelle(&["runs", "estimate", "run_2", "--json"]).json();
    assert_eq!(second["runs"], 1);
    assert!(second["actual"]["duration_ms"].as_u64().unwrap() >= 20, "{second}");
    let shown = place.kapelle(&["runs", "show", "run_2"]).out;
    assert!(shown.contains("\nestimated ") && shown.contains(", took "), "{shown}");
}

#[test]
fn a_budget_that_is_too_small_is_named_before_anything_is_spent() {
    let place = Place::new();
    let text = "name: ask\nbudget: $0.000001\nsteps:\n  a: { worker: summarizer, with: { text: One text. It has two sentences. } }\n";
    place.file("ask.yaml", text);
    let model = [("OPENAI_API_KEY", "sk-good"), ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")];
    let found = place.with(&model, &["runs", "estimate", "ask.yaml", "--json"]).json();
    assert_eq!((&found["stops"][0]["account"], &found["stops"][0]["step"]), (&json!("run"), &json!("a")), "{found}");
    assert_eq!((&found["stops"][0]["case"], &found["steps"][0]["source"]), (&json!("likely"), &json!("model")));
    let said = place.with(&model, &["runs", "estimate", "ask.yaml"]).out;
    assert!(said.contains("The budget `run` likely stops it at step a"), "{said}");
}

#[test]
fn what_cannot_be_estimated_is_refused() {
    let place = Place::new();
    place.file("each.yaml", EACH);
    place.kapelle(&["runs", "estimate", "each.yaml", "--input", "texts=3"]).refused(2, &["expected array"]);
    place.kapelle(&["runs", "estimate", "each.yaml"]).refused(2, &["texts"]);
    place.kapelle(&["runs", "estimate", "ech.yaml"]).refused(3, &["there is no workflow ech.yaml"]);
    place.kapelle(&["runs", "estimate", "run_7"]).refused(3, &[]);
}
