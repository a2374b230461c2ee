//! `kapelle run FILE`: starts a workflow, shows it, prints its result.

use std::path::PathBuf;

use kapelle::core::definition::Strategy;

use crate::{
    aliases,
    app::App,
    each::{Each, Many},
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
    /// One run for each file: `name=FOLDER`, or `name=FILE` again and again
    #[arg(long, value_name = "NAME=PATH")]
    each: Vec<String>,
    /// In which order ready steps start, instead of what the file says
    #[arg(long, value_enum)]
    strategy: Option<StrategyArg>,
    /// Also write report.md and run.json to DIR/<run>/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Fail rather than answer offline or from a later model of a chain
    #[arg(long)]
    no_fallback: bool,
}

/// The strategies, as they are written.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum StrategyArg {
    /// One step after the other, in the order of the file
    Sequential,
    /// All that are ready at once
    Parallel,
    /// Higher priorities first
    Priority,
}

impl From<StrategyArg> for Strategy {
    fn from(argument: StrategyArg) -> Strategy {
        match argument {
            StrategyArg::Sequential => Strategy::Sequential,
            StrategyArg::Parallel => Strategy::Parallel,
            StrategyArg::Priority => Strategy::Priority { fail_fast_at: None },
        }
    }
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
    let each = Each::read(&args.each, definition.inputs.as_deref())?;
    let prepare = |input: &InputArgs| {
        let mut inputs = input.read(definition.inputs.as_deref(), workflow.folder())?;
        kapelle::check_inputs(definition, &mut inputs.value).map_err(|error| wrong_inputs(&workflow, error))?;
        Ok(inputs)
    };
    // The first is prepared before the folder is opened: what is wrong with the inputs is told at once.
    let first = prepare(&each.first(&args.inputs))?;
    if settings.config.fallback {
        aliases::warn(app.out, definition, &workers.catalogue, &workers.aliases);
    }

    let kapelle = app.builder(&settings)?.open().await?;
    let _watch = app.watch(&kapelle);
    let strategy = args.strategy.map(Strategy::from);
    if !each.is_empty() {
        let many = Many { app, kapelle: &kapelle, version: &version, strategy, folder: args.out.as_deref() };
        return many.run(&each, |number| prepare(&each.nth(&args.inputs, number))).await;
    }
    first.store(kapelle.files())?;
    let mut follow = Follow::new(app, &kapelle)?;
    let run = kapelle.start_with(version, first.value, strategy).await?.id();
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
