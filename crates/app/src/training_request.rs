//! `training_request`: submits a task to the worker that trains, in the queue for machine learning, and follows it.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use kapelle_api as api;
use kapelle_core::{
    Category, DurationMs, TaskError, TaskId,
    task::Report,
    worker::{BoxFuture, Effect, Output, TaskContext, Worker, WorkerSpec},
    yaml::{Shape, Table, key},
};
use kapelle_workers::{
    configured::{Fault, Given},
    schema::{Schema, object},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{app::App, app_error::AppError, caller::Caller, own_kind::OwnKind, reach::Home};

static SETTINGS: Table = Table {
    name: "training_settings",
    about: "The settings of `kind: training_request`.",
    required: &["worker"],
    keys: &[
        key("worker", Shape::Name, "The worker that trains."),
        key("queue", Shape::Name, "The queue in which its tasks wait; default ml."),
        key("timeout", Shape::Duration, "The time limit of one training; default that of the worker."),
    ],
};

/// The default queue of trainings.
const QUEUE: &str = "ml";
/// Interval between two looks at the progress.
const EVERY: Duration = Duration::from_millis(500);
/// The time limit of a request, which lasts as long as its training: 7 days.
const REQUEST_MS: u64 = 7 * 86_400_000;
/// Requests that wait at once: each only waits.
const SLOTS: u32 = 64;

/// Makes the kind `training_request`.
pub(crate) fn kind(home: Home) -> OwnKind {
    OwnKind { name: "training_request", settings: &SETTINGS, make, home }
}

fn make(given: Given, home: Home) -> Result<Arc<dyn Worker>, Vec<Fault>> {
    let Given { mut spec, settings, .. } = given;
    let text = |field: &str| settings[field].as_str().map(str::to_owned);
    let worker = text("worker").unwrap_or_default();
    if worker == spec.name.as_str() {
        let message = "a request cannot train by itself";
        return Err(vec![Fault::of("worker", message, "name the worker that trains")]);
    }
    let input = input_schema();
    let compiled =
        Schema::compile(&input).map_err(|error| vec![Fault::of("worker", error, "report this fault of Kapelle")])?;
    if spec.description.is_empty() {
        spec.description = format!("Have {worker} train, and follow its progress");
    }
    spec.input = Some(input);
    spec.output = Some(object(&["task", "output"], json!({ "task": { "type": "string" }, "output": {} })));
    spec.effects = vec![Effect::Tasks];
    spec.timeout = spec.timeout.or(Some(DurationMs(REQUEST_MS)));
    spec.slots = spec.slots.max(SLOTS);
    let timeout_ms = text("timeout").and_then(|text| DurationMs::parse(&text).ok()).map(|time| time.0);
    let queue = text("queue").unwrap_or_else(|| QUEUE.to_owned());
    Ok(Arc::new(TrainingWorker { spec, input: compiled, worker, queue, timeout_ms, home }))
}

fn input_schema() -> Value {
    object(
        &["request"],
        json!({
            "request": { "description": "The input of the worker that trains" },
            "priority": { "type": "integer", "minimum": -100, "maximum": 100, "default": 0 },
        }),
    )
}

struct TrainingWorker {
    spec: WorkerSpec,
    input: Schema,
    worker: String,
    queue: String,
    timeout_ms: Option<u64>,
    home: Home,
}

impl TrainingWorker {
    async fn run(&self, ctx: &TaskContext, input: Value) -> Result<Value, TaskError> {
        let mut input = self.input.admit(input)?;
        let absent = "no server works in this process; submit the task to a server, or run it with `kapelle submit`";
        let app = self.home.app().await.ok_or_else(|| TaskError::new(Category::Unavailable, absent).permanent())?;
        let own: TaskId = ctx.task.parse().map_err(|_| TaskError::new(Category::Unavailable, absent).permanent())?;
        let by = Caller { tenant: ctx.tenant, ..Caller::owner("library") };
        let given = api::SubmitTask {
            worker: self.worker.clone(),
            input: input["request"].take(),
            queue: Some(self.queue.clone()),
            priority: input["priority"].as_i64().and_then(|priority| i16::try_from(priority).ok()).unwrap_or(0),
            timeout_ms: self.timeout_ms,
            ..api::SubmitTask::default()
        };
        // A further attempt of the request finds the training that an earlier one submitted.
        let key = format!("training_request/{}", ctx.task);
        let (told, training) = watch::channel(None);
        let _guard = CancelWith { app: Arc::downgrade(&app), by: by.clone(), own, training };
        // A cancelled request does not cut the submission off: its training would be nobody's.
        let submission = tokio::spawn({
            let (app, by) = (Arc::clone(&app), by.clone());
            async move {
                let submitted = app.submit_task(&by, given, Some(&key)).await;
                told.send_replace(submitted.as_ref().ok().copied());
                submitted
            }
        });
        let submitted = submission.await.map_err(|error| TaskError::new(Category::Internal, error.to_string()))?;
        let training = submitted.map_err(|error| match ctx.attempt {
            1 => refused(&error),
            // It was accepted before: its worker may come back a moment after a restart.
            _ => TaskError::new(Category::Unavailable, error.message),
        })?;
        if ctx.attempt > 1 {
            self.again(&app, &by, training, ctx.attempt).await?;
        }
        follow(&app, &by, training, Report { task: own, epoch: ctx.attempt, nonce: 0 }).await
    }

    /// Retries a training that failed before this request was retried by hand.
    async fn again(&self, app: &Arc<App>, by: &Caller, training: TaskId, attempt: u32) -> Result<(), TaskError> {
        let (found, _) = app.task(by, training, None).await.map_err(|error| refused(&error))?;
        if found.state == api::TaskState::Failed {
            let key = format!("training_request/{attempt}");
            app.retry_task(by, training, Some(&key)).await.map_err(|error| refused(&error))?;
        }
        Ok(())
    }
}

/// Waits for the end of a training. Its progress becomes that of the request.
async fn follow(app: &Arc<App>, by: &Caller, training: TaskId, request: Report) -> Result<Value, TaskError> {
    loop {
        // Its end or the next look, whichever is first.
        let _ = tokio::time::timeout(EVERY, app.engine.wait(by.tenant, training)).await;
        let (found, _) = app.task(by, training, None).await.map_err(|error| refused(&error))?;
        match found.state {
            api::TaskState::Succeeded => {
                let output = found.output.and_then(|text| serde_json::from_str::<Value>(text.get()).ok());
                return Ok(json!({ "task": training.to_string(), "output": output.unwrap_or_default() }));
            }
            state if state.is_ended() => {
                let error = found
                    .error
                    .map(|error| (Category::from_word(&error.category).unwrap_or(Category::Internal), error.message));
                let (category, why) = error.unwrap_or((Category::Cancelled, state.to_string()));
                let message = format!("the training {training} ended: {why}; `kapelle tasks show {training}` shows it");
                return Err(TaskError::new(category, message).permanent());
            }
            state => {
                let (done, message) = found.progress.map_or((0.0, None), |told| (told.done, told.message));
                let message = message.unwrap_or_else(|| format!("{training} is {state}"));
                app.memory.progress.tell(request, done, Some(&message));
            }
        }
    }
}

/// Cancels the training of a request that was cancelled. A request that is only interrupted leaves it running.
struct CancelWith {
    app: Weak<App>,
    by: Caller,
    own: TaskId,
    /// The training, once it is submitted.
    training: watch::Receiver<Option<TaskId>>,
}

impl Drop for CancelWith {
    fn drop(&mut self) {
        let (Some(app), Ok(runtime)) = (self.app.upgrade(), tokio::runtime::Handle::try_current()) else { return };
        let (by, own, mut training) = (self.by.clone(), self.own, self.training.clone());
        runtime.spawn(async move {
            let Some(training) = training.wait_for(Option::is_some).await.ok().and_then(|found| *found) else { return };
            let Ok((request, _)) = app.task(&by, own, None).await else { return };
            if request.state == api::TaskState::Cancelled {
                let reason = api::Reason { reason: Some(format!("its request {own} was cancelled")) };
                // It may have ended in the meantime, which is as good.
                let _ = app.cancel_task(&by, training, reason).await;
            }
        });
    }
}

fn refused(error: &AppError) -> TaskError {
    match error.code {
        api::code::UNAVAILABLE => TaskError::new(Category::Unavailable, error.message.clone()),
        _ => TaskError::new(Category::InvalidInput, format!("request: {}; correct the request", error.message))
            .permanent(),
    }
}

impl Worker for TrainingWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move { self.run(ctx, input).await.map(Output::plain) })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::Parts;

    const FILE: &str = "kind: training_request\nname: train_model\nsettings: { worker: trainer }\n";

    /// A worker that trains until it gets a permit.
    struct Trainer(WorkerSpec, Arc<Semaphore>);

    impl Worker for Trainer {
        fn spec(&self) -> &WorkerSpec {
            &self.0
        }

        fn execute<'a>(&'a self, _: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
            Box::pin(async move {
                if input == json!("bad data") {
                    return Err(TaskError::new(Category::InvalidInput, "no rows"));
                }
                self.1.acquire().await.unwrap().forget();
                Ok(Output::plain(json!({ "adapter": input })))
            })
        }
    }

    async fn start(folder: &Path, go: &Arc<Semaphore>) -> Arc<App> {
        std::fs::create_dir_all(folder.join("workers")).unwrap();
        std::fs::write(folder.join("workers/train_model.yaml"), FILE).unwrap();
        let workers = vec![folder.join("workers")];
        let app = crate::open(Parts { workers, ..Parts::of(&folder.join("state")) }).await.unwrap();
        assert!(app.problems.is_empty(), "{:?}", app.problems);
        app.engine().registry().insert(Arc::new(Trainer(WorkerSpec::named("trainer"), Arc::clone(go))));
        app.engine().workers_changed();
        app
    }

    async fn submit(app: &Arc<App>, request: Value) -> TaskId {
        let input = json!({ "request": request });
        let given = api::SubmitTask { worker: "train_model".to_owned(), input, ..api::SubmitTask::default() };
        app.submit_task(&Caller::owner("folder"), given, None).await.unwrap()
    }

    async fn until(app: &Arc<App>, id: TaskId, wanted: api::TaskState) -> api::Task {
        loop {
            let (task, _) =
                app.task(&Caller::owner("folder"), id, Some(EVERY)).await.unwrap_or_else(|error| panic!("{error:?}"));
            if task.state == wanted {
                return task;
            }
            assert!(!task.state.is_ended(), "{task:?}");
            tokio::task::yield_now().await;
        }
    }

    /// Waits for the training, whose id follows that of its request.
    async fn training(app: &Arc<App>, request: TaskId) -> TaskId {
        let training = TaskId(request.0 + 1);
        while app.one_task(Caller::owner("folder").tenant, training).is_err() {
            tokio::task::yield_now().await;
        }
        training
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_trains_once_over_a_restart_and_reports() {
        let (folder, go) = (tempfile::tempdir().unwrap(), Arc::new(Semaphore::new(0)));
        let app = start(folder.path(), &go).await;
        let request = submit(&app, json!("corpus")).await;
        let train = training(&app, request).await;
        until(&app, train, api::TaskState::Running).await;
        let told = loop {
            let (task, _) = app.task(&Caller::owner("folder"), request, None).await.unwrap();
            if let Some(told) = task.progress {
                break told;
            }
            tokio::task::yield_now().await;
        };
        assert!(told.message.unwrap().starts_with("task_2 is "));
        app.close().await;
        drop(app);
        let app = start(folder.path(), &go).await;
        go.add_permits(1);
        let done = until(&app, request, api::TaskState::Succeeded).await;
        assert_eq!(done.output.unwrap().get(), r#"{"task":"task_2","output":{"adapter":"corpus"}}"#);
        assert_eq!(app.one_task(Caller::owner("folder").tenant, train).unwrap().queue.as_str(), "ml");
        assert!(app.one_task(Caller::owner("folder").tenant, TaskId(3)).is_err(), "it trained once");
        app.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failed_training_fails_the_request_and_a_cancelled_request_cancels_it() {
        let (folder, go) = (tempfile::tempdir().unwrap(), Arc::new(Semaphore::new(0)));
        let app = start(folder.path(), &go).await;
        let request = submit(&app, json!("bad data")).await;
        let failed = until(&app, request, api::TaskState::Failed).await.error.unwrap();
        assert_eq!(failed.category, "invalid_input");
        assert!(failed.message.contains("the training task_2 ended: no rows"), "{}", failed.message);

        let request = submit(&app, json!("long")).await;
        let train = training(&app, request).await;
        app.cancel_task(&Caller::owner("folder"), request, api::Reason::default()).await.unwrap();
        until(&app, train, api::TaskState::Cancelled).await;
        app.close().await;
    }
}
