//! The engine over one folder.

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
};

use kapelle_core::{
    Name, RunId, TaskError, TaskId, TenantId,
    balance::built_in,
    definition::Strategy,
    middleware::Middleware,
    worker::{Worker, WorkerSpec},
    yaml::Problems,
};
use kapelle_engine::{Clock, Engine, EngineError, NewRun, VersionRef, command};
use kapelle_gateway::{Gateway, TokenIssuer};
use kapelle_store::Blobs;
use kapelle_workers::catalogue::prompt_worker;
use serde_json::{Value, json};

use crate::{
    answer::Answer,
    books::EngineBooks,
    builder::{Builder, NewBalancer},
    definition,
    error::Error,
    function::Function,
    pool::Pool,
    run::Run,
    session::Session,
    task::{Submit, Task},
};

/// The engine over one folder: durable tasks and runs, and the workers of this process.
pub struct Kapelle {
    pub(crate) engine: Engine,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) folder: PathBuf,
    pub(crate) shipped: kapelle_workers::Catalogue,
    pub(crate) problems: Vec<Problems>,
    pub(crate) layers: Arc<[Arc<dyn Middleware>]>,
    pub(crate) balancers: Arc<BTreeMap<String, NewBalancer>>,
    pub(crate) clock: Arc<dyn Clock>,
    #[cfg(feature = "scripts")]
    pub(crate) fleet: std::sync::OnceLock<kapelle_scripts::Fleet>,
    pub(crate) session: Option<Session>,
    pub(crate) books: Arc<EngineBooks>,
    pub(crate) token_issuer: Arc<TokenIssuer>,
}

impl Kapelle {
    /// Opens a folder with the default configuration, making it when it is not there, and takes up what was under way.
    ///
    /// # Errors
    /// When another process writes to it, or it cannot be read.
    pub async fn open(folder: impl AsRef<Path>) -> Result<Kapelle, Error> {
        Kapelle::builder(folder).open().await
    }

    /// Opens a folder in another way than the default.
    #[must_use]
    pub fn builder(folder: impl AsRef<Path>) -> Builder {
        Builder::new(folder.as_ref())
    }

    /// The token issuer that gives tokens of the model gateway to attempts and processes.
    #[must_use]
    pub fn token_issuer(&self) -> &Arc<TokenIssuer> {
        &self.token_issuer
    }

