//! `kapelle submit WORKER`: submits a task.

use std::path::Path;

use kapelle::{
    CacheRule, Submit, TaskId,
    core::{DurationMs, Requires, TenantId, retry::RetryPolicy, task::TaskState, worker::WorkerSpec},
    store::{Blobs, Reader},
    workers::schema::Schema,
};
use kapelle_api::Client;
use serde_json::json;

use super::tasks;
use crate::{
    app::App,
    describe,
    failure::{Code, Failure},
    follow::{End, Follow},
    inputs::InputArgs,
    remote, scripts, trust,
};

/// Submit a task to a worker.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The worker
    worker: String,
    #[command(flatten)]
    inputs: InputArgs,
    /// The priority: higher first, -100 to 100
    #[arg(long, default_value_t = 0, allow_hyphen_values = true, value_parser = clap::value_parser!(i16).range(-100..=100))]
    priority: i16,
    /// A delay from now, such as 30s or 2h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    delay: Option<DurationMs>,
    /// Another queue than the worker's
    #[arg(long)]
    queue: Option<String>,
    /// A label that the worker host must have, such as gpu or gpu=a100; may be repeated
    #[arg(long, value_name = "LABEL")]
    require: Vec<String>,
    /// The time limit of an attempt
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<DurationMs>,
    /// The number of retries of a failed attempt
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..1000))]
    retries: Option<u32>,
    /// An idempotency key: submitting again with this key returns the same task
    #[arg(long)]
    key: Option<String>,
    /// The concurrency key, for limits of the worker or queue
    #[arg(long, value_name = "KEY")]
    group: Option<String>,
    /// Reuse an earlier answer to an equal input, up to this age
    #[arg(long, value_name = "TIME", value_parser = duration)]
    cache: Option<DurationMs>,
    /// Work on it now, in this process, and print its answer
    #[arg(long)]
    wait: bool,
}

fn duration(text: &str) -> Result<DurationMs, String> {
    DurationMs::parse(text).map_err(|error| error.to_string())
}

/// Runs the verb.
///
/// # Errors
/// When the worker is unknown or the input invalid, or, with `--wait`, the task does not succeed.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let settings = app.settings()?;
    let known = app.workers(&settings)?;
    app.warn_problems(&known.problems);
    if let Some(client) = remote::server(app)? {
        // The server knows workers that this project does not, and checks the input itself.
        let spec = known.spec(&args.worker);
        let inputs = args.inputs.read(spec.as_ref().and_then(|spec| spec.input.as_ref()), Path::new("."))?;
        inputs.store(&Blobs::in_folder(&app.data()?))?;
        return args.ask(app, &client, inputs.value).await;
    }
    let spec = known.find(&args.worker)?;
    let mut inputs = args.inputs.read(spec.input.as_ref(), Path::new("."))?;
    inputs.value = admit(&spec, inputs.value)?;
    let submit = args.submit(&spec, inputs.value.clone())?;

    trust::check(&app.project, &settings)?;
    app.prepare_data()?;
    let builder = app.builder(&settings)?;
    let kapelle = if args.wait { builder } else { builder.idle() }.open().await?;
    if known.is_script(&args.worker) {
        scripts::lend(app, &kapelle, &settings, |name| name == args.worker).await?;
    }
    inputs.store(kapelle.files())?;
    let task = kapelle.submit_with(submit).await?;
    let id = task.id();
    if !args.wait {
        kapelle.drain().await;
        app.out.note(&format!("{id} is recorded; `kapelle resume` runs it"));
        let state = task.state()?.state.kind().as_str();
        return if app.out.json {
            app.out.print_json(&json!({ "task": id.to_string(), "state": state })).map(|()| Code::Ok)
        } else {
            app.out.print(&id.to_string()).map(|()| Code::Ok)
        };
    }
    let follow = Follow::new(app, &kapelle)?;
    app.out.note(&format!("{id} {}", args.worker));
    let ended = async {
        kapelle.engine().wait(TenantId::DEFAULT, id).await?;
        Ok(())
    };
    let end = follow.until(ended).await?;
    answer(app, &**kapelle.engine().reader(), id, end)
}

