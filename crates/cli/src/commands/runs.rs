//! `kapelle runs list|show|estimate|watch|graph|explain|rerun|cancel|pause|resume|signal`.

mod control;
mod estimate;
mod graph;
mod many;
mod rerun;
mod texts;
mod watch;

use kapelle_api::{Api, Run, RunQuery, RunState};
use serde_json::json;

use super::why;
use crate::{
    api_session::ApiSession,
    app::App,
    describe::{self, RunView},
    failure::{Code, Failure},
    ids, shown,
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
    Estimate(estimate::Args),
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
    Cancel(control::Cancel),
    /// Pause a run: no further step begins until it is resumed
    Pause(control::Hold),
    /// Resume a paused run
    Resume(control::Hold),
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
        Verb::List(list) => self::list(app, &list).await,
        Verb::Show { run } => {
            let run = ids::run(&run)?.to_string();
            show(app, ApiSession::reading(app)?.api(), &run).await
        }
        Verb::Estimate(args) => estimate::run(app, args).await,
        Verb::Watch { run, from } => watch::run(app, ids::run(&run)?, from).await,
        Verb::Graph { run, format } => graph::run(app, ids::run(&run)?, format).await,
        Verb::Explain { run, step } => why::explain(app, &ids::Id::Run(ids::run(&run)?), step.as_deref()).await,
        Verb::Rerun(args) => rerun::run(app, args).await,
        Verb::Cancel(cancel) => control::cancel(app, cancel).await,
        Verb::Pause(hold) => control::pause(app, hold).await,
        Verb::Resume(hold) => control::resume(app, hold).await,
        Verb::Signal { run, name, payload } => control::signal(app, &run, &name, &payload).await,
    }
}

/// Returns which run it repeats, and how.
fn again(run: &Run) -> String {
    let Some(of) = &run.rerun_of else { return String::new() };
    let how = if run.recorded { ", model calls answered from its recording" } else { "" };
    format!("\nagain after {of}{how}")
}

async fn list(app: &App, list: &List) -> Result<Code, Failure> {
    let before = list.before.as_deref().map(ids::run).transpose()?;
    let query = RunQuery {
        workflow: list.workflow.clone(),
        open: list.open.then_some(true),
        limit: Some(list.limit),
        before: before.map(|run| run.to_string()),
        ..RunQuery::default()
    };
    let page = ApiSession::reading(app)?.api().runs(query).await?;
    if app.out.json {
        app.out.print_json(&json!(page))?;
    } else if page.runs.is_empty() {
        app.out.note("no runs");
    } else {
        app.out.print(&describe::run_table(&page.runs))?;
    }
    Ok(Code::Ok)
}

/// Shows one run.
///
/// # Errors
/// When it does not exist.
pub async fn show(app: &App, api: &dyn Api, run: &str) -> Result<Code, Failure> {
    let view = RunView::load(api, run).await?;
    if app.out.json {
        app.out.print_json(&view.json())?;
        return Ok(Code::Ok);
    }
    let run = &view.run;
    let mut text = format!(
        "{}\nworkflow {}, started {}{}\n\n{}\n",
        describe::summary(run),
        run.workflow,
        shown::instant(&run.created_at),
        again(run),
        view.table()
    );
    match run.state {
        RunState::Cancelled | RunState::Cancelling => {
            text.push_str(&format!("\nreason: {}\n", run.reason.as_deref().unwrap_or("none given")));
        }
        RunState::Running if run.paused => {
            text.push_str(&format!("\nIt is paused. Resume it with: kapelle runs resume {}\n", run.id));
        }
        RunState::Running => {
            text.push_str(&format!("\nWhat it waits for: kapelle why {}\n", run.id));
        }
        _ => {}
    }
    if run.state.is_ended() {
        // A run without steps, or of a version that cannot be read any more, is shown without it.
        let estimated = api.run_estimate(&run.id).await.ok();
        if let Some(line) = estimated.as_ref().and_then(estimate::compared) {
            text.push_str(&format!("\n{line}\n"));
        }
    }
    if let Some(error) = &run.error {
        text.push_str(&format!("\nerror: {}\n", describe::error_text(error)));
    }
    if let Some(outputs) = run.outputs.as_ref().filter(|outputs| !outputs.is_null()) {
        match outputs.get("report").and_then(|report| report.as_str()) {
            Some(report) => text.push_str(&format!("\n{report}")),
            None => text.push_str(&format!("\noutputs:\n{outputs:#}\n")),
        }
    }
    app.out.print(&text)?;
    Ok(Code::Ok)
}
