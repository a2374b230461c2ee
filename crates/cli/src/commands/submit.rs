//! `kapelle submit WORKER`: submits a task.

use std::path::Path;

use kapelle::core::DurationMs;
use kapelle_api::{Api, Cache, ClientError, Retry, SubmitTask, Task, TaskState, code};
use serde_json::json;

use super::tasks;
use crate::{
    api_session::{ApiSession, in_process},
    app::App,
    failure::{Code, Failure, task_code},
    follow::{End, Follow},
    inputs::InputArgs,
    patience::{self, Patience},
    remote, scripts, trust,
};

/// Submit a task to a worker.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With --wait the exit code tells the end: 0 succeeded, 1 failed, 124 the time was over, 79 it is \
                        parked, because its money is used up. A parked task goes on when there is money."
)]
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
    /// An idempotency key: submitting again with this one returns the same task
    #[arg(long, alias = "key", value_name = "TEXT")]
    idempotency_key: Option<String>,
    /// The group of tasks that the limits of the worker or queue count together, such as a customer
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Reuse an earlier answer to an equal input, up to this age
    #[arg(long, value_name = "TIME", value_parser = duration)]
    cache: Option<DurationMs>,
    /// Wait for its end and print its answer, at most for this time, such as 30s [default: without a limit]. Without a
    /// server, this process works on it
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    wait: Option<String>,
}

fn duration(text: &str) -> Result<DurationMs, String> {
    DurationMs::parse(text).map_err(|error| error.to_string())
}

/// Runs the verb.
///
/// # Errors
/// When the worker is unknown or the input invalid, or, with `--wait`, the task does not succeed.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let patience = args.wait.as_deref().map(Patience::parse).transpose()?;
    match (remote::server(app)?, patience) {
        (None, Some(patience)) => args.work(app, patience).await,
        (_, patience) => args.ask(app, patience).await,
    }
}

impl Args {
    /// Submits it to the server, or records it in the folder. With patience, waits for its end.
    async fn ask(&self, app: &App, patience: Option<Patience>) -> Result<Code, Failure> {
        // Its schema says how inputs are read; the folder is created only when the task is valid.
        let known = ApiSession::reading_any(app)?;
        let spec = known.api().worker(&self.worker).await.ok();
        let inputs = self.inputs.read(spec.as_ref().and_then(|spec| spec.input.as_ref()), Path::new("."))?;
        let request = self.request(inputs.value.clone());
        if known.is_local() {
            trust::check(&app.project, &app.settings()?)?;
        }
        if known.is_local() && !inputs.has_files() {
            // An application at rest checks the task, and refuses a valid one because it changes nothing.
            match known.api().submit(request.clone(), None).await {
                Err(ClientError::Refused(problem)) if problem.code != code::UNAVAILABLE => {
                    return Err(self.refused(ClientError::Refused(problem)));
                }
                _ => {}
            }
        }
        let session = ApiSession::open(app).await?;
        let is_local = session.is_local();
        let made = async {
            match session.server() {
                Some(client) => inputs.give(app, client).await?,
                None => inputs.store(&kapelle::store::Blobs::in_folder(&app.data()?))?,
            }
            let made = session.api().submit(request, self.idempotency_key.as_deref()).await;
            let id = made.map_err(|error| self.refused(error))?.id;
            Ok(session.api().task(&id, 0).await?)
        };
        let task: Result<Task, Failure> = made.await;
        let Some(patience) = patience else {
            session.close(Ok(())).await?;
            let task = task?;
            tasks::say_who_works(app, &task, is_local);
            return if app.out.json { app.out.print_json(&json!(task)) } else { app.out.print(&task.id) }
                .map(|()| Code::Ok);
        };
        let id = task?.id;
        app.out.note(&format!("{id} {}", self.worker));
        let (task, code) = patience::wait(app, session.api(), &id, patience).await?;
        answer(app, &task, code)
    }

