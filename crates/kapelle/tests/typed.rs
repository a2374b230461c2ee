//! Typed workers: context, conversion of errors, children, and the events of one run.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it should be")]

use std::collections::BTreeMap;

use kapelle::{
    Category, Context, Error, Kapelle, Submit, TaskError, WorkerResult, WorkerSpec, api,
    core::{
        DurationMs,
        retry::{Jitter, RetryPolicy},
    },
    serde_json::{self, Value, json},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct Number {
    value: u32,
}

async fn open(folder: &tempfile::TempDir) -> Kapelle {
    Kapelle::builder(folder.path()).environment(|_| None).open().await.unwrap()
}

fn once(worker: &str, input: Value) -> Submit {
    let retry = RetryPolicy { max_attempts: 2, delay: DurationMs(1), jitter: Jitter::None, ..RetryPolicy::default() };
    Submit::new(worker, input).retry(retry)
}

async fn failure(kapelle: &Kapelle, submit: Submit) -> (TaskError, u32) {
    let task = kapelle.submit_with(submit).await.unwrap();
    let Err(Error::Failed { error, .. }) = task.wait().await else { panic!("the task did not fail") };
    (error, task.state().await.unwrap().attempt)
}

async fn double(ctx: Context, number: Number) -> WorkerResult<Number> {
    ctx.check()?;
    Ok(Number { value: number.value * 2 })
}

#[tokio::test]
async fn types_go_in_and_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let kapelle = open(&folder).await;
    kapelle.worker("double", double).unwrap();
    let answer: Number = kapelle.call("double", &Number { value: 21 }).await.unwrap();
    assert_eq!(answer, Number { value: 42 });
    let task = kapelle.submit_with(Submit::typed("double", &Number { value: 1 }).unwrap()).await.unwrap();
    assert_eq!(task.wait().await.unwrap().parse::<Number>().unwrap(), Number { value: 2 });
    kapelle.close().await;
}

#[tokio::test]
async fn an_input_of_another_shape_fails_once_and_names_the_field() {
    let folder = tempfile::tempdir().unwrap();
    let kapelle = open(&folder).await;
    kapelle.worker("double", double).unwrap();
    let (error, attempts) = failure(&kapelle, once("double", json!({ "valeu": 1 }))).await;
    assert_eq!((error.category, attempts), (Category::InvalidInput, 1));
    assert_eq!(error.message, "input: missing field `value`");
    kapelle.close().await;
}

#[tokio::test]
async fn an_answer_or_an_input_that_json_cannot_say_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let kapelle = open(&folder).await;
    kapelle.worker("odd", async |_: Context, _: Value| Ok(BTreeMap::from([((1, 2), 3)]))).unwrap();
    let (error, attempts) = failure(&kapelle, once("odd", Value::Null)).await;
    assert_eq!((error.category, attempts), (Category::InvalidOutput, 1));
    let refused = kapelle.call::<Value>("odd", &BTreeMap::from([((1, 2), 3)])).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.to_string()),
        (Some("invalid_input"), "input: key must be a string".to_owned())
    );
    let answer = kapelle.call::<Number>("odd", &Value::Null).await.unwrap_err();
    assert!(matches!(answer, Error::Failed { .. }), "{answer}");
    kapelle.worker("word", async |_: Context, _: Value| Ok("seven")).unwrap();
    let answer = kapelle.call::<Number>("word", &Value::Null).await.unwrap_err();
    assert!(matches!(&answer, Error::Shape { field, .. } if field == "output"), "{answer}");
    kapelle.close().await;
}

#[tokio::test]
async fn a_question_mark_makes_a_failure_of_any_error() {
    let folder = tempfile::tempdir().unwrap();
    let kapelle = open(&folder).await;
    kapelle
        .worker("parse", async |_: Context, text: String| {
            let number: u32 = text.parse()?;
            Ok(Number { value: number })
        })
        .unwrap();
    kapelle.worker("read", async |_: Context, text: String| Ok(serde_json::from_str::<Number>(&text)?)).unwrap();
    let (error, attempts) = failure(&kapelle, once("parse", json!("seven"))).await;
    assert_eq!((error.category, attempts), (Category::Internal, 2));
    assert_eq!(error.message, "invalid digit found in string");
    let (error, attempts) = failure(&kapelle, once("read", json!("{}"))).await;
    assert_eq!((error.category, attempts), (Category::InvalidInput, 1));
    kapelle.close().await;
}

