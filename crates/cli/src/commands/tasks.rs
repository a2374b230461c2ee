//! `kapelle tasks list|show|cancel|retry`.

use kapelle_api::{Api, BulkTasks, ClientError, Reason, Task, TaskAct, TaskQuery, TaskState, Waiting};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    bulk_change::{self, Change, Sure},
    describe,
    failure::{Code, Failure},
    ids, moment, shown,
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
    /// Cancel a task, or many
    Cancel(Cancel),
    /// Retry a failed task
    Retry {
        /// An id such as task_12
        task: String,
    },
}

/// The tasks to cancel.
#[derive(Debug, clap::Args)]
struct Cancel {
    /// An id such as task_12
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    task: Option<String>,
    /// All open tasks outside of runs that the options below name; their number is shown and confirmed first
    #[arg(long)]
    all: bool,
    /// With --all: only tasks for this worker
    #[arg(long, value_name = "NAME", requires = "all")]
    worker: Option<String>,
    /// With --all: only tasks in this queue
    #[arg(long, value_name = "NAME", requires = "all")]
    queue: Option<String>,
    /// With --all: only tasks in this state, such as ready
    #[arg(long, value_parser = state, requires = "all")]
    state: Option<TaskState>,
    /// With --all: only tasks with this text in their id, worker, key or error
    #[arg(long = "text", value_name = "TEXT", requires = "all")]
    q: Option<String>,
    /// With --all: only tasks submitted from then on: a time back from now, such as 7d, or a date
    #[arg(long, value_name = "TIME", value_parser = moment::parse, requires = "all")]
    since: Option<String>,
    /// With --all: only tasks submitted before then, as --since
    #[arg(long, value_name = "TIME", value_parser = moment::parse, requires = "all")]
    until: Option<String>,
    #[command(flatten)]
    sure: Sure,
    /// The recorded reason
    #[arg(long, default_value = "cancelled on the command line")]
    reason: String,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only tasks in this state, such as ready or failed
    #[arg(long, value_parser = state)]
    state: Option<TaskState>,
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
        Verb::List(list) => self::list(app, &list).await,
        Verb::Show { task } => show(app, ApiSession::reading(app)?.api(), &ids::task(&task)?.to_string()).await,
        Verb::Cancel(cancel) => self::cancel(app, cancel).await,
        Verb::Retry { task } => {
            let task = ids::task(&task)?;
            change(app, async |api| api.retry_task(&task.to_string()).await).await
        }
    }
}

async fn cancel(app: &App, cancel: Cancel) -> Result<Code, Failure> {
    if let Some(task) = &cancel.task {
        let task = ids::task(task)?;
        let why = Reason { reason: Some(cancel.reason) };
        return change(app, async |api| api.cancel_task(&task.to_string(), why).await).await;
    }
    // Ended tasks would refuse.
    let open = || TaskState::ALL.iter().filter(|state| !state.is_ended()).map(|state| state.as_str());
    let states = cancel.state.map_or_else(|| open().collect::<Vec<_>>().join(","), |state| state.to_string());
    let what = Change { verb: "cancel", done: "cancelled", noun: "task" };
    bulk_change::carry_out(app, what, &cancel.sure, async |api, dry_run, before| {
        let filter = TaskQuery {
            state: Some(states.clone()),
            worker: cancel.worker.clone(),
            queue: cancel.queue.clone(),
            q: cancel.q.clone(),
            since: cancel.since.clone(),
            until: cancel.until.clone(),
            before,
            ..TaskQuery::default()
        };
        let reason = Some(cancel.reason.clone());
        api.bulk_tasks(BulkTasks { action: TaskAct::Cancel, ids: None, filter: Some(filter), dry_run, reason }).await
    })
    .await
}

/// Parses a state.
fn state(word: &str) -> Result<TaskState, String> {
    TaskState::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = TaskState::ALL.iter().map(|state| state.as_str()).collect();
        format!("there are: {}", words.join(", "))
    })
}

