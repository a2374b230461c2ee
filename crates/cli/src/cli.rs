//! The command line: verbs and what holds for all of them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    approvals, audit, budgets, completions, config, cost, dead, doctor, host, init, keys, logs, man, queues, resume,
    run, runs, serve, status, submit, supervise, tasks, top, version, workers, workflows,
};

/// Durable workflows over AI workers, on one machine, with or without a model.
#[derive(Debug, Parser)]
#[command(name = "kapelle", version, max_term_width = 100, after_help = AFTER)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

const AFTER: &str = "\
A first run:   kapelle run workflows/first-look.yaml --input document=@samples/annual-review.txt
A new project: kapelle init

Exit codes: 0 ok, 1 failed, 2 wrong usage or input, 3 not found, 4 refused, 5 in use or conflict, 69 unavailable, 75 disk full,
124 timeout, 130 interrupted, 143 terminated. Without a key for a model provider, answers are offline and marked so.";

/// What holds for all verbs.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The folder with the state [default: KAPELLE_DATA, or .kapelle of the project]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Print without colours, as with NO_COLOR
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more about what happens inside; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a workflow and print its result
    Run(run::Args),
    /// Go on with what was under way
    Resume(resume::Args),
    /// Serve tasks, runs and workers over HTTP
    Serve(serve::Args),
    /// Work on the tasks of a server
    Host(host::Args),
    /// List, make and take back keys of the running server
    Keys(keys::Args),
    /// Show administrative acts, or check that none was changed
    Audit(audit::Args),
    /// What is going on, or how a run or task stands
    Status(status::Args),
    /// What a server is doing, live
    Top(top::Args),
    /// Record a task for a worker
    Submit(submit::Args),
    /// List, show, follow, draw, explain and control runs
    Runs(runs::Args),
    /// Answer steps that wait for a person
    Approvals(approvals::Args),
    /// List, show, cancel and retry tasks
    Tasks(tasks::Args),
    /// Tasks that were given up: list, show, retry and discard them
    Dead(dead::Args),
    /// List, pause and resume queues
    Queues(queues::Args),
    /// List, set and raise what may be spent
    Budgets(budgets::Args),
    /// What was spent, by whom
    Cost(cost::Args),
    /// What happened to a run or task, line by line
    Logs(logs::Args),
    /// List, show, try, pause and resume workers
    Workers(workers::Args),
    /// List, show, check and draw workflows
    Workflows(workflows::Args),
    /// The configuration and where it comes from
    Config(config::Args),
    /// Check that everything needed is there
    Doctor(doctor::Args),
    /// Make a starter project
    Init(init::Args),
    /// Completions for a shell
    Completions(completions::Args),
    /// The manual page
    Man(man::Args),
    /// The version
    Version(version::Args),
    /// Supervise the scripts of a folder, without a server
    Supervise(supervise::Args),
    /// Starts and ends scripts for a server; started by Kapelle itself
    #[command(name = "__supervise", hide = true)]
    Helper {
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        arguments: Vec<String>,
    },
    /// Reads one document under limits; started by Kapelle itself
    #[command(name = "__extract", hide = true)]
    Extract,
}
