//! Reruns with recorded answers of models: without calls of providers, without cost, and with equal outputs.

use kapelle_api::Client;
use serde_json::{Value, json};

use crate::{
    money::{Served, Stage},
    place::{Place, Said},
    scripts::until,
};

const ASKS: &str = "\
name: asks
inputs: { type: object, required: [texts], properties: { texts: { type: array } } }
defaults: { retry: { max_attempts: 3, delay: 10ms, jitter: none, on: [invalid_output] } }
steps:
  each: { for_each: '${{ inputs.texts }}', worker: summarizer, with: { text: '${{ item }}' } }
  all: { needs: [each], worker: summarizer, with: { text: '${{ steps.each.output | tojson }}' } }
outputs: { each: '${{ steps.each.output }}', all: '${{ steps.all.output }}' }
";

const FAR: &str = "\
name: far
steps: { one: { worker: far, with: { n: 1 } }, two: { needs: [one], worker: far, with: { n: '${{ steps.one.output }}' } } }
outputs: { two: '${{ steps.two.output }}' }
";

/// Asks a model one question after the other, and one more when a file says so. It reports a refusal, and fails.
const SCRIPT: &str = r#"
import json, os, pathlib, sys, urllib.error, urllib.request

sources, said = [], []
more = pathlib.Path("../more")
for question in json.load(sys.stdin)["questions"] + ([more.read_text()] if more.exists() else []):
    body = {"model": os.environ["AI_MODEL"], "messages": [{"role": "user", "content": question}]}
    head = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
    url = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), head))
    except urllib.error.HTTPError as refused:
        sys.exit(f"refused with {refused.code}: {refused.read().decode()}")
    sources.append(answer.headers["x-kapelle-source"])
    said.append(json.load(answer)["choices"][0]["message"]["content"])
print(json.dumps({"sources": sources, "said": said}))
"#;

const SCRIPTED: &str = "\
name: scripted
defaults: { retry: { max_attempts: 1 } }
steps:
  one: { worker: asks, with: { questions: [same, other, same] } }
  two: { needs: [one], worker: asks, with: { questions: ['${{ steps.one.output.said | tojson }}'] } }
outputs:
  said: ['${{ steps.one.output.said }}', '${{ steps.two.output.said }}']
  sources: ['${{ steps.one.output.sources }}', '${{ steps.two.output.sources }}']
";

const OUTER: &str = "\
name: outer
steps:
  inner: { workflow: inner, with: { text: It leaks. } }
  after: { needs: [inner], worker: summarizer, with: { text: '${{ steps.inner.output.text }}' } }
outputs: { after: '${{ steps.after.output }}' }
";

const INNER: &str = "\
name: inner
inputs: { type: object, required: [text] }
steps: { ask: { worker: summarizer, with: { text: '${{ inputs.text }}' }, retry: { max_attempts: 1 } } }
outputs: { text: '${{ steps.ask.output.text }}' }
";

/// The binary with a key for a provider at that address.
struct Asker<'a>(&'a Place, String);

impl Asker<'_> {
    fn kapelle(&self, key: &str, arguments: &[&str]) -> Said {
        self.0.with(&[("OPENAI_API_KEY", key), ("OPENAI_BASE_URL", &self.1)], arguments)
    }

    fn run(&self, key: &str) -> Said {
        let texts = r#"texts=["It leaks.", "Nobody has money.", "Winter comes."]"#;
        self.kapelle(key, &["run", "asks.yaml", "--json", "--input", texts])
    }

    fn again(&self, key: &str, of: &str, more: &[&str]) -> Said {
        self.kapelle(key, &[&["runs", "rerun", of, "--recorded", "--json"], more].concat())
    }
}

#[test]
fn a_run_is_repeated_without_asking_anybody_also_where_it_was_asked_twice() {
    // The first answers fit no schema: a second try within the attempt, and then a second attempt with new answers.
    let stage = Stage::new(
        "[{ contains: Nobody, times: 2, reply: nonsense }, { contains: Winter, times: 1, reply: nonsense },
          { reply: { text: Mend the roof., key_points: [It leaks.] } }]",
    );
    let Stage { place, double, runtime: _runtime } = stage;
    place.file("asks.yaml", ASKS);
    let asker = Asker(&place, double.base_url());
    let said = asker.run("sk-good");
    assert_eq!(said.code, 0, "{said:?}");
    let (first, asked) = (said.json(), double.calls().len());
    assert_eq!(asked, 7, "1, 3, 2 and 1");
    let again = asker.again("sk-good", "run_1", &[]);
    assert_eq!((again.code, double.calls().len()), (0, asked), "{again:?}");
    let again = again.json();
    assert_eq!((&again["outputs"], &again["cost_nanousd"]), (&first["outputs"], &json!(0)));
    assert!(again["steps"].as_array().unwrap().iter().any(|step| step["recorded"] == true), "{again}");
    // With neither provider nor key, and of a run that was itself answered from the recording.
    drop(double);
    for (of, key) in [("run_1", "sk-good"), ("run_2", "")] {
        let again = asker.again(key, of, &[]);
        assert_eq!((again.code, &again.json()["outputs"]), (0, &first["outputs"]), "{of}: {again:?}");
    }
    // From a step on: earlier results are reused.
    let again = asker.again("", "run_1", &["--from", "all"]);
    assert_eq!((again.code, &again.json()["outputs"]), (0, &first["outputs"]), "{again:?}");
    let shown = place.kapelle(&["runs", "show", "run_2"]);
    assert!(shown.out.contains("again after run_1, model calls answered from its recording"), "{shown:?}");
    let calls = place.kapelle(&["cost", "--by", "run", "--json"]).json();
    assert_eq!(calls["rows"].as_array().unwrap().len(), 1, "only run_1 has paid: {calls}");
}

