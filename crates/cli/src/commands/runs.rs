//! `kapelle runs list|show|cancel`.

use kapelle::{
    RunId,
    core::{Name, TenantId, run::RunStatus},
    engine::Command,
    store::{Page, Reader, RunFilter, SqliteReader},
};
use serde_json::json;

use crate::{
    app::App,
    describe::{self, RunView},
    failure::{Code, Failure},
    ids, remote, shown,
};

/// List, show and cancel runs.
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
    /// The runs, newest first
    List(List),
    /// One run with its steps and outputs
    Show {
        /// Such as run_3
        run: String,
    },
    /// End a run: its open steps are cancelled, no step starts
    Cancel {
        /// Such as run_3
        run: String,
        /// What is noted as the reason
        #[arg(long, default_value = "cancelled on the command line")]
        reason: String,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only those that have not ended
    #[arg(long)]
    open: bool,
    /// Only those of this workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only those older than this one
    #[arg(long, value_name = "RUN")]
    before: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// When there is no such run.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List(args.list)) {
        Verb::List(list) => self::list(app, &list),
        Verb::Show { run } => {
            let run = ids::run(&run)?;
            show(app, &app.reader()?, run)
        }
        Verb::Cancel { run, reason } => cancel(app, ids::run(&run)?, &reason).await,
    }
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
/// When there is none of that id.
pub fn show(app: &App, reader: &SqliteReader, run: RunId) -> Result<Code, Failure> {
    let view = RunView::load(reader, run)?;
    if app.out.json {
        let mut value = view.json();
        value["inputs"] = describe::value(reader, &view.row.inputs)?;
        app.out.print_json(&value)?;
        return Ok(Code::Ok);
    }
    let mut text = format!(
        "{}\nworkflow {}, started {}\n\n{}\n",
        view.summary(),
        view.row.workflow,
        shown::time(view.row.created_at),
        view.table()
    );
    match &view.row.status {
        RunStatus::Cancelled { reason, .. } | RunStatus::Cancelling { reason } => {
            text.push_str(&format!("\nreason: {reason}\n"))
        }
        RunStatus::Running => {
            text.push_str(&format!("\nIf no process works on it, go on with: {}\n", app.resume_line(&run.to_string())))
        }
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

async fn cancel(app: &App, run: RunId, reason: &str) -> Result<Code, Failure> {
    if let Some(client) = remote::server(app)? {
        let path = format!("/api/v1/runs/{run}/cancel");
        return remote::change(app, &client, "run", &path, &json!({ "reason": reason })).await;
    }
    // Looked up first, so that an id that is wrong does not make a folder.
    RunView::load(&app.reader()?, run)?;
    let kapelle = app.builder(&app.settings()?)?.idle().open().await?;
    let done = kapelle.engine().ask(Command::CancelRun { run, reason: reason.into() }).await;
    kapelle.drain().await;
    done?;
    let state = kapelle.run(run).state()?.status.kind().as_str();
    if app.out.json {
        app.out.print_json(&json!({ "run": run.to_string(), "state": state }))?;
    } else {
        app.out.print(&format!("{run} is {state}"))?;
    }
    Ok(Code::Ok)
}
