//! Limits, pauses, dead letters, cached answers, pools and middleware over a real folder.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it should be")]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use kapelle::{
    CacheRule, Call, Category, Config, Error, Kapelle, KeyLimit, Middleware, Money, Next, Output, Provenance, Submit,
    TaskContext, TaskError, TaskId, WhenFull, Worker, WorkerSpec,
    api::DeadQuery,
    core::{
        DurationMs, Name, TenantId, Timestamp,
        retry::{Jitter, RetryPolicy},
        task::{HoldReason, StateKind, Task, TaskState},
        worker::BoxFuture,
    },
    engine::{ManualClock, SubmitTask},
    function,
    middleware::{Metrics, Validation},
    serde_json::{Value, json},
};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("kapelle-limits-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Folder(folder)
    }

    fn builder(&self) -> kapelle::Builder {
        Kapelle::builder(&self.0).environment(|_| None)
    }

    async fn open(&self) -> Kapelle {
        self.builder().open().await.unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn keyed(limit: u32, when_full: WhenFull) -> WorkerSpec {
    WorkerSpec { slots: 64, per_key: Some(KeyLimit { limit, when_full }), ..WorkerSpec::named("keyed") }
}

fn many_slots() -> Config {
    let mut config = Config::default();
    config.queues.insert("default".to_owned(), kapelle::QueueConfig::of(64));
    config
}

/// Running tasks of each key, and their maximum so far.
#[derive(Default)]
struct Peaks(Mutex<BTreeMap<String, (u32, u32)>>);

fn counting(peaks: &Arc<Peaks>) -> impl Fn(Value) -> BoxFuture<'static, Result<Value, TaskError>> + use<> {
    let peaks = Arc::clone(peaks);
    move |input: Value| {
        let peaks = Arc::clone(&peaks);
        Box::pin(async move {
            let key = input.as_str().unwrap().to_owned();
            {
                let mut all = peaks.0.lock().unwrap();
                let (now, most) = all.entry(key.clone()).or_default();
                *now += 1;
                *most = (*most).max(*now);
            }
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            peaks.0.lock().unwrap().get_mut(&key).unwrap().0 -= 1;
            Ok(Value::Null)
        })
    }
}

