//! `kapelle tasks list|show|cancel|retry`.

use kapelle::{
    TaskId,
    core::{
        Name, TenantId,
        task::{StateKind, Task, TaskState},
    },
    store::{Page, Reader, SqliteReader, TaskFilter},
};
use kapelle_api::{Api, ClientError, Reason};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    describe::{self, StepView},
    failure::{Code, Failure},
    ids, shown,
};

/// List, show, cancel and retry tasks.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: List,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the tasks, newest first
    List(List),
    /// Show one task with its input, answer and attempts
    Show {
        /// An id such as task_12
        task: String,
    },
    /// Cancel a task
    Cancel {
        /// An id such as task_12
        task: String,
        /// The recorded reason
        #[arg(long, default_value = "cancelled on the command line")]
        reason: String,
    },
    /// Retry a failed task
    Retry {
        /// An id such as task_12
        task: String,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only tasks in this state, such as ready or failed
    #[arg(long, value_parser = describe::state)]
    state: Option<StateKind>,
    /// Only tasks in this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only tasks for this worker
    #[arg(long)]
    worker: Option<String>,
    /// Only tasks that crashed their worker too often
    #[arg(long)]
    dead: bool,
    /// Also the steps of runs
    #[arg(long)]
    steps: bool,
    /// The most rows
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only those older than this one
    #[arg(long, value_name = "TASK")]
    before: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// When the task does not exist, or its state does not allow the change.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List(args.list)) {
        Verb::List(list) => self::list(app, &list),
        Verb::Show { task } => {
            let task = ids::task(&task)?;
            show(app, &app.reader()?, task)
        }
        Verb::Cancel { task, reason } => {
            let task = ids::task(&task)?;
            let why = Reason { reason: Some(reason) };
            change(app, task, async |api| api.cancel_task(&task.to_string(), why).await).await
        }
        Verb::Retry { task } => {
            let task = ids::task(&task)?;
            change(app, task, async |api| api.retry_task(&task.to_string()).await).await
        }
    }
}

fn list(app: &App, list: &List) -> Result<Code, Failure> {
    let name = |text: &Option<String>| {
        text.as_deref().map(Name::parse).transpose().map_err(|error| Failure::usage(error.to_string()))
    };
    let before = list.before.as_deref().map(ids::task).transpose()?.map(|task| task.0);
    let filter = TaskFilter {
        state: list.state,
        queue: name(&list.queue)?,
        worker: name(&list.worker)?,
        dead: list.dead,
        steps: list.steps,
    };
    let tasks = app.reader()?.tasks(TenantId::DEFAULT, &filter, Page { before, most: list.limit })?;
    if app.out.json {
        let tasks: Vec<_> = tasks.iter().map(describe::task_json).collect();
        app.out.print_json(&json!({ "tasks": tasks }))?;
    } else if tasks.is_empty() {
        app.out.note(if list.steps { "no tasks" } else { "no standalone tasks; --steps includes the steps of runs" });
    } else {
        app.out.print(&shown::table(&describe::TASK_HEADING, tasks.iter().map(describe::task_row).collect()))?;
    }
    Ok(Code::Ok)
}

/// Returns the task of that id.
///
/// # Errors
/// When it does not exist.
pub fn load(reader: &dyn Reader, id: TaskId) -> Result<Task, Failure> {
    reader.task(TenantId::DEFAULT, id)?.ok_or_else(|| {
        Failure::not_found(format!("{id} does not exist")).help("`kapelle tasks list --steps` shows those that do")
    })
}

/// Shows one task.
///
/// # Errors
/// When it does not exist.
pub fn show(app: &App, reader: &SqliteReader, id: TaskId) -> Result<Code, Failure> {
    let task = load(reader, id)?;
    let input = describe::value(reader, &task.input)?;
    let output = match &task.state {
        TaskState::Succeeded { output, .. } => Some(describe::value(reader, output)?),
        _ => None,
    };
    let attempts = reader.attempts(id)?;
    if app.out.json {
        let mut value = describe::task_json(&task);
        value["input"] = input;
        value["output"] = output.unwrap_or_default();
        value["failed_attempts"] = attempts
            .iter()
            .map(|attempt| {
                json!({
                    "attempt": attempt.epoch,
                    "started_at": shown::time_exact(attempt.started_at),
                    "ended_at": shown::time_exact(attempt.ended_at),
                    "cost_nanousd": attempt.error.cost.0,
                    "error": describe::error_json(&attempt.error),
                })
            })
            .collect();
        app.out.print_json(&value)?;
        return Ok(Code::Ok);
    }
    let table = shown::table(&describe::TASK_HEADING, vec![describe::task_row(&task)]);
    let mut text = format!("{table}\n\ninput:\n{input:#}\n");
    if let Some(output) = output {
        let provenance = StepView::of(String::new(), &task).provenance;
        let from = provenance.provider.map_or_else(String::new, |provider| {
            let model = provenance.model.map_or_else(String::new, |model| format!(", {model}"));
            format!(" ({provider}{model})")
        });
        text.push_str(&format!("\noutput{from}:\n{output:#}\n"));
    }
    for attempt in attempts {
        text.push_str(&format!(
            "\nattempt {} failed at {}: {}\n",
            attempt.epoch,
            shown::time(attempt.ended_at),
            attempt.error
        ));
    }
    app.out.print(&text)?;
    Ok(Code::Ok)
}

async fn change(
    app: &App,
    id: TaskId,
    ask: impl AsyncFnOnce(&dyn Api) -> Result<kapelle_api::Task, ClientError>,
) -> Result<Code, Failure> {
    // Looked up first, so that a wrong id does not create a folder.
    load(&app.reader()?, id)?;
    let session = ApiSession::open(app).await?;
    let is_local = session.is_local();
    let done = ask(session.api()).await;
    let task = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!({ "task": task.id, "state": task.state }))?;
    } else {
        app.out.print(&format!("{} is {}", task.id, task.state))?;
    }
    if is_local && task.state == kapelle_api::TaskState::Ready {
        app.out.note("`kapelle resume` runs it");
    }
    Ok(Code::Ok)
}
