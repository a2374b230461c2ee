//! Public scripts with the official SDKs, under a server that is killed between and during their calls: an answered
//! question is not asked again.
//!
//! `dev/official-sdks.sh` installs the SDKs. Without them these tests are skipped with a note, unless
//! `KAPELLE_TEST_REQUIRE` is set.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::{
    money::{Served, Stage, states},
    place::{self, signal, until},
};

/// A script with the SDK that it uses.
struct Script {
    file: &'static str,
    source: &'static str,
    /// The folder in which the SDK is installed, and the name under which the script finds it.
    installed: &'static str,
    found_as: &'static str,
    /// The package in that folder. `None` for a virtual environment, where its place depends on the version of Python.
    package: Option<&'static str>,
    /// Whether the script asks for messages, in Anthropic's format.
    messages: bool,
}

const SCRIPTS: [Script; 4] = [
    Script {
        file: "asks.mjs",
        source: include_str!("../../../../dev/testkit/openai/asks.mjs"),
        installed: "javascript/node_modules",
        found_as: "node_modules",
        package: Some("openai"),
        messages: false,
    },
    Script {
        file: "asks.py",
        source: include_str!("../../../../dev/testkit/openai/asks.py"),
        installed: "python",
        found_as: ".venv",
        package: None,
        messages: false,
    },
    Script {
        file: "asks.mjs",
        source: include_str!("../../../../dev/testkit/anthropic/asks.mjs"),
        installed: "javascript/node_modules",
        found_as: "node_modules",
        package: Some("@anthropic-ai/sdk"),
        messages: true,
    },
    Script {
        file: "asks.py",
        source: include_str!("../../../../dev/testkit/anthropic/asks.py"),
        installed: "python",
        found_as: ".venv",
        package: None,
        messages: true,
    },
];

impl Script {
    /// Returns the folder that is there when its SDK is installed.
    fn needs(&self) -> String {
        match self.package {
            Some(package) => format!("{}/{package}", self.installed),
            None => self.installed.to_owned(),
        }
    }

    /// Returns the ids that the script sees for those of the provider's answers. A message is made of a chat completion.
    fn sees(&self, ids: &[&str]) -> Vec<String> {
        let message = |id: &str| format!("msg_{}", id.replace("resp_", "chatcmpl-"));
        ids.iter().map(|id| if self.messages { message(id) } else { (*id).to_owned() }).collect()
    }
}

/// Returns the folder of the SDKs: beside the build.
pub fn kit() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_kapelle")).ancestors().nth(2).unwrap().join("official-sdks")
}

/// Says whether an SDK is installed.
pub fn is_installed(installed: &str) -> bool {
    let there = kit().join(installed).is_dir();
    assert!(there || std::env::var_os("KAPELLE_TEST_REQUIRE").is_none(), "dev/official-sdks.sh installs the SDKs");
    if !there {
        eprintln!("skipped: {installed} is not there (dev/official-sdks.sh installs it)");
    }
    there
}

/// Returns the scripts whose SDK is installed.
fn scripts() -> impl Iterator<Item = &'static Script> {
    SCRIPTS.iter().filter(|script| is_installed(&script.needs()))
}

/// Makes a stage with that script in its folder, with settings beside it that make it take tasks: the script itself is
/// unchanged.
fn stage(script: &Script, rules: &str) -> Stage {
    let stage = Stage::new(rules);
    stage.place.file(&format!("workers/{}", script.file), script.source);
    stage.place.file("workers/asks.worker.yaml", "mode: task\n");
    symlink(kit().join(script.installed), stage.place.path("workers").join(script.found_as)).unwrap();
    stage
}

impl Stage {
    fn submit(&self, served: &Served, input: &Value) -> Value {
        let started = || {
            let said = self.place.kapelle(&["workers", "--json"]).json();
            said["scripts"][0]["standing"] == "started"
        };
        until("the script", started);
        self.post(&served.client, "/api/v1/tasks", json!({ "worker": "asks", "input": input }))
    }

    fn end(&self, served: &Served, task: &Value) -> Value {
        let path = format!("/api/v1/tasks/{}?wait_ms=60000", task["id"].as_str().unwrap());
        self.runtime.block_on(async { served.client.get(&path).await.unwrap() })
    }
}