async fn list(app: &App, list: &List) -> Result<Code, Failure> {
    let before = list.before.as_deref().map(ids::task).transpose()?;
    let query = TaskQuery {
        state: list.state.map(|state| state.to_string()),
        queue: list.queue.clone(),
        worker: list.worker.clone(),
        dead: list.dead.then_some(true),
        steps: list.steps.then_some(true),
        before: before.map(|task| task.to_string()),
        limit: Some(list.limit),
        ..TaskQuery::default()
    };
    let page = ApiSession::reading(app)?.api().tasks(query).await?;
    if app.out.json {
        app.out.print_json(&json!(page))?;
    } else if page.tasks.is_empty() {
        app.out.note(if list.steps { "no tasks" } else { "no standalone tasks; --steps includes the steps of runs" });
    } else {
        app.out.print(&shown::table(&describe::TASK_HEADING, page.tasks.iter().map(describe::task_row).collect()))?;
    }
    Ok(Code::Ok)
}

/// Shows one task.
///
/// # Errors
/// When it does not exist.
pub async fn show(app: &App, api: &dyn Api, id: &str) -> Result<Code, Failure> {
    let task = api.task_details(id).await?;
    if app.out.json {
        app.out.print_json(&json!(task))?;
        return Ok(Code::Ok);
    }
    let table = shown::table(&describe::TASK_HEADING, vec![describe::task_row(&task)]);
    let from = &task.provenance;
    let mut text = format!("{table}\n");
    if let Some(spent) = describe::spent(from.cost_nanousd, from.calls, (from.input_tokens, from.output_tokens)) {
        text.push_str(&format!("\ncost: {spent}\n"));
    }
    if !task.state.is_ended() {
        text.push_str(&format!("\nwhat it waits for: kapelle why {id}\n"));
    }
    text.push_str(&format!("\ninput:\n{:#}\n", value(task.input.as_deref())));
    if task.output.is_some() {
        let from = from.provider.as_ref().map_or_else(String::new, |provider| {
            let model = from.model.as_ref().map_or_else(String::new, |model| format!(", {model}"));
            format!(" ({provider}{model})")
        });
        text.push_str(&format!("\noutput{from}:\n{:#}\n", value(task.output.as_deref())));
    }
    for attempt in &task.attempts {
        let ended = shown::instant(&attempt.ended_at);
        let error = describe::error_text(&attempt.error);
        text.push_str(&format!("\nattempt {} failed at {ended}: {error}\n", attempt.number));
    }
    app.out.print(&text)?;
    Ok(Code::Ok)
}

/// Parses a value of the interface.
pub fn value(raw: Option<&serde_json::value::RawValue>) -> serde_json::Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

async fn change(app: &App, ask: impl AsyncFnOnce(&dyn Api) -> Result<Task, ClientError>) -> Result<Code, Failure> {
    let session = ApiSession::open_existing(app).await?;
    let is_local = session.is_local();
    let done = ask(session.api()).await;
    let task = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(task))?;
    } else {
        app.out.print(&format!("{} is {}", task.id, task.state))?;
    }
    say_who_works(app, &task, is_local);
    Ok(Code::Ok)
}

/// Says who works on a task that has been put into a queue, or why nobody does.
pub fn say_who_works(app: &App, task: &Task, is_local: bool) {
    if task.state.is_ended() {
        return;
    }
    match (&task.reason, is_local) {
        (Some(reason), true) if matches!(task.waiting, Some(Waiting::Served { .. } | Waiting::Paused { .. })) => {
            app.out.note(&format!("{} is recorded; {reason}", task.id));
        }
        (_, true) => app.out.note(&format!("{} is recorded; `kapelle resume` runs it", task.id)),
        (Some(reason), false) => app.out.note(&format!("{} is recorded; {reason}", task.id)),
        (None, false) => app.out.note(&format!("{} is recorded; the server works on it", task.id)),
    }
}
