//! `kapelle run FILE`: starts a workflow, shows it, prints its result.

use std::path::PathBuf;

use kapelle::core::definition::Strategy;
use kapelle_api::{Api, StartRun};

use crate::{
    aliases,
    api_session::in_process,
    app::{App, Workers},
    each::{Each, Many},
    failure::{Code, Failure},
    follow::{self, End, Follow},
    inputs::InputArgs,
    known_workers::KnownWorkers,
    progress::Progress,
    remote, result, scripts,
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
    /// The order in which ready steps start, instead of the one in the file
    #[arg(long, value_enum)]
    strategy: Option<StrategyArg>,
    /// Also write report.md and run.json to DIR/<run>/
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Fail rather than answer offline or from a later model of a chain
    #[arg(long)]
    no_fallback: bool,
}

/// The built-in strategies, by their names.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum StrategyArg {
    /// One step after the other, in the order of the file
    Sequential,
    /// All that are ready at once
    Parallel,
    /// Higher priorities first
    Priority,
}

impl StrategyArg {
    pub(super) fn word(self) -> &'static str {
        match self {
            StrategyArg::Sequential => "sequential",
            StrategyArg::Parallel => "parallel",
            StrategyArg::Priority => "priority",
        }
    }
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

/// Time that one request waits for an end before it is repeated, in milliseconds.
const WAIT_MS: u64 = 30_000;

/// Runs the verb.
///
/// # Errors
/// When the workflow or an input is invalid, or the run does not succeed.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let workflow = workflow::read(&workflow::find(&app.project, &args.file)?)?;
    let version = workflow.version()?;
    let mut settings = app.settings()?;
    settings.config.fallback &= !args.no_fallback;
    let workers = app.workers(&settings)?;
    app.warn_problems(&workers.problems);
    let server = remote::server(app)?;
    if server.is_none() {
        // A server knows workers that this project does not, and checks for itself.
        check_workers(app, &workflow, &workers).await?;
    }
    let definition = &workflow.definition;
    let each = Each::read(&args.each, definition.inputs.as_deref())?;
    let prepare = |input: &InputArgs| {
        let mut inputs = input.read(definition.inputs.as_deref(), workflow.folder())?;
        kapelle::check_inputs(definition, &mut inputs.value).map_err(|error| wrong_inputs(&workflow, error))?;
        Ok(inputs)
    };
    // The first run is prepared before the folder is opened: invalid inputs are reported at once.
    let first = prepare(&each.first(&args.inputs))?;
    if settings.config.fallback {
        aliases::warn(app.out, definition, &workers.catalogue, &workers.aliases);
    }

    if let Some(client) = server {
        if !each.is_empty() {
            let what = "--each runs many workflows in this process, and a server works on this folder";
            return Err(
                Failure::new(Code::Conflict, what).help("start them one by one, or name another folder with --data")
            );
        }
        if args.no_fallback {
            let what = "--no-fallback is for a run in this process, and a server works on this folder";
            return Err(Failure::new(Code::Conflict, what).help("set `fallback: false` where the server runs"));
        }
        first.give(app, &client).await?;
        let start = StartRun {
            source: Some(String::from_utf8_lossy(&workflow.source).into_owned()),
            inputs: first.value,
            strategy: args.strategy.map(|strategy| strategy.word().to_owned()),
            ..StartRun::default()
        };
        let started = client.start(start, None).await?;
        app.out.note(&format!("{} {}: the server works on it", started.id, definition.name));
        while !client.run(&started.id, WAIT_MS).await?.state.is_ended() {}
        return result::tell(app, &client, &started.id, End::Ended, args.out.as_deref()).await;
    }
    let kapelle = app.open(&settings).await?;
    let _watch = app.watch(&kapelle);
    if workflow.may_need_scripts(&workers) {
        scripts::lend(app, &kapelle, &settings, |name| workflow.names_worker(name)).await?;
    }
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
    result::tell(app, &in_process(&kapelle), &run.to_string(), end, args.out.as_deref()).await
}

/// Checks that this process can serve the workers of every step. A worker of a host needs a server, and that is said.
async fn check_workers(app: &App, workflow: &Workflow, workers: &Workers) -> Result<(), Failure> {
    let mut known = KnownWorkers::from(workers);
    let checked = workflow.check_workers(&known);
    if checked.is_ok() || app.has_data().is_err() {
        return checked;
    }
    let folder = app.builder(&app.settings()?)?.read()?;
    known.add_far(in_process(&folder).workers().await?.workers);
    workflow.check_workers(&known)
}

/// Reports the inputs that the workflow takes.
pub(super) fn wrong_inputs(workflow: &Workflow, error: kapelle::Error) -> Failure {
    let failure = Failure::from(error);
    let help = workflow.inputs_help();
    if help.is_empty() { failure } else { failure.help(help) }
}
