//! One use case, one answer: asked in process, over HTTP, and through the library.

use std::{pin::Pin, sync::Arc};

use kapelle::{Caller, InProcess, Money, Submit};
use kapelle_api::{self as api, Api, Client, ClientError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::place::Place;

type PromptCall<'a> = Pin<Box<dyn Future<Output = Value> + Send + 'a>>;

/// Returns an answer or a refusal without the parts that differ from call to call.
fn seen<T: Serialize>(answer: Result<T, ClientError>) -> Value {
    match answer {
        Ok(answer) => {
            let mut value = serde_json::to_value(answer).unwrap();
            blank(&mut value);
            json!({ "answer": value })
        }
        Err(ClientError::Refused(problem)) => {
            json!({ "code": problem.code, "status": problem.status, "detail": problem.detail, "field": problem.field })
        }
        Err(other) => panic!("{other}"),
    }
}

/// Removes times, which pass between two calls.
fn blank(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if name.ends_with("_at") || name == "at" || name == "uptime_ms" || name == "silent_ms" {
                    *field = Value::Null;
                } else {
                    blank(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}

/// A use case that changes nothing, or has one effect however often it is called.
type Case = (&'static str, for<'a> fn(&'a dyn Api) -> PromptCall<'a>);

macro_rules! cases {
    ($($name:literal: $api:ident => $ask:expr;)*) => {
        [$(($name, (|$api| Box::pin(async move { seen($ask.await) })) as for<'a> fn(&'a dyn Api) -> PromptCall<'a>),)*]
    };
}

fn reads() -> Vec<Case> {
    cases! {
        "tasks": api => api.tasks(api::TaskQuery { steps: Some(true), ..api::TaskQuery::default() });
        "tasks in a state": api => api.tasks(api::TaskQuery { state: Some("held".to_owned()), ..api::TaskQuery::default() });
        "tasks in no state": api => api.tasks(api::TaskQuery { state: Some("done".to_owned()), ..api::TaskQuery::default() });
        "a page that is too long": api => api.tasks(api::TaskQuery { limit: Some(5_000), ..api::TaskQuery::default() });
        "a cursor that is none": api => api.runs(api::RunQuery { cursor: Some("x".to_owned()), ..api::RunQuery::default() });
        "a task": api => api.task("task_1", 20_000);
        "a task with its input": api => api.task_details("task_1");
        "a task that is not there": api => api.task("task_99", 0);
        "why a task has its state": api => api.explain_task("task_1");
        "why a task that is not there waits": api => api.explain_task("task_99");
        "tasks before one": api => api.tasks(api::TaskQuery { steps: Some(true), before: Some("task_2".to_owned()), ..api::TaskQuery::default() });
        "tasks before none": api => api.tasks(api::TaskQuery { before: Some("x".to_owned()), ..api::TaskQuery::default() });
        "a task whose id is none": api => api.task("nonsense", 0);
        "runs": api => api.runs(api::RunQuery::default());
        "a run": api => api.run("run_1", 20_000);
        "a run with its inputs": api => api.run_details("run_1");
        "why its steps have their states": api => api.explain_run("run_1");
        "its steps": api => api.steps("run_1", api::Paging::default());
        "its journal": api => api.journal("run_1", api::JournalQuery::default());
        "a run that is not there": api => api.run("run_99", 0);
        "approvals": api => api.approvals();
        "queues": api => api.queues();
        "dead letters": api => api.dead_letters(api::DeadQuery::default());
        "workers": api => api.workers();
        "a worker": api => api.worker("echo");
        "a worker that is not there": api => api.worker("nobody");
        "scripts": api => api.scripts();
        "workflows": api => api.workflows(api::Paging::default());
        "a workflow that is not there": api => api.versions("none", api::Paging::default());
        "a version": api => api.version("f", 1);
        "budgets": api => api.budgets();
        "cost": api => api.cost(api::CostQuery::default());
        "cost by nothing": api => api.cost(api::CostQuery { by: Some("x".to_owned()), ..api::CostQuery::default() });
        "cost of two kinds from a time": api => api.cost(api::CostQuery { by: Some("worker,day".to_owned()), from: Some("2020-01-01T00:00:00Z".to_owned()), ..api::CostQuery::default() });
        "cost of a worker": api => api.cost(api::CostQuery { worker: Some("echo".to_owned()), ..api::CostQuery::default() });
        "cost of no run": api => api.cost(api::CostQuery { run: Some("x".to_owned()), ..api::CostQuery::default() });
        "providers": api => api.providers();
        "no call": api => api.call("call_9");
        "a call by no id": api => api.call("x");
        "search": api => api.search(api::SearchQuery { q: "ech".to_owned(), limit: None });
        "search for nothing": api => api.search(api::SearchQuery::default());
        "dead letters by error": api => api.dead_groups();
        "count of runs to cancel": api => api.bulk_runs(api::BulkRuns {
            action: api::RunAct::Cancel,
            ids: None,
            filter: Some(api::RunQuery::default()),
            dry_run: true,
            reason: None,
        });
        "a change of no tasks": api => api.bulk_tasks(api::BulkTasks {
            action: api::TaskAct::Cancel,
            ids: None,
            filter: None,
            dry_run: false,
            reason: None,
        });
        "cost per month": api => api.cost(api::CostQuery { per: Some("month".to_owned()), ..api::CostQuery::default() });
        "cost per worker": api => api.cost(api::CostQuery { per: Some("worker".to_owned()), ..api::CostQuery::default() });
        "cost from no time": api => api.cost(api::CostQuery { from: Some("x".to_owned()), ..api::CostQuery::default() });
        "calls": api => api.calls(api::CallQuery::default());
        "artifacts": api => api.artifacts(api::Paging::default());
        "keys": api => api.keys();
        "health": api => api.health();
    }
    .into()
}

fn changes() -> Vec<Case> {
    cases! {
        "a priority out of range": api => api.submit(api::SubmitTask { priority: 101, ..task("echo") }, None);
        "a worker that nobody has": api => api.submit(task("ecoh"), None);
        "a key of a limit that is none": api => api.submit(api::SubmitTask { key: Some(String::new()), ..task("echo") }, None);
        "an input that does not fit": api => api.submit(api::SubmitTask { input: json!({ "text": 7 }), ..task("summarizer") }, None);
        "the same task once": api => api.submit(task("echo"), Some("once"));
        "another task with its key": api => api.submit(task("gate"), Some("once"));
        "no tasks": api => api.submit_batch(api::SubmitBatch::default(), None);
        "a second of many": api => api.submit_batch(api::SubmitBatch { tasks: vec![task("echo"), task("a b")] }, None);
        "a workflow that is none": api => api.start(api::StartRun { source: Some("steps: 1".to_owned()), ..api::StartRun::default() }, None);
        "no workflow": api => api.start(api::StartRun::default(), None);
        "a step that there is not": api => api.rerun("run_1", api::Rerun { from: Some("x".to_owned()), recorded: false });
        "an end that has come": api => api.cancel_run("run_1", api::Reason::default());
        "a signal too late": api => api.signal("run_1", "go", api::Signal::default());
        "an answer that nobody waits for": api => api.answer("task_1", true, api::Answer::default());
        "a comment that is too long": api => api.answer("task_1", true, api::Answer { by: None, comment: Some("x".repeat(3_000)) });
        "a pause": api => api.pause_queue("ml", api::Reason::default());
        "a pause of nothing": api => api.pause_queue("a b", api::Reason::default());
        "its end": api => api.resume_queue("ml", api::Reason::default());
        "a budget": api => api.set_budget(api::SetBudget { account: "worker:echo".to_owned(), limit_nanousd: 5, tenant: None });
        "a budget of nothing": api => api.set_budget(api::SetBudget { account: "x".to_owned(), limit_nanousd: 5, tenant: None });
        "a role that is none": api => api.create_key(api::NewKey { role: "king".to_owned(), ..key() });
        "a text that is stored": api => api.publish(api::Publish { source: FLOW.to_owned(), file: None });
        "the newest version": api => api.delete_version("f", 1);
        "no version": api => api.rollback("f", api::Rollback { number: 9 });
    }
    .into()
}

const FLOW: &str =
    "name: f\nsteps: { a: { worker: echo, with: { x: 1 } } }\noutputs: { x: '${{ steps.a.output.x }}' }\n";

fn task(worker: &str) -> api::SubmitTask {
    api::SubmitTask { worker: worker.to_owned(), ..api::SubmitTask::default() }
}

fn key() -> api::NewKey {
    serde_json::from_value(json!({ "name": "a", "role": "viewer" })).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_use_case_gives_one_answer_in_process_and_over_http() {
    let place = Place::new().await;
    place.submit("echo", json!({ "a": 1 })).await;
    place.post("/api/v1/runs", json!({ "source": FLOW })).await.json(201);
    place.get("/api/v1/runs/run_1?wait_ms=20000").await.json(200);
    let http = Client::new(&format!("http://{}", place.address()), &place.token).unwrap();
    let own = InProcess { app: Arc::clone(place.kapelle.app()), caller: Caller::owner("key") };
    for (name, ask) in reads().into_iter().chain(changes()).chain(reads()) {
        let (here, there) = (ask(&own).await, ask(&http).await);
        assert_eq!(here, there, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_keeps_the_same_rules() {
    let place = Place::new().await;
    let http = Client::new(&format!("http://{}", place.address()), &place.token).unwrap();
    let wrong = [
        Submit::new("echo", Value::Null).priority(101),
        Submit::new("echo", Value::Null).key(""),
        Submit::new("echo", Value::Null).queue("a b"),
        Submit::new("ecoh", Value::Null),
        Submit::new("summarizer", json!({ "text": 7 })),
    ];
    let sent = [
        api::SubmitTask { priority: 101, ..task("echo") },
        api::SubmitTask { key: Some(String::new()), ..task("echo") },
        api::SubmitTask { queue: Some("a b".to_owned()), ..task("echo") },
        task("ecoh"),
        api::SubmitTask { input: json!({ "text": 7 }), ..task("summarizer") },
    ];
    for (submit, request) in wrong.into_iter().zip(sent) {
        let here = place.kapelle.submit_with(submit).await.unwrap_err().to_string();
        let there = http.submit(request, None).await.unwrap_err().to_string();
        assert_eq!(here, there);
    }
    // One hash: a key that was used over HTTP finds its task in the library, and the other way round.
    let request = api::SubmitTask { input: json!({ "a": 1 }), max_cost_nanousd: Some(7), ..task("echo") };
    let made = http.submit(request.clone(), Some("k")).await.unwrap();
    let submit = Submit::new("echo", json!({ "a": 1 })).max_cost(Money(7)).idempotency_key("k");
    let same = place.kapelle.submit_with(submit.clone()).await.unwrap();
    assert_eq!(same.id().to_string(), made.id);
    let other = place.kapelle.submit_with(submit.priority(1)).await.unwrap_err().to_string();
    let refused = http.submit(api::SubmitTask { priority: 1, ..request }, Some("k")).await.unwrap_err().to_string();
    assert_eq!(other, refused);
}
