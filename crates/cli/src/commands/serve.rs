//! `kapelle serve`: a server over the folder, until it is asked to end.

mod inspector;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use kapelle::{
    Config, Kapelle,
    core::{Name, TenantId},
    engine::Recovered,
    scripts::scan::startable,
};
use kapelle_server::{Limits, Notifier, Options, Server, ServerError, State};

use self::inspector::ServeInspector;
use super::{
    config,
    supervise::{self, States},
};
use crate::{
    app::App,
    failure::{Code, Failure},
    log,
    out::stderr_is_terminal,
    project::CONFIG_FILE,
    settings::Settings,
    shown,
    signals::Signals,
    trust,
};

/// Serve tasks, runs and workers over HTTP.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The address to listen on; port 0 takes any free one [default: `listen` of the configuration, 127.0.0.1:7863]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// A further host name of the server, for example behind a proxy
    #[arg(long, value_name = "NAME")]
    host_name: Vec<String>,
    /// Listen where other machines can connect, although nothing is encrypted here
    #[arg(long)]
    insecure: bool,
    /// The form of the lines on standard error [default: `log.format` of the configuration, text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<log::Format>,
}

/// Runs the verb.
///
/// # Errors
/// When the folder is in use, the address cannot be used, or the store fails.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let Args { listen, host_name, insecure, .. } = args;
    perform(app, Plan { listen, host_names: host_name, insecure, scripts: app.project.workers(), every: None }).await
}

/// The differences between the verbs that serve a folder.
pub(super) struct Plan {
    /// The address to listen on; `None` takes that of the configuration.
    pub listen: Option<String>,
    /// Further host names of the server.
    pub host_names: Vec<String>,
    /// Whether to listen where other machines can connect.
    pub insecure: bool,
    /// The folder with the scripts.
    pub scripts: PathBuf,
    /// The interval between printed states of the scripts; `None` prints the address alone.
    pub every: Option<Duration>,
}

impl Plan {
    /// Returns the settings of the server.
    fn options(&self, app: &App, settings: &Settings) -> Result<Options, Failure> {
        let engine = settings.config.options().map_err(|problem| Failure::usage(problem.to_string()))?;
        Ok(Options {
            listen: self.listen.clone().unwrap_or_else(|| settings.config.listen.clone()),
            host_names: self.host_names.clone(),
            insecure: self.insecure,
            workflows: Some(app.project.workflows()),
            queues: settings.config.queues.iter().map(|(name, queue)| (Name::new(name), queue.slots)).collect(),
            limits: Limits { lease: Duration::from_millis(engine.lease.0), ..Limits::default() },
            labels: settings.config.labels.clone(),
            checks: settings.config.health.checks.clone(),
            access_log: settings.config.log.access,
        })
    }
}

