//! `kapelle run FILE`: starts a workflow, shows it, prints its result.

use std::path::PathBuf;

use crate::{
    aliases,
    app::App,
    failure::{Code, Failure},
    follow::{self, Follow},
    inputs::InputArgs,
    progress::Progress,
    result,
    workflow::{self, Workflow},
};

/// Run a workflow and print its result.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow: a file, or the name of one in workflows/
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    inputs: InputArgs,
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
/// When the workflow or an input is wrong, or the run does not succeed.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let workflow = workflow::read(&workflow::find(&app.project, &args.file)?)?;
    let version = workflow.version()?;
    let mut settings = app.settings()?;
    settings.config.fallback &= !args.no_fallback;
    let workers = app.workers(&settings)?;
    app.warn_problems(&workers.problems);
    workflow.check_workers(&workers.catalogue)?;
    let definition = &workflow.definition;
    let mut inputs = args.inputs.read(definition.inputs.as_deref(), workflow.folder())?;
    kapelle::check_inputs(definition, &mut inputs.value).map_err(|error| wrong_inputs(&workflow, error))?;
    if settings.config.fallback {
        aliases::warn(app.out, definition, &workers.catalogue, &workers.aliases);
    }

    let kapelle = app.builder(&settings)?.open().await?;
    inputs.store(kapelle.files())?;
    let mut follow = Follow::new(app, &kapelle)?;
    let run = kapelle.start_version(version, inputs.value).await?.id();
    app.out.note(&format!("{run} {}: {}", definition.name, crate::shown::count(definition.step_count(), "step")));
    follow.shown.push(Progress::new(app.out, run, Some(definition), true));
    let end = follow.until(follow::run_ended(&kapelle, run)).await?;
    result::tell(app, &**kapelle.engine().reader(), run, end, args.out.as_deref())
}

/// Tells which inputs there are.
fn wrong_inputs(workflow: &Workflow, error: kapelle::Error) -> Failure {
    let failure = Failure::from(error);
    let help = workflow.inputs_help();
    if help.is_empty() { failure } else { failure.help(help) }
}
