//! Registration of workers: functions, pools, prompt workers.

use std::{future::Future, marker::PhantomData, sync::Arc};

use kapelle_app::Error;
use kapelle_core::{
    Name, TaskError,
    balance::built_in,
    worker::{Worker, WorkerSpec},
};
use kapelle_workers::catalogue::prompt_worker;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    context::{Context, Home},
    function::{Function, TypedFunction},
    kapelle::Kapelle,
    pool::Pool,
    worker_error::WorkerError,
};

impl Kapelle {
    /// Registers an async function as a worker of the default queue.
    ///
    /// # Errors
    /// When the name is invalid.
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

    /// Registers an async function of types as a worker of the default queue. It receives the context of its attempt,
    /// and `?` makes a failure of any error.
    ///
    /// ```
    /// # use kapelle::{Context, Kapelle, WorkerResult};
    /// # use serde::{Deserialize, Serialize};
    /// #[derive(Serialize, Deserialize)]
    /// struct Page {
    ///     text: String,
    /// }
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Count {
    ///     words: usize,
    /// }
    ///
    /// async fn count(ctx: Context, page: Page) -> WorkerResult<Count> {
    ///     ctx.progress(0.5, "counting");
    ///     Ok(Count { words: page.text.split_whitespace().count() })
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// # let folder = std::env::temp_dir().join(format!("kapelle-typed-{}", std::process::id()));
    /// let kapelle = Kapelle::open(&folder).await?;
    /// kapelle.worker("count", count)?;
    /// let answer: Count = kapelle.call("count", &Page { text: "four words are here".to_owned() }).await?;
    /// assert_eq!(answer.words, 4);
    /// # kapelle.close().await;
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the name is invalid.
    pub fn worker<F, Fut, I, O>(&self, name: &str, function: F) -> Result<(), Error>
    where
        F: Fn(Context, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, WorkerError>> + Send + 'static,
        I: DeserializeOwned + Send + 'static,
        O: Serialize + 'static,
    {
        Name::parse(name)?;
        self.worker_spec(WorkerSpec::named(name), function);
        Ok(())
    }

    /// Registers an async function of types as a worker with a specification of its own: queue, slots, limits, retry
    /// rules.
    pub fn worker_spec<F, Fut, I, O>(&self, spec: WorkerSpec, function: F)
    where
        F: Fn(Context, I) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, WorkerError>> + Send + 'static,
        I: DeserializeOwned + Send + 'static,
        O: Serialize + 'static,
    {
        let home = Home { app: Arc::downgrade(&self.app), balancers: Arc::clone(&self.balancers) };
        self.register_worker(Arc::new(TypedFunction { spec, function, home, input: PhantomData }));
    }

    /// Registers several workers under one name. `balancer` chooses the worker of each task: `round_robin`,
    /// `least_loaded`, `fastest`, or one from [`Builder::balancer`]. The specification is the pool's; those of its
    /// members do not count.
    ///
    /// # Errors
    /// When the balancer is unknown, or the pool is empty.
    pub fn register_pool(&self, spec: WorkerSpec, balancer: &str, members: Vec<Arc<dyn Worker>>) -> Result<(), Error> {
        let own = self.balancers.get(balancer).map(|make| make());
        let Some(chosen) = own.or_else(|| built_in(balancer)) else {
            let own = self.balancers.keys().map(String::as_str);
            let names: Vec<&str> = ["round_robin", "least_loaded", "fastest"].into_iter().chain(own).collect();
            return Err(Error::Config(format!("unknown balancer `{balancer}`: there are {}", names.join(", "))));
        };
        if members.is_empty() {
            return Err(Error::Config(format!("the pool `{}` has no members: give it at least one", spec.name)));
        }
        self.register_worker(Arc::new(Pool::new(spec, members, chosen, Arc::clone(self.app.clock()))));
        Ok(())
    }

    /// Registers a worker.
    pub fn register_worker(&self, worker: Arc<dyn Worker>) {
        self.app.engine().registry().insert(worker);
        self.app.engine().workers_changed();
    }

    /// Registers a prompt worker from its YAML.
    ///
    /// # Errors
    /// With line, column and what to do.
    pub fn register_prompt(&self, yaml: &str) -> Result<(), Error> {
        let worker = prompt_worker("prompt worker", yaml.as_bytes(), self.app.gateway());
        self.register_worker(Arc::new(worker.map_err(|error| Error::Config(error.to_string()))?));
        Ok(())
    }

    /// Registers a name alone: its tasks go to the model behind the alias `fast`, which receives the worker's name and
    /// the input as it is. The answer is `{"text": ...}`.
    ///
    /// # Errors
    /// When the name is invalid.
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
}
