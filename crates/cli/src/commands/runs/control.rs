//! Cancelling, pausing, resuming and signalling runs.

use kapelle::core::Name;
use kapelle_api::{Api, ClientError, Reason, Run, RunAct, Signal};
use serde_json::{Value, json};

use super::many::{self, Many};
use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    ids,
};

/// The runs to cancel.
#[derive(Debug, clap::Args)]
pub(super) struct Cancel {
    /// An id such as run_3
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    run: Option<String>,
    #[command(flatten)]
    many: Many,
    /// The recorded reason
    #[arg(long, default_value = "cancelled on the command line")]
    reason: String,
}

/// The runs to pause or to resume.
#[derive(Debug, clap::Args)]
pub(super) struct Hold {
    /// An id such as run_3
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    run: Option<String>,
    #[command(flatten)]
    many: Many,
}

/// Cancels one run, or many.
///
/// # Errors
/// When the run does not exist, or the change is not confirmed.
pub(super) async fn cancel(app: &App, cancel: Cancel) -> Result<Code, Failure> {
    let Some(run) = &cancel.run else {
        return many::carry_out(app, (RunAct::Cancel, None), &cancel.many, Some(&cancel.reason)).await;
    };
    let why = Reason { reason: Some(cancel.reason) };
    ask(app, run, async |api, run| api.cancel_run(run, why).await).await
}

/// Pauses one run, or many.
///
/// # Errors
/// As [`cancel`].
pub(super) async fn pause(app: &App, hold: Hold) -> Result<Code, Failure> {
    let Some(run) = &hold.run else {
        return many::carry_out(app, (RunAct::Pause, None), &hold.many, None).await;
    };
    ask(app, run, async |api, run| api.pause_run(run).await).await
}

/// Resumes one run, or many.
///
/// # Errors
/// As [`cancel`].
pub(super) async fn resume(app: &App, hold: Hold) -> Result<Code, Failure> {
    let Some(run) = &hold.run else {
        return many::carry_out(app, (RunAct::Resume, None), &hold.many, None).await;
    };
    ask(app, run, async |api, run| api.resume_run(run).await).await
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
