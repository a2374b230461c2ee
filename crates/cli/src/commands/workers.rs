//! `kapelle workers list|show|test|pause|resume|restart|scale`.

mod fields;
mod list;
mod show;
mod trial;

use kapelle_api::{Api, Reason, Scale};
use serde::Serialize;
use serde_json::json;

use super::queues::{Change, Kind, gate};
use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    inputs::InputArgs,
    remote, scripts, shown,
};

pub use fields::fields;

/// List, show, try, pause and resume workers.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List all workers: built in, of files and scripts in workers/, and of hosts
    List,
    /// Show a worker: its input and output, its tasks; of a script also its processes and settings
    Show {
        /// Its name
        name: String,
    },
    /// Run a worker once, without recording anything
    Test {
        /// Its name
        name: String,
        #[command(flatten)]
        inputs: InputArgs,
    },
    /// Pause a worker: no further task of it starts until it is resumed
    Pause(Change),
    /// Resume a worker
    Resume(Change),
    /// Restart a script, one process of it (NAME.2), or `all`
    Restart {
        /// The script
        name: String,
    },
    /// Set the number of a script's processes
    Scale {
        /// The script
        name: String,
        /// 1 to 64
        instances: u32,
    },
}

/// Runs the verb.
///
/// # Errors
/// When the worker does not exist, or it fails.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => list::run(app).await,
        Verb::Show { name } => show::run(app, &name).await,
        Verb::Test { name, inputs } => trial::run(app, &name, &inputs).await,
        Verb::Pause(change) => {
            // A typing error would pause a worker that does not exist.
            exists(ApiSession::reading_any(app)?.api(), &change.name).await?;
            gate(app, Kind::Worker, &change, true).await
        }
        // A worker whose file is gone can be resumed as well.
        Verb::Resume(change) => gate(app, Kind::Worker, &change, false).await,
        Verb::Restart { name } => restart(app, &name).await,
        Verb::Scale { name, instances } => scale(app, &name, instances).await,
    }
}

/// Checks that tasks can be submitted to a worker.
async fn exists(api: &dyn Api, name: &str) -> Result<(), Failure> {
    match api.worker(name).await {
        Ok(_) => Ok(()),
        Err(error) => Err(nearest(api, name, error.into()).await?),
    }
}

/// Adds a similar name to the refusal of an unknown one.
async fn nearest(api: &dyn Api, name: &str, failure: Failure) -> Result<Failure, Failure> {
    let known = api.workers().await?.workers;
    let near = kapelle::core::definition::nearest(name, known.iter().map(|worker| worker.name.as_str()));
    Ok(match near {
        Some(near) if failure.code == Code::NotFound => failure.help(format!("did you mean `{near}`?")),
        _ => failure,
    })
}

async fn restart(app: &App, name: &str) -> Result<Code, Failure> {
    let client = remote::client(app)?;
    let done = match name {
        "all" => client.restart_scripts(Reason::default()).await?,
        _ => client.restart_script(&id(&client, name).await?, Reason::default()).await?,
    };
    say(app, &done, &format!("{name} is restarted"))
}

async fn scale(app: &App, name: &str, instances: u32) -> Result<Code, Failure> {
    let client = remote::client(app)?;
    let done = client.scale_script(&id(&client, name).await?, Scale { instances }).await?;
    let processes = if instances == 1 { "process" } else { "processes" };
    say(app, &done, &format!("{name} runs in {instances} {processes}"))
}

async fn id(api: &dyn Api, name: &str) -> Result<String, Failure> {
    scripts::id(&api.scripts().await?.scripts, name)
}

fn say(app: &App, done: &impl Serialize, text: &str) -> Result<Code, Failure> {
    if app.out.json {
        app.out.print_json(&json!(done))?;
    } else {
        app.out.print(text)?;
    }
    Ok(Code::Ok)
}

/// Returns the counts of a worker's open tasks in words.
fn counts(worker: &kapelle_api::Health) -> String {
    let counts = [(worker.ready, "ready"), (worker.running, "running"), (worker.waiting, "waiting")];
    let counts: Vec<String> =
        counts.iter().filter(|(tasks, _)| *tasks > 0).map(|(tasks, word)| format!("{tasks} {word}")).collect();
    if counts.is_empty() { "-".to_owned() } else { counts.join(", ") }
}

/// Formats a time of the interface that may be missing.
fn when(at: Option<&str>) -> String {
    at.map_or_else(|| "-".to_owned(), shown::instant)
}