/// Returns the task as it is stored.
fn row(kapelle: &Kapelle, id: TaskId) -> Task {
    kapelle.engine().reader().task(TenantId::DEFAULT, id).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_runs_more_often_than_it_may_over_a_thousand_tasks_and_a_restart() {
    let folder = Folder::new("keys");
    let kapelle = folder.builder().config(many_slots()).open().await.unwrap();
    let stuck = async |_: Value| std::future::pending::<Result<Value, TaskError>>().await;
    kapelle.register_spec(keyed(2, WhenFull::Queue), stuck);
    let mut ids = Vec::new();
    for number in 0..1_000 {
        let key = format!("k{}", number % 5);
        let task = kapelle.submit_with(Submit::new("keyed", json!(key)).key(&key)).await.unwrap();
        ids.push(task.id());
    }
    let running = kapelle.engine().reader().open_tasks(TenantId::DEFAULT).unwrap();
    let count = |state| running.iter().filter(|lane| lane.state == state).map(|lane| lane.tasks).sum::<u64>();
    assert_eq!((count(StateKind::Running), count(StateKind::Held)), (10, 990));
    let held = row(&kapelle, ids[999]);
    assert!(matches!(held.state, TaskState::Held { reason: HoldReason::KeyLimit, .. }), "{held:?}");
    kapelle.close().await;
    drop(kapelle);

    let kapelle = folder.builder().config(many_slots()).open().await.unwrap();
    let peaks = Arc::new(Peaks::default());
    kapelle.register_spec(keyed(2, WhenFull::Queue), counting(&peaks));
    for id in ids {
        kapelle.task(id).wait().await.unwrap();
    }
    let peaks = peaks.0.lock().unwrap().clone();
    assert_eq!(peaks.len(), 5);
    assert!(peaks.values().all(|(now, most)| *now == 0 && (1..=2).contains(most)), "{peaks:?}");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_limits_keys_too() {
    let folder = Folder::new("queue-keys");
    let mut config = many_slots();
    config.queues.get_mut("default").unwrap().per_key = Some(KeyLimit { limit: 1, when_full: WhenFull::Queue });
    let kapelle = folder.builder().config(config).open().await.unwrap();
    let peaks = Arc::new(Peaks::default());
    for name in ["one", "two"] {
        kapelle.register_spec(WorkerSpec { slots: 64, ..WorkerSpec::named(name) }, counting(&peaks));
    }
    let mut tasks = Vec::new();
    for number in 0..200 {
        let worker = ["one", "two"][number % 2];
        tasks.push(kapelle.submit_with(Submit::new(worker, json!("k")).key("k")).await.unwrap());
    }
    for task in tasks {
        task.wait().await.unwrap();
    }
    assert_eq!(peaks.0.lock().unwrap()["k"], (0, 1));
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_wins_or_one_more_is_refused() {
    let folder = Folder::new("newest");
    let kapelle = folder.open().await;
    let forever = async |_: Value| std::future::pending::<Result<Value, TaskError>>().await;
    // With one slot the newest takes the slot of the task that it replaces.
    kapelle.register_spec(WorkerSpec { slots: 1, ..keyed(1, WhenFull::CancelRunning) }, forever);
    let first = kapelle.submit_with(Submit::new("keyed", json!(1)).key("k")).await.unwrap();
    let second = kapelle.submit_with(Submit::new("keyed", json!(2)).key("k")).await.unwrap();
    let error = first.wait().await.unwrap_err().to_string();
    assert!(error.contains("task_2 of the same key took its place"), "{error}");
    assert_eq!(row(&kapelle, second.id()).state.kind(), StateKind::Running);

    kapelle.register_spec(WorkerSpec { name: Name::new("strict"), ..keyed(1, WhenFull::Reject) }, forever);
    kapelle.submit_with(Submit::new("strict", json!(1)).key("k")).await.unwrap();
    let error = kapelle.submit_with(Submit::new("strict", json!(2)).key("k")).await.unwrap_err().to_string();
    assert!(error.contains("1 tasks of the key `k` run already") && error.contains("when_full"), "{error}");
    kapelle.submit_with(Submit::new("strict", json!(3)).key("other")).await.unwrap();
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_stays_paused_after_a_restart() {
    let folder = Folder::new("pause");
    let kapelle = folder.open().await;
    kapelle.register("echo", async |input| Ok(input)).unwrap();
    kapelle.pause_queue("default", "maintenance").await.unwrap();
    kapelle.pause_worker("echo", "broken").await.unwrap();
    let task = kapelle.submit("echo", json!(1)).await.unwrap();
    let id = task.id();
    kapelle.close().await;
    drop((kapelle, task));

    let kapelle = folder.open().await;
    kapelle.register("echo", async |input| Ok(input)).unwrap();
    kapelle.resume_queue("default", "done").await.unwrap();
    let state = row(&kapelle, id).state;
    assert_eq!(state.kind(), StateKind::Ready, "its worker is paused still");
    let workers = kapelle.workers_status().await.unwrap().workers;
    let echo = workers.iter().find(|worker| worker.name == "echo").unwrap();
    assert_eq!((echo.paused, echo.paused_reason.as_deref(), echo.ready), (true, Some("broken"), 1));
    let queues = kapelle.queues().await.unwrap().queues;
    let default = queues.iter().find(|queue| queue.name == "default").unwrap();
    assert_eq!((default.paused, default.ready), (false, 1));
    kapelle.resume_worker("echo", "mended").await.unwrap();
    assert_eq!(kapelle.task(id).wait().await.unwrap().output, json!(1));
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_crashes_is_kept_put_back_and_discarded() {
    let folder = Folder::new("dead");
    let kapelle = folder.open().await;
    kapelle.register("bomb", async |_| -> Result<Value, TaskError> { panic!("went off") }).unwrap();
    let quick = RetryPolicy { max_attempts: 3, delay: DurationMs(1), jitter: Jitter::None, ..RetryPolicy::default() };
    let task = kapelle.submit_with(Submit::new("bomb", Value::Null).retry(quick)).await.unwrap();
    task.wait().await.unwrap_err();
    let of = |worker: &str| DeadQuery { worker: Some(worker.to_owned()), ..DeadQuery::default() };
    let dead = kapelle.dead_letters(of("bomb")).await.unwrap().tasks;
    assert_eq!((dead.len(), dead[0].id.as_str(), dead[0].dead, dead[0].attempt), (1, "task_1", false, 3));
    assert!(kapelle.dead_letters(of("other")).await.unwrap().tasks.is_empty());
    let wrong = kapelle.dead_letters(of("a b")).await.unwrap_err().to_string();
    assert!(wrong.contains("worker"), "{wrong}");
    let wrong = kapelle.dead_letters(DeadQuery { limit: Some(0), ..DeadQuery::default() }).await.unwrap_err();
    assert!(wrong.to_string().contains("limit=0"), "{wrong}");
    kapelle.retry_dead(task.id()).await.unwrap();
    task.wait().await.unwrap_err();
    kapelle.discard_dead(task.id(), "not wanted").await.unwrap();
    assert!(kapelle.dead_letters(DeadQuery::default()).await.unwrap().tasks.is_empty());
    let row = row(&kapelle, task.id());
    let TaskState::Discarded { error, dead: false, reason, .. } = &row.state else { unreachable!("{row:?}") };
    assert!(error.message.contains("went off") && &**reason == "not wanted");
    assert_eq!(kapelle.engine().reader().attempts(task.id()).unwrap().len(), 6, "its attempts stay");
    assert!(kapelle.retry_dead(task.id()).await.is_err());
    kapelle.close().await;
}

/// A worker whose answers cost a cent, and failures half of that.
struct Dear(WorkerSpec, Arc<AtomicU32>);

impl Worker for Dear {
    fn spec(&self) -> &WorkerSpec {
        &self.0
    }

    fn execute<'a>(&'a self, _ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            self.1.fetch_add(1, Ordering::SeqCst);
            if input == json!("bad") {
                return Err(TaskError::new(Category::Provider, "no").permanent().costing(Money(5_000_000)));
            }
            let provenance = Provenance { cost: Money(10_000_000), calls: 1, ..Provenance::default() };
            Ok(Output { value: input, provenance })
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_given_again_free_of_cost_until_it_is_too_old() {
    let folder = Folder::new("cache");
    let clock = Arc::new(ManualClock::at(Timestamp(1_700_000_000_000)));
    let calls = Arc::new(AtomicU32::new(0));
    let spec = WorkerSpec { cache: Some(CacheRule { max_age: Some(DurationMs(1_000)) }), ..WorkerSpec::named("dear") };
    let open = async || {
        let kapelle = folder.builder().clock(Arc::clone(&clock) as _).open().await.unwrap();
        kapelle.register_worker(Arc::new(Dear(spec.clone(), Arc::clone(&calls))));
        kapelle
    };
    let kapelle = open().await;
    let ask = async |kapelle: &Kapelle, input: &Value| {
        let result = kapelle.submit("dear", input.clone()).await.unwrap().wait().await.unwrap();
        assert_eq!(result.output, *input);
        (result.provenance.cached, result.provenance.cost)
    };
    let (one, two) = (json!({ "a": 1, "long": "x".repeat(2_000) }), json!({ "a": 2 }));
    assert_eq!(ask(&kapelle, &one).await, (false, Money(10_000_000)));
    assert_eq!(ask(&kapelle, &one).await, (true, Money::ZERO));
    assert_eq!(ask(&kapelle, &two).await, (false, Money(10_000_000)));
    kapelle.close().await;
    drop(kapelle);
    let kapelle = open().await;
    assert_eq!(ask(&kapelle, &one).await, (true, Money::ZERO), "it survives a restart");
    clock.set(Timestamp(1_700_000_001_000));
    assert_eq!(ask(&kapelle, &one).await, (false, Money(10_000_000)), "it is too old");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let newer = WorkerSpec { version: "2".to_owned(), ..spec.clone() };
    kapelle.register_worker(Arc::new(Dear(newer, Arc::clone(&calls))));
    assert_eq!(ask(&kapelle, &one).await, (false, Money(10_000_000)), "another version answers for itself");
    let bad = kapelle.submit("dear", json!("bad")).await.unwrap();
    bad.wait().await.unwrap_err();
    let attempts = kapelle.engine().reader().attempts(bad.id()).unwrap();
    assert_eq!(attempts[0].error.cost, Money(5_000_000), "what a failed attempt spent is kept");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_outage_retries_wait_for_their_share_and_say_so() {
    let folder = Folder::new("share");
    let kapelle = folder.builder().config(many_slots()).open().await.unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    kapelle.register_spec(WorkerSpec { slots: 64, ..WorkerSpec::named("down") }, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err::<Value, _>(TaskError::new(Category::Unavailable, "down")) }
    });
    let rules = RetryPolicy { max_attempts: 3, delay: DurationMs(0), jitter: Jitter::None, ..RetryPolicy::default() };
    for _ in 0..100 {
        kapelle.submit_with(Submit::new("down", Value::Null).retry(rules.clone())).await.unwrap();
    }
    let held = async || loop {
        let counts = kapelle.engine().reader().open_tasks(TenantId::DEFAULT).unwrap();
        if counts.iter().any(|lane| lane.state == StateKind::Held && lane.tasks > 40) {
            break;
        }
        tokio::task::yield_now().await;
    };
    tokio::time::timeout(Duration::from_secs(10), held()).await.unwrap();
    // A hundred first attempts bring twenty retries, the full bucket ten, and each second one.
    assert!(calls.load(Ordering::SeqCst) <= 140, "{calls:?}");
    let filter = kapelle::store::TaskFilter { state: Some(StateKind::Held), ..Default::default() };
    let tasks = kapelle
        .engine()
        .reader()
        .tasks(TenantId::DEFAULT, &filter, kapelle::store::Page { before: None, most: 1_000 })
        .unwrap();
    let TaskState::Held { reason, .. } = tasks[0].state else { unreachable!("{:?}", tasks[0]) };
    assert!(reason.as_str().contains("at most a fifth"), "{reason:?}");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_spreads_its_tasks() {
    let folder = Folder::new("pool");
    let kapelle = folder.open().await;
    let given: Arc<[AtomicUsize; 3]> = Arc::default();
    let members = (0..3).map(|number| {
        let given = Arc::clone(&given);
        function(WorkerSpec::named("member"), move |input| {
            given[number].fetch_add(1, Ordering::SeqCst);
            async move { Ok(input) }
        })
    });
    kapelle.register_pool(WorkerSpec::named("pool"), "round_robin", members.collect()).unwrap();
    let tasks = kapelle.submit_batch("pool", (0..300).map(|n| json!(n)).collect()).await.unwrap();
    for task in tasks {
        task.wait().await.unwrap();
    }
    assert!(given.iter().all(|count| count.load(Ordering::SeqCst) == 100), "{given:?}");
    let error = kapelle.register_pool(WorkerSpec::named("pool"), "best", Vec::new()).unwrap_err().to_string();
    assert!(error.contains("unknown balancer `best`: there are round_robin, least_loaded, fastest"), "{error}");
    kapelle.close().await;
}

/// Middleware that records its passes, and answers or fails for some inputs.
struct Trace(&'static str, Arc<Mutex<Vec<String>>>);

impl Middleware for Trace {
    fn around<'a>(&'a self, call: Call<'a>, input: Value, next: Next<'a>) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let seen = call.metadata.get("path").map_or_else(String::new, |path| path.as_str().unwrap().to_owned());
            call.metadata.set("path", format!("{seen}{}", self.0));
            self.1.lock().unwrap().push(format!("{} in {seen}", self.0));
            match input.as_str() {
                Some("answer") if self.0 == "b" => return Ok(Output::plain(json!("from b"))),
                Some("panic") if self.0 == "b" => panic!("layer b"),
                _ => {}
            }
            let ended = next.run(call, input).await;
            self.1.lock().unwrap().push(format!("{} out", self.0));
            ended
        })
    }

    fn run_starting(&self, workflow: &str, inputs: &mut Value) -> Result<(), TaskError> {
        self.1.lock().unwrap().push(format!("{} starts {workflow}", self.0));
        if inputs["refuse"] == json!(true) {
            return Err(TaskError::new(Category::InvalidInput, "not this run"));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_are_passed_in_order_and_may_answer_refuse_or_break() {
    let folder = Folder::new("layers");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let metrics = Metrics::default();
    let builder = folder.builder().middleware(Trace("a", Arc::clone(&seen))).middleware(Trace("b", Arc::clone(&seen)));
    let kapelle = builder.middleware(metrics.clone()).middleware(Validation).open().await.unwrap();
    let spec = WorkerSpec { input: Some(json!({ "type": "string" })), ..WorkerSpec::named("echo") };
    kapelle.register_spec(spec, async |input| Ok(input));
    let run = async |input: Value| kapelle.submit_with(Submit::new("echo", input)).await.unwrap().wait().await;
    let taken = || std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(run(json!("x")).await.unwrap().output, json!("x"));
    assert_eq!(taken(), ["a in ", "b in a", "b out", "a out"]);
    assert_eq!(run(json!("answer")).await.unwrap().output, json!("from b"));
    assert_eq!(taken(), ["a in ", "b in a", "a out"], "what is further in was not reached");
    let refused = kapelle.submit("echo", json!(5)).await.unwrap_err();
    assert!(matches!(refused, Error::Inputs(_)), "{refused}");
    // A task that was stored before its worker had that schema meets the layer.
    let stored = SubmitTask::new(Name::new("echo"), kapelle.engine().payload(&json!(5)).unwrap());
    let stored = kapelle.engine().submit(TenantId::DEFAULT, vec![stored], None).await.unwrap();
    let error = kapelle.task(stored).wait().await.unwrap_err();
    assert!(matches!(error, Error::Failed { ref error, .. } if error.category == Category::InvalidInput), "{error}");
    let no_retry = RetryPolicy { delay: DurationMs(1), jitter: Jitter::None, ..RetryPolicy::default() };
    let broken = kapelle.submit_with(Submit::new("echo", json!("panic")).retry(no_retry)).await.unwrap();
    let error = broken.wait().await.unwrap_err().to_string();
    assert!(error.contains("layer b"), "{error}");
    assert_eq!(run(json!("y")).await.unwrap().output, json!("y"), "the engine goes on");
    let figures = metrics.figures()["echo"];
    assert_eq!((figures.succeeded, figures.failed, figures.running), (2, 1, 0));
    taken();
    let workflow = "{name: flow, steps: {a: {worker: echo, with: {}}}}";
    let error = kapelle.start(workflow, json!({ "refuse": true })).await.unwrap_err().to_string();
    assert!(error.contains("not this run"), "{error}");
    assert_eq!(taken(), ["a starts flow"]);
    kapelle.close().await;
}
