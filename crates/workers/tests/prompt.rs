//! Prompt workers against a provider double over real HTTP, and without any provider.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where its stage cannot be set")]

use std::{fs, path::Path, sync::Arc};

use kapelle_core::{
    Category, Money,
    worker::{Output, TaskContext},
};
use kapelle_gateway::{Gateway, GatewayConfig};
use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use kapelle_workers::Catalogue;
use serde_json::{Value, json};

const SAMPLE: &str = include_str!("../../../samples/annual-review.txt");

fn gateway(base: &str, key: &str) -> Arc<Gateway> {
    let env = |name: &str| match name {
        "OPENAI_BASE_URL" => Some(base.to_owned()),
        "OPENAI_API_KEY" => Some(key.to_owned()),
        _ => None,
    };
    Arc::new(Gateway::new(&GatewayConfig::default(), &env).unwrap())
}

async fn stage(rules: &str) -> (ScriptedOpenai, Catalogue) {
    let script = Script::from_yaml(&format!("rules: {rules}\n")).unwrap();
    let double = ScriptedOpenai::start(script).await.unwrap();
    let catalogue = Catalogue::shipped(&gateway(&double.base_url(), "sk-test")).unwrap();
    (double, catalogue)
}

fn offline() -> Catalogue {
    let catalogue = Catalogue::shipped(&gateway("http://127.0.0.1:9/v1", "")).unwrap();
    // It ships with the crate that reads documents.
    catalogue.with(Arc::new(kapelle_documents::ExtractText::new(None)))
}

async fn run(catalogue: &Catalogue, name: &str, input: Value) -> Result<Output, kapelle_core::TaskError> {
    let worker = catalogue.get(name).unwrap();
    worker.execute(&TaskContext::detached("task_1"), input).await
}

#[tokio::test]
async fn every_shipped_worker_answers_by_model_in_its_own_schema() {
    let (double, catalogue) = stage("[]").await;
    let prompt = ["category_classifier", "document_analyzer", "question_generator", "sentiment_analyzer", "summarizer"];
    for name in prompt {
        let output = run(&catalogue, name, json!({ "text": SAMPLE })).await.unwrap();
        let provenance = output.provenance;
        assert_eq!((provenance.provider.as_deref(), provenance.calls), (Some("openai"), 1), "{name}");
        assert!(provenance.cost > Money::ZERO && provenance.degraded.is_none() && !provenance.truncated);
    }
    run(&catalogue, "translator", json!({ "text": "Good morning", "language": "French" })).await.unwrap();
    let calls = double.calls();
    let prompt = calls[5].body["messages"][1]["content"].as_str().unwrap();
    assert!(prompt.contains("into French") && prompt.contains("Good morning"), "{prompt}");
    for call in &calls {
        assert_eq!(call.body["response_format"]["type"], "json_schema");
        assert_eq!(call.body["response_format"]["json_schema"]["strict"], true);
    }
}

#[tokio::test]
async fn a_wrong_answer_is_asked_once_more_with_what_was_wrong() {
    let rules = r#"[{ times: 1, reply: { sentiment: great, score: 2 } },
                    { reply: "```json\n{\"sentiment\":\"positive\",\"score\":0.9,\"tone\":\"warm\",\"mood\":\"glad\"}\n```" }]"#;
    let (double, catalogue) = stage(rules).await;
    let output = run(&catalogue, "sentiment_analyzer", json!({ "text": "Lovely!" })).await.unwrap();
    assert_eq!((&output.value["sentiment"], output.provenance.calls), (&json!("positive"), 2));
    let again = double.calls()[1].body["messages"].clone();
    assert_eq!(again.as_array().unwrap().len(), 4);
    let complaint = again[3]["content"].as_str().unwrap();
    assert!(complaint.contains("does not fit the schema") && complaint.contains("/score"), "{complaint}");
}

