//! `kapelle runs rerun RUN [--from STEP]`.

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
    let kapelle = app.builder(&app.settings()?)?.open().await?;
    let mut follow = Follow::new(app, &kapelle)?;
    let run = kapelle.run(earlier).rerun(args.from.as_deref()).await?.id();
    app.out.note(&format!("{run} {}: again after {earlier}", row.workflow));
    let definition = describe::definition(&**kapelle.engine().reader(), &row)?;
    follow.shown.push(Progress::new(app.out, run, definition.as_ref(), true));
    let end = follow.until(follow::run_ended(&kapelle, run)).await?;
    result::tell(app, &**kapelle.engine().reader(), run, end, args.out.as_deref())
}
