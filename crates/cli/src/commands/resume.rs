//! `kapelle resume [RUN]`: continues the work that an earlier process left open.

use std::path::PathBuf;

use kapelle::{
    Kapelle, TaskId,
    core::{TenantId, task::StateKind},
    store::{Page, Reader, RunFilter, RunRow, SqliteReader, TaskFilter},
};

use crate::{
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
    let reader = app.reader()?;
    let (runs, tasks) = match named {
        Some(id) => (vec![describe::row(&reader, id)?], Vec::new()),
        None => (open_runs(&reader)?, open_tasks(&reader)?),
    };
    if let Some(id) = named.filter(|_| runs.iter().all(|row| row.status.kind().is_terminal())) {
        app.out.note(&format!("{id} has ended already"));
        return result::tell(app, &reader, id, follow::End::Ended, args.out.as_deref());
    }
    if runs.is_empty() && tasks.is_empty() {
        app.out.note("nothing is under way");
        return if app.out.json {
            app.out.print_json(&serde_json::json!({ "runs": [], "tasks": [] })).map(|()| Code::Ok)
        } else {
            Ok(Code::Ok)
        };
    }
    let shown = show(app, &reader, &runs)?;
    let mut settings = app.settings()?;
    settings.config.fallback &= !args.no_fallback;
    let kapelle = app.open(&settings).await?;
    app.warn_problems(kapelle.worker_problems());
    scripts::lend(app, &kapelle, &settings, |_| false).await?;
    let mut follow = Follow::new(app, &kapelle)?;
    follow.shown = shown;
    let end = follow.until(all_ended(&kapelle, &runs, &tasks)).await?;
    let reader = &**kapelle.engine().reader();
    match named {
        Some(id) => result::tell(app, reader, id, end, args.out.as_deref()),
        None => summary(app, reader, &runs, &tasks, end),
    }
}

/// Returns the runs that have not ended, oldest first.
fn open_runs(reader: &SqliteReader) -> Result<Vec<RunRow>, Failure> {
    let filter = RunFilter { open: true, ..RunFilter::default() };
    let mut runs: Vec<RunRow> = Vec::new();
    loop {
        let page = Page { before: runs.last().map(|run| run.id.0), most: PAGE };
        let rows = reader.runs(TenantId::DEFAULT, &filter, page)?;
        if rows.is_empty() {
            runs.reverse();
            return Ok(runs);
        }
        runs.extend(rows);
    }
}

/// Returns the standalone tasks that have not ended.
fn open_tasks(reader: &SqliteReader) -> Result<Vec<TaskId>, Failure> {
    let mut tasks: Vec<TaskId> = Vec::new();
    for state in StateKind::ALL.into_iter().filter(|state| !state.is_terminal()) {
        let filter = TaskFilter { state: Some(state), ..TaskFilter::default() };
        let mut before = None;
        loop {
            let rows = reader.tasks(TenantId::DEFAULT, &filter, Page { before, most: PAGE })?;
            let Some(last) = rows.last() else { break };
            before = Some(last.id.0);
            tasks.extend(rows.iter().map(|task| task.id));
        }
    }
    tasks.sort_unstable();
    Ok(tasks)
}

fn show(app: &App, reader: &SqliteReader, runs: &[RunRow]) -> Result<Vec<Progress>, Failure> {
    let mut all = Vec::new();
    for row in runs {
        let definition = describe::definition(reader, row)?;
        let view = RunView::load(reader, row.id)?;
        let ended = view.steps.iter().filter(|step| is_over(step)).count();
        app.out.note(&format!(
            "{} {}: {ended} of {} done",
            row.id,
            row.workflow,
            shown::count(view.steps.len(), "step")
        ));
        let progress = Progress::new(app.out, row.id, definition.as_ref(), runs.len() == 1);
        if runs.len() == 1 {
            view.steps.iter().for_each(|step| progress.ended_before(step));
        }
        all.push(progress);
    }
    Ok(all)
}

fn is_over(step: &StepView) -> bool {
    matches!(step.state, "succeeded" | "failed" | "skipped" | "cancelled")
}

async fn all_ended(kapelle: &Kapelle, runs: &[RunRow], tasks: &[TaskId]) -> Result<(), Failure> {
    for run in runs {
        follow::run_ended(kapelle, run.id).await?;
    }
    for task in tasks {
        kapelle.engine().wait(TenantId::DEFAULT, *task).await?;
    }
    Ok(())
}

fn summary(
    app: &App,
    reader: &dyn Reader,
    runs: &[RunRow],
    tasks: &[TaskId],
    end: follow::End,
) -> Result<Code, Failure> {
    let mut rows = Vec::new();
    let mut views = Vec::new();
    for run in runs {
        rows.extend(reader.run(TenantId::DEFAULT, run.id)?);
    }
    for task in tasks {
        views.extend(reader.task(TenantId::DEFAULT, *task)?);
    }
    if app.out.json {
        let runs: Vec<_> = rows.iter().map(describe::run_json).collect();
        let tasks: Vec<_> = views.iter().map(describe::task_json).collect();
        app.out.print_json(&serde_json::json!({ "runs": runs, "tasks": tasks }))?;
    } else {
        if !rows.is_empty() {
            app.out.print(&describe::run_table(&rows))?;
        }
        if !views.is_empty() {
            app.out.print(&shown::table(&describe::TASK_HEADING, views.iter().map(describe::task_row).collect()))?;
        }
    }
    let good = |state: &str| state == "succeeded";
    let all_good = rows.iter().all(|row| good(row.status.kind().as_str()))
        && views.iter().all(|task| good(task.state.kind().as_str()));
    match end {
        follow::End::Drained(code) | follow::End::Stopped(code) => {
            app.out.note("Continue with: kapelle resume");
            Ok(code)
        }
        follow::End::Ended if all_good => Ok(Code::Ok),
        follow::End::Ended => Ok(Code::Failed),
    }
}