/// Returns the ids of answers, which identify the provider's calls.
fn ids(ended: &Value) -> Vec<String> {
    let answers = ended["output"]["answers"].as_array().unwrap_or_else(|| panic!("{ended}"));
    answers.iter().map(|answer| answer["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn killed_between_its_calls_a_script_is_given_the_answers_that_it_had() {
    for script in scripts() {
        let stage = stage(script, "[{ reply: well, usage: { prompt_tokens: 9, completion_tokens: 3 } }]");
        let (reached, go) = (stage.place.path("reached"), stage.place.path("go"));
        let groups: Vec<[String; 1]> = (1..=6).map(|number| [format!("question {number}")]).collect();
        let served = stage.serve();
        let input = json!({ "groups": groups, "pause": { "before": 4, "reached": &reached, "go": &go } });
        let task = stage.submit(&served, &input);
        until("the fourth answer", || reached.exists());
        served.kill();
        fs::remove_file(&reached).unwrap();
        let served = stage.serve();
        // It asks its four questions again and waits once more: the provider has not received them.
        until("the fourth answer again", || reached.exists());
        assert_eq!(stage.double.calls().len(), 4, "{}", script.file);
        fs::write(&go, "").unwrap();
        let ended = stage.end(&served, &task);
        assert_eq!((&ended["state"], &ended["attempt"]), (&json!("succeeded"), &json!(2)), "{ended}");
        let answers = ["chatcmpl-1", "chatcmpl-2", "resp_3", "chatcmpl-4", "chatcmpl-5", "resp_6"];
        assert_eq!(ids(&ended), script.sees(&answers));
        assert_eq!(stage.double.calls().len(), 6, "{}: six questions, six calls", script.file);
        let calls = stage.calls();
        assert_eq!(states(&calls), ["charged"; 6]);
        let each = calls[0]["cost_nanousd"].as_u64().unwrap();
        assert_eq!(ended["cost_nanousd"].as_u64().unwrap(), 6 * each, "{ended}");
    }
}

#[test]
fn killed_during_its_calls_a_script_asks_again_only_what_was_in_flight() {
    for script in scripts() {
        let stage = stage(script, "[{ contains: slow, times: 2, hang: true }, { reply: well }]");
        let groups = json!([["one"], ["two"], ["three"], ["slow four", "slow five"], ["six"]]);
        let served = stage.serve();
        let task = stage.submit(&served, &json!({ "groups": groups }));
        stage.asked(5);
        served.kill();
        let served = stage.serve();
        let ended = stage.end(&served, &task);
        assert_eq!((&ended["state"], &ended["attempt"]), (&json!("succeeded"), &json!(2)), "{ended}");
        let mut found = ids(&ended);
        assert_eq!(
            found[..3],
            script.sees(&["chatcmpl-1", "chatcmpl-2", "resp_3"]),
            "{}: the recorded answers",
            script.file
        );
        found[3..5].sort();
        assert_eq!(found[3..], script.sees(&["chatcmpl-6", "chatcmpl-7", "chatcmpl-8"]), "{}", script.file);
        assert_eq!(stage.double.calls().len(), 8, "{}: six questions, and the two in flight", script.file);
        let mut told = stage.calls();
        told.sort_by_key(|call| call["state"].as_str().map(str::to_owned));
        assert_eq!(states(&told), [["charged"; 6].as_slice(), &["unknown"; 2]].concat());
    }
}

#[test]
fn on_a_worker_host_a_script_asks_the_server_that_gave_it_the_task() {
    for script in scripts() {
        let stage = stage(script, "[{ reply: well }]");
        stage.place.file("kapelle.yaml", "queues: { default: { slots: 0 } }\n");
        let served = stage.serve();
        let mut command = stage.place.command(&["host"]);
        let mut host = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let task = stage.submit(&served, &json!({ "groups": [["one"], ["two"], ["three"]] }));
        let done = stage.end(&served, &task);
        assert_eq!((&done["state"], ids(&done).len()), (&json!("succeeded"), 3), "{done}");
        assert_eq!(states(&stage.calls()), ["charged"; 3]);
        assert!(stage.calls().iter().all(|call| call["task"] == task["id"]), "the task pays");
        signal(&host, "-TERM");
        assert_eq!(place::ended(&mut host), Some(143));
    }
}