#[tokio::test]
async fn a_second_wrong_answer_is_the_end_of_the_attempt() {
    let (double, catalogue) = stage("[{ reply: I would rather not. }]").await;
    let error = run(&catalogue, "summarizer", json!({ "text": "Some text." })).await.unwrap_err();
    assert_eq!((error.category, error.retryable), (Category::InvalidOutput, false));
    assert!(error.message.contains("not JSON"), "{error}");
    assert_eq!(double.calls().len(), 2);
}

#[tokio::test]
async fn a_wrong_input_costs_nothing() {
    let (double, catalogue) = stage("[]").await;
    for (input, part) in [
        (json!({}), "\"text\" is a required property"),
        (json!({ "text": 5 }), "/text"),
        (json!({ "text": "x", "max_sentences": 0 }), "/max_sentences"),
        (json!({ "text": "x", "colour": 1 }), "'colour' was unexpected"),
    ] {
        let error = run(&catalogue, "summarizer", input).await.unwrap_err();
        assert_eq!(error.category, Category::InvalidInput);
        assert!(error.message.contains(part), "{error}");
    }
    assert_eq!(double.calls().len(), 0);
}

#[tokio::test]
async fn a_long_input_is_cut_and_the_answer_says_so() {
    let (double, catalogue) = stage("[]").await;
    let long = "many words ".repeat(60_000);
    let output = run(&catalogue, "sentiment_analyzer", json!({ "text": long })).await.unwrap();
    assert!(output.provenance.truncated);
    let sent = double.calls()[0].body["messages"][1]["content"].as_str().unwrap().len();
    assert!((190_000..205_000).contains(&sent), "{sent}");
}

#[tokio::test]
async fn no_task_costs_more_than_its_cap() {
    let (double, catalogue) = stage("[]").await;
    let folder = tempdir("cap");
    fs::write(folder.join("cheap.yaml"), "kind: prompt\nname: cheap\nmax_cost: $0.000001\nprompt: Say {{ text }}\n")
        .unwrap();
    let mut catalogue = catalogue;
    assert!(catalogue.add_folder(&folder, &gateway(&double.base_url(), "sk-test")).is_empty());
    let error = run(&catalogue, "cheap", json!({ "text": "hello" })).await.unwrap_err();
    assert_eq!((error.category, double.calls().len()), (Category::Budget, 0));
}

