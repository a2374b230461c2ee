//! `supervise`: scripts ask models through the gateway of that process, metered, capped and recorded.

use std::{
    io::{BufRead, BufReader, Read as _},
    process::{Child, ChildStderr, ChildStdout, Stdio},
    sync::mpsc::{Receiver, channel},
};

use serde_json::{Value, json};

use crate::{
    money::{Stage, states, sum},
    place::{Place, ended, signal, watched},
    scripts::{found, until},
};

/// A script as its author wrote it for the provider.
const ASKS: &str = "\
from openai import OpenAI
import signal

answer = OpenAI().chat.completions.create(model='openai/gpt-4o', messages=[{'role': 'user', 'content': 'hi'}])
print('answered', answer.choices[0].message.content, flush=True)
signal.pause()
";

/// The part of the provider's SDK that the script needs: where it finds its key and its address, and what it sends.
const SDK: &str = "\
import json, os, urllib.request
from types import SimpleNamespace as Plain

class OpenAI:
    def __init__(self):
        self.chat = Plain(completions=Plain(create=self._create))

    def _create(self, **body):
        key, base = os.environ['OPENAI_API_KEY'], os.environ.get('OPENAI_BASE_URL', 'https://api.openai.com/v1')
        print('key', key[:11], 'at', base, flush=True)
        headers = {'Authorization': 'Bearer ' + key, 'Content-Type': 'application/json'}
        asked = urllib.request.Request(base + '/chat/completions', json.dumps(body).encode(), headers)
        return json.load(urllib.request.urlopen(asked), object_hook=lambda found: Plain(**found))
";

fn stage() -> Option<Stage> {
    let stage = Stage::new("[{ reply: hello, usage: { prompt_tokens: 9, completion_tokens: 5 } }]");
    let place = &stage.place;
    if !place.has("python3") {
        assert!(std::env::var_os("KAPELLE_TEST_REQUIRE").is_none(), "python3 is needed");
        return None;
    }
    // The folder where Python searches for packages of a user.
    let site = place.run("python3", &["-c", "import site; print(site.getusersitepackages())"]);
    let site = std::path::Path::new(site.trim()).strip_prefix(place.path("")).unwrap().to_owned();
    place.file(site.join("openai.py").to_str().unwrap(), SDK);
    let known = site.join("openai-9.dist-info/METADATA");
    place.file(known.to_str().unwrap(), "Metadata-Version: 2.1\nName: openai\nVersion: 9\n");
    place.file("workers/asks.py", ASKS);
    Some(stage)
}

/// A running `supervise`; killed when dropped.
struct Supervised {
    child: Child,
    out: BufReader<ChildStdout>,
    err: Receiver<String>,
}

impl Supervised {
    fn start(stage: &Stage, variables: &[(&str, &str)]) -> Supervised {
        let mut command = stage.place.command(&["supervise", "workers", "--every", "100ms", "--json"]);
        command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = lines(child.stderr.take().unwrap());
        Supervised { child, out, err }
    }

    /// Returns the next printed states that are as wanted.
    fn shows(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let _watched = watched(&self.child);
        loop {
            let mut line = String::new();
            assert!(
                self.out.read_line(&mut line).unwrap() > 0,
                "it ended: {:?}",
                self.err.try_iter().collect::<Vec<_>>()
            );
            let states: Value = serde_json::from_str(&line).unwrap();
            if wanted(&states) {
                return states;
            }
        }
    }

    /// Ends it gracefully. Returns what it said on standard error.
    fn end(mut self) -> String {
        signal(&self.child, "-TERM");
        // The printed states are read, so that it is not stopped by a full pipe.
        self.out.read_to_string(&mut String::new()).unwrap();
        assert_eq!(ended(&mut self.child), Some(143));
        self.err.iter().collect()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(of: ChildStderr) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(of).lines().map_while(Result::ok) {
            let _ = sender.send(line + "\n");
        }
    });
    lines
}

fn is_in_state(states: &Value, wanted: &str) -> bool {
    states["scripts"][0]["processes"][0]["state"] == wanted
}

#[test]
fn an_unchanged_script_asks_its_model_and_is_metered_capped_and_recorded() {
    let Some(stage) = stage() else { return };
    let place = &stage.place;
    place.file("kapelle.yaml", "budgets: { workers: { asks: $0.000001 } }\n");
    let base = stage.double.base_url();
    let mut supervised = Supervised::start(&stage, &[("OPENAI_API_KEY", "sk-good"), ("OPENAI_BASE_URL", &base)]);
    // Its budget is kept, and other verbs ask this process.
    let states_shown = supervised.shows(|states| is_in_state(states, "parked"));
    assert_eq!(states_shown["no_provider_for"], json!([]), "{states_shown}");
    assert_eq!(found(place, "asks")["state"], "parked");
    assert!(stage.double.calls().is_empty());
    place.kapelle(&["supervise", "workers"]).refused(5, &["is in use by", "already supervises"]);
    assert_eq!(place.kapelle(&["budgets", "set", "worker:asks", "5"]).code, 0);
    supervised.shows(|states| is_in_state(states, "running"));
    stage.asked(1);
    until(|| place.kapelle(&["logs", "asks"]).out.contains("answered hello").then_some(()));
    let log = place.kapelle(&["logs", "asks"]).out;
    assert!(log.contains("key sk-kapelle- at http://127.0.0.1:") && !log.contains("sk-good"), "{log}");
    let calls = until(|| Some(stage.calls()).filter(|calls| states(calls) == ["charged"]));
    assert!(sum(&calls) > 0, "{calls:?}");
    let said = place.kapelle(&["cost", "--by", "worker", "--json"]);
    assert_eq!(
        (&said.json()["rows"][0]["name"], &said.json()["total"]["cost_nanousd"]),
        (&json!("asks"), &json!(sum(&calls)))
    );
    assert_eq!(place.kapelle(&["calls", "list", "--json"]).json()["calls"].as_array().map(Vec::len), Some(1));
    let said = supervised.end();
    assert!(said.contains("gateway: http://127.0.0.1:") && !said.contains("no provider"), "{said}");
}

#[test]
fn a_script_that_asks_models_without_a_key_is_named_at_the_start() {
    let Some(stage) = stage() else { return };
    stage.place.file("workers/counts.py", "# ---\n# mode: daemon\n# ---\nimport signal\nsignal.pause()\n");
    let mut supervised = Supervised::start(&stage, &[]);
    let states = supervised.shows(|_| true);
    assert_eq!(states["no_provider_for"], json!(["asks.py"]), "{states}");
    let said = supervised.end();
    let warned: Vec<&str> = said.lines().filter(|line| line.contains("no provider can be called")).collect();
    assert!(
        matches!(warned.as_slice(), [one] if one.contains("asks.py") && one.contains("no OPENAI_API_KEY")),
        "{said}"
    );
    // A server says it as well.
    let (mut child, _lines) = stage.place.started(&["serve", "--listen", "127.0.0.1:0"], "no provider can be called");
    signal(&child, "-TERM");
    assert_eq!(ended(&mut child), Some(143));
}

#[test]
fn a_folder_without_scripts_is_supervised_and_one_in_use_is_refused() {
    let place = Place::new();
    place.file("other/readme.txt", "nothing to start");
    let (mut child, _lines) = place.started(&["supervise", "other"], "ready");
    place.kapelle(&["supervise", "other"]).refused(5, &["is in use by"]);
    signal(&child, "-TERM");
    assert_eq!(ended(&mut child), Some(143));
}
