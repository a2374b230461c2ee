//! `kapelle host`: works on the tasks of a server, with the workers of this project.

use kapelle::core::Name;
use kapelle_api::Client;

use crate::{
    app::App,
    failure::{Code, Failure},
    hosting::Hosting,
    remote,
    signals::Signals,
};

/// Work on the tasks of a server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server [default: the one of this project's folder]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Only tasks of this queue; may be given again. Of any when left out
    #[arg(long, value_name = "NAME")]
    queue: Vec<String>,
    /// Only tasks for this worker; may be given again
    #[arg(long, value_name = "NAME")]
    worker: Vec<String>,
    /// Tasks at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1000))]
    slots: u32,
    /// What the server calls this process
    #[arg(long, default_value = "kapelle host")]
    name: String,
    /// What sets it apart, such as gpu=a100; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
}

/// Runs the verb. The key is taken from `KAPELLE_TOKEN`, or from the folder's own token: never from the command line,
/// which others can read.
///
/// # Errors
/// When a name is wrong, there is no server, or it refuses.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let settings = app.settings()?;
    for name in args.queue.iter().chain(&args.worker) {
        Name::parse(name).map_err(|error| Failure::usage(error.to_string()))?;
    }
    let labels = args.label.iter().map(|label| match label.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!("--label {label}: KEY=VALUE is expected"))),
    });
    let labels = labels.collect::<Result<_, _>>()?;
    let token = settings.environment.get("KAPELLE_TOKEN").map(str::to_owned);
    let client = match args.server {
        Some(server) => {
            let token = match token {
                Some(token) => token,
                None => remote::token(&app.data()?).map_err(|failure| {
                    failure.help("set KAPELLE_TOKEN to a key with the role `worker`: `kapelle keys create` makes one")
                })?,
            };
            Client::new(&server, &token)?
        }
        None => remote::server(app)?.ok_or_else(|| {
            Failure::new(Code::Unavailable, "no server works on this project's folder")
                .help("name one with --server URL")
        })?,
    };
    let known = app.workers(&settings)?;
    app.warn_problems(&known.problems);
    let workers: Vec<_> = known
        .catalogue
        .iter()
        .filter(|worker| args.worker.is_empty() || args.worker.iter().any(|name| name == worker.spec().name.as_str()))
        .cloned()
        .collect();
    if workers.is_empty() {
        return Err(Failure::not_found("there is no worker of that name").help("`kapelle workers list` shows them all"));
    }
    let signals = Signals::listen().map_err(|error| Failure::new(Code::Failed, format!("signals: {error}")))?;
    let register = kapelle_api::Register {
        name: args.name,
        slots: args.slots,
        workers: workers
            .iter()
            .map(|worker| kapelle_api::Served::Worker(Box::new(kapelle_server::describe_worker(worker.spec()))))
            .collect(),
        queues: args.queue,
        labels,
        ack: true,
    };
    Hosting::new(app.out, client, register, workers).until(signals).await
}
