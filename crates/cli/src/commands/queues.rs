//! `kapelle queues list|pause|resume`, and pauses of workers.

use kapelle::{
    QueueStatus,
    core::{Name, task::StateKind},
    queue_status,
    store::GateKind,
};
use kapelle_api::{Client, QueueList, Reason};
use serde_json::{Value, json};

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    out::{Tone, paint},
    remote, shown,
};

/// List, pause and resume queues.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the queues with open tasks, and paused ones
    List,
    /// Pause a queue: no further task of it starts until it is resumed
    Pause(Change),
    /// Resume a queue
    Resume(Change),
}

/// The queue or worker that is paused or resumed.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Its name
    pub name: String,
    /// The recorded reason
    #[arg(long, default_value = "by hand")]
    pub reason: String,
}

/// Runs the verb.
///
/// # Errors
/// When a name is invalid, or another process writes to the folder.
pub async fn run(app: &App, args: Args) -> Result<Code, Failure> {
    match args.verb.unwrap_or(Verb::List) {
        Verb::List => match remote::server(app)? {
            Some(client) => list_of(app, &client).await,
            None => list(app),
        },
        Verb::Pause(change) => gate(app, GateKind::Queue, &change, true).await,
        Verb::Resume(change) => gate(app, GateKind::Queue, &change, false).await,
    }
}

/// Pauses or resumes a queue or worker. The change lasts until the next one, also after a restart.
///
/// # Errors
/// When the name is invalid, or another process writes to the folder.
pub async fn gate(app: &App, kind: GateKind, change: &Change, paused: bool) -> Result<Code, Failure> {
    let name = change.name.as_str();
    Name::parse(name).map_err(|error| Failure::usage(error.to_string()))?;
    let why = Reason { reason: Some(change.reason.clone()) };
    let session = ApiSession::open(app).await?;
    let done = match (kind, paused) {
        (GateKind::Queue, true) => session.api().pause_queue(name, why).await,
        (GateKind::Queue, false) => session.api().resume_queue(name, why).await,
        (GateKind::Worker, true) => session.api().pause_worker(name, why).await,
        (GateKind::Worker, false) => session.api().resume_worker(name, why).await,
    };
    session.close(done).await?;
    told(app, kind, name, paused)
}

fn told(app: &App, kind: GateKind, name: &str, paused: bool) -> Result<Code, Failure> {
    if app.out.json {
        app.out.print_json(&json!({ kind.as_str(): name, "paused": paused }))?;
    } else {
        app.out.print(&format!("{} {name} is {}", kind.as_str(), if paused { "paused" } else { "resumed" }))?;
    }
    Ok(Code::Ok)
}

/// Lists the queues as the server has them: it knows its hosts.
async fn list_of(app: &App, client: &Client) -> Result<Code, Failure> {
    let list: QueueList = client.get("/api/v1/queues").await?;
    if app.out.json {
        app.out.print_json(&json!(list))?;
        return Ok(Code::Ok);
    }
    let rows = list.queues.iter().map(|queue| {
        let open = [("ready", queue.ready), ("running", queue.running), ("waiting", queue.waiting)];
        let open = open.iter().filter(|(_, tasks)| *tasks > 0).map(|(state, tasks)| format!("{tasks} {state}"));
        let open: Vec<String> = open.collect();
        let tasks = if open.is_empty() { "-".to_owned() } else { open.join(", ") };
        let note = if queue.paused { paint(Tone::Warn, "paused") } else { String::new() };
        vec![queue.name.clone(), tasks, queue.listeners.to_string(), note]
    });
    app.out.print(&shown::table(&["QUEUE", "TASKS", "LISTENERS", "NOTE"], rows.collect()))?;
    for queue in &list.queues {
        if queue.listeners == 0 {
            app.out.warn(&format!("0 workers listen on queue {}", queue.name));
        }
        queue.warnings.iter().for_each(|warning| app.out.warn(warning));
    }
    Ok(Code::Ok)
}

fn list(app: &App) -> Result<Code, Failure> {
    let known = app.workers(&app.settings()?)?;
    let served = |worker: &Name| known.has(worker.as_str());
    let queues = queue_status(&app.reader()?, GateKind::Queue, served)?;
    if app.out.json {
        app.out.print_json(&json!({ "queues": queues.iter().map(status_json).collect::<Vec<_>>() }))?;
    } else if queues.is_empty() {
        app.out.note("all queues are empty, and none of them is paused");
    } else {
        let rows = queues.iter().map(|queue| {
            let paused =
                queue.paused.as_ref().map_or_else(String::new, |why| paint(Tone::Warn, &format!("paused: {why}")));
            vec![queue.name.to_string(), counts(queue), paused]
        });
        app.out.print(&shown::table(&["QUEUE", "TASKS", "NOTE"], rows.collect()))?;
    }
    for queue in &queues {
        for worker in &queue.unserved {
            app.out.warn(&format!("worker {worker} is not served, and its tasks wait in queue {}", queue.name));
        }
    }
    Ok(Code::Ok)
}

/// Returns how many open tasks each state has.
pub fn counts(status: &QueueStatus) -> String {
    if status.tasks.is_empty() {
        return "-".to_owned();
    }
    let counts = status.tasks.iter().map(|(state, tasks)| format!("{tasks} {}", StateKind::as_str(*state)));
    counts.collect::<Vec<_>>().join(", ")
}

/// Formats a queue or worker as JSON.
pub fn status_json(status: &QueueStatus) -> Value {
    let tasks: serde_json::Map<String, Value> =
        status.tasks.iter().map(|(state, tasks)| (state.as_str().to_owned(), json!(tasks))).collect();
    json!({
        "name": status.name.as_str(),
        "paused": status.paused.is_some(),
        "reason": status.paused.as_deref(),
        "tasks": tasks,
        "unserved_workers": status.unserved.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
    })
}