#[test]
fn what_was_answered_offline_is_so_again_and_what_was_not_answered_is_an_error() {
    let stage = Stage::new("[{ status: 500 }]");
    stage.place.file("asks.yaml", ASKS);
    let asker = Asker(&stage.place, stage.double.base_url());
    let offline = asker.run("");
    assert_eq!(offline.code, 0, "{offline:?}");
    // With a key a provider could be asked now, but is not.
    let again = asker.again("sk-good", "run_1", &[]);
    assert_eq!((again.code, &again.json()["outputs"]), (0, &offline.json()["outputs"]), "{again:?}");
    assert_eq!(stage.double.calls().len(), 0);
    stage.place.file("kapelle.yaml", "models: { fast: { chain: [openai/gpt-4o-mini] } }\n");
    let failed = asker.run("sk-good");
    assert_eq!(failed.code, 1, "{failed:?}");
    let asked = stage.double.calls().len();
    let again = asker.again("sk-good", "run_3", &[]);
    assert_eq!((again.code, stage.double.calls().len()), (1, asked), "{again:?}");
    assert!(again.out.contains("the recording of run_3, which has no answer"), "{again:?}");
}

struct Far<'a> {
    stage: &'a Stage,
    served: Served,
    host: String,
}

impl Far<'_> {
    fn of(stage: &Stage) -> Far<'_> {
        let served = stage.serve();
        let host = stage.post(&served.client, "/api/v1/hosts", json!({ "workers": ["far"], "slots": 1 }));
        Far { stage, served, host: format!("/api/v1/hosts/{}", host["id"].as_str().unwrap()) }
    }

    /// Does the next task by asking a model, and returns its answer.
    fn work(&self, recorded: bool) -> Client {
        let (stage, client) = (self.stage, &self.served.client);
        let claimed = stage.post(client, &format!("{}/claim", self.host), json!({ "max_tasks": 1, "wait_ms": 20_000 }));
        let task = &claimed["tasks"][0];
        let own = Client::new(&self.served.base, task["gateway_token"].as_str().unwrap()).unwrap();
        let mut said = Vec::new();
        // A repeated question is two samples, which were different.
        for _ in 0..2 {
            let answer = stage.post(&own, "/v1/chat/completions", ask(&task["input"].to_string()));
            said.push(answer["choices"][0]["message"]["content"].clone());
        }
        let path = format!("/api/v1/tasks/{}/succeed", task["id"].as_str().unwrap());
        let other = stage.runtime.block_on(async { own.post::<Value>("/v1/chat/completions", &ask("else")).await });
        stage.post(client, &path, json!({ "lease_token": task["lease_token"], "output": said }));
        let refused = format!("{:?}", other.unwrap_err());
        assert_eq!(refused.contains("409"), recorded, "{refused}");
        own
    }

    fn ended(&self, run: &Value) -> Value {
        let path = format!("/api/v1/runs/{}?wait_ms=30000", run["id"].as_str().unwrap());
        self.stage.runtime.block_on(async { self.served.client.get(&path).await.unwrap() })
    }
}

fn ask(text: &str) -> Value {
    json!({ "model": "fast", "messages": [{ "role": "user", "content": text }] })
}

#[test]
fn a_worker_that_asks_through_the_gateway_gets_the_recorded_answers_and_no_others() {
    let stage = Stage::new(
        "[{ contains: else, times: 2, status: 400 }, { times: 1, reply: one }, { times: 1, reply: two },
          { times: 1, reply: three }, { reply: four }]",
    );
    let far = Far::of(&stage);
    let run = stage.post(&far.served.client, "/api/v1/runs", json!({ "source": FAR }));
    let mut own = [far.work(false), far.work(false)];
    let first = far.ended(&run);
    assert_eq!(first["outputs"]["two"], json!(["three", "four"]), "{first}");
    let asked = stage.double.calls().len();
    for _ in 0..2 {
        let path = format!("/api/v1/runs/{}/rerun", run["id"].as_str().unwrap());
        let again = stage.post(&far.served.client, &path, json!({ "recorded": true }));
        own = [far.work(true), far.work(true)];
        let again = far.ended(&again);
        assert_eq!((&again["outputs"], &again["recorded"]), (&first["outputs"], &json!(true)), "{again}");
        assert_eq!((&again["rerun_of"], &again["cost_nanousd"]), (&run["id"], &json!(0)), "{again}");
        assert_eq!(again["calls"], 0, "{again}");
    }
    assert_eq!(stage.double.calls().len(), asked, "nobody was asked");
    let [one, _] = own;
    let over = stage.runtime.block_on(async { one.post::<Value>("/v1/chat/completions", &ask("else")).await });
    assert!(format!("{over:?}").contains("401"), "{over:?}");
    let trail = stage.place.kapelle(&["audit"]);
    assert!(trail.out.contains("run.rerun"), "{trail:?}");
}