/// Serves the folder of the project until a signal ends it.
///
/// # Errors
/// As [`run`].
pub(super) async fn perform(app: &App, plan: Plan) -> Result<Code, Failure> {
    // Before the configuration is read: a change during the start is a change.
    let files = ConfigFiles::of(app);
    let settings = Arc::new(app.settings()?);
    let options = plan.options(app, &settings)?;
    open_files(app, &options.limits);
    let notifier = Notifier::new(settings.environment.get("NOTIFY_SOCKET").map(str::to_owned));
    let mut signals = Signals::listen().map_err(|error| Failure::new(Code::Failed, format!("signals: {error}")))?;
    let kapelle = Arc::new(app.open_server(&settings).await?);
    app.warn_problems(kapelle.worker_problems());
    let _watch = app.watch(&kapelle);
    let inspector = Arc::new(ServeInspector::new(app, &settings));
    kapelle.app().describe_by(Arc::<ServeInspector>::clone(&inspector));
    let started = Server::start(Arc::clone(kapelle.app()), options).await;
    let mut server = match started {
        Ok(server) => server,
        Err(error) => {
            kapelle.close().await;
            return Err(error.into());
        }
    };
    tell_token(app, &server)?;
    tell_recovered(app, kapelle.engine().recovered());
    if let Some(helper) = &app.helper {
        let surroundings = app.surroundings(&settings, Some(format!("http://{}", server.address())));
        let fleet = kapelle.supervise(helper.clone(), &plan.scripts, surroundings).await;
        server.tell_of_scripts(&fleet);
        supervise::tell(app.out, &fleet, |_| true);
        if plan.every.is_none() {
            tell_workers(app, &kapelle, fleet.status().iter().filter(|script| script.standing == "started").count());
        }
    }
    for warning in config::unknown_budgets(app, &settings)? {
        app.out.warn(&warning);
    }
    let mut states = States::new(app.out, &kapelle, plan.every);
    if plan.every.is_some() {
        let gateway = format!("gateway: http://{}/v1", server.reachable());
        app.out.note(&format!("{gateway}; model calls of the scripts are metered, capped and recorded"));
        states.print()?;
    } else {
        states.tell_keyless();
        // After the scripts: a program that waits for this line may submit to any of them.
        app.out.print(&format!("listening={}", server.address()))?;
        tell_console(app, &kapelle, &server);
    }
    app.out.note("ready; Ctrl-C stops gracefully; press it twice to stop now");
    notifier.tell(State::Ready);
    let mut reloader = Reloader { files, started: settings.config.clone(), inspector };
    let code = watched(app, (&notifier, &settings), &mut signals, (&kapelle, &mut reloader, &mut states)).await;
    notifier.tell(State::Stopping);
    app.out.note("stopping: running attempts are finished; press Ctrl-C again to stop now");
    let code = tokio::select! {
        () = server.drain() => code,
        again = signals.next() => {
            app.out.note("stopping now: running attempts start again at the next start");
            Ok(again)
        }
    };
    server.stop().await;
    code
}

/// Says where the token is, if it was made just now.
fn tell_token(app: &App, server: &Server) -> Result<(), Failure> {
    if let Some(token) = server.fresh_token() {
        let file = token_file(app)?;
        // A log is kept by others, and for longer than a terminal.
        match stderr_is_terminal() {
            true => app.out.confide(&format!("the token, shown this once and kept in {file}: {token}")),
            false => app.out.note(&format!("a token was made; {file} holds it, for its owner alone")),
        }
    }
    Ok(())
}

/// Prints the address of the console: on a terminal with a code that logs in once, which must not stay in a log.
fn tell_console(app: &App, kapelle: &Kapelle, server: &Server) {
    let address = server.reachable();
    match kapelle.app().owner_code() {
        Ok(code) if stderr_is_terminal() => {
            app.out.confide(&format!("console (one use, 10 minutes): http://{address}{}", code.path));
        }
        _ => app.out.note(&format!("console: http://{address}/ui/; `kapelle ui` prints a link that logs in once")),
    }
}

/// Says how many scripts and workers there are, and where scripts lie that are not found.
fn tell_workers(app: &App, kapelle: &Kapelle, scripts: usize) {
    let workers = kapelle.engine().registry().specs(TenantId::DEFAULT).len();
    let (scripts_shown, workers) = (shown::count(scripts, "script"), shown::count(workers, "worker"));
    app.out.note(&format!("workers/: {scripts_shown} started, {workers} take tasks"));
    let beside = startable(&app.project.root);
    if let Some(first) = beside.first() {
        let count = shown::count(beside.len(), "script");
        app.out.warn(&format!(
            "{count} with the OpenAI SDK beside kapelle.yaml, such as {first}; only scripts in workers/ are started: \
             move them there"
        ));
    }
}

/// Says what the start found and continues.
fn tell_recovered(app: &App, recovered: Recovered) {
    let Recovered { kept, voided, runs, .. } = recovered;
    if (kept, voided, runs) != (0, 0, 0) {
        app.out.note(&format!(
            "recovered: {} on worker hosts go on, {} of the former process begin again, {} continue",
            shown::count(kept as usize, "attempt"),
            shown::count(voided as usize, "attempt"),
            shown::count(runs as usize, "open run")
        ));
    }
}

