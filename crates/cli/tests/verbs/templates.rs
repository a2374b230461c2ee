//! Each built-in template gives a workflow that does what it says, with classical methods alone.

use crate::place::{Place, signal};

const GOOD: &str =
    "text=The new reading room is wonderful. Everybody loves the light, and the staff is kind and helpful.";

fn made(name: &str, template: &str, set: &[&str]) -> Place {
    let place = Place::new();
    let mut arguments = vec!["workflows", "new", name, "--template", template];
    set.iter().for_each(|one| arguments.extend(["--set", one]));
    let said = place.kapelle(&arguments);
    assert!(said.code == 0 && said.out.contains(&format!("made workflows/{name}.yaml")), "{said:?}");
    assert_eq!(place.kapelle(&["workflows", "validate", name]).code, 0);
    place
}

#[test]
fn texts_are_mapped_and_reduced() {
    let place = made("digest", "map-reduce", &["max_parallel=2"]);
    let texts = r#"texts=["The reading room needs light. It has none.", "The roof leaks. Rain comes in.", "Visitors doubled."]"#;
    let outputs = place.kapelle(&["run", "digest", "--input", texts, "--json"]).json()["outputs"].clone();
    assert_eq!((&outputs["texts"], &outputs["failed"]), (&3.into(), &0.into()));
    assert!(outputs["text"].as_str().unwrap().contains("reading room"), "{outputs}");
}

#[test]
fn a_draft_is_judged_until_it_is_good_or_the_turns_are_over() {
    let place = made("refine", "evaluator-optimiser", &["threshold=0.1", "max=3"]);
    let run = place.kapelle(&["run", "refine", "--input", GOOD, "--json"]).json();
    assert!(run["outputs"]["score"].as_f64().unwrap() >= 0.1, "{run}");
    let turns = |run: &serde_json::Value| {
        let steps = run["steps"].as_array().unwrap();
        steps.iter().filter(|step| step["step"].as_str().unwrap().ends_with(']')).count()
    };
    assert_eq!(turns(&run), 1, "the first draft is good enough");
    let place = made("strict", "evaluator-optimiser", &["threshold=2", "max=3"]);
    assert_eq!(turns(&place.kapelle(&["run", "strict", "--input", GOOD, "--json"]).json()), 3, "never good enough");
}

#[test]
fn nothing_is_done_before_somebody_says_yes() {
    let place = made("gate", "approval-gate", &["question=Post it?"]);
    let (mut child, _lines) = place.started(&["run", "gate", "--input", GOOD], "kapelle approvals approve");
    signal(&child, "-INT");
    child.wait().unwrap();
    let asked = place.kapelle(&["approvals", "--json"]).json();
    let asked = &asked["approvals"][0];
    assert!(asked["question"].as_str().unwrap().starts_with("Post it? "), "{asked}");
    let task = asked["id"].as_str().unwrap();
    assert_eq!(place.kapelle(&["approvals", "approve", task, "--by", "ada"]).code, 0);
    assert!(place.kapelle(&["resume"]).out.contains("succeeded"));
    assert_eq!(place.kapelle(&["runs", "show", "run_1", "--json"]).json()["outputs"]["approved_by"], "ada");
}

#[test]
fn another_worker_answers_when_the_first_keeps_failing() {
    // Translation needs a model, and none is configured.
    let place = made("answer", "fallback", &["attempts=2", "delay=1ms"]);
    let run = place.kapelle(&["run", "answer", "--input", GOOD, "--json"]).json();
    assert_eq!(run["outputs"]["by"], "summarizer", "{run}");
    assert!(run["outputs"]["text"].as_str().unwrap().contains("reading room"));
    let place = made("direct", "fallback", &["primary=summarizer"]);
    assert_eq!(place.kapelle(&["run", "direct", "--input", GOOD, "--json"]).json()["outputs"]["by"], "summarizer");
}

#[test]
fn what_is_wrong_with_a_template_or_its_parameters_is_told() {
    let place = Place::new();
    let listed = place.kapelle(&["workflows", "templates"]).out;
    assert!(listed.contains("map-reduce:") && listed.contains("max_parallel [4]"), "{listed}");
    place.kapelle(&["workflows", "new", "x", "--template", "map-reduc"]).refused(3, &["did you mean `map-reduce`?"]);
    let wrong = |set: &str, part: &str| {
        place.kapelle(&["workflows", "new", "x", "--template", "map-reduce", "--set", set]).refused(2, &[part]);
    };
    wrong("mapp=x", "did you mean `map`?");
    wrong("max_parallel=none", "max_parallel");
    wrong("map", "has no value");
    wrong("map=a\" b", "cannot be");
    assert!(!place.path("workflows/x.yaml").exists());
    assert_eq!(place.kapelle(&["workflows", "new", "x", "--template", "fallback"]).code, 0);
    place.kapelle(&["workflows", "new", "x", "--template", "fallback"]).refused(5, &["is there already"]);
}

