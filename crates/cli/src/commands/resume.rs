//! `kapelle resume [RUN]`: continues the work that an earlier process left open.

use std::path::PathBuf;

use kapelle::{Kapelle, RunId, TaskId, core::TenantId};
use kapelle_api::{Api, Run, RunQuery, Task, TaskQuery, TaskState};

use crate::{
    api_session::in_process,
    app::App,
    describe::{self, RunView, StepView},
    failure::{Code, Failure},
    follow::{self, Follow},
    ids,
    progress::Progress,
    result, scripts, shown,
};

/// Rows read at a time.
const PAGE: u32 = 1_000;

/// Resume work that an earlier process left open.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run to wait for; by default, everything that has not ended
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// Also write report.md and run.json to DIR/<run>/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Fail rather than answer offline or from a later model of a chain
    #[arg(long)]
    no_fallback: bool,
}

/// Runs the verb.
///
/// # Errors
/// When the run does not exist, or the resumed work does not succeed.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let named = args.run.as_deref().map(ids::run).transpose()?;
    app.has_data()?;
    let before = app.builder(&app.settings()?)?.read()?;
    let before = in_process(&before);
    let (runs, tasks) = match named {
        Some(id) => (vec![before.run(&id.to_string(), 0).await?], Vec::new()),
        None => (open_runs(&before).await?, open_tasks(&before).await?),
    };
    if let Some(id) = named.filter(|_| runs.iter().all(|run| run.state.is_ended())) {
        app.out.note(&format!("{id} has ended already"));
        return result::tell(app, &before, &id.to_string(), follow::End::Ended, args.out.as_deref()).await;
    }
    if runs.is_empty() && tasks.is_empty() {
        app.out.note("nothing is under way");
        return if app.out.json {
            app.out.print_json(&serde_json::json!({ "runs": [], "tasks": [] })).map(|()| Code::Ok)
        } else {
            Ok(Code::Ok)
        };
    }
    let mut settings = app.settings()?;
    settings.config.fallback &= !args.no_fallback;
    let kapelle = app.open(&settings).await?;
    app.warn_problems(kapelle.worker_problems());
    scripts::lend(app, &kapelle, &settings, |_| false).await?;
    let mut follow = Follow::new(app, &kapelle)?;
    let api = in_process(&kapelle);
    // After that: the engine works already, and what it has done is shown from its state, what it does from its events.
    show(app, &api, &runs, &mut follow).await?;
    let end = follow.until(all_ended(&kapelle, &runs, &tasks)).await?;
    match named {
        Some(id) => result::tell(app, &api, &id.to_string(), end, args.out.as_deref()).await,
        None => summary(app, &api, &runs, &tasks, end).await,
    }
}

/// Returns the runs that have not ended, oldest first.
async fn open_runs(api: &dyn Api) -> Result<Vec<Run>, Failure> {
    let mut query = RunQuery { open: Some(true), limit: Some(PAGE), ..RunQuery::default() };
    let mut runs: Vec<Run> = Vec::new();
    loop {
        let page = api.runs(query.clone()).await?;
        runs.extend(page.runs);
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            runs.reverse();
            return Ok(runs);
        }
    }
}

/// Returns the standalone tasks that have not ended.
async fn open_tasks(api: &dyn Api) -> Result<Vec<TaskId>, Failure> {
    let mut tasks: Vec<TaskId> = Vec::new();
    for state in TaskState::ALL.iter().filter(|state| !state.is_ended()) {
        let mut query = TaskQuery { state: Some(state.to_string()), limit: Some(PAGE), ..TaskQuery::default() };
        loop {
            let page = api.tasks(query.clone()).await?;
            for task in &page.tasks {
                tasks.push(ids::task(&task.id)?);
            }
            query.cursor = page.next_cursor;
            if query.cursor.is_none() {
                break;
            }
        }
    }
    tasks.sort_unstable();
    Ok(tasks)
}

async fn show(app: &App, api: &dyn Api, runs: &[Run], follow: &mut Follow<'_>) -> Result<(), Failure> {
    for run in runs {
        let steps = describe::all_steps(api, &run.id).await?;
        let run = api.run_details(&run.id).await?;
        let definition = describe::definition(api, &run).await;
        let view = RunView::of(run, steps, definition.as_ref());
        let id = ids::run(&view.run.id)?;
        let ended = view.steps.iter().filter(|step| is_over(step)).count();
        let steps = shown::count(view.steps.len(), "step");
        app.out.note(&format!("{id} {}: {ended} of {steps} done", view.run.workflow));
        let progress = Progress::new(app.out, id, definition.as_ref(), runs.len() == 1);
        follow.resumed(progress, &view.run.id, &view.steps, runs.len() == 1);
    }
    Ok(())
}

fn is_over(step: &StepView) -> bool {
    matches!(step.state(), "succeeded" | "failed" | "skipped" | "cancelled")
}

async fn all_ended(kapelle: &Kapelle, runs: &[Run], tasks: &[TaskId]) -> Result<(), Failure> {
    for run in runs {
        let id: RunId = ids::run(&run.id)?;
        follow::run_ended(kapelle, id).await?;
    }
    for task in tasks {
        kapelle.engine().wait(TenantId::DEFAULT, *task).await?;
    }
    Ok(())
}

async fn summary(app: &App, api: &dyn Api, runs: &[Run], tasks: &[TaskId], end: follow::End) -> Result<Code, Failure> {
    let (mut ended_runs, mut ended_tasks): (Vec<Run>, Vec<Task>) = (Vec::new(), Vec::new());
    for run in runs {
        ended_runs.push(api.run(&run.id, 0).await?);
    }
    for task in tasks {
        ended_tasks.push(api.task(&task.to_string(), 0).await?);
    }
    if app.out.json {
        app.out.print_json(&serde_json::json!({ "runs": ended_runs, "tasks": ended_tasks }))?;
    } else {
        if !ended_runs.is_empty() {
            app.out.print(&describe::run_table(&ended_runs))?;
        }
        if !ended_tasks.is_empty() {
            let rows = ended_tasks.iter().map(describe::task_row).collect();
            app.out.print(&shown::table(&describe::TASK_HEADING, rows))?;
        }
    }
    let all_good = ended_runs.iter().all(|run| run.state == kapelle_api::RunState::Succeeded)
        && ended_tasks.iter().all(|task| task.state == TaskState::Succeeded);
    match end {
        follow::End::Drained(code) | follow::End::Stopped(code) => {
            app.out.note("Continue with: kapelle resume");
            Ok(code)
        }
        follow::End::Ended if all_good => Ok(Code::Ok),
        follow::End::Ended => Ok(Code::Failed),
    }
}
