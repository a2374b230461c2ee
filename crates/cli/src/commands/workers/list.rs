//! `kapelle workers list`: every worker, whatever serves it.

use kapelle_api::{Health, Script, ScriptMode, ScriptStanding, WorkerSource, WorkerState, WorkersStatus};
use serde_json::json;

use super::counts;
use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    out::{Tone, paint},
    scripts, shown,
};

/// Runs the verb.
///
/// # Errors
/// When the folder cannot be read, or the server does not answer.
pub(super) async fn run(app: &App) -> Result<Code, Failure> {
    let session = ApiSession::reading_any(app)?;
    let status = session.api().workers_status().await?;
    if app.out.json {
        app.out.print_json(&json!(status))?;
        return Ok(Code::Ok);
    }
    let is_local = session.is_local();
    let mut rows: Vec<Vec<String>> = status.workers.iter().map(|worker| row(worker, &status, is_local)).collect();
    let daemons = status.scripts.iter().filter(|script| of_its_own(script, &status.workers));
    rows.extend(daemons.map(daemon));
    rows.sort_by(|a, b| a[0].cmp(&b[0]));
    let heading = ["WORKER", "WHERE", "STATE", "QUEUE", "MODEL", "TASKS", "DESCRIPTION"];
    app.out.print(&shown::table(&heading, rows))?;
    if !status.scripts.is_empty() {
        app.out.print(&format!("\n{}", scripts::table(status.scripts.iter().map(scripts::Row::of_server))))?;
    }
    Ok(Code::Ok)
}

/// Says whether a script is no worker for tasks, but has a line of its own.
fn of_its_own(script: &Script, workers: &[Health]) -> bool {
    script.mode == ScriptMode::Daemon
        && script.standing != ScriptStanding::NotStarted
        && workers.iter().all(|worker| worker.name != script.name)
}

fn row(worker: &Health, status: &WorkersStatus, is_local: bool) -> Vec<String> {
    let state = match (worker.paused, worker.state) {
        (true, _) => paint(Tone::Warn, "paused"),
        // Without a server, the next process on this machine serves its workers.
        (false, WorkerState::Absent) if is_local && worker.source != WorkerSource::Host => "-".to_owned(),
        (false, WorkerState::Absent) => paint(Tone::Warn, "not served"),
        (false, state) => state.to_string(),
    };
    vec![
        worker.name.clone(),
        place(worker, status),
        state,
        worker.queue.clone(),
        worker.model.clone().unwrap_or_else(|| "-".to_owned()),
        counts(worker),
        worker.description.clone(),
    ]
}

/// Returns where a worker is: its origin, and the hosts that serve it.
pub(super) fn place(worker: &Health, status: &WorkersStatus) -> String {
    let source = worker.source.as_str().replace('_', "-");
    let serving = status.hosts.iter().filter(|host| host.alive && host.workers.contains(&worker.name));
    let hosts: Vec<&str> = serving.map(|host| host.name.as_str()).collect();
    match (worker.source, hosts.as_slice()) {
        (_, []) => source,
        (WorkerSource::Host, [one]) => format!("host {one}"),
        (WorkerSource::Host, many) => format!("{} hosts", many.len()),
        (_, many) => format!("{source}, {}", shown::count(many.len(), "host")),
    }
}

fn daemon(script: &Script) -> Vec<String> {
    let state = match script.standing {
        ScriptStanding::Started => script.state.to_string(),
        other => other.to_string().replace('_', " "),
    };
    let dash = || "-".to_owned();
    vec![script.name.clone(), "script".to_owned(), state, dash(), dash(), dash(), "takes no tasks".to_owned()]
}
