//! `kapelle runs rerun RUN [--from STEP] [--recorded]`, and `--all` for many.

use std::path::PathBuf;

use kapelle_api::{Api, RunAct};

use super::many::{self, Many};
use crate::{
    api_session::in_process,
    app::App,
    describe,
    failure::{Code, Failure},
    follow::{self, End, Follow},
    ids,
    progress::Progress,
    remote, result,
};

/// Time that one request waits for an end before it is repeated, in milliseconds.
const WAIT_MS: u64 = 30_000;

/// Run again, reusing the results of steps that succeeded.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, such as run_3; it must have ended
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    run: Option<String>,
    /// The step of the outermost block that runs again, with everything that depends on it
    #[arg(long, value_name = "STEP", conflicts_with = "all")]
    from: Option<String>,
    /// Run steps again with the recorded answers of models, without asking providers and without cost
    #[arg(long, conflicts_with = "all")]
    recorded: bool,
    /// Also write report.md and run.json to DIR/<run>/
    #[arg(long, value_name = "DIR", conflicts_with = "all")]
    out: Option<PathBuf>,
    /// With --all: only runs that ended in this state
    #[arg(long, value_parser = ["failed", "cancelled", "succeeded"], default_value = "failed")]
    state: String,
    #[command(flatten)]
    many: Many,
}

/// Runs the verb.
///
/// # Errors
/// When the run or step does not exist, the run has not ended, or the new one does not succeed.
pub(super) async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let Some(run) = &args.run else {
        return many::carry_out(app, (RunAct::Rerun, Some(&args.state)), &args.many, None).await;
    };
    let earlier = ids::run(run)?;
    let how = if args.recorded { ", with its recorded model answers" } else { "" };
    if let Some(client) = remote::server(app)? {
        let wanted = kapelle_api::Rerun { from: args.from.clone(), recorded: args.recorded };
        let run = client.rerun(&earlier.to_string(), wanted).await?.id;
        app.out.note(&format!("{run}: again after {earlier}{how}; the server works on it"));
        while !client.run(&run, WAIT_MS).await?.state.is_ended() {}
        return result::tell(app, &client, &run, End::Ended, args.out.as_deref()).await;
    }
    app.has_data()?;
    let kapelle = app.open(&app.settings()?).await?;
    let api = in_process(&kapelle);
    let mut follow = Follow::new(app, &kapelle)?;
    let (of, from) = (kapelle.run(earlier), args.from.as_deref());
    let again = if args.recorded { of.rerun_recorded(from).await } else { of.rerun(from).await };
    let run = match again {
        Ok(run) => run.id(),
        Err(error) => {
            kapelle.close().await;
            return Err(error.into());
        }
    };
    let row = api.run_details(&run.to_string()).await?;
    app.out.note(&format!("{run} {}: again after {earlier}{how}", row.workflow));
    let definition = describe::definition(&api, &row).await;
    follow.shown.push(Progress::new(app.out, run, definition.as_ref(), true));
    let end = follow.until(follow::run_ended(&kapelle, run)).await?;
    result::tell(app, &api, &run.to_string(), end, args.out.as_deref()).await
}
