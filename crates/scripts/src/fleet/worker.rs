//! A script as a worker: checked, run in its mode, and answered by its fallback worker where one is declared.

use std::{sync::Arc, time::Duration};

use kapelle_core::{
    Category, TaskError, TenantId,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use kapelle_workers::schema::Schema;
use serde_json::Value;

use super::{group::Group, handle::Inner, pool, task};
use crate::{
    discover::Script,
    settings::{Fallback, Mode},
};

tokio::task_local! {
    /// Set for a worker that answers as a fallback. Its own fallback is ignored: two that name each other would never
    /// end.
    static STANDS_IN: ();
}

/// Time limit of an attempt when neither settings nor task set one.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// A script as a worker.
pub(super) struct Scripted {
    spec: WorkerSpec,
    inner: Arc<Inner>,
    group: Option<Arc<Group>>,
    script: Arc<Script>,
    input: Option<Schema>,
    output: Option<Schema>,
}

impl Scripted {
    /// Makes the worker of a script that is started. Once all of its processes have failed for good, it has no slots
    /// and its tasks wait.
    pub(super) fn of(inner: &Arc<Inner>, group: &Arc<Group>) -> Scripted {
        let script = group.script();
        let open = group.works() || script.settings.fallback != Fallback::Wait;
        Scripted::new(inner, script, Some(Arc::clone(group)), open)
    }

    /// Makes the worker of a script that cannot be started.
    pub(super) fn absent(inner: &Arc<Inner>, script: &Script, stands_in: bool) -> Scripted {
        Scripted::new(inner, Arc::new(script.clone()), None, stands_in)
    }

    fn new(inner: &Arc<Inner>, script: Arc<Script>, group: Option<Arc<Group>>, open: bool) -> Scripted {
        let settings = &script.settings;
        let mut spec = script.spec();
        let there = group.as_ref().and_then(|group| u32::try_from(group.processes().len()).ok());
        if let (Mode::Pool, Some(there @ 1..)) = (script.mode(), there) {
            spec.slots = settings.slots.saturating_mul(there);
        }
        if !open {
            spec.slots = 0;
        }
        let compiled = |schema: &Option<Value>| schema.as_ref().and_then(|schema| Schema::compile(schema).ok());
        let (input, output) = (compiled(&settings.input), compiled(&settings.output));
        Scripted { spec, inner: Arc::clone(inner), group, script, input, output }
    }

    async fn run(&self, ctx: &TaskContext, input: Value) -> Result<Output, TaskError> {
        let input = match &self.input {
            Some(schema) => schema.admit(input)?,
            None => input,
        };
        let alone = STANDS_IN.try_with(|()| ()).is_ok();
        let Some(stand_in) = self.script.settings.fallback.worker().filter(|_| !alone) else {
            return self.told(ctx, input).await;
        };
        let error = match self.told(ctx, input.clone()).await {
            Err(error) if ctx.last_attempt || error.category == Category::Unavailable => error,
            other => return other,
        };
        if error.category == Category::InvalidInput || error.category == Category::Cancelled {
            return Err(error);
        }
        let Some(worker) = self.inner.options.worker_sink.get(ctx.tenant, stand_in) else {
            let message = format!("{error}; its fallback worker `{stand_in}` does not exist");
            return Err(TaskError::new(error.category, message));
        };
        let mut output = STANDS_IN.scope((), worker.execute(ctx, input)).await?;
        output.provenance.stand_in = true;
        output
            .provenance
            .degraded
            .get_or_insert_with(|| format!("{} answered for {}: {error}", stand_in, self.spec.name));
        Ok(output)
    }

    /// Runs an attempt of the script itself. Other tenants are not told why its processes fail: their last output and
    /// reasons name paths of this machine.
    async fn told(&self, ctx: &TaskContext, input: Value) -> Result<Output, TaskError> {
        let mut result = self.primary(ctx, input).await;
        if let Err(error) = &mut result
            && ctx.tenant != TenantId::DEFAULT
            && matches!(error.category, Category::Crashed | Category::Unavailable | Category::Internal)
        {
            error.message = format!("{} cannot work at the moment; its log, on the server, says why", self.spec.name);
        }
        result
    }

    async fn primary(&self, ctx: &TaskContext, input: Value) -> Result<Output, TaskError> {
        let gone =
            |why: String| TaskError::new(Category::Unavailable, format!("{} cannot work: {why}", self.spec.name));
        let group = self.group.as_ref().ok_or_else(|| gone(self.script.start.why().to_owned()))?;
        if !group.works() {
            return Err(gone(group.last_words()));
        }
        let limit = ctx.timeout.map_or(DEFAULT_TIMEOUT, |timeout| Duration::from_millis(timeout.0));
        let attempt = async {
            match self.script.mode() {
                Mode::Pool => pool::run(&self.inner, group, (&self.spec, ctx), input).await,
                Mode::Task | Mode::Daemon => task::run(&self.inner, group, (&self.spec, ctx), input).await,
            }
        };
        let output = tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| {
            Err(TaskError::new(Category::Timeout, format!("the attempt took longer than {} ms", limit.as_millis())))
        })?;
        let violations = self.output.as_ref().map(|schema| schema.violations(&output.value)).unwrap_or_default();
        if violations.is_empty() {
            return Ok(output);
        }
        let message = format!("the answer does not fit the output schema: {}", violations.join("; "));
        Err(TaskError::new(Category::InvalidOutput, message))
    }
}

impl Worker for Scripted {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(self.run(ctx, input))
    }
}
