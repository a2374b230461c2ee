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

/// Run again, taking over the results of steps that succeeded.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, such as run_3; it must have ended
    run: String,
    /// Do this step of the outermost block and everything that waits for it again
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
    /// Do steps again, with the recorded answers of models: no provider is asked, and nothing is paid
    #[arg(long)]
    recorded: bool,
    /// Also write report.md and run.json to DIR/<run>/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// When there is no such run or step, the run has not ended, or the new one does not succeed.
pub(super) async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let earlier = ids::run(&args.run)?;
    let row = describe::row(&app.reader()?, earlier)?;
    let kapelle = app.open(&app.settings()?).await?;
    let mut follow = Follow::new(app, &kapelle)?;
    let (of, from) = (kapelle.run(earlier), args.from.as_deref());
    let run = if args.recorded { of.rerun_recorded(from).await? } else { of.rerun(from).await? }.id();
    let how = if args.recorded { ", with the answers of models that were recorded then" } else { "" };
    app.out.note(&format!("{run} {}: again after {earlier}{how}", row.workflow));
    let definition = describe::definition(&**kapelle.engine().reader(), &row)?;
    follow.shown.push(Progress::new(app.out, run, definition.as_ref(), true));
    let end = follow.until(follow::run_ended(&kapelle, run)).await?;
    result::tell(app, &**kapelle.engine().reader(), run, end, args.out.as_deref())
}
