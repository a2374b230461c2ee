//! Reading for the console: graphs, items, reasons, counts, history, search, filters, and acts on many things.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kapelle::{
    Findings, Inspector,
    api::{DoctorCheck, DoctorState, Setting},
};
use serde_json::{Value, json};

use crate::place::Place;

const TREE: &str = "\
name: tree
description: a tree
inputs: { type: object, properties: { list: { type: array } } }
steps:
  each:
    for_each: ${{ inputs.list }}
    max_parallel: 4
    steps:
      inner: { worker: echo, with: '${{ item }}' }
  choose:
    needs: [each]
    if: ${{ inputs.list | length > 2 }}
    then: { steps: { yes: { worker: echo } } }
    else: { steps: { no: { worker: echo } } }
finally: { steps: { clean: { worker: echo } } }
";

async fn ended(place: &Place, source: &str, inputs: Value) -> String {
    let made = place.post("/api/v1/runs", json!({ "source": source, "inputs": inputs })).await.json(201);
    let id = made["id"].as_str().unwrap().to_owned();
    place.get(&format!("/api/v1/runs/{id}?wait_ms=20000")).await.json(200);
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_drawn_with_what_became_of_its_steps() {
    let place = Place::new().await;
    let id = ended(&place, TREE, json!({ "list": [1, 2, 3] })).await;
    let graph = place.get(&format!("/api/v1/runs/{id}/graph")).await.json(200);
    assert_eq!(
        (&graph["workflow"], &graph["version"], &graph["run"]["state"]),
        (&json!("tree"), &json!(1), &json!("succeeded"))
    );
    let blocks = graph["blocks"].as_array().unwrap();
    let step = |name: &str| {
        let steps = blocks.iter().flat_map(|block| block["steps"].as_array().unwrap());
        steps.clone().find(|step| step["name"] == name).unwrap()
    };
    assert_eq!(
        (&step("each")["counts"], &step("each")["items"]),
        (&json!({ "succeeded": 1 }), &json!({ "succeeded": 3 }))
    );
    assert_eq!(step("inner")["counts"], json!({ "succeeded": 3 }));
    assert_eq!(
        (&step("choose")["taken"], step("choose")["level"].as_u64()),
        (&json!({ "then": 1, "else": 0 }), Some(1))
    );
    assert_eq!((&step("yes")["counts"], step("no").get("counts")), (&json!({ "succeeded": 1 }), None));
    assert_eq!(step("clean")["counts"], json!({ "succeeded": 1 }));
    let kinds: Vec<&str> = blocks.iter().map(|block| block["kind"].as_str().unwrap()).collect();
    assert!(["steps", "then", "else", "finally"].iter().all(|kind| kinds.contains(kind)), "{kinds:?}");

    let drawn = place.get("/api/v1/workflows/tree/newest/graph").await.json(200);
    assert_eq!((&drawn["description"], drawn.get("run")), (&json!("a tree"), None));
    place.get("/api/v1/workflows/tree/9/graph").await.refused(404, "not_found", &["tree"]);

    let run = place.get(&format!("/api/v1/runs/{id}")).await.json(200);
    assert_eq!(
        (&run["version"], &run["strategy"], &run["inputs"]),
        (&json!(1), &json!("parallel"), &json!({ "list": [1, 2, 3] }))
    );
    assert_eq!(run["steps"]["succeeded"].as_u64(), Some(1 + 3 + 3 + 1 + 1 + 1));
    let listed = place.get("/api/v1/runs").await.json(200)["runs"][0].clone();
    assert_eq!((&listed["steps"], listed.get("inputs")), (&run["steps"], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn items_are_paged_filtered_and_given_as_bytes() {
    let place = Place::new().await;
    let list: Vec<u32> = (0..25).collect();
    let id = ended(&place, TREE, json!({ "list": list })).await;
    let first = place.get(&format!("/api/v1/runs/{id}/items?step=each&limit=10")).await.json(200);
    assert_eq!((&first["total"], &first["counts"]), (&json!(25), &json!({ "succeeded": 25 })));
    let path = |page: &Value, at: usize| page["items"][at]["step"].as_str().unwrap().to_owned();
    assert_eq!((path(&first, 0), path(&first, 9)), ("each[0]".to_owned(), "each[9]".to_owned()));
    let cursor = first["next_cursor"].as_str().unwrap();
    let next = place.get(&format!("/api/v1/runs/{id}/items?step=each&limit=10&cursor={cursor}")).await.json(200);
    assert_eq!(path(&next, 0), "each[10]");
    let failed = place.get(&format!("/api/v1/runs/{id}/items?step=each&state=failed")).await.json(200);
    assert_eq!((failed["items"].as_array().unwrap().len(), failed.get("next_cursor")), (0, None));
    let states = place.get(&format!("/api/v1/runs/{id}/items/states?step=each")).await;
    assert_eq!((states.status, states.body), (200, vec![10; 25]));
    place.get(&format!("/api/v1/runs/{id}/items?step=none")).await.refused(400, "invalid_request", &["none"]);
    let lean = place.get(&format!("/api/v1/runs/{id}/steps?outputs=false&limit=100")).await.json(200);
    assert!(lean["steps"].as_array().unwrap().iter().all(|step| step.get("output").is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn reasons_are_given_for_steps_and_tasks() {
    let place = Place::new().await;
    place.post("/api/v1/queues/default/pause", Value::Null).await.json(200);
    let flow = "name: flow\nsteps:\n  one: { worker: echo }\n  two: { needs: [one], worker: echo }\n";
    place.post("/api/v1/runs", json!({ "source": flow })).await.json(201);
    let why = place.get("/api/v1/runs/run_1/explain").await.json(200);
    assert_eq!(why["steps"][0]["waiting"], json!({ "for": "paused", "kind": "queue", "name": "default" }));
    assert_eq!((&why["steps"][1]["step"], &why["steps"][1]["state"]), (&json!("two"), &json!("pending")));
    let (first, second) = (place.submit("echo", json!({})).await, place.submit("echo", json!({})).await);
    let told = place.get(&format!("/api/v1/tasks/{second}/explain")).await.json(200)["steps"][0].clone();
    assert_eq!((&told["ahead"], &told["why"]), (&json!(2), &json!("queue `default` is paused")));
    place.post("/api/v1/queues/default/resume", Value::Null).await.json(200);
    place.get(&format!("/api/v1/tasks/{first}?wait_ms=20000")).await.json(200);
    let task = place.get(&format!("/api/v1/tasks/{first}")).await.json(200);
    assert!(task["started_at"].is_string() && task["ready_at"].is_string());
    assert_eq!((&task["input"], &task["max_attempts"]), (&json!({}), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_and_history_agree_with_what_happened() {
    let place = Place::new().await;
    for worker in ["echo", "echo", "refuse"] {
        place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": worker })).await.json(201);
    }
    place.submit("gate", json!({})).await;
    let counts = place.get("/api/v1/counts").await.json(200);
    assert_eq!((&counts["dead"], &counts["slots"]["all"]), (&json!(1), &json!(8)));
    let series = place.get("/api/v1/series?metric=throughput,failures,duration_p95&by=worker").await.json(200);
    let sum = |metric: &str, name: &str| -> f64 {
        let rows = series["series"].as_array().unwrap();
        let row = rows.iter().find(|row| row["metric"] == metric && row["name"] == name).unwrap();
        row["values"].as_array().unwrap().iter().filter_map(Value::as_f64).sum::<f64>() * 10.0
    };
    assert!((sum("throughput", "echo") - 2.0).abs() < 0.01 && (sum("failures", "refuse") - 1.0).abs() < 0.01);
    assert_eq!((&series["step_ms"], &series["marks"][0]["kind"]), (&json!(10_000), &json!("started")));
    place.get("/api/v1/series?metric=joy").await.refused(400, "invalid_request", &["joy", "throughput"]);
    let place = place.again().await;
    let again = place.get("/api/v1/series?metric=throughput&by=worker").await.json(200);
    let rows = again["series"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["name"] == "echo"), "history survives a restart: {again}");
    let system = place.get("/api/v1/system").await.json(200);
    assert_eq!(system["pid"], std::process::id());
    assert!(system["disk"]["history_bytes"].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_everything_is_found_by_name() {
    let place = Place::new().await;
    for worker in ["echo", "refuse", "refuse"] {
        place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": worker })).await.json(201);
    }
    let ids = async |query: &str| -> Vec<String> {
        let page = place.get(&format!("/api/v1/tasks?{query}")).await.json(200);
        page["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("category=invalid_input&limit=1").await, ["task_3"]);
    assert_eq!(ids("state=succeeded,failed&q=ECHO").await, ["task_1"]);
    assert_eq!(ids("since=2100-01-01T00:00:00Z").await, [""; 0]);
    let flow = "name: flow\nsteps:\n  one: { worker: echo }\n";
    let run = ended(&place, flow, json!({})).await;
    assert_eq!(ids(&format!("run={run}")).await.len(), 1);
    place.get("/api/v1/tasks?since=soon").await.refused(400, "invalid_request", &["since"]);
    let runs = place.get("/api/v1/runs?state=succeeded&q=flo").await.json(200);
    assert_eq!(runs["runs"][0]["id"], json!(run));
    assert_eq!(place.get("/api/v1/runs?state=failed").await.json(200)["runs"], json!([]));
    let kinds = async |q: &str| -> Vec<(String, String)> {
        let found = place.get(&format!("/api/v1/search?q={q}")).await.json(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        found["hits"].as_array().unwrap().iter().map(|hit| (text(&hit["kind"]), text(&hit["id"]))).collect()
    };
    let hit = |kind: &str, id: &str| (kind.to_owned(), id.to_owned());
    assert_eq!(kinds("1").await, [hit("run", "run_1"), hit("task", "task_1")]);
    assert_eq!(kinds("flo").await, [hit("workflow", "flow"), hit("run", "run_1")]);
    assert_eq!(kinds("refu").await, [hit("worker", "refuse")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_act_on_many_things_is_tried_first_and_refused_one_by_one() {
    let place = Place::new().await;
    for _ in 0..3 {
        place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": "refuse" })).await.json(201);
    }
    let groups = place.get("/api/v1/dead/groups").await.json(200);
    assert_eq!((&groups["groups"][0]["tasks"], &groups["groups"][0]["worker"]), (&json!(3), &json!("refuse")));
    let mut body = json!({ "action": "discard", "filter": { "worker": "refuse" }, "dry_run": true });
    let tried = place.post("/api/v1/dead/bulk", body.clone()).await.json(200);
    assert_eq!((&tried["matched"], &tried["done"], &tried["dry_run"]), (&json!(3), &json!(3), &json!(true)));
    assert_eq!(place.get("/api/v1/counts").await.json(200)["dead"], 3);
    body["dry_run"] = json!(false);
    place.post("/api/v1/dead/bulk", body).await.json(200);
    assert_eq!(place.get("/api/v1/dead").await.json(200)["tasks"], json!([]));
    let again = json!({ "action": "retry", "ids": ["task_1", "task_999"] });
    let again = place.post("/api/v1/dead/bulk", again).await.json(200);
    assert_eq!((&again["done"], again["refused"].as_array().unwrap().len()), (&json!(0), 2));
    for wrong in [
        json!({ "action": "retry" }),
        json!({ "action": "retry", "ids": [] }),
        json!({ "action": "x", "ids": ["task_1"] }),
    ] {
        place.post("/api/v1/dead/bulk", wrong).await.refused(422, "invalid_input", &[]);
    }
    let flow = "name: flow\nsteps:\n  one: { worker: gate }\n";
    for _ in 0..2 {
        place.post("/api/v1/runs", json!({ "source": flow })).await.json(201);
    }
    let cancelled = json!({ "action": "cancel", "filter": { "open": true }, "reason": "enough" });
    let cancelled = place.post("/api/v1/runs/bulk", cancelled).await.json(200);
    assert_eq!((&cancelled["done"], &cancelled["more"]), (&json!(2), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_a_rerun_a_retry_and_a_signal_take_effect_once() {
    let place = Place::new().await;
    let bearer = format!("Bearer {}", place.token);
    let say = async |path: &str, key: &str, body: &str| {
        let headers =
            [("authorization", bearer.as_str()), ("content-type", "application/json"), ("idempotency-key", key)];
        place.say("POST", path, &headers, body.as_bytes()).await
    };
    let run = ended(&place, "name: flow\nsteps:\n  one: { worker: echo }\n", json!({})).await;
    let path = format!("/api/v1/runs/{run}/rerun");
    let first = say(&path, "a", "{}").await.json(201);
    assert_eq!(say(&path, "a", "{}").await.json(201), first);
    assert_ne!(say(&path, "b", "{}").await.json(201), first);
    say(&path, "a", r#"{"recorded":true}"#).await.refused(422, "idempotency_key_reused", &[]);

    let task = place.post("/api/v1/tasks?wait_ms=20000", json!({ "worker": "refuse" })).await.json(201);
    let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    for _ in 0..2 {
        say(&format!("{path}/retry"), "c", "").await.json(200);
        place.get(&format!("{path}?wait_ms=20000")).await.json(200);
    }
    assert_eq!(place.get(&path).await.json(200)["attempt"], 2);

    let waits = "name: waits\nsteps:\n  one: { wait: { signal: never } }\n";
    let run = place.post("/api/v1/runs", json!({ "source": waits })).await.json(201);
    let id = run["id"].as_str().unwrap();
    for _ in 0..3 {
        say(&format!("/api/v1/runs/{id}/signals/go"), "d", "{}").await.json(200);
    }
    let journal = place.get(&format!("/api/v1/runs/{id}/journal")).await.json(200);
    let kept = journal["entries"].as_array().unwrap().iter().filter(|entry| entry["event"] == "signal_kept");
    assert_eq!(kept.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn workflows_are_listed_with_their_files_and_texts_are_checked_at_the_line() {
    let setup = crate::place::Setup {
        files: vec![
            ("workflows/good.yaml", "name: good\ndescription: fine\nsteps:\n  one: { worker: echo }\n"),
            ("workflows/bad.yaml", "name: bad\nsteps: 7\n"),
        ],
        ..crate::place::Setup::default()
    };
    let place = Place::set_up(setup).await;
    place.post("/api/v1/runs", json!({ "workflow": "good" })).await.json(201);
    place.get("/api/v1/runs/run_1?wait_ms=20000").await.json(200);
    let catalog = place.get("/api/v1/workflows/catalog").await.json(200);
    let (bad, good) = (&catalog["workflows"][0], &catalog["workflows"][1]);
    assert!(bad["name"] == "bad" && bad["problem"].as_str().unwrap().contains("steps"), "{bad}");
    assert_eq!(
        (&good["description"], &good["file"], &good["newest"]),
        (&json!("fine"), &json!("good.yaml"), &json!(1))
    );
    assert_eq!((&good["unsaved"], &good["last"]["state"]), (&json!(false), &json!("succeeded")));
    let check = async |source: &str| place.post("/api/v1/workflows/check", json!({ "source": source })).await.json(200);
    let wrong = check("name: a\nsteps:\n  one: { worker: ecoh }\n").await;
    assert_eq!((&wrong["ok"], &wrong["problems"][0]["line"]), (&json!(false), &json!(3)));
    assert!(wrong["graph"]["blocks"].is_array());
    let broken = check("name: a\nsteps: 7\n").await;
    assert_eq!((&broken["ok"], &broken["problems"][0]["line"]), (&json!(false), &json!(2)));
    assert_eq!(check("name: a\nsteps:\n  one: { worker: echo }\n").await["ok"], true);
}

/// A program that serves and counts how often it is examined.
#[derive(Default)]
struct Program(AtomicUsize);

impl Inspector for Program {
    fn settings(&self) -> Result<Vec<Setting>, String> {
        Ok(vec![Setting { path: "lease".to_owned(), value: json!("15s"), origin: "default".to_owned() }])
    }

    fn examine(&self) -> Findings<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let check = |name: &str, state| DoctorCheck {
            name: name.to_owned(),
            state,
            found: "found".to_owned(),
            todo: None,
            command: "kapelle doctor".to_owned(),
        };
        Box::pin(async move { vec![check("disk", DoctorState::Warn), check("config", DoctorState::Fail)] })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_that_serves_describes_itself_to_those_who_may_ask() {
    let place = Place::new().await;
    place.get("/api/v1/config").await.refused(404, "not_found", &["kapelle config show --origin"]);
    place.get("/api/v1/doctor").await.refused(404, "not_found", &["kapelle doctor"]);
    let program = Arc::new(Program::default());
    place.kapelle.app().describe_by(Arc::<Program>::clone(&program));
    let config = place.get("/api/v1/config").await.json(200);
    assert_eq!(config, json!({ "settings": [{ "path": "lease", "value": "15s", "origin": "default" }] }));
    let doctor = place.get("/api/v1/doctor").await.json(200);
    assert_eq!((&doctor["ok"], &doctor["checks"][0]["state"]), (&json!(false), &json!("warn")));
    assert_eq!(place.get("/api/v1/doctor").await.json(200), doctor);
    assert_eq!(program.0.load(Ordering::Relaxed), 1, "findings are valid for a while");
    for (role, tenant, config, doctor) in
        [("operator", 1, 403, 200), ("viewer", 1, 403, 403), ("admin", 1, 200, 200), ("admin", 2, 403, 403)]
    {
        let (key, _) = place.key(role, tenant).await;
        for (path, status) in [("/api/v1/config", config), ("/api/v1/doctor", doctor)] {
            let answer = place.ask_as(&key, "GET", path, Value::Null).await;
            assert_eq!(answer.status, status, "{role} of tenant {tenant}: {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_tells_which_runs_its_steps_started() {
    let place = Place::new().await;
    let inner = "name: inner\nsteps:\n  one: { worker: echo }\n";
    place.post("/api/v1/workflows", json!({ "source": inner })).await.json(201);
    let outer = "name: outer\nsteps:\n  first: { worker: echo }\n  \
                 each: { needs: [first], for_each: '${{ [1, 2] }}', workflow: inner }\n  \
                 aside: { needs: [each], workflow: inner, wait: false }\n";
    let id = ended(&place, outer, json!({})).await;
    let graph = place.get(&format!("/api/v1/runs/{id}/graph")).await.json(200);
    let children = graph["run"]["children"].as_array().unwrap();
    assert_eq!(children.len(), 3, "{graph}");
    for step in ["each[0]", "each[1]"] {
        // Items may begin in any order.
        let child = children.iter().find(|child| child["step"] == step).unwrap_or_else(|| panic!("{step}: {graph}"));
        assert_eq!((&child["workflow"], &child["state"]), (&json!("inner"), &json!("succeeded")));
        let (block, at) = (child["place"]["block"].as_u64().unwrap(), child["place"]["step"].as_u64().unwrap());
        assert_eq!(graph["blocks"][block as usize]["steps"][at as usize]["name"], "each");
        // In place: the graph of the child is asked by its id, and the child names the step.
        let path = format!("/api/v1/runs/{}", child["run"].as_str().unwrap());
        assert_eq!(place.get(&format!("{path}/graph")).await.json(200)["workflow"], "inner");
        let run = place.get(&format!("{path}?details=true")).await.json(200);
        assert_eq!((&run["parent"]["run"], &run["parent"]["step"]), (&json!(id), &json!(step)));
    }
    assert!(children[2].get("place").is_none(), "nobody waits for it: {}", children[2]);
}