    /// Registers an async function as a worker of the default queue.
    ///
    /// # Errors
    /// When the name is not one.
    pub fn register<F, Fut>(&self, name: &str, function: F) -> Result<(), Error>
    where
        F: Fn(Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, TaskError>> + Send + 'static,
    {
        Name::parse(name)?;
        self.register_spec(WorkerSpec::named(name), function);
        Ok(())
    }

    /// Registers an async function as a worker with a specification of its own: queue, slots, limits, retry rules.
    pub fn register_spec<F, Fut>(&self, spec: WorkerSpec, function: F)
    where
        F: Fn(Value) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Value, TaskError>> + Send + 'static,
    {
        self.register_worker(Arc::new(Function { spec, function: Arc::new(function) }));
    }

    /// Registers several workers under one name. `balancer` says who gets the next task: `round_robin`, `least_loaded`,
    /// `fastest`, or one that [`Builder::balancer`] brought. The specification is the pool's; those of its members do
    /// not count.
    ///
    /// # Errors
    /// When there is no such balancer, or no member.
    pub fn register_pool(&self, spec: WorkerSpec, balancer: &str, members: Vec<Arc<dyn Worker>>) -> Result<(), Error> {
        let own = self.balancers.get(balancer).map(|make| make());
        let Some(chosen) = own.or_else(|| built_in(balancer)) else {
            let own = self.balancers.keys().map(String::as_str);
            let names: Vec<&str> = ["round_robin", "least_loaded", "fastest"].into_iter().chain(own).collect();
            return Err(Error::Config(format!("there is no balancer `{balancer}`: there are {}", names.join(", "))));
        };
        if members.is_empty() {
            return Err(Error::Config(format!("the pool `{}` has no members: give it at least one", spec.name)));
        }
        self.register_worker(Arc::new(Pool::new(spec, members, chosen, Arc::clone(&self.clock))));
        Ok(())
    }

    /// Registers a worker.
    pub fn register_worker(&self, worker: Arc<dyn Worker>) {
        self.engine.registry().insert(worker);
        self.engine.workers_changed();
    }

    /// Registers a prompt worker from its YAML.
    ///
    /// # Errors
    /// With line, column and what to do.
    pub fn register_prompt(&self, yaml: &str) -> Result<(), Error> {
        let worker = prompt_worker("prompt worker", yaml.as_bytes(), &self.gateway);
        self.register_worker(Arc::new(worker.map_err(|error| Error::Config(error.to_string()))?));
        Ok(())
    }

    /// Registers a name alone: its tasks go to the model behind the alias `fast`, which is told the worker's name and
    /// given the input as it is. The answer is `{"text": ...}`.
    ///
    /// # Errors
    /// When the name is not one.
    pub fn register_model(&self, name: &str) -> Result<(), Error> {
        Name::parse(name)?;
        let definition = json!({
            "kind": "prompt",
            "name": name,
            "description": "Answered by the default model",
            "queue": "openai",
            "model": "fast",
            "system": format!("You are `{name}`, a worker in a larger process. Do what your name and the input ask for, and answer with the result alone."),
            "prompt": "{{ input | tojson }}",
        });
        self.register_prompt(&definition.to_string())
    }

    /// Makes a task for a worker. It survives a crash once this has returned.
    ///
    /// # Errors
    /// When no worker has that name, or the store fails.
    pub async fn submit(&self, worker: &str, input: Value) -> Result<Task, Error> {
        self.submit_with(Submit::new(worker, input)).await
    }

    /// Makes a task with settings of its own.
    ///
    /// # Errors
    /// When no worker has that name, its idempotency key was used for another body, or the store fails.
    pub async fn submit_with(&self, submit: Submit) -> Result<Task, Error> {
        let key = submit.idempotency();
        let first = self.engine.submit(TenantId::DEFAULT, vec![self.prepare(&submit)?], key).await?;
        Ok(self.task(first))
    }

    /// Makes many tasks for a worker, all or none, in order.
    ///
    /// # Errors
    /// When no worker has that name, or the store fails.
    pub async fn submit_batch(&self, worker: &str, inputs: Vec<Value>) -> Result<Vec<Task>, Error> {
        let submits = inputs.into_iter().map(|input| self.prepare(&Submit::new(worker, input)));
        let tasks = submits.collect::<Result<Vec<_>, Error>>()?;
        let count = tasks.len() as i64;
        let first = self.engine.submit(TenantId::DEFAULT, tasks, None).await?;
        Ok((0..count).map(|number| self.task(TaskId(first.0 + number))).collect())
    }

    /// A task that was made before.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Task {
        Task { id, engine: self.engine.clone() }
    }

    /// Starts a run of a workflow given as YAML or JSON.
    ///
    /// # Errors
    /// Every problem of the text with its place; inputs that do not fit; a failure of the store.
    pub async fn start(&self, workflow: &str, inputs: Value) -> Result<Run, Error> {
        self.start_version(definition::load(workflow.as_bytes(), "workflow")?, inputs).await
    }

    /// Starts a run of a workflow that was read with [`crate::load`].
    ///
    /// # Errors
    /// Inputs that do not fit; steps for workers that nobody has registered; a failure of the store.
    pub async fn start_version(&self, version: VersionRef, inputs: Value) -> Result<Run, Error> {
        self.start_with(version, inputs, None).await
    }

    /// The same with another strategy than the definition's.
    ///
    /// # Errors
    /// As [`Kapelle::start_version`].
    pub async fn start_with(
        &self,
        version: VersionRef,
        mut inputs: Value,
        strategy: Option<Strategy>,
    ) -> Result<Run, Error> {
        if let VersionRef::Source { definition, .. } = &version {
            for layer in &*self.layers {
                layer
                    .run_starting(definition.name.as_str(), &mut inputs)
                    .map_err(|error| Error::Failed { what: format!("the start of `{}`", definition.name), error })?;
            }
            definition::check_inputs(definition, &mut inputs)?;
            self.check_workers(definition)?;
        }
        let inputs = self.engine.payload(&inputs)?;
        let id = self
            .engine
            .start_run(TenantId::DEFAULT, NewRun { version, inputs, strategy, rerun: None, by: None }, None)
            .await?;
        Ok(self.run(id))
    }

    /// A run that was started before.
    #[must_use]
    pub fn run(&self, id: RunId) -> Run {
        Run { id, engine: self.engine.clone() }
    }

