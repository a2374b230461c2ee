//! `kapelle dead list|groups|show|retry|discard`: dead letters.

use kapelle_api::{Api, ClientError, DeadQuery, Reason, Task};
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
    /// Count dead letters by worker and error, the largest groups first
    Groups,
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
        Verb::List { worker, limit } => list(app, worker, limit).await,
        Verb::Groups => groups(app).await,
        Verb::Show { task } => tasks::show(app, ApiSession::reading(app)?.api(), &ids::task(&task)?.to_string()).await,
        Verb::Retry(which) => change(app, &which, None).await,
        Verb::Discard { which, reason } => change(app, &which, Some(&reason)).await,
    }
}

/// Returns why a task failed for good, in a word.
fn why(task: &Task) -> &'static str {
    match &task.error {
        _ if task.dead => "crashed",
        Some(error) if error.retryable == Some(false) => "permanent",
        _ => "exhausted",
    }
}

async fn list(app: &App, worker: Option<String>, limit: u32) -> Result<Code, Failure> {
    let query = DeadQuery { worker, limit: Some(limit), ..DeadQuery::default() };
    let page = ApiSession::reading(app)?.api().dead_letters(query).await?;
    if app.out.json {
        app.out.print_json(&json!(page))?;
    } else if page.tasks.is_empty() {
        app.out.note("no dead letters: every failed task was retried or discarded");
    } else {
        let rows = page.tasks.iter().map(|task| {
            let ended = task.ended_at.as_deref().map(shown::instant).unwrap_or_default();
            let note = describe::StepView::of(task.clone()).note();
            vec![task.id.clone(), why(task).to_owned(), task.worker.clone(), task.attempt.to_string(), ended, note]
        });
        app.out.print(&shown::table(&["TASK", "WHY", "WORKER", "ATTEMPT", "FAILED", "NOTE"], rows.collect()))?;
    }
    Ok(Code::Ok)
}

async fn groups(app: &App) -> Result<Code, Failure> {
    let report = ApiSession::reading(app)?.api().dead_groups().await?;
    if app.out.json {
        app.out.print_json(&json!(report))?;
    } else if report.groups.is_empty() {
        app.out.note("no dead letters: every failed task was retried or discarded");
    } else {
        let rows = report.groups.iter().map(|group| {
            let count = group.tasks.to_string();
            let newest = shown::instant(&group.newest_at);
            vec![count, group.worker.clone(), group.category.clone(), newest, group.message.clone()]
        });
        app.out.print(&shown::table(&["TASKS", "WORKER", "CATEGORY", "NEWEST", "ERROR"], rows.collect()))?;
        if report.more {
            app.out.note("these are the groups of the 5,000 newest dead letters");
        }
    }
    Ok(Code::Ok)
}

async fn change(app: &App, which: &Which, discard: Option<&str>) -> Result<Code, Failure> {
    let wanted = which.tasks.iter().map(|task| Ok(ids::task(task)?.to_string()));
    let wanted: Vec<String> = wanted.collect::<Result<_, Failure>>()?;
    let session = ApiSession::open_existing(app).await?;
    let is_local = session.is_local();
    let mut done: Vec<Task> = Vec::new();
    let ended = deal_all(session.api(), (which, wanted), discard, &mut done).await;
    let ended = session.close(ended).await;
    if app.out.json && ended.is_ok() {
        app.out.print_json(&json!({ "tasks": done }))?;
    } else {
        for task in &done {
            app.out.print(&format!("{} is {}", task.id, task.state))?;
        }
    }
    match done.as_slice() {
        [one] => tasks::say_who_works(app, one, is_local),
        [_, ..] if discard.is_none() && is_local => app.out.note("`kapelle resume` runs them"),
        [_, ..] if discard.is_none() => app.out.note("they are recorded; the server works on them"),
        _ => {}
    }
    ended.map(|()| Code::Ok)
}

/// Retries or discards the selected dead letters, and collects them.
async fn deal_all(
    api: &dyn Api,
    (which, wanted): (&Which, Vec<String>),
    discard: Option<&str>,
    done: &mut Vec<Task>,
) -> Result<(), ClientError> {
    let mut query = DeadQuery { worker: which.worker.clone(), limit: Some(PAGE), ..DeadQuery::default() };
    let mut next = wanted;
    loop {
        if which.all {
            let page = api.dead_letters(query.clone()).await?;
            next = page.tasks.into_iter().map(|task| task.id).collect();
            query.cursor = page.next_cursor;
        }
        for task in &next {
            done.push(match discard {
                Some(reason) => api.discard_dead(task, Reason { reason: Some(reason.to_owned()) }).await?,
                None => api.retry_dead(task).await?,
            });
        }
        if !which.all || query.cursor.is_none() {
            return Ok(());
        }
    }
}
