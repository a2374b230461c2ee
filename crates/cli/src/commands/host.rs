//! `kapelle host`: works on the tasks of a server, with the workers of this project.

use std::sync::Arc;

use kapelle::{
    core::{Name, label::split},
    engine::{Clock, SystemClock},
    host::{Host, HostBuilder, HostError},
    scripts::{Fleet, FleetOptions, fleet::Keeps},
};

use super::supervise;
use crate::{
    app::App,
    beside,
    failure::{Code, Failure},
    remote,
    settings::Settings,
    signals::Signals,
};

/// Tasks at once by default.
const SLOTS: u32 = 4;

/// Work on the tasks of a server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only tasks of this queue; may be repeated [default: any queue]
    #[arg(long, value_name = "NAME")]
    queue: Vec<String>,
    /// Only tasks for this worker; may be repeated
    #[arg(long, value_name = "NAME")]
    pub worker: Vec<String>,
    /// One process for each queue of the configuration (default, ml, openai), until asked to end
    #[arg(long, conflicts_with = "queue")]
    pub each_queue: bool,
    /// Tasks at once [default: 4; with --each-queue the slots of the queue]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub slots: Option<u32>,
    /// The name of this process on the server
    #[arg(long, default_value = "kapelle host")]
    pub name: String,
    /// A label of this process, such as gpu or gpu=a100; may be repeated. Tasks that require labels go only to
    /// processes with them
    #[arg(long, value_name = "LABEL")]
    pub label: Vec<String>,
    /// Claim tasks by long polls, even where the server can push them on a stream
    #[arg(long)]
    pub long_poll: bool,
}

/// Runs the verb. The key is read from `KAPELLE_TOKEN`, or from the folder's own token: never from the command line,
/// which others can read.
///
/// # Errors
/// When a name is invalid, the server cannot be found, or it refuses.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let settings = app.settings()?;
    for name in args.queue.iter().chain(&args.worker) {
        Name::parse(name).map_err(|error| Failure::usage(error.to_string()))?;
    }
    let mut labels = settings.config.labels.clone();
    for label in &args.label {
        let (name, value) = split(label).map_err(|error| Failure::usage(format!("--label: {error}")))?;
        labels.insert(name.to_owned(), value.to_owned());
    }
    if args.each_queue {
        return beside::each_queue(app, &settings, &args).await;
    }
    let client = remote::client(app)?;
    let known = app.workers(&settings)?;
    app.warn_problems(&known.problems);
    let server = client.base().to_owned();
    let out = app.out;
    let host = Host::builder(client).name(&args.name).slots(args.slots.unwrap_or(SLOTS)).long_poll(args.long_poll);
    let host = host.files(&app.prepare_data()?.join("host-files")).on_event(move |event| {
        if event.is_warning() { out.warn(&event.to_string()) } else { out.note(&event.to_string()) }
    });
    let host = args.queue.iter().fold(host, |host, queue| host.queue(queue));
    let host = args.worker.iter().fold(host, |host, worker| host.only(worker));
    let host = labels.iter().fold(host, |host, (name, value)| host.label(name, value));
    let host = host.catalogue(&known.catalogue, &known.gateway)?;
    let fleet = lend(app, &settings, &args, &host, server).await?;
    let signals = Signals::listen().map_err(|error| Failure::new(Code::Failed, format!("signals: {error}")))?;
    let ended = until(host.build()?, signals).await;
    if let Some(fleet) = fleet {
        fleet.stop().await;
    }
    ended
}

/// Works until a signal asks it to end: the first one drains, the second one releases.
async fn until(host: Host, mut signals: Signals) -> Result<Code, Failure> {
    let handle = host.handle();
    let mut code = Code::Ok;
    let work = host.run();
    tokio::pin!(work);
    loop {
        tokio::select! {
            ended = &mut work => {
                ended?;
                return Ok(code);
            }
            asked = signals.next() => {
                code = asked;
                handle.stop();
            }
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Failure {
        match error {
            HostError::NoWorkers => Failure::not_found("no such worker").help("`kapelle workers list` shows them all"),
            HostError::Client(error) => error.into(),
            other => Failure::usage(other.to_string()),
        }
    }
}

/// Starts the fleet of the project's scripts, when some of them take tasks.
async fn lend(
    app: &App,
    settings: &Settings,
    args: &Args,
    host: &HostBuilder,
    server: String,
) -> Result<Option<Fleet>, Failure> {
    let Some(helper) = &app.helper else { return Ok(None) };
    let clock = SystemClock::default();
    // Several hosts in one folder have logs of their own.
    let own: String = args.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(80).collect();
    let options = FleetOptions {
        root: app.project.workers(),
        logs: app.data()?.join("logs/hosts").join(own),
        surroundings: app.surroundings(settings, Some(server)),
        path: std::env::var_os("PATH"),
        tokens: Arc::clone(host.tokens()) as _,
        worker_sink: Arc::clone(host.workers()) as _,
        now: Arc::new(move || clock.now().0),
        told: Box::new(|_| ()),
        keeps: Keeps::Asked,
    };
    let fleet = Fleet::start(helper.clone(), options).await;
    supervise::tell(app.out, &fleet, |script| script.mode != "daemon");
    Ok(Some(fleet))
}
