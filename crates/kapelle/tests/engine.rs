//! The library over a real folder: the guarantees of tasks and runs.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it should be")]

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use kapelle::{
    Category, Config, Error, Kapelle, Submit, TaskError, TaskId, WorkerSpec,
    core::{
        DurationMs, Name, TenantId,
        retry::{Jitter, RetryPolicy},
        task::{Task, TaskState},
    },
    serde_json::{Value, json},
};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("kapelle-engine-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Folder(folder)
    }

    async fn open(&self) -> Kapelle {
        self.open_with(Config::default()).await
    }

    async fn open_with(&self, config: Config) -> Kapelle {
        Kapelle::builder(&self.0).config(config).environment(|_| None).open().await.unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns the task as it is stored.
fn row(kapelle: &Kapelle, id: TaskId) -> Task {
    kapelle.engine().reader().task(TenantId::DEFAULT, id).unwrap().unwrap()
}

fn quick(max_attempts: u32) -> RetryPolicy {
    RetryPolicy { max_attempts, delay: DurationMs(1), jitter: Jitter::None, ..RetryPolicy::default() }
}

fn failed(error: Error) -> TaskError {
    match error {
        Error::Failed { error, .. } => error,
        other => panic!("expected a failure, not {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_retried_until_it_succeeds_and_tells_its_attempts() {
    let folder = Folder::new("retry");
    let kapelle = folder.open().await;
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    kapelle
        .register("flaky", move |_| {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                if number < 2 { Err(TaskError::new(Category::Unavailable, "not yet")) } else { Ok(json!(number)) }
            }
        })
        .unwrap();
    let task = kapelle.submit_with(Submit::new("flaky", Value::Null).retry(quick(3))).await.unwrap();
    let result = task.wait().await.unwrap();
    assert_eq!((result.output, result.attempts), (json!(2), 3));
    let attempts = kapelle.engine().reader().attempts(task.id()).unwrap();
    assert_eq!(attempts.iter().map(|attempt| attempt.epoch).collect::<Vec<_>>(), [1, 2]);
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_panics_fails_its_task_after_as_many_attempts_as_it_has_and_no_other() {
    let folder = Folder::new("panic");
    let kapelle = folder.open().await;
    kapelle
        .register("bomb", async |input: Value| {
            assert!(input != json!("boom"), "went off");
            Ok(input)
        })
        .unwrap();
    let bomb = kapelle.submit_with(Submit::new("bomb", json!("boom")).retry(quick(4))).await.unwrap();
    let error = failed(bomb.wait().await.unwrap_err());
    assert_eq!(error.category, Category::Crashed);
    assert!(error.message.contains("went off"), "{error}");
    let ended = row(&kapelle, bomb.id());
    assert!(matches!(ended.state, TaskState::Failed { dead: false, .. }));
    assert_eq!((ended.failures, ended.crashes), (4, 0));
    assert_eq!(kapelle.submit("bomb", json!("safe")).await.unwrap().wait().await.unwrap().output, json!("safe"));
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_takes_too_long_is_stopped() {
    let folder = Folder::new("timeout");
    let kapelle = folder.open().await;
    kapelle.register("forever", async |_| std::future::pending::<Result<Value, TaskError>>().await).unwrap();
    let submit = Submit::new("forever", Value::Null).timeout(DurationMs(20)).retry(quick(2));
    let error = failed(kapelle.submit_with(submit).await.unwrap().wait().await.unwrap_err());
    assert_eq!(error.category, Category::Timeout);
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_a_running_task_drops_its_attempt() {
    struct Tell(Option<tokio::sync::oneshot::Sender<()>>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.take().map(|sender| sender.send(()));
        }
    }
    let folder = Folder::new("cancel");
    let kapelle = folder.open().await;
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (dropped, was_dropped) = tokio::sync::oneshot::channel();
    let once = Mutex::new(Some((begun, Tell(Some(dropped)))));
    kapelle
        .register("forever", move |_| {
            let taken = once.lock().unwrap().take();
            async move {
                let (begun, _tell) = taken.unwrap();
                let _ = begun.send(());
                std::future::pending::<Result<Value, TaskError>>().await
            }
        })
        .unwrap();
    let task = kapelle.submit("forever", Value::Null).await.unwrap();
    has_begun.await.unwrap();
    task.cancel("enough").await.unwrap();
    was_dropped.await.unwrap();
    assert!(matches!(task.wait().await.unwrap_err(), Error::Cancelled { reason, .. } if reason == "enough"));
    assert!(task.cancel("again").await.unwrap_err().to_string().contains("has already cancelled"));
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_submissions_of_one_key_are_one_task() {
    let folder = Folder::new("key");
    let kapelle = Arc::new(folder.open().await);
    kapelle.register("echo", async |input| Ok(input)).unwrap();
    let submit = || Submit::new("echo", json!({"a": 1})).idempotency_key("k1");
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let (kapelle, submit) = (Arc::clone(&kapelle), submit());
        waiting.push(tokio::spawn(async move { kapelle.submit_with(submit).await.unwrap().id() }));
    }
    let mut ids = Vec::new();
    for one in waiting {
        ids.push(one.await.unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let other = Submit::new("echo", json!({"a": 2})).idempotency_key("k1");
    let error = kapelle.submit_with(other).await.unwrap_err();
    assert!(error.to_string().contains("already used with another body"), "{error}");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ageing_the_higher_priority_goes_first() {
    let folder = Folder::new("priority");
    let config = Config { ageing: "0".to_owned(), ..Config::default() };
    let kapelle = folder.open_with(config).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&order);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opened = Arc::clone(&gate);
    kapelle.register_spec(WorkerSpec { slots: 1, ..WorkerSpec::named("one") }, move |input| {
        let (seen, opened) = (Arc::clone(&seen), Arc::clone(&opened));
        async move {
            opened.acquire().await.unwrap().forget();
            seen.lock().unwrap().push(input.as_i64().unwrap());
            Ok(Value::Null)
        }
    });
    let first = kapelle.submit("one", json!(0)).await.unwrap();
    let mut tasks = vec![first];
    for priority in [1, 10, 5] {
        tasks.push(kapelle.submit_with(Submit::new("one", json!(priority)).priority(priority)).await.unwrap());
    }
    gate.add_permits(4);
    for task in tasks {
        task.wait().await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [0, 10, 5, 1]);
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_size_come_back_as_they_were() {
    let folder = Folder::new("sizes");
    let kapelle = folder.open().await;
    kapelle.register("echo", async |input| Ok(input)).unwrap();
    for size in [0, 100, 512, 513, 100_000, 3 << 20] {
        let value = json!({ "text": "x".repeat(size) });
        let task = kapelle.submit("echo", value.clone()).await.unwrap();
        assert_eq!(task.wait().await.unwrap().output, value, "{size}");
    }
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_done_after_a_restart() {
    let folder = Folder::new("restart");
    let kapelle = folder.open().await;
    kapelle.register("echo", async |_| std::future::pending::<Result<Value, TaskError>>().await).unwrap();
    let tasks = kapelle.submit_batch("echo", (0..100).map(|n| json!(n)).collect()).await.unwrap();
    let ids: Vec<_> = tasks.iter().map(kapelle::Task::id).collect();
    kapelle.close().await;
    drop((kapelle, tasks));

    let kapelle = folder.open().await;
    kapelle.register("echo", async |input| Ok(input)).unwrap();
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(kapelle.task(id).wait().await.unwrap().output, json!(number));
        assert_eq!(row(&kapelle, id).crashes, 0);
    }
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_writer_is_refused_and_named() {
    let folder = Folder::new("second");
    let kapelle = folder.open().await;
    let error = Kapelle::open(&folder.0).await.err().unwrap().to_string();
    assert!(error.contains(&format!("process {}", std::process::id())) || error.contains("in use"), "{error}");
    kapelle.close().await;
}

const WORKFLOW: &str = "
name: several
inputs: { type: object, properties: { go: { type: boolean, default: true } } }
steps:
  first: { worker: echo, with: { n: 1 } }
  maybe: { needs: [first], if: inputs.go, worker: echo, with: { n: '${{ steps.first.output.n + 1 }}' } }
  after: { needs: [maybe], worker: echo, with: { n: 3 } }
  last: { needs: [first, maybe], worker: echo, with: { got: '${{ steps.maybe.output }}' } }
outputs: { last: '${{ steps.last.output.got }}', after: '${{ steps.after.state }}' }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_skips_a_step_and_those_that_need_nothing_else() {
    let folder = Folder::new("condition");
    let kapelle = folder.open().await;
    kapelle.register("echo", async |input| Ok(input)).unwrap();
    let run = kapelle.start(WORKFLOW, json!({})).await.unwrap();
    assert_eq!(run.wait().await.unwrap().outputs, json!({ "last": { "n": 2 }, "after": "succeeded" }));
    let run = kapelle.start(WORKFLOW, json!({ "go": false })).await.unwrap();
    assert_eq!(run.wait().await.unwrap().outputs, json!({ "last": null, "after": "skipped" }));
    let error = kapelle.start(WORKFLOW, json!({ "go": "yes" })).await.unwrap_err();
    assert!(matches!(error, Error::Inputs(_)), "{error}");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_step_stops_the_run_and_is_named() {
    let folder = Folder::new("stop");
    let kapelle = folder.open().await;
    kapelle.register("no", async |_| Err(TaskError::new(Category::InvalidInput, "will not"))).unwrap();
    kapelle.register("echo", async |input| Ok(input)).unwrap();
    let workflow = "
name: stops
steps:
  bad: { worker: no }
  next: { needs: [bad], worker: echo }
  alarm: { needs: [bad], run_if: failure, worker: echo, with: { why: '${{ steps.bad.error }}' } }
";
    let run = kapelle.start(workflow, Value::Null).await.unwrap();
    let error = failed(run.wait().await.unwrap_err());
    assert!(error.message.contains("step `bad` failed: will not"), "{error}");
    let steps = kapelle.engine().reader().steps(run.id(), kapelle::TaskId(0), 10).unwrap();
    let states: Vec<_> = steps.iter().map(|step| step.state.kind().as_str()).collect();
    assert_eq!(states.len(), 3);
    assert!(states.contains(&"skipped") && states.contains(&"succeeded") && states.contains(&"failed"), "{states:?}");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_with_its_tasks() {
    let folder = Folder::new("cancel-run");
    let kapelle = folder.open().await;
    kapelle.register("forever", async |_| std::future::pending::<Result<Value, TaskError>>().await).unwrap();
    let workflow =
        "{name: long, steps: {a: {worker: forever}, b: {worker: forever}, c: {needs: [a, b], worker: forever}}}";
    let run = kapelle.start(workflow, Value::Null).await.unwrap();
    run.cancel("enough").await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), run.wait()).await.unwrap();
    assert!(matches!(ended.unwrap_err(), Error::Cancelled { .. }));
    let steps = kapelle.engine().reader().steps(run.id(), kapelle::TaskId(0), 10).unwrap();
    assert!(steps.iter().all(|step| step.state.kind().is_terminal()), "{steps:?}");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_alone_needs_a_model_and_says_so() {
    let folder = Folder::new("model");
    let kapelle = folder.open().await;
    kapelle.register_model("poet").unwrap();
    let error = failed(kapelle.submit("poet", json!({ "about": "rain" })).await.unwrap().wait().await.unwrap_err());
    assert_eq!(error.category, Category::ModelRequired);
    assert!(kapelle.register_model("not a name").is_err());
    let names = kapelle.engine().registry().specs(kapelle::core::TenantId::DEFAULT);
    assert!(names.iter().any(|spec| spec.name == Name::new("poet")));
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_format_that_is_reserved_is_refused_and_never_ignored() {
    let folder = Folder::new("unsupported");
    let kapelle = folder.open().await;
    let error = kapelle.start("name: x\nsteps: { a: { plan: { worker: log } } }\n", Value::Null).await.unwrap_err();
    assert!(error.to_string().contains("plan"), "{error}");
    kapelle.close().await;
}