#[tokio::test]
async fn a_worker_whose_file_allows_a_cache_asks_once_for_equal_inputs_and_never_keeps_a_misfit() {
    let (double, mut catalogue) = stage(r#"[{ times: 1, reply: nonsense }, { reply: { verdict: fine } }]"#).await;
    let folder = tempdir("cache");
    let file = "kind: prompt\nname: judge\ncache: 1h\nprompt: Judge {{ text }}\n\
                output: { type: object, required: [verdict], properties: { verdict: { type: string } } }\n";
    fs::write(folder.join("judge.yaml"), file).unwrap();
    assert!(catalogue.add_folder(&folder, &gateway(&double.base_url(), "sk-test")).is_empty());
    let mut calls = Vec::new();
    for text in ["a", "a", "a", "b"] {
        let output = run(&catalogue, "judge", json!({ "text": text })).await.unwrap();
        assert_eq!(output.value, json!({ "verdict": "fine" }));
        calls.push(output.provenance.calls);
    }
    // The first is asked again for its misfit; the second finds no answer to its first request.
    assert_eq!((calls, double.calls().len()), (vec![2, 1, 0, 1], 4));
}

#[tokio::test]
async fn without_a_key_classical_methods_answer_and_say_so() {
    let catalogue = offline();
    for name in ["category_classifier", "document_analyzer", "question_generator", "sentiment_analyzer", "summarizer"] {
        let output = run(&catalogue, name, json!({ "text": SAMPLE })).await.unwrap();
        let provenance = output.provenance;
        assert_eq!(provenance.provider.as_deref(), Some("offline"), "{name}");
        assert_eq!(provenance.degraded.as_deref(), Some("no OPENAI_API_KEY"), "{name}");
        assert_eq!((provenance.calls, provenance.cost), (0, Money::ZERO));
        let schema = catalogue.get(name).unwrap().spec().output.clone().unwrap();
        assert!(kapelle_workers::schema::Schema::compile(&schema).unwrap().violations(&output.value).is_empty());
    }
}

#[tokio::test]
async fn a_translation_needs_a_model_and_says_so() {
    let error = run(&offline(), "translator", json!({ "text": "Hello", "language": "French" })).await.unwrap_err();
    assert_eq!((error.category, error.retryable), (Category::ModelRequired, false));
    assert!(error.message.contains("no OPENAI_API_KEY"), "{error}");
}

#[tokio::test]
async fn offline_answers_must_fit_the_workers_own_schema() {
    let folder = tempdir("schema");
    let file = "kind: prompt\nname: odd\noffline: summary\nprompt: Sum {{ text }}\n\
                output: { type: object, required: [verdict], properties: { verdict: { type: string } } }\n";
    fs::write(folder.join("odd.yaml"), file).unwrap();
    let mut catalogue = offline();
    assert!(catalogue.add_folder(&folder, &gateway("http://127.0.0.1:9/v1", "")).is_empty());
    let error = run(&catalogue, "odd", json!({ "text": "One thing. Another thing." })).await.unwrap_err();
    assert_eq!(error.category, Category::ModelRequired);
    assert!(error.message.contains("cannot give what its output schema asks for"), "{error}");
}

#[tokio::test]
async fn the_users_file_wins_and_a_broken_one_stops_no_other() {
    let folder = tempdir("folder");
    let good = "kind: prompt\nname: summarizer\ndescription: mine\nprompt: Say {{ text }}\n";
    fs::write(folder.join("a.yaml"), good).unwrap();
    fs::write(folder.join("b.yaml"), good).unwrap();
    fs::write(folder.join("c.yaml"), "kind: prompt\nname: c\npromt: x\n").unwrap();
    fs::write(folder.join("d.yml"), "kind: prompt\nname: d\nmodel: huge\nprompt: x\n").unwrap();
    fs::write(folder.join("e.yaml"), b"kind: \xff\xfe").unwrap();
    fs::write(folder.join("note.txt"), "not a worker").unwrap();
    let mut catalogue = offline();
    let errors = catalogue.add_folder(&folder, &gateway("http://127.0.0.1:9/v1", ""));
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(catalogue.get("summarizer").unwrap().spec().description, "mine");
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert!(shown[0].contains("is already declared in") && shown[0].contains("a.yaml"), "{shown:?}");
    assert!(shown[1].contains("c.yaml:3:1: promt: unknown key `promt` (did you mean `prompt`?)"), "{shown:?}");
    assert!(shown[2].contains("unknown model alias `huge` (there are: cheap, embed, fast"), "{shown:?}");
    assert!(shown[3].contains("the file is not UTF-8"), "{shown:?}");
    assert!(catalogue.add_folder(&folder.join("absent"), &gateway("http://127.0.0.1:9/v1", "")).is_empty());
}

#[test]
fn all_workers_have_names_descriptions_and_schemas() {
    let catalogue = offline();
    let names: Vec<&str> = catalogue.iter().map(|worker| worker.spec().name.as_str()).collect();
    let shipped = [
        "category_classifier",
        "document_analyzer",
        "extract_text",
        "keywords",
        "language",
        "lesson_writer",
        "log",
        "negotiator",
        "question_generator",
        "report",
        "research_synthesizer",
        "sentiment_analyzer",
        "sleep",
        "summarizer",
        "translator",
    ];
    assert_eq!(names, shipped);
    for worker in catalogue.iter() {
        let spec = worker.spec();
        assert!(!spec.description.is_empty() && spec.input.is_some() && spec.output.is_some(), "{}", spec.name);
    }
}

fn tempdir(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