/// Ends the process of a run that waits for a person, and returns the open approvals.
fn asked(place: &Place, arguments: &[&str]) -> Vec<(String, String)> {
    let (mut child, _lines) = place.started(arguments, "kapelle approvals approve");
    signal(&child, "-INT");
    child.wait().unwrap();
    open(place)
}

fn open(place: &Place) -> Vec<(String, String)> {
    let asked = place.kapelle(&["approvals", "--json"]).json();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    asked["approvals"].as_array().unwrap().iter().map(|one| (text(&one["id"]), text(&one["question"]))).collect()
}

#[test]
fn another_person_is_asked_when_nobody_reviews_in_time() {
    let place = made("reviewed", "human-review", &["within=1s"]);
    let waiting = asked(&place, &["run", "reviewed", "--input", GOOD]);
    assert!(waiting.len() == 1 && waiting[0].1.starts_with("Is this right? "), "{waiting:?}");
    // The time of the reviewers is over: the next process asks the leads.
    let (mut child, _lines) = place.started(&["resume"], "lead waits for an approval");
    signal(&child, "-INT");
    child.wait().unwrap();
    let waiting = open(&place);
    assert!(waiting.len() == 1 && waiting[0].1.starts_with("Nobody reviewed this within 1s"), "{waiting:?}");
    assert_eq!(place.kapelle(&["approvals", "approve", &waiting[0].0, "--by", "ada"]).code, 0);
    assert_eq!(place.kapelle(&["resume"]).code, 0);
    let outputs = place.kapelle(&["runs", "show", "run_1", "--json"]).json()["outputs"].clone();
    assert_eq!((&outputs["escalated"], &outputs["approved_by"]), (&true.into(), &"ada".into()), "{outputs}");

    let place = made("quick", "human-review", &[]);
    let waiting = asked(&place, &["run", "quick", "--input", GOOD]);
    assert_eq!(place.kapelle(&["approvals", "approve", &waiting[0].0, "--by", "bo"]).code, 0);
    assert_eq!(place.kapelle(&["resume"]).code, 0);
    let outputs = place.kapelle(&["runs", "show", "run_1", "--json"]).json()["outputs"].clone();
    assert_eq!((&outputs["escalated"], &outputs["approved_by"]), (&false.into(), &"bo".into()), "{outputs}");
}

#[test]
fn poor_answers_of_a_batch_are_done_again() {
    let place = made("checked", "batch-with-check", &["threshold=0.3"]);
    let texts =
        r#"texts=["Everybody loves the wonderful new reading room.", "The roof leaks badly. It is terrible.", ""]"#;
    let outputs = place.kapelle(&["run", "checked", "--input", texts, "--json"]).json()["outputs"].clone();
    assert_eq!((&outputs["again"], &outputs["failed"]), (&1.into(), &1.into()), "{outputs}");
    assert_eq!(outputs["texts"].as_array().unwrap().len(), 2, "{outputs}");
}

#[test]
fn each_task_for_somebody_new_is_confirmed_by_a_person() {
    let place = made("welcome", "onboarding", &[r#"tasks=["make an account", "order a laptop"]"#, "within=1h"]);
    let waiting = asked(&place, &["run", "welcome", "--input", "name=Ada Berg", "--input", "start=Monday"]);
    let questions: Vec<&str> = waiting.iter().map(|(_, question)| question.as_str()).collect();
    assert!(questions.contains(&"Done for Ada Berg, Monday: order a laptop?") && questions.len() == 2, "{questions:?}");
    assert_eq!(place.kapelle(&["approvals", "approve", &waiting[0].0]).code, 0);
    assert_eq!(place.kapelle(&["approvals", "deny", &waiting[1].0, "--comment", "none left"]).code, 0);
    assert_eq!(place.kapelle(&["resume"]).code, 0);
    let outputs = place.kapelle(&["runs", "show", "run_1", "--json"]).json()["outputs"].clone();
    assert_eq!((&outputs["done"], &outputs["open"]), (&1.into(), &1.into()), "{outputs}");
}
