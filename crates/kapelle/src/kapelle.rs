//! The engine over one folder.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, LazyLock},
};

use kapelle_api as api;
use kapelle_app::{App, Caller, Change, Config, Error, Watch, load};
use kapelle_core::{RunId, TaskId, definition::Strategy, yaml::Problems};
use kapelle_engine::{Engine, VersionRef};
use kapelle_gateway::Gateway;
#[cfg(feature = "scripts")]
use kapelle_scripts::{Fleet, environment::Surroundings};
use kapelle_store::Blobs;
#[cfg(feature = "scripts")]
use kapelle_supervisor::helper_process::Helper;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    builder::{Builder, NewBalancer},
    run::Run,
    task::{Submit, Task},
};

/// The engine over one folder: durable tasks and runs, and the workers of this process. A clone is another handle.
#[derive(Clone)]
pub struct Kapelle {
    pub(crate) app: Arc<App>,
    pub(crate) balancers: Arc<BTreeMap<String, NewBalancer>>,
}

/// Returns the caller of the library: the owner of the folder.
pub(crate) fn owner() -> &'static Caller {
    static OWNER: LazyLock<Caller> = LazyLock::new(|| Caller::owner("library"));
    &OWNER
}

/// Makes a reason for a request.
pub(crate) fn reason(text: &str) -> api::Reason {
    api::Reason { reason: Some(text.to_owned()) }
}

impl Kapelle {
    /// Opens a folder with the default configuration, creating it if necessary, and recovers open work.
    ///
    /// # Errors
    /// When another process writes to it, or it cannot be read.
    pub async fn open(folder: impl AsRef<Path>) -> Result<Kapelle, Error> {
        Kapelle::builder(folder).open().await
    }

    /// Begins to open a folder with other settings than the default.
    #[must_use]
    pub fn builder(folder: impl AsRef<Path>) -> Builder {
        Builder::new(folder.as_ref())
    }

    /// Returns the use cases beneath, for interfaces of your own: each takes the caller and a request.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Serves HTTP over this engine: the API, worker hosts, and the gateway to the models. Must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be used, or the token of the folder cannot be read or written.
    #[cfg(feature = "server")]
    pub async fn serve(
        &self,
        options: kapelle_server::Options,
    ) -> Result<kapelle_server::Server, kapelle_server::ServerError> {
        kapelle_server::Server::start(Arc::clone(&self.app), options).await
    }

    /// Submits a task to a worker. It survives a crash once this has returned.
    ///
    /// # Errors
    /// When the worker is unknown, the input does not fit its schema, or the store fails.
    pub async fn submit(&self, worker: &str, input: Value) -> Result<Task, Error> {
        self.submit_with(Submit::new(worker, input)).await
    }

    /// Submits a task with a typed input, waits for it, and reads its answer as a type.
    ///
    /// # Errors
    /// When the worker is unknown, the input does not fit, the task fails or is cancelled, or the answer has another
    /// shape.
    pub async fn call<T: DeserializeOwned>(&self, worker: &str, input: &impl Serialize) -> Result<T, Error> {
        self.submit_with(Submit::typed(worker, input)?).await?.wait().await?.parse()
    }

    /// Submits a task with settings of its own.
    ///
    /// # Errors
    /// When the worker is unknown, a setting or the input is invalid, its idempotency key was used for another task, or
    /// the store fails.
    pub async fn submit_with(&self, submit: Submit) -> Result<Task, Error> {
        let (request, key) = submit.into_request();
        Ok(self.task(self.app.submit_task(owner(), request, key.as_deref()).await?))
    }

