//! `kapelle serve`: a server over the folder, until it is asked to end.

use std::sync::Arc;

use kapelle::core::Name;
use kapelle_server::{Limits, Notifier, Options, Server, ServerError, State};

use crate::{
    app::App,
    failure::{Code, Failure},
    signals::Signals,
};

/// Serve tasks, runs and workers over HTTP.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; port 0 takes one that is free [default: `listen` of the configuration, 127.0.0.1:7863]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// A further name under which the server is reached, as behind a proxy
    #[arg(long, value_name = "NAME")]
    host_name: Vec<String>,
    /// Listen where other machines can connect, although nothing is encrypted here
    #[arg(long)]
    insecure: bool,
}

/// Runs the verb.
///
/// # Errors
/// When the folder is in use, the address cannot be used, or the store fails.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    let settings = app.settings()?;
    let options = Options {
        listen: args.listen.unwrap_or_else(|| settings.config.listen.clone()),
        host_names: args.host_name,
        insecure: args.insecure,
        workflows: Some(app.project.workflows()),
        queues: settings.config.queues.iter().map(|(name, queue)| (Name::new(name), queue.slots)).collect(),
        limits: Limits::default(),
    };
    open_files(app, &options.limits);
    let notifier = Notifier::new(settings.environment.get("NOTIFY_SOCKET").map(str::to_owned));
    let mut signals = Signals::listen().map_err(|error| Failure::new(Code::Failed, format!("signals: {error}")))?;
    let kapelle = Arc::new(app.builder(&settings)?.open().await?);
    app.warn_problems(kapelle.worker_problems());
    let _watch = app.watch(&kapelle);
    let started = Server::start(Arc::clone(&kapelle), options).await;
    let mut server = match started {
        Ok(server) => server,
        Err(error) => {
            kapelle.close().await;
            return Err(error.into());
        }
    };
    if let Some(token) = server.fresh_token() {
        app.out.note(&format!("the token, shown this once and kept in {}: {token}", token_file(app)?));
    }
    app.out.print(&format!("listening={}", server.address()))?;
    app.out.note("ready; Ctrl-C ends it in good order, a second one at once");
    notifier.tell(State::Ready);
    let code = watched(&notifier, &settings, &mut signals).await;
    notifier.tell(State::Stopping);
    app.out.note("ending: attempts under way are finished; ask again to end at once");
    let code = tokio::select! {
        () = server.drain() => code,
        again = signals.next() => {
            app.out.note("ending at once: what was under way is begun again at the next start");
            again
        }
    };
    server.stop().await;
    Ok(code)
}

/// Waits for a signal, and tells a service manager that wants to know that the process lives.
async fn watched(notifier: &Notifier, settings: &crate::settings::Settings, signals: &mut Signals) -> Code {
    let every = settings.environment.get("WATCHDOG_USEC").and_then(|text| text.parse::<u64>().ok());
    let every = std::time::Duration::from_micros(every.unwrap_or(60_000_000).max(200_000) / 2);
    let mut tick = tokio::time::interval(every);
    loop {
        tokio::select! {
            code = signals.next() => return code,
            _ = tick.tick() => notifier.tell(State::Alive),
        }
    }
}

/// Each connection is an open file, and most systems give out few of those until they are asked for more.
#[cfg(unix)]
fn open_files(app: &App, limits: &Limits) {
    // The store, the logs and the processes of workers need some too.
    let wanted = limits.connections as u64 + 512;
    let may = kapelle_supervisor::raise_open_files().unwrap_or(0);
    if may < wanted {
        app.out.warn(&format!(
            "this process may have {may} open files, and {} connections need {wanted}: raise the limit (ulimit -Hn, \
             LimitNOFILE= of systemd)",
            limits.connections
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
            ServerError::Taken(_) => Code::Conflict,
            _ => Code::Failed,
        };
        Failure::new(code, error.to_string())
    }
}