#[tokio::test]
async fn the_context_tells_its_attempt_and_submits_children() {
    let folder = tempfile::tempdir().unwrap();
    let kapelle = open(&folder).await;
    kapelle.worker("double", double).unwrap();
    kapelle
        .worker("parent", async |ctx: Context, number: Number| {
            if !ctx.is_last_attempt() {
                return Err(TaskError::new(Category::Unavailable, "once more").into());
            }
            let child: Number = ctx.kapelle()?.call("double", &number).await?;
            Ok(json!({ "task": ctx.task_id(), "attempt": ctx.attempt(), "run": ctx.run_id(), "child": child.value }))
        })
        .unwrap();
    let task = kapelle.submit_with(once("parent", json!({ "value": 4 }))).await.unwrap();
    let answer = task.wait().await.unwrap().output;
    assert_eq!(answer, json!({ "task": task.id().to_string(), "attempt": 2, "run": null, "child": 8 }));
    // A child that fails hands its category to its parent.
    kapelle
        .worker("strict", async |ctx: Context, number: Value| {
            Ok(ctx.kapelle()?.call::<Value>("double", &number).await?)
        })
        .unwrap();
    let (error, attempts) = failure(&kapelle, once("strict", json!({}))).await;
    assert_eq!((error.category, attempts), (Category::InvalidInput, 1), "{error}");
    kapelle.close().await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_invalid_input() {
    let folder = tempfile::tempdir().unwrap();
    let kapelle = open(&folder).await;
    kapelle.worker("open", async |ctx: Context, input: Value| Ok(ctx.file(&input)?.display().to_string())).unwrap();
    let (error, attempts) = failure(&kapelle, once("open", json!("letter.pdf"))).await;
    assert_eq!((error.category, attempts), (Category::InvalidInput, 1));
    assert_eq!(error.message, "file: expected {\"$file\": \"sha256:...\"}, got \"letter.pdf\"");
    // A reference to a file that is not stored is refused at submission.
    let missing = json!({ "$file": format!("sha256:{}", "a".repeat(64)) });
    assert_eq!(kapelle.submit("open", missing).await.unwrap_err().code(), Some("invalid_input"));
    kapelle.close().await;
}

#[tokio::test]
async fn events_are_those_of_one_run_and_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let kapelle = open(&folder).await;
    let (open_gate, gate) = tokio::sync::watch::channel(false);
    kapelle.worker_spec(WorkerSpec::named("wait"), move |_: Context, input: Value| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await?;
            Ok(input)
        }
    });
    let workflow = "name: gated\nsteps:\n  one: { worker: wait, with: { n: 1 } }\n";
    let other = kapelle.start(workflow, Value::Null).await.unwrap();
    let run = kapelle.start(workflow, Value::Null).await.unwrap();
    let mut events = run.events().unwrap();
    open_gate.send(true).unwrap();
    let mut seen = Vec::new();
    while let Some(event) = events.next().await.unwrap() {
        assert_eq!(event.run, Some(run.id().to_string()));
        seen.push(event.event);
    }
    assert_eq!(seen.last(), Some(&api::LiveKind::RunEnded));
    assert!(seen.contains(&api::LiveKind::StepEnded), "{seen:?}");
    assert_eq!(events.next().await.unwrap(), None);
    // A run that has ended before has its end alone.
    other.wait().await.unwrap();
    let mut late = other.events().unwrap();
    let end = late.next().await.unwrap().unwrap();
    assert_eq!((end.event, end.state.as_deref()), (api::LiveKind::RunEnded, Some("succeeded")));
    assert_eq!(late.next().await.unwrap(), None);
    // One that does not exist is an error instead of an endless wait.
    let nothing = kapelle.run(kapelle::RunId(99)).events().unwrap().next().await.unwrap_err();
    assert_eq!(nothing.code(), Some("not_found"));
    kapelle.close().await;
}
