//! Cancelling, pausing, resuming and signalling runs.

use kapelle::core::Name;
use kapelle_api::{Api, BulkRuns, ClientError, Reason, Run, RunAct, RunQuery, Signal};
use serde_json::{Value, json};

use crate::{
    api_session::ApiSession,
    app::App,
    bulk_change::{self, Change, Sure},
    failure::{Code, Failure},
    ids, moment,
};

/// The runs to cancel.
#[derive(Debug, clap::Args)]
pub(super) struct Cancel {
    /// An id such as run_3
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    run: Option<String>,
    /// All open runs that the options below name; their number is shown and confirmed first
    #[arg(long)]
    all: bool,
    /// With --all: only runs of this workflow
    #[arg(long, value_name = "NAME", requires = "all")]
    workflow: Option<String>,
    /// With --all: only runs with this text in their id, workflow, starter or error
    #[arg(long = "text", value_name = "TEXT", requires = "all")]
    q: Option<String>,
    /// With --all: only runs started from then on: a time back from now, such as 7d, or a date
    #[arg(long, value_name = "TIME", value_parser = moment::parse, requires = "all")]
    from: Option<String>,
    /// With --all: only runs started before then, as --from
    #[arg(long, value_name = "TIME", value_parser = moment::parse, requires = "all")]
    to: Option<String>,
    #[command(flatten)]
    sure: Sure,
    /// The recorded reason
    #[arg(long, default_value = "cancelled on the command line")]
    reason: String,
}

/// Cancels one run, or many.
///
/// # Errors
/// When the run does not exist, or the change is not confirmed.
pub(super) async fn cancel(app: &App, cancel: Cancel) -> Result<Code, Failure> {
    if let Some(run) = &cancel.run {
        let why = Reason { reason: Some(cancel.reason) };
        return ask(app, run, async |api, run| api.cancel_run(run, why).await).await;
    }
    let change = Change { verb: "cancel", done: "cancelled", noun: "run" };
    bulk_change::carry_out(app, change, &cancel.sure, async |api, dry_run, before| {
        let filter = RunQuery {
            workflow: cancel.workflow.clone(),
            q: cancel.q.clone(),
            since: cancel.from.clone(),
            until: cancel.to.clone(),
            open: Some(true),
            before,
            ..RunQuery::default()
        };
        let reason = Some(cancel.reason.clone());
        api.bulk_runs(BulkRuns { action: RunAct::Cancel, ids: None, filter: Some(filter), dry_run, reason }).await
    })
    .await
}

/// Requests a change of a run, and prints its state after that.
///
/// # Errors
/// When the run does not exist, or the request is refused.
pub(super) async fn ask(
    app: &App,
    run: &str,
    ask: impl AsyncFnOnce(&dyn Api, &str) -> Result<Run, ClientError>,
) -> Result<Code, Failure> {
    let run = ids::run(run)?;
    let session = ApiSession::open_existing(app).await?;
    let is_local = session.is_local();
    let done = ask(session.api(), &run.to_string()).await;
    tell(app, &session.close(done).await?, is_local)
}

/// Sends a signal to a run.
///
/// # Errors
/// When the run does not exist or has ended, or the payload is not JSON.
pub(super) async fn signal(app: &App, run: &str, name: &str, payload: &str) -> Result<Code, Failure> {
    let name = Name::parse(name).map_err(|error| Failure::usage(error.to_string()))?;
    let payload: Value = serde_json::from_str(payload).map_err(|error| {
        Failure::usage(format!("--payload is not JSON: {error}"))
            .help("a text needs its own quotes: --payload '\"yes\"'")
    })?;
    ask(app, run, async |api, run| api.signal(run, name.as_str(), Signal { payload }).await).await
}

fn tell(app: &App, run: &Run, is_local: bool) -> Result<Code, Failure> {
    if app.out.json {
        app.out.print_json(&json!(run))?;
        return Ok(Code::Ok);
    }
    let paused = if run.paused { ", paused" } else { "" };
    app.out.print(&format!("{} is {}{paused}", run.id, run.state))?;
    if is_local && !run.state.is_ended() && !run.paused {
        app.out.note(&format!("Go on with: {}", app.resume_line(&run.id)));
    }
    Ok(Code::Ok)
}
