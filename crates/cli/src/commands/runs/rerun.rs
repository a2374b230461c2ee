//! `kapelle runs rerun RUN [--from STEP] [--recorded]`.

use std::path::PathBuf;

use crate::{
    app::App,
    describe,
    failure::{Code, Failure},
    follow::{self, Follow},
    ids,
    progress::Progress,
    result,
};

/// Run again, reusing the results of steps that succeeded.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, such as run_3; it must have ended
    run: String,
    /// The step of the outermost block that runs again, with everything that depends on it
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
    /// Run steps again with the recorded answers of models, without asking providers and without cost
    #[arg(long)]
    recorded: bool,
    /// Also write report.md and run.json to DIR/<run>/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// When the run or step does not exist, the run has not ended, or the new one does not succeed.
pub(super) async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let earlier = ids::run(&args.run)?;
    let row = describe::row(&app.reader()?, earlier)?;
    let kapelle = app.open(&app.settings()?).await?;
    let mut follow = Follow::new(app, &kapelle)?;
    let (of, from) = (kapelle.run(earlier), args.from.as_deref());
    let run = if args.recorded { of.rerun_recorded(from).await? } else { of.rerun(from).await? }.id();
    let how = if args.recorded { ", with its recorded model answers" } else { "" };
    app.out.note(&format!("{run} {}: again after {earlier}{how}", row.workflow));
    let definition = describe::definition(&**kapelle.engine().reader(), &row)?;
    follow.shown.push(Progress::new(app.out, run, definition.as_ref(), true));
    let end = follow.until(follow::run_ended(&kapelle, run)).await?;
    result::tell(app, &**kapelle.engine().reader(), run, end, args.out.as_deref())
}
