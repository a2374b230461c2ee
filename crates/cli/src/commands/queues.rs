//! `kapelle queues list|pause|resume`, and pauses of workers.

use kapelle_api::{Paused, Queue, Reason};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    out::{Tone, paint},
    shown,
};

/// List, pause and resume queues.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the queues that are configured, paused, or have open tasks
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
        Verb::List => list(app).await,
        Verb::Pause(change) => gate(app, Kind::Queue, &change, true).await,
        Verb::Resume(change) => gate(app, Kind::Queue, &change, false).await,
    }
}

/// The kind of thing that is paused.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Queue,
    Worker,
}

/// Pauses or resumes a queue or worker. The change lasts until the next one, also after a restart.
///
/// # Errors
/// When the name is invalid, or another process writes to the folder.
pub async fn gate(app: &App, kind: Kind, change: &Change, paused: bool) -> Result<Code, Failure> {
    let name = change.name.as_str();
    let why = Reason { reason: Some(change.reason.clone()) };
    let session = ApiSession::open(app).await?;
    let done = match (kind, paused) {
        (Kind::Queue, true) => session.api().pause_queue(name, why).await,
        (Kind::Queue, false) => session.api().resume_queue(name, why).await,
        (Kind::Worker, true) => session.api().pause_worker(name, why).await,
        (Kind::Worker, false) => session.api().resume_worker(name, why).await,
    };
    let done: Paused = session.close(done).await?;
    if app.out.json {
        app.out.print_json(&json!(done))?;
        return Ok(Code::Ok);
    }
    let kind = match kind {
        Kind::Queue => "queue",
        Kind::Worker => "worker",
    };
    app.out.print(&format!("{kind} {} is {}", done.name, if done.paused { "paused" } else { "resumed" }))?;
    Ok(Code::Ok)
}

async fn list(app: &App) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let list = session.api().queues().await?;
    if app.out.json {
        app.out.print_json(&json!(list))?;
        return Ok(Code::Ok);
    }
    app.out.print(&table(&list.queues))?;
    warn(app, &list.queues, session.is_local());
    Ok(Code::Ok)
}

/// Formats queues as a table.
pub fn table(queues: &[Queue]) -> String {
    let rows = queues.iter().map(|queue| {
        let note = match (&queue.paused_reason, queue.paused) {
            (Some(why), true) => paint(Tone::Warn, &format!("paused: {why}")),
            (None, true) => paint(Tone::Warn, "paused"),
            (_, false) => String::new(),
        };
        vec![queue.name.clone(), counts(queue), queue.listeners.to_string(), note]
    });
    shown::table(&["QUEUE", "TASKS", "LISTENERS", "NOTE"], rows.collect())
}

/// Warns of queues without listeners, and says why tasks wait: each reason once.
pub fn warn(app: &App, queues: &[Queue], is_local: bool) {
    for queue in queues {
        // The table says which queues are paused.
        let paused = format!("queue `{}` is paused", queue.name);
        if queue.listeners == 0 && !is_local {
            app.out.warn(&format!("0 workers listen on queue {}", queue.name));
        }
        queue.warnings.iter().filter(|warning| **warning != paused).for_each(|warning| app.out.warn(warning));
    }
}

/// Returns how many open tasks each state has.
pub fn counts(queue: &Queue) -> String {
    let counts: Vec<String> = queue.tasks.iter().map(|(state, tasks)| format!("{tasks} {state}")).collect();
    if counts.is_empty() { "-".to_owned() } else { counts.join(", ") }
}