#[test]
fn a_script_gets_the_recorded_answers_in_their_order_and_is_refused_what_was_not_asked_then() {
    let stage = Stage::new(
        "[{ times: 1, reply: first }, { times: 1, reply: second }, { times: 1, reply: third }, { reply: fourth }]",
    );
    if !stage.place.has("python3") {
        assert!(std::env::var_os("KAPELLE_TEST_REQUIRE").is_none(), "python3 is needed");
        return;
    }
    stage.place.file("workers/asks.py", SCRIPT);
    stage.place.file("workers/asks.worker.yaml", "mode: task\n");
    let served = stage.serve();
    let started = || stage.place.kapelle(&["workers", "--json"]).json()["scripts"][0]["standing"] == "started";
    until(|| started().then_some(()));
    let ended = |run: &Value| -> Value {
        let path = format!("/api/v1/runs/{}?wait_ms=60000", run["id"].as_str().unwrap());
        stage.runtime.block_on(async { served.client.get(&path).await.unwrap() })
    };
    let again = |of: &Value| {
        let path = format!("/api/v1/runs/{}/rerun", of["id"].as_str().unwrap());
        ended(&stage.post(&served.client, &path, json!({ "recorded": true })))
    };
    let first = ended(&stage.post(&served.client, "/api/v1/runs", json!({ "source": SCRIPTED })));
    assert_eq!(first["outputs"]["said"], json!([["first", "second", "third"], ["fourth"]]), "{first}");
    assert_eq!(first["outputs"]["sources"], json!([["provider", "provider", "provider"], ["provider"]]));
    let asked = stage.double.calls().len();
    assert_eq!(asked, 4);
    // One question had two answers, which come in the recorded order; also in a rerun of the rerun.
    let second = again(&first);
    for again in [&second, &again(&second)] {
        assert_eq!(again["outputs"]["said"], first["outputs"]["said"], "{again}");
        assert_eq!(again["outputs"]["sources"], json!([["recorded", "recorded", "recorded"], ["recorded"]]));
        assert_eq!((&again["cost_nanousd"], &again["calls"]), (&json!(0), &json!(0)), "{again}");
    }
    // A script that asks more than it did then: a repeated question, and a new one.
    for more in ["same", "something new"] {
        stage.place.file("more", more);
        let failed = again(&first);
        assert_eq!(failed["state"], "failed", "{failed}");
        let error = failed["error"]["message"].as_str().unwrap();
        for part in ["step `one`", "refused with 409", "not_recorded", "the recording of run_1, which has no answer"] {
            assert!(error.contains(part), "{part}: {failed}");
        }
    }
    assert_eq!(stage.double.calls().len(), asked, "nobody was asked");
}

#[test]
fn a_run_that_a_step_started_is_taken_over_or_refused_and_can_be_repeated_by_itself() {
    let stage = Stage::new(
        "[{ times: 1, status: 400 }, { contains: leaks, reply: { text: Mend the roof., key_points: [It leaks.] } },
          { reply: { text: Call somebody., key_points: [] } }]",
    );
    let Stage { place, double, runtime: _runtime } = stage;
    place.file("kapelle.yaml", "models: { fast: { chain: [openai/gpt-4o-mini] } }\n");
    place.file("outer.yaml", OUTER);
    place.file("workflows/inner.yaml", INNER);
    let asker = Asker(&place, double.base_url());
    let run = || asker.kapelle("sk-good", &["run", "outer.yaml", "--json"]);
    let failed = run();
    assert_eq!(failed.code, 1, "{failed:?}");
    let said = run();
    assert_eq!((said.code, double.calls().len()), (0, 3), "{said:?}");
    // run_2 and run_4 were started by their steps. A failed one has no result that could be reused.
    let again = asker.again("sk-good", "run_1", &[]);
    assert!(again.code == 1 && again.out.contains("had no result then"), "{again:?}");
    assert!(again.out.contains("run that one again by itself"), "{again:?}");
    let again = asker.again("sk-good", "run_3", &[]);
    assert_eq!((again.code, &again.json()["outputs"]), (0, &said.json()["outputs"]), "{again:?}");
    let runs = place.kapelle(&["runs", "--json"]).json();
    assert!(!runs.to_string().contains("run_7"), "no other run was started: {runs}");
    let inner = asker.again("sk-good", "run_4", &[]);
    assert_eq!((inner.code, &inner.json()["outputs"]["text"]), (0, &json!("Mend the roof.")), "{inner:?}");
    assert_eq!(inner.json()["steps"][0]["recorded"], true, "{inner:?}");
    assert_eq!(double.calls().len(), 3, "nobody was asked");
}
