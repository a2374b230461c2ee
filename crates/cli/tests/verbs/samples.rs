//! The sample scripts with the official SDKs and a model: each starts, reports its model, and does its work with it.

use std::{fs, os::unix::fs::symlink, path::Path};

use serde_json::{Value, json};

use crate::{
    money::Stage,
    replay::{is_installed, kit},
    scripts::{found, scripts, until},
};

const SAMPLES: [&str; 8] = [
    "auditProcessor",
    "clearTemp",
    "codeImprovement",
    "goalWatcher",
    "maintenanceScheduler",
    "memorySync",
    "text_digest",
    "word_counter",
];
const ANSWER: &str = "as the model has it";

/// Makes a stage with the samples as they ship, the SDKs, and something for each to do.
fn stage() -> Stage {
    let stage = Stage::new(&format!("[{{ reply: {ANSWER} }}]"));
    let place = &stage.place;
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workers");
    for name in ["package.json", "requirements.txt"] {
        place.file(&format!("workers/{name}"), fs::read(from.join(name)).unwrap());
    }
    for entry in fs::read_dir(&from).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".mjs") || name.ends_with(".py") {
            place.file(&format!("workers/{name}"), fs::read(entry.path()).unwrap());
        }
    }
    symlink(kit().join("javascript/node_modules"), place.path("workers/node_modules")).unwrap();
    symlink(kit().join("python"), place.path("workers/.venv")).unwrap();
    for number in 0..21 {
        place.file(&format!("workers/tmp/old-{number}"), "old");
    }
    place.run("sh", &["-c", "touch -d '3 days ago' workers/tmp/*"]);
    place.file("workers/goals.json", r#"[{"goal":"Rest","file":"x","due":"2020-01-01"}]"#);
    place.file(
        "workers/maintenance.json",
        r#"[{"chore":"Sweep","every_days":7,"last":"2020-01-01"},{"chore":"Dust","every_days":1}]"#,
    );
    place.file("earlier.log", "{\"worker\":\"summarizer\",\"outcome\":\"succeeded\"}\n");
    place.file(".env", format!("SESSION_LOG={}\n", place.path("earlier.log").display()));
    place.file("texts/a.txt", "library library shelves");
    stage
}

#[test]
fn every_sample_says_its_model_and_works_with_it() {
    if !(is_installed("javascript/node_modules") && is_installed("python")) {
        return;
    }
    let stage = stage();
    let place = &stage.place;
    let served = stage.serve();
    let all = until(|| Some(scripts(place)).filter(|all| all.len() == SAMPLES.len()));
    assert!(all.iter().all(|script| script["standing"] == "started"), "{all:#?}");
    let read = |name: &str| -> Option<Value> { serde_json::from_slice(&fs::read(place.path(name)).ok()?).ok() };

    until(|| read("workers/memory.json").filter(|memory| memory["summary"] == ANSWER));
    until(|| read("workers/goals.json.status.json").filter(|goals| goals[0]["advice"] == ANSWER));
    until(|| read("workers/maintenance.json.plan.json").filter(|plan| plan[1]["due"] == true));
    for name in ["maintenanceScheduler", "clearTemp"] {
        until(|| place.kapelle(&["logs", name]).out.contains(&format!("{name}: {ANSWER}")).then_some(()));
    }
    assert!(fs::read_dir(place.path("workers/tmp")).unwrap().next().is_none());

    let ask = |worker: &str, input: Value| {
        let task =
            stage.post(&served.client, "/api/v1/tasks?wait_ms=60000", json!({ "worker": worker, "input": input }));
        assert_eq!(task["state"], "succeeded", "{task}");
        assert!(task["cost_nanousd"].as_u64().unwrap() > 0, "its calls are charged: {task}");
        task["output"].clone()
    };
    let (long, texts) = (place.file("source/long.js", "x".repeat(200)), place.path("texts"));
    let audit = ask("auditProcessor", json!({ "entries": [{ "actor": "a", "action": "key.create", "seq": 1 }] }));
    assert_eq!((&audit["findings"][0]["seq"], &audit["advice"]), (&json!(1), &json!(ANSWER)));
    let code = ask("codeImprovement", json!({ "folder": long.parent().unwrap() }));
    assert_eq!((&code["files"], &code["advice"]), (&json!(1), &json!(ANSWER)));
    let digest = ask("text_digest", json!({ "text": "One. Two. Three.", "sentences": 1 }));
    assert_eq!(digest, json!({ "digest": ANSWER, "by": "model" }));
    let words = ask("word_counter", json!({ "folder": texts }));
    assert_eq!((&words["most"][0], &words["about"]), (&json!("library"), &json!(ANSWER)));

    for name in SAMPLES {
        let wanted = format!("{name} running with model: fast");
        until(|| place.kapelle(&["logs", name]).out.contains(&wanted).then_some(()));
        let restarts = &found(place, name)["processes"][0]["last_exit"]["code"];
        assert!(restarts.is_null() || restarts == 0, "{name}: {}", found(place, name));
    }
    // The provider was asked with its own key, which no sample has, for the model behind the alias.
    let calls = stage.double.calls();
    assert!(calls.len() >= SAMPLES.len(), "{}", calls.len());
    assert!(calls.iter().all(|call| call.headers["authorization"] == "Bearer sk-good"));
    assert!(calls.iter().all(|call| call.body["model"] == "gpt-6-luna"));
}