/// Waits for a signal, and sends keep-alive messages to a service manager that asks for them.
async fn watched(
    app: &App,
    (notifier, settings): (&Notifier, &Settings),
    signals: &mut Signals,
    (kapelle, reloader, states): (&Kapelle, &mut Reloader, &mut States<'_>),
) -> Result<Code, Failure> {
    let every = settings.environment.get("WATCHDOG_USEC").and_then(|text| text.parse::<u64>().ok());
    let every = std::time::Duration::from_micros(every.unwrap_or(60_000_000).max(200_000) / 2);
    let mut tick = tokio::time::interval(every);
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            code = signals.next() => return Ok(code),
            _ = tick.tick() => notifier.tell(State::Alive),
            _ = look.tick() => reloader.look(app, kapelle).await,
            () = states.due() => states.print()?,
        }
    }
}

/// Interval between looks at the configuration.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// The files of the configuration, and their versions when they were last read.
struct ConfigFiles {
    files: Vec<PathBuf>,
    seen: Vec<Option<(SystemTime, u64)>>,
}

impl ConfigFiles {
    fn of(app: &App) -> ConfigFiles {
        let root = &app.project.root;
        let mut files = ConfigFiles { files: vec![root.join(CONFIG_FILE), root.join(".env")], seen: Vec::new() };
        files.have_changed();
        files
    }

    /// Says whether they have changed since the last call.
    fn have_changed(&mut self) -> bool {
        let state = |file: &PathBuf| {
            let known = std::fs::metadata(file).ok()?;
            Some((known.modified().ok()?, known.len()))
        };
        let now: Vec<_> = self.files.iter().map(state).collect();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }
}

/// Applies a changed configuration of providers, models, prices and budgets.
struct Reloader {
    files: ConfigFiles,
    /// The configuration of the start: keys that are not reloaded keep its values.
    started: Config,
    inspector: Arc<ServeInspector>,
}

impl Reloader {
    async fn look(&mut self, app: &App, kapelle: &Kapelle) {
        if !self.files.have_changed() {
            return;
        }
        let project = app.project.again();
        let trusted = |settings: Settings| trust::check(&project, &settings).map(|()| settings);
        let reloaded = match Settings::load(&project).and_then(trusted) {
            Ok(settings) => {
                let environment = settings.environment.clone();
                let variable = move |name: &str| environment.get(name).map(str::to_owned);
                let done = kapelle.reload(&settings.config, &variable).await.map_err(Failure::from);
                done.map(|()| {
                    let config = settings.config.clone();
                    let unknown = config::unknown_budgets(app, &settings).unwrap_or_default();
                    self.inspector.reloaded(Arc::new(settings));
                    (config, unknown)
                })
            }
            Err(failure) => Err(failure),
        };
        match reloaded {
            Ok((config, unknown)) => {
                app.out.note("configuration reloaded: providers, models, prices and budgets are in effect");
                for warning in unknown {
                    app.out.warn(&warning);
                }
                let waiting = self.started.restart_keys(&config);
                if !waiting.is_empty() {
                    app.out.warn(&format!("changed, and in effect only after a restart: {}", waiting.join(", ")));
                }
            }
            Err(failure) => app.out.warn(&format!("the changed configuration is not in effect: {}", failure.message)),
        }
    }
}

/// Raises the limit of open files. Each connection is an open file, and most systems allow few by default.
#[cfg(unix)]
fn open_files(app: &App, limits: &Limits) {
    // The store, the logs and the processes of workers need some too.
    let wanted = (limits.connections + limits.transfers) as u64 + 512;
    let may = kapelle_supervisor::raise_open_files().unwrap_or(0);
    if may < wanted {
        app.out.warn(&format!(
            "this process may have {may} open files, and {} connections with {} files under way need {wanted}: raise the \
             limit (ulimit -Hn, LimitNOFILE= of systemd)",
            limits.connections, limits.transfers
        ));
    }
}

#[cfg(not(unix))]
fn open_files(_app: &App, _limits: &Limits) {}

fn token_file(app: &App) -> Result<String, Failure> {
    Ok(crate::project::Project::shown(&app.data()?.join("token")))
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Failure {
        let code = match &error {
            ServerError::Address(_) | ServerError::Exposed(_) => Code::Usage,
            ServerError::Taken { .. } => Code::Conflict,
            _ => Code::Failed,
        };
        Failure::new(code, error.to_string())
    }
}