impl Args {
    /// Submits it to the server, and waits for its end.
    async fn ask(&self, app: &App, client: &Client, input: serde_json::Value) -> Result<Code, Failure> {
        let task = kapelle_api::SubmitTask {
            worker: self.worker.clone(),
            input,
            queue: self.queue.clone(),
            priority: self.priority,
            delay_ms: self.delay.map_or(0, |delay| delay.0),
            timeout_ms: self.timeout.map(|timeout| timeout.0),
            requires: self.require.clone(),
            key: self.group.clone(),
            retry: self
                .retries
                .map(|retries| kapelle_api::Retry { max_attempts: Some(retries + 1), ..kapelle_api::Retry::default() }),
            ..kapelle_api::SubmitTask::default()
        };
        let made: kapelle_api::Submitted = client.post_once("/api/v1/tasks", self.key.as_deref(), &task).await?;
        if !self.wait {
            app.out.note(&format!("{} is recorded; the server works on it", made.id));
            return if app.out.json {
                app.out.print_json(&json!({ "task": made.id, "state": made.state })).map(|()| Code::Ok)
            } else {
                app.out.print(&made.id).map(|()| Code::Ok)
            };
        }
        app.out.note(&format!("{} {}", made.id, self.worker));
        remote::ended(client, &format!("/api/v1/tasks/{}", made.id)).await?;
        let id = crate::ids::task(&made.id)?;
        answer(app, &app.reader()?, id, End::Ended)
    }

    fn submit(&self, spec: &WorkerSpec, input: serde_json::Value) -> Result<Submit, Failure> {
        let requires = Requires::parse(&self.require).map_err(|error| Failure::usage(format!("--require: {error}")))?;
        let mut submit = Submit::new(&self.worker, input).priority(self.priority).requires(requires);
        if let Some(queue) = &self.queue {
            submit = submit.queue(queue);
        }
        if let Some(delay) = self.delay {
            submit = submit.delay(delay);
        }
        if let Some(timeout) = self.timeout {
            submit = submit.timeout(timeout);
        }
        if let Some(retries) = self.retries {
            let policy = spec.retry.clone().unwrap_or_default();
            submit = submit.retry(RetryPolicy { max_attempts: retries + 1, ..policy });
        }
        if let Some(group) = &self.group {
            submit = submit.key(group);
        }
        if self.cache.is_some() {
            submit = submit.cache(CacheRule { max_age: self.cache });
        }
        if let Some(key) = &self.key {
            submit = submit.idempotency_key(key);
        }
        Ok(submit)
    }
}

/// Returns the input with the worker's defaults, when it fits.
pub fn admit(spec: &WorkerSpec, input: serde_json::Value) -> Result<serde_json::Value, Failure> {
    let Some(schema) = &spec.input else { return Ok(input) };
    let schema = Schema::compile(schema)
        .map_err(|error| Failure::new(Code::Failed, format!("the input schema of {}: {error}", spec.name)))?;
    schema.admit(input).map_err(|error| {
        Failure::usage(error.message).help(format!("`kapelle workers show {}` shows what it takes", spec.name))
    })
}

fn answer(app: &App, reader: &dyn Reader, id: TaskId, end: End) -> Result<Code, Failure> {
    let task = tasks::load(reader, id)?;
    let output = match &task.state {
        TaskState::Succeeded { output, .. } => Some(describe::value(reader, output)?),
        _ => None,
    };
    if app.out.json {
        let mut value = describe::task_json(&task);
        value["output"] = output.clone().unwrap_or_default();
        app.out.print_json(&value)?;
    }
    match (&task.state, end) {
        (TaskState::Succeeded { provenance, .. }, _) => {
            if let Some(reason) = &provenance.degraded {
                app.out.warn(&format!("the answer is degraded: {reason}"));
            }
            if !app.out.json {
                app.out.print_json(&output.unwrap_or_default())?;
            }
            Ok(Code::Ok)
        }
        (TaskState::Failed { error, .. }, _) => {
            let failure = kapelle::Error::Failed { what: id.to_string(), error: (**error).clone() };
            Err(Failure::from(failure).json_told())
        }
        (TaskState::Cancelled { reason, .. }, _) => {
            Err(Failure::new(Code::Failed, format!("{id} was cancelled: {reason}")).json_told())
        }
        (_, End::Drained(code) | End::Stopped(code)) => {
            app.out.note(&format!("{id} is not finished. Continue with: kapelle resume"));
            Ok(code)
        }
        (_, End::Ended) => Ok(Code::Failed),
    }
}
