//! `kapelle dead list|show|retry|discard`: dead letters.

use kapelle::{
    TaskId,
    core::{
        Name, TenantId,
        task::{StateKind, Task, TaskState},
    },
    store::{Page, Reader, TaskFilter},
};
use kapelle_api::{Api, ClientError, Reason};
use serde_json::json;

use super::tasks;
use crate::{
    api_session::ApiSession,
    app::App,
    describe,
    failure::{Code, Failure},
    ids, shown,
};

/// Tasks read at a time.
const PAGE: u32 = 500;

/// List, show, retry and discard dead letters: tasks that failed for good.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List standalone tasks that failed and were not retried or discarded, newest first
    List {
        /// Only tasks for this worker
        #[arg(long)]
        worker: Option<String>,
        /// The most rows
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Show one task with its input and attempts
    Show {
        /// An id such as task_12
        task: String,
    },
    /// Retry tasks, their counts at zero
    Retry(Which),
    /// Discard tasks; nothing of them is deleted
    Discard {
        #[command(flatten)]
        which: Which,
        /// The recorded reason
        #[arg(long, default_value = "discarded on the command line")]
        reason: String,
    },
}

/// The selection of tasks.
#[derive(Debug, clap::Args)]
struct Which {
    /// Ids such as task_12
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    tasks: Vec<String>,
    /// All dead letters
    #[arg(long)]
    all: bool,
    /// With --all: only tasks for this worker
    #[arg(long, requires = "all")]
    worker: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// When the task does not exist, has not failed, or is a step of a run.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List { worker: None, limit: 20 }) {
        Verb::List { worker, limit } => list(app, worker.as_deref(), limit),
        Verb::Show { task } => tasks::show(app, &app.reader()?, ids::task(&task)?),
        Verb::Retry(which) => {
            let code = change(app, &which, None).await?;
            app.out.note("`kapelle resume` runs them");
            Ok(code)
        }
        Verb::Discard { which, reason } => change(app, &which, Some(&reason)).await,
    }
}

fn page(reader: &dyn Reader, worker: Option<&str>, page: Page) -> Result<Vec<Task>, Failure> {
    let worker = worker.map(Name::parse).transpose().map_err(|error| Failure::usage(error.to_string()))?;
    let filter = TaskFilter { state: Some(StateKind::Failed), worker, ..TaskFilter::default() };
    Ok(reader.tasks(TenantId::DEFAULT, &filter, page)?)
}

/// Returns why a task failed for good, in a word.
fn why(task: &Task) -> &'static str {
    match &task.state {
        TaskState::Failed { dead: true, .. } => "poison",
        TaskState::Failed { error, .. } if !error.retryable => "permanent",
        _ => "exhausted",
    }
}

fn list(app: &App, worker: Option<&str>, most: u32) -> Result<Code, Failure> {
    let found = page(&app.reader()?, worker, Page { before: None, most })?;
    if app.out.json {
        let found = found.iter().map(|task| {
            let mut value = describe::task_json(task);
            value["why"] = json!(why(task));
            value
        });
        app.out.print_json(&json!({ "dead": found.collect::<Vec<_>>() }))?;
    } else if found.is_empty() {
        app.out.note("no dead letters: every failed task was retried or discarded");
    } else {
        let rows = found.iter().map(|task| {
            let view = describe::StepView::of(String::new(), task);
            let ended = task.ended_at().map(shown::time).unwrap_or_default();
            vec![
                task.id.to_string(),
                why(task).to_owned(),
                task.worker.to_string(),
                task.epoch.to_string(),
                ended,
                view.note(),
            ]
        });
        app.out.print(&shown::table(&["TASK", "WHY", "WORKER", "ATTEMPT", "FAILED", "NOTE"], rows.collect()))?;
    }
    Ok(Code::Ok)
}

async fn change(app: &App, which: &Which, discard: Option<&str>) -> Result<Code, Failure> {
    let wanted: Vec<TaskId> = which.tasks.iter().map(|task| ids::task(task)).collect::<Result<_, _>>()?;
    let reader = app.reader()?;
    for task in &wanted {
        tasks::load(&reader, *task)?;
    }
    let session = ApiSession::open(app).await?;
    let mut done: Vec<TaskId> = Vec::new();
    let mut ended = Ok(());
    let mut before = None;
    loop {
        let next: Vec<TaskId> = if which.all {
            let found = page(&reader, which.worker.as_deref(), Page { before, most: PAGE })?;
            found.iter().map(|task| task.id).collect()
        } else {
            wanted.clone()
        };
        before = next.last().map(|task| task.0);
        for task in &next {
            match deal(session.api(), *task, discard).await {
                Ok(()) => done.push(*task),
                Err(refused) => {
                    ended = Err(refused);
                    break;
                }
            }
        }
        if ended.is_err() || !which.all || next.is_empty() {
            break;
        }
    }
    let ended = session.close(ended).await;
    let verb = if discard.is_some() { "discarded" } else { "ready" };
    if app.out.json && ended.is_ok() {
        app.out
            .print_json(&json!({ "tasks": done.iter().map(ToString::to_string).collect::<Vec<_>>(), "state": verb }))?;
    } else {
        for task in &done {
            app.out.print(&format!("{task} is {verb}"))?;
        }
    }
    ended.map(|()| Code::Ok)
}

/// Retries a dead letter, or discards it with that reason.
async fn deal(api: &dyn Api, task: TaskId, discard: Option<&str>) -> Result<(), ClientError> {
    let task = task.to_string();
    match discard {
        Some(reason) => api.discard_dead(&task, Reason { reason: Some(reason.to_owned()) }).await?,
        None => api.retry_dead(&task).await?,
    };
    Ok(())
}