    /// Works on it in this process, and waits for its end.
    async fn work(&self, app: &App, patience: Patience) -> Result<Code, Failure> {
        let settings = app.settings()?;
        let known = app.workers(&settings)?;
        app.warn_problems(&known.problems);
        let spec = known.find(&self.worker)?;
        let inputs = self.inputs.read(spec.input.as_ref(), Path::new("."))?;
        trust::check(&app.project, &settings)?;
        app.prepare_data()?;
        let kapelle = app.builder(&settings)?.open().await?;
        if known.is_script(&self.worker) {
            scripts::lend(app, &kapelle, &settings, |name| name == self.worker).await?;
        }
        inputs.store(kapelle.files())?;
        let api = in_process(&kapelle);
        let follow = Follow::new(app, &kapelle)?;
        let made = api.submit(self.request(inputs.value), self.idempotency_key.as_deref()).await;
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                kapelle.close().await;
                return Err(self.refused(error));
            }
        };
        app.out.note(&format!("{} {}", made.id, self.worker));
        let mut ended = None;
        let wait = async {
            ended = Some(patience::wait(app, &api, &made.id, patience).await?);
            Ok(())
        };
        let end = follow.until(wait).await?;
        let task = api.task(&made.id, 0).await?;
        let code = match end {
            End::Drained(code) | End::Stopped(code) => Some(code),
            End::Ended => ended.and_then(|(_, code)| code),
        };
        answer(app, &task, code)
    }

    fn request(&self, input: serde_json::Value) -> SubmitTask {
        SubmitTask {
            worker: self.worker.clone(),
            input,
            queue: self.queue.clone(),
            priority: self.priority,
            delay_ms: self.delay.map_or(0, |delay| delay.0),
            timeout_ms: self.timeout.map(|timeout| timeout.0),
            requires: self.require.clone(),
            key: self.group.clone(),
            cache: self.cache.map(|age| Cache { max_age_ms: Some(age.0) }),
            retry: self.retries.map(|retries| Retry { max_attempts: Some(retries + 1), ..Retry::default() }),
            ..SubmitTask::default()
        }
    }

    fn refused(&self, error: ClientError) -> Failure {
        let failure = Failure::from(error);
        if failure.code == Code::Usage && failure.help.is_none() {
            return failure.help(format!("`kapelle workers show {}` shows what it takes", self.worker));
        }
        failure
    }
}

/// Prints the end of a task, or its state when it has not ended, and chooses the exit code. `stopped` is the code of a
/// wait that was over before.
fn answer(app: &App, task: &Task, stopped: Option<Code>) -> Result<Code, Failure> {
    if app.out.json {
        app.out.print_json(&json!(task))?;
    }
    let error = task.error.as_ref();
    match task.state {
        TaskState::Succeeded => {
            if let Some(reason) = &task.provenance.degraded_reason {
                app.out.warn(&format!("the answer is degraded: {reason}"));
            }
            if !app.out.json {
                app.out.print_json(&tasks::value(task.output.as_deref()))?;
            }
            Ok(Code::Ok)
        }
        TaskState::Failed => {
            let category = error.and_then(|error| kapelle::Category::from_word(&error.category));
            let category = category.unwrap_or(kapelle::Category::Internal);
            let why = error.map(crate::describe::error_text).unwrap_or_default();
            let failure = Failure::new(task_code(category), format!("{} failed: {why}", task.id));
            Err(failure.help(crate::failure::advice_for(category)).json_told())
        }
        TaskState::Cancelled => {
            let reason = task.reason.as_deref().unwrap_or("without a reason");
            Err(Failure::new(Code::Failed, format!("{} was cancelled: {reason}", task.id)).json_told())
        }
        state => {
            let go_on = match (remote::server(app)?.is_some(), state) {
                (true, TaskState::Parked) => "it goes on when there is money",
                (true, _) => "it goes on",
                (false, _) => "continue with: kapelle resume",
            };
            app.out.note(&format!("{} is {state}: {go_on}; kapelle why {}", task.id, task.id));
            Ok(stopped.unwrap_or(Code::Failed))
        }
    }
}
