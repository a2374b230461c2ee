//! The way from the arguments to the exit code.

use std::process::ExitCode;

use clap::{
    FromArgMatches,
    error::{ContextKind, ContextValue},
};
use kapelle::{documents::child_main, supervisor::helper_process::helper_main};

use crate::{
    app::App,
    cli::{Cli, Global, Verb},
    commands::{
        approvals, audit, backup, budgets, calls, completions, config, cost, dead, doctor, host, init, keys, logs, man,
        providers, queues, restore, resume, run, runs, schedules, search, serve, status, submit, subscriptions,
        supervise, tasks, top, ui, version, why, workers, workflows,
    },
    examples,
    failure::{Code, Failure},
    log,
    out::Out,
    remote,
};

/// Runs the program.
pub fn start() -> ExitCode {
    let parsed = examples::command().try_get_matches().and_then(|found| Cli::from_arg_matches(&found));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors; nor is a closed pipe.
            let error = without_hidden(error);
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Code::Usage as u8));
        }
    };
    if matches!(cli.verb, Verb::Extract) {
        return child_main();
    }
    if let Verb::Helper { arguments } = &cli.verb {
        return helper_main(arguments);
    }
    if cli.global.no_color {
        anstream::ColorChoice::Never.write_global();
    }
    if !for_people(&cli.verb) {
        close_files();
    }
    if !matches!(cli.verb, Verb::Serve(_)) {
        trace(&cli.global);
    }
    let out = Out { json: cli.global.json, quiet: cli.global.quiet };
    match perform(cli) {
        Ok(code) => ExitCode::from(code as u8),
        Err(failure) => {
            out.fail(&failure);
            ExitCode::from(failure.code as u8)
        }
    }
}

/// Leaves the verbs that the program runs for itself out of the suggestions for a misspelled one.
fn without_hidden(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::Strings(names)) = error.get(ContextKind::SuggestedSubcommand) {
        let shown: Vec<String> = names.iter().filter(|name| !name.starts_with("__")).cloned().collect();
        let shown = if shown.is_empty() { ContextValue::None } else { ContextValue::Strings(shown) };
        error.insert(ContextKind::SuggestedSubcommand, shown);
    }
    error
}

/// Says whether a verb writes files that people share, such as a new project. All others write data of runs.
fn for_people(verb: &Verb) -> bool {
    matches!(verb, Verb::Init(_) | Verb::Workflows(_) | Verb::Completions(_) | Verb::Man(_))
}

#[cfg(unix)]
use kapelle::supervisor::close_files;

#[cfg(not(unix))]
fn close_files() {}

/// Returns the name of a verb that works on a folder of this machine, whatever server is named.
fn of_folder(verb: &Verb) -> Option<&'static str> {
    Some(match verb {
        Verb::Serve(_) => "serve",
        Verb::Supervise(_) => "supervise",
        Verb::Resume(_) => "resume",
        Verb::Doctor(_) => "doctor",
        Verb::Config(_) => "config",
        Verb::Init(_) => "init",
        Verb::Backup(_) => "backup",
        Verb::Restore(_) => "restore",
        _ => return None,
    })
}

fn perform(cli: Cli) -> Result<Code, Failure> {
    let mut app = App::new(cli.global)?;
    if let Verb::Serve(args) = &cli.verb {
        log::begin(&app, args.log_format)?;
    }
    if let Some(verb) = of_folder(&cli.verb) {
        remote::needs_folder(&app, verb)?;
    }
    if matches!(cli.verb, Verb::Serve(_) | Verb::Supervise(_)) {
        // Started before any other thread: a process that a thread starts dies with it.
        app.start_helper()?;
    }
    let host = matches!(&cli.verb, Verb::Host(args) if !args.each_queue);
    let here = matches!(cli.verb, Verb::Run(_) | Verb::Resume(_) | Verb::Submit(_));
    if host || here && remote::server(&app)?.is_none() {
        app.start_helper_for_tasks()?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new(Code::Temporary, format!("the system gives no more threads: {error}")))?;
    let done = runtime.block_on(verb(&app, cli.verb));
    // Work that still runs on other threads has been told to end; it is not awaited.
    runtime.shutdown_background();
    // Dropping the last handle ends every script.
    drop(app);
    done
}

async fn verb(app: &App, verb: Verb) -> Result<Code, Failure> {
    match verb {
        Verb::Run(args) => run::run(app, args).await,
        Verb::Resume(args) => resume::run(app, args).await,
        Verb::Host(args) => host::run(app, args).await,
        Verb::Keys(args) => keys::run(app, args).await,
        Verb::Audit(args) => audit::run(app, &args).await,
        Verb::Serve(args) => serve::run(app, args).await,
        Verb::Status(args) => status::run(app, &args).await,
        Verb::Why(args) => why::run(app, &args).await,
        Verb::Top(args) => top::run(app, &args).await,
        Verb::Ui(_) => ui::run(app).await,
        Verb::Submit(args) => submit::run(app, args).await,
        Verb::Runs(args) => runs::run(app, args).await,
        Verb::Approvals(args) => approvals::run(app, args).await,
        Verb::Tasks(args) => tasks::run(app, args).await,
        Verb::Dead(args) => dead::run(app, args).await,
        Verb::Queues(args) => queues::run(app, args).await,
        Verb::Budgets(args) => budgets::run(app, args).await,
        Verb::Cost(args) => cost::run(app, &args).await,
        Verb::Calls(args) => calls::run(app, args).await,
        Verb::Providers(args) => providers::run(app, &args).await,
        Verb::Search(args) => search::run(app, &args).await,
        Verb::Logs(args) => logs::run(app, &args).await,
        Verb::Workers(args) => workers::run(app, args).await,
        Verb::Schedules(args) => schedules::run(app, args).await,
        Verb::Subscriptions(args) => subscriptions::run(app, args).await,
        Verb::Workflows(args) => workflows::run(app, &args).await,
        Verb::Config(args) => config::run(app, &args).await,
        Verb::Backup(args) => backup::run(app, &args),
        Verb::Restore(args) => restore::run(app, &args).await,
        Verb::Doctor(args) => doctor::run(app, &args).await,
        Verb::Init(args) => init::run(app, &args),
        Verb::Completions(args) => completions::run(app, &args),
        Verb::Man(args) => man::run(app, &args),
        Verb::Version(args) => version::run(app, &args),
        Verb::Supervise(args) => supervise::run(app, &args).await,
        Verb::Extract | Verb::Helper { .. } => Ok(Code::Ok),
    }
}

fn trace(global: &Global) {
    let level = match global.verbose {
        0 => tracing_subscriber::filter::LevelFilter::ERROR,
        1 => tracing_subscriber::filter::LevelFilter::INFO,
        _ => tracing_subscriber::filter::LevelFilter::DEBUG,
    };
    let started = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never)
        .try_init();
    // Started once; a second call does nothing.
    drop(started);
}