    /// Makes a workflow known under its name, so that steps of other workflows can start it.
    ///
    /// # Errors
    /// Every problem of the text with its place.
    pub fn register_workflow(&self, workflow: &str) -> Result<(), Error> {
        let (name, version) = definition::named(workflow.as_bytes(), "workflow")?;
        self.engine.registry().insert_workflow(name, version);
        Ok(())
    }

    /// Answers a step that waits for approval: yes makes it succeed with `{"approved": true, "by", "comment"}`, no makes it
    /// fail.
    ///
    /// # Errors
    /// When there is no such step, or it does not wait for an approval (any more).
    pub async fn approve(&self, step: TaskId, approved: bool, by: &str, comment: &str) -> Result<(), Error> {
        self.answer(step, approved, &Answer { by, claimed_name: None, via: "library", comment }).await
    }

    /// Answers a step that waits for approval, and notes who answered and who they said they were. Who may answer is for
    /// the caller to know.
    ///
    /// # Errors
    /// As [`Kapelle::approve`].
    pub async fn answer(&self, step: TaskId, approved: bool, answer: &Answer<'_>) -> Result<(), Error> {
        self.engine.ask(answer.command(&self.engine, step, approved)?).await?;
        Ok(())
    }

    /// The engine beneath.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The way to the model providers.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The files that inputs refer to.
    #[must_use]
    pub fn files(&self) -> &Blobs {
        &self.blobs
    }

    /// The folder with the state.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is wrong with files in the folders of workers. The other files are in effect.
    #[must_use]
    pub fn worker_problems(&self) -> &[Problems] {
        &self.problems
    }

    /// Starts nothing new, waits for the attempts under way, ends the scripts, and closes the folder.
    pub async fn drain(&self) {
        // What happens to the scripts at the end is to be written down too.
        self.engine.idle().await;
        #[cfg(feature = "scripts")]
        self.end_scripts().await;
        self.tell_last_head().await;
        self.engine.drain().await;
        self.finish_session().await;
    }

    /// Closes the folder at once. What is under way is begun again at the next start.
    pub async fn close(&self) {
        self.tell_last_head().await;
        self.engine.stop().await;
        #[cfg(feature = "scripts")]
        self.end_scripts().await;
        self.finish_session().await;
    }

    async fn finish_session(&self) {
        if let Some(session) = &self.session {
            session.finish().await;
        }
    }

    /// Notes the head of the audit trail right before the end.
    async fn tell_last_head(&self) {
        let Some(session) = &self.session else { return };
        let head = session.last_head(&**self.engine.reader(), self.clock.now(), self.clock.steady_ms());
        if let Some(event) = head {
            self.noted(&event).await;
        }
    }

    /// The same, and waits until it is committed: for what is noted right before the end.
    pub async fn noted(&self, event: &Value) {
        if self.session.is_some() {
            // An engine that has ended notes nothing any more.
            let _ = self.engine.ask(command::Note { note: Arc::from(event.to_string()) }).await;
        }
    }

    /// Writes something into the session log, when there is one: an object of JSON with the field `event`. It is
    /// committed first, as the ends of tasks are, and stands in the file at least a moment later.
    pub fn note(&self, event: &Value) {
        if self.session.is_some() {
            self.engine.tell(command::Note { note: Arc::from(event.to_string()) });
        }
    }

    fn prepare(&self, submit: &Submit) -> Result<kapelle_engine::SubmitTask, Error> {
        self.check_worker(&submit.worker)?;
        submit.prepare(&self.engine)
    }

    fn check_worker(&self, worker: &str) -> Result<(), Error> {
        if self.engine.has_worker(&Name::new(worker)) {
            return Ok(());
        }
        let specs = self.engine.registry().specs(TenantId::DEFAULT);
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        let near = kapelle_core::definition::nearest(worker, names.iter().copied());
        let hint = match near {
            Some(near) => format!(": did you mean `{near}`?"),
            None => format!("; there are: {}", names.join(", ")),
        };
        Err(EngineError::UnknownWorker { name: worker.to_owned(), hint }.into())
    }

    fn check_workers(&self, definition: &kapelle_core::definition::Definition) -> Result<(), Error> {
        let steps = definition.blocks.iter().flat_map(|block| &block.steps);
        for step in steps {
            if let kapelle_core::definition::Action::Worker { worker, .. } = &step.action {
                self.check_worker(worker.as_str())
                    .map_err(|error| Error::Config(format!("line {}: step `{}`: {error}", step.line, step.name)))?;
            }
        }
        Ok(())
    }
}