    /// Submits many tasks to a worker, all or none, in order.
    ///
    /// # Errors
    /// When the worker is unknown, an input does not fit, or the store fails.
    pub async fn submit_batch(&self, worker: &str, inputs: Vec<Value>) -> Result<Vec<Task>, Error> {
        let tasks: Vec<_> = inputs.into_iter().map(|input| Submit::new(worker, input).into_request().0).collect();
        let count = tasks.len() as i64;
        let first = self.app.submit_tasks(owner(), api::SubmitBatch { tasks }, None).await?;
        Ok((0..count).map(|number| self.task(TaskId(first.0 + number))).collect())
    }

    /// Returns a handle of an earlier task.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Task {
        Task { id, app: Arc::clone(&self.app) }
    }

    /// Starts a run of a workflow given as YAML or JSON.
    ///
    /// # Errors
    /// Every problem of the text with its position; inputs that do not fit; a failure of the store.
    pub async fn start(&self, workflow: &str, inputs: Value) -> Result<Run, Error> {
        self.start_version(load(workflow.as_bytes(), "workflow")?, inputs).await
    }

    /// Starts a run of a workflow that was read with [`crate::load`].
    ///
    /// # Errors
    /// Inputs that do not fit; steps for unknown workers; a failure of the store.
    pub async fn start_version(&self, version: VersionRef, inputs: Value) -> Result<Run, Error> {
        self.start_with(version, inputs, None).await
    }

    /// Starts a run as [`Kapelle::start_version`] does, with another strategy than the definition's.
    ///
    /// # Errors
    /// As [`Kapelle::start_version`].
    pub async fn start_with(
        &self,
        version: VersionRef,
        inputs: Value,
        strategy: Option<Strategy>,
    ) -> Result<Run, Error> {
        Ok(self.run(self.app.start_version(owner(), version, inputs, strategy).await?))
    }

    /// Returns a handle of an earlier run.
    #[must_use]
    pub fn run(&self, id: RunId) -> Run {
        Run { id, app: Arc::clone(&self.app) }
    }

    /// Registers a workflow under its name, so that steps of other workflows can start it.
    ///
    /// # Errors
    /// Every problem of the text with its position.
    pub fn register_workflow(&self, workflow: &str) -> Result<(), Error> {
        self.app.register_workflow(workflow)
    }

    /// Answers a step that waits for approval, in the name of `by`: yes makes it succeed with `{"approved": true, "by",
    /// "comment"}`, no makes it fail.
    ///
    /// # Errors
    /// When the step does not exist, does not wait for an approval (any more), or its rule names other people.
    pub async fn approve(&self, step: TaskId, approved: bool, by: &str, comment: &str) -> Result<(), Error> {
        let caller = Caller { actor: by.to_owned(), name: by.to_owned(), ..owner().clone() };
        let answer = api::Answer { by: None, comment: Some(comment.to_owned()) };
        self.app.answer(&caller, step, approved, answer).await?;
        Ok(())
    }

    /// Pauses a queue: no further task of it starts, here and on worker hosts, until it is resumed, also after a
    /// restart. Running tasks continue.
    ///
    /// # Errors
    /// When the name is invalid, or the store fails.
    pub async fn pause_queue(&self, queue: &str, why: &str) -> Result<(), Error> {
        self.app.pause_queue(owner(), queue, reason(why)).await?;
        Ok(())
    }

    /// Resumes a queue.
    ///
    /// # Errors
    /// When the name is invalid, or the store fails.
    pub async fn resume_queue(&self, queue: &str, why: &str) -> Result<(), Error> {
        self.app.resume_queue(owner(), queue, reason(why)).await?;
        Ok(())
    }

    /// Pauses a worker: no further task of it starts, here and on worker hosts, until it is resumed, also after a
    /// restart.
    ///
    /// # Errors
    /// When the name is invalid, or the store fails.
    pub async fn pause_worker(&self, worker: &str, why: &str) -> Result<(), Error> {
        self.app.pause_worker(owner(), worker, reason(why)).await?;
        Ok(())
    }

    /// Resumes a worker.
    ///
    /// # Errors
    /// When the name is invalid, or the store fails.
    pub async fn resume_worker(&self, worker: &str, why: &str) -> Result<(), Error> {
        self.app.resume_worker(owner(), worker, reason(why)).await?;
        Ok(())
    }

    /// Returns the queues that are configured, paused, or have open tasks, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn queues(&self) -> Result<api::QueueList, Error> {
        Ok(self.app.queues(owner()).await?)
    }

    /// Returns the state of the workers, with their open tasks and pauses, of the hosts and of the scripts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn workers_status(&self) -> Result<api::WorkersStatus, Error> {
        Ok(self.app.workers_status(owner()).await?)
    }

    /// Returns dead letters, newest first: standalone tasks that failed for good and were not retried or discarded.
    ///
    /// # Errors
    /// When a filter is invalid, or the store fails.
    pub async fn dead_letters(&self, query: api::DeadQuery) -> Result<api::TaskPage, Error> {
        Ok(self.app.dead_letters(owner(), query).await?)
    }

    /// Retries a dead letter, its counts at zero.
    ///
    /// # Errors
    /// When it has not failed, or is a step of a run.
    pub async fn retry_dead(&self, task: TaskId) -> Result<(), Error> {
        self.app.retry_dead(owner(), task, None).await?;
        Ok(())
    }

    /// Discards a dead letter. Nothing of it is deleted before its retention is over.
    ///
    /// # Errors
    /// When it has not failed, or is a step of a run.
    pub async fn discard_dead(&self, task: TaskId, why: &str) -> Result<(), Error> {
        self.app.discard_dead(owner(), task, reason(why)).await?;
        Ok(())
    }

    /// Applies another configuration of providers, models, prices and budgets. Calls in progress end with the one they
    /// began with.
    ///
    /// # Errors
    /// When it is invalid; then the previous one stays in force.
    pub async fn reload(&self, config: &Config, env: &dyn Fn(&str) -> Option<String>) -> Result<(), Error> {
        self.app.reload(config, env).await
    }

    /// Watches a folder of workers and a folder of workflows, and calls `report` for every change from now on. Of
    /// folders that were read at the start, changes since then count too. Must be called within a tokio runtime.
    #[must_use = "dropping it ends the watch"]
    pub fn watch(&self, workers: &Path, workflows: &Path, report: impl Fn(Change) + Send + 'static) -> Watch {
        self.app.watch(workers, workflows, report)
    }

    /// Finds the scripts of a folder, starts and supervises them from now on, and registers those that take tasks as
    /// workers. A second call returns the existing fleet. Must be called within a tokio runtime.
    #[cfg(feature = "scripts")]
    pub async fn supervise(&self, helper: Helper, folder: &Path, surroundings: Surroundings) -> Fleet {
        self.app.supervise(helper, folder, surroundings).await
    }

    /// Does as [`Kapelle::supervise`], for scripts that take tasks alone; each is started with its first task.
    #[cfg(feature = "scripts")]
    pub async fn lend_scripts(&self, helper: Helper, folder: &Path, surroundings: Surroundings) -> Fleet {
        self.app.lend_scripts(helper, folder, surroundings).await
    }

    /// Returns the engine beneath.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.app.engine()
    }

    /// Returns the gateway to the model providers.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        self.app.gateway()
    }

    /// Returns the files that inputs refer to.
    #[must_use]
    pub fn files(&self) -> &Blobs {
        self.app.files()
    }

    /// Returns the folder with the state.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.app.folder()
    }

    /// Returns the problems of files in the folders of workers. The other files are in effect.
    #[must_use]
    pub fn worker_problems(&self) -> &[Problems] {
        self.app.worker_problems()
    }

    /// Drains: starts nothing new, waits for the attempts in progress, ends the scripts, and closes the folder.
    pub async fn drain(&self) {
        self.app.drain().await;
    }

    /// Closes the folder at once. Attempts in progress start again at the next start.
    pub async fn close(&self) {
        self.app.close().await;
    }
}
