//! The command line: its verbs and global options.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    approvals, audit, backup, budgets, calls, completions, config, cost, dead, doctor, host, init, keys, logs, man,
    providers, queues, restore, resume, run, runs, schedules, search, serve, status, submit, subscriptions, supervise,
    tasks, top, ui, version, why, workers, workflows,
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
A new project: kapelle init my-project && cd my-project && kapelle run hello --input name=Ada
Every verb:    kapelle VERB --help shows examples; a noun alone lists, as in kapelle runs

Exit codes: 0 ok, 1 failed, 2 wrong usage or input, 3 not found, 4 refused, 5 in use or conflict, 69 unavailable, 75 disk full,
79 parked for money, 124 timeout, 130 interrupted, 143 terminated. Without a key for a model provider, answers are offline and marked so.";

/// Options of all verbs.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The folder with the state [default: KAPELLE_DATA, or .kapelle of the project]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A server elsewhere, instead of the folder [default: KAPELLE_URL]. Its key comes from KAPELLE_TOKEN or --token-file
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// A file with the key for --server
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Print without colours, as with NO_COLOR
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Print only results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print more details; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run a workflow and print its result
    Run(run::Args),
    /// Resume work that an earlier process left open
    Resume(resume::Args),
    /// Serve tasks, runs and workers over HTTP
    Serve(serve::Args),
    /// Work on the tasks of a server
    Host(host::Args),
    /// List, make and revoke API keys
    Keys(keys::Args),
    /// Show administrative acts, or check the audit trail
    Audit(audit::Args),
    /// Show the server and current work, or the state of a run or task
    Status(status::Args),
    /// Explain why a task or run does not go on, and what ends the wait
    Why(why::Args),
    /// Show the work of a server, live
    Top(top::Args),
    /// Print a link to the web console that logs in once
    Ui(ui::Args),
    /// Submit a task to a worker
    Submit(submit::Args),
    /// List, show, follow, draw, explain and control runs
    Runs(runs::Args),
    /// Answer steps that wait for a person
    Approvals(approvals::Args),
    /// List, show, cancel and retry tasks
    Tasks(tasks::Args),
    /// List, show, retry and discard dead letters: tasks that failed for good
    Dead(dead::Args),
    /// List, pause and resume queues
    Queues(queues::Args),
    /// List, set and raise budgets
    Budgets(budgets::Args),
    /// Show what was spent, and by whom
    Cost(cost::Args),
    /// List and show calls of models
    Calls(calls::Args),
    /// Show how providers of models fare: circuits, rates left, recent calls and last errors
    Providers(providers::Args),
    /// Find runs, tasks, calls, workflows, workers, queues and scripts
    Search(search::Args),
    /// Show the events of a run or task, line by line
    Logs(logs::Args),
    /// List, show, try, pause and resume workers
    Workers(workers::Args),
    /// List, show, make, pause, fire and delete schedules
    Schedules(schedules::Args),
    /// List, make, change, pause, test and delete subscriptions to events
    Subscriptions(subscriptions::Args),
    /// List, show, check and draw workflows
    Workflows(workflows::Args),
    /// Show the configuration and the origin of each value
    Config(config::Args),
    /// Copy the state to a new folder, also while a server works on it
    Backup(backup::Args),
    /// Restore a backup as the folder with the state
    Restore(restore::Args),
    /// Check that everything needed is installed
    Doctor(doctor::Args),
    /// Make a starter project
    Init(init::Args),
    /// Completions for a shell
    Completions(completions::Args),
    /// The manual page
    Man(man::Args),
    /// The version
    Version(version::Args),
    /// Supervise the scripts of a folder, on a free port of this machine
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
