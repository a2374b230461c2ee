//! `kapelle runs list|show|watch|graph|explain|rerun|cancel|pause|resume|signal`.

mod control;
mod explain;
mod graph;
mod rerun;
mod texts;
mod watch;

use kapelle::{
    RunId,
    core::{Name, TenantId, run::RunStatus},
    store::{Page, Reader, RunFilter, RunRow, SqliteReader},
};
use kapelle_api::Reason;
use serde_json::json;

use crate::{
    app::App,
    describe::{self, RunView},
    failure::{Code, Failure},
    ids, shown, tally,
};

/// List, show, follow, draw, explain and control runs.
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
    /// List the runs, newest first
    List(List),
    /// Show one run with its steps and outputs
    Show {
        /// An id such as run_3
        run: String,
    },
    /// Follow a run until it ends, event by event
    Watch {
        /// An id such as run_3
        run: String,
        /// The first event to show: one more than the last number that was seen
        #[arg(long, default_value_t = 0, value_name = "NUMBER")]
        from: u64,
    },
    /// Draw a run with the states of its steps
    Graph {
        /// An id such as run_3
        run: String,
        /// The format: indented text, a picture, or Mermaid
        #[arg(long, value_enum, default_value_t = graph::Format::Text)]
        format: graph::Format,
    },
    /// Explain why steps are not running
    Explain {
        /// An id such as run_3
        run: String,
        /// Only this step, such as `classify[17]`
        step: Option<String>,
    },
    /// Run again, reusing the results of steps that succeeded
    Rerun(rerun::Args),
    /// Cancel a run: its open steps are cancelled, then its `on_cancel` and `finally` run; a second call cancels those
    /// too
    Cancel {
        /// An id such as run_3
        run: String,
        /// The recorded reason
        #[arg(long, default_value = "cancelled on the command line")]
        reason: String,
    },
    /// Pause a run: no further step begins until it is resumed
    Pause {
        /// An id such as run_3
        run: String,
    },
    /// Resume a paused run
    Resume {
        /// An id such as run_3
        run: String,
    },
    /// Send a signal to the step that waits for it, or to the first that will
    Signal {
        /// An id such as run_3
        run: String,
        /// The name of the signal
        name: String,
        /// Its payload, as JSON
        #[arg(long, default_value = "null", value_name = "JSON")]
        payload: String,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only runs that have not ended
    #[arg(long)]
    open: bool,
    /// Only runs of this workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// The most rows
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only those older than this one
    #[arg(long, value_name = "RUN")]
    before: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// When the run does not exist.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List(args.list)) {
        Verb::List(list) => self::list(app, &list),
        Verb::Show { run } => {
            let run = ids::run(&run)?;
            show(app, &app.reader()?, run)
        }
        Verb::Watch { run, from } => watch::run(app, ids::run(&run)?, from).await,
        Verb::Graph { run, format } => graph::run(app, ids::run(&run)?, format),
        Verb::Explain { run, step } => explain::run(app, ids::run(&run)?, step.as_deref()).await,
        Verb::Rerun(args) => rerun::run(app, args).await,
        Verb::Cancel { run, reason } => {
            let why = Reason { reason: Some(reason) };
            control::ask(app, &run, async |api, run| api.cancel_run(run, why).await).await
        }
        Verb::Pause { run } => control::ask(app, &run, async |api, run| api.pause_run(run).await).await,
        Verb::Resume { run } => control::ask(app, &run, async |api, run| api.resume_run(run).await).await,
        Verb::Signal { run, name, payload } => control::signal(app, &run, &name, &payload).await,
    }
}

/// Returns which run it repeats, and how.
fn again(row: &RunRow) -> String {
    let Some(rerun) = &row.rerun else { return String::new() };
    let how = if rerun.recorded { ", model calls answered from its recording" } else { "" };
    format!("\nagain after {}{how}", rerun.of)
}

fn list(app: &App, list: &List) -> Result<Code, Failure> {
    let before = list.before.as_deref().map(ids::run).transpose()?.map(|run| run.0);
    let workflow =
        list.workflow.as_deref().map(Name::parse).transpose().map_err(|error| Failure::usage(error.to_string()))?;
    let filter = RunFilter { workflow, open: list.open };
    let rows = app.reader()?.runs(TenantId::DEFAULT, &filter, Page { before, most: list.limit })?;
    if app.out.json {
        let runs: Vec<_> = rows.iter().map(describe::run_json).collect();
        app.out.print_json(&json!({ "runs": runs }))?;
    } else if rows.is_empty() {
        app.out.note("no runs");
    } else {
        app.out.print(&describe::run_table(&rows))?;
    }
    Ok(Code::Ok)
}

/// Shows one run.
///
/// # Errors
/// When it does not exist.
pub fn show(app: &App, reader: &SqliteReader, run: RunId) -> Result<Code, Failure> {
    let view = RunView::load(reader, run)?;
    if app.out.json {
        let mut value = view.json();
        value["inputs"] = describe::value(reader, &view.row.inputs)?;
        app.out.print_json(&value)?;
        return Ok(Code::Ok);
    }
    let mut text = format!(
        "{}\nworkflow {}, started {}{}\n\n{}\n",
        tally::summary_of(&view),
        view.row.workflow,
        shown::time(view.row.created_at),
        again(&view.row),
        view.table()
    );
    match &view.row.status {
        RunStatus::Cancelled { reason, .. } | RunStatus::Cancelling { reason, .. } => {
            text.push_str(&format!("\nreason: {reason}\n"))
        }
        RunStatus::Running => text
            .push_str(&format!("\nIf no process works on it, continue with: {}\n", app.resume_line(&run.to_string()))),
        _ => {}
    }
    if let Some(error) = view.error() {
        text.push_str(&format!("\nerror: {error}\n"));
    }
    if !view.outputs.is_null() {
        match view.outputs.get("report").and_then(|report| report.as_str()) {
            Some(report) => text.push_str(&format!("\n{report}")),
            None => text.push_str(&format!("\noutputs:\n{:#}\n", view.outputs)),
        }
    }
    app.out.print(&text)?;
    Ok(Code::Ok)
}
